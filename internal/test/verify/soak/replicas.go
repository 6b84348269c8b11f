package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// maxReplicas bounds the replicas of a tunnel.
const maxReplicas = 3

// connect starts a replica, and tries one with an old token, which must be refused.
func (w *worker) connect(e *entry) error {
	if !e.old.IsZero() && !e.sameToken(e.old, e.token) {
		if _, err := w.srv.Connect(e.old); err == nil {
			w.find("%s: a replica with the old token was let in", e.name)
		}
	}
	if len(e.replicas) >= maxReplicas || e.isWARP() && !e.ha && len(e.replicas) > 0 {
		return nil
	}
	id, err := w.srv.Connect(e.token)
	if err != nil {
		w.find("%s: a replica with the token in the books was refused: %v", e.name, err)
		return nil
	}
	if e.isWARP() && len(e.replicas) == 0 {
		e.active = id
	}
	e.replicas[id], e.ran = true, true
	return nil
}

// disconnect stops a replica. Which one of a WARP connector's becomes active then is the server's choice.
func (w *worker) disconnect(e *entry) error {
	id := w.replica(e)
	w.srv.Disconnect(id)
	delete(e.replicas, id)
	if e.active != id {
		return nil
	}
	active, err := w.lookActive(e)
	if err != nil {
		return err
	}
	if active == "" && len(e.replicas) > 0 {
		w.find("%s: none of its %d replicas is active", e.name, len(e.replicas))
	}
	e.active = active
	return nil
}

// replica returns any of those that run.
func (w *worker) replica(e *entry) string {
	ids := slices.Sorted(maps.Keys(e.replicas))
	return ids[w.rng.IntN(len(ids))]
}

// lookActive returns the active replica of a WARP connector, empty where there is none.
func (w *worker) lookActive(e *entry) (string, error) {
	connectors, err := w.lookConnectors(e)
	for _, c := range connectors {
		if c.HAStatus == cftunnel.HAStatusActive {
			return c.ID, err
		}
	}
	return "", err
}

func (w *worker) readConnectors(e *entry) error {
	connectors, err := call(w, "Connectors", func(ctx context.Context, o options) ([]cftunnel.Connector, error) {
		return connectorsOf(ctx, w.client(e), e, o)
	})
	if err != nil {
		return nil
	}
	for _, difference := range e.differsIn(connectors) {
		w.find("Connectors of %s: %s", e.name, difference)
	}
	wanted, expected := "00000000-0000-4000-8000-000000000000", cftunnel.ErrNotFound
	if len(connectors) > 0 {
		wanted, expected = connectors[0].ID, nil
	}
	connector, err := call(w, "Connector", func(ctx context.Context, o options) (*cftunnel.Connector, error) {
		if e.isWARP() {
			return w.client(e).WARPConnectors.Connector(ctx, e.id, wanted, o...)
		}
		return w.client(e).Connectors.Get(ctx, e.id, wanted, o...)
	}, expected)
	if err == nil && (connector.ID != wanted || expected != nil) {
		w.find("Connector %s of %s: it is %s", wanted, e.name, connector.ID)
	}
	return nil
}

// cleanUp drops the connections of one replica or of all.
func (w *worker) cleanUp(e *entry) error {
	params := cftunnel.CleanupParams{}
	if hasReplica(e) && w.chance(50) {
		params.ConnectorID = w.replica(e)
	}
	_, err := call(w, "Cleanup", func(ctx context.Context, o options) (struct{}, error) {
		return struct{}{}, w.client(e).Connectors.Cleanup(ctx, e.id, params, o...)
	})
	return w.recount("Cleanup", e, err, func(id string) bool { return params.ConnectorID == "" || params.ConnectorID == id })
}

// recount books the replicas that are left after a clean-up of those that are meant, whose error was err. Those with the present token come
// back, which is waited for; those with an old one are gone for good if it was carried out. Without a name, nobody has said whether it was.
func (w *worker) recount(name string, e *entry, err error, meant func(id string) bool) error {
	connectors, lookErr := w.lookBack(e)
	if lookErr != nil {
		return lookErr
	}
	runs := func(id string) bool {
		return slices.ContainsFunc(connectors, func(c cftunnel.Connector) bool { return c.ID == id })
	}
	var gone, left int
	for id := range e.replicas {
		switch {
		case !runs(id) && !meant(id):
			w.find("%s of %s: connector %s, which was not meant, is gone", name, e.name, id)
			fallthrough
		case !runs(id):
			gone++
			delete(e.replicas, id)
		case !e.replicas[id] && meant(id):
			left++
		}
	}
	switch {
	case gone > 0 && left > 0:
		w.find("%s of %s: %d replicas with an old token are gone, and %d are left", name, e.name, gone, left)
	case name == "":
	case err == nil && left > 0:
		w.find("%s of %s: %d replicas with an old token are left", name, e.name, left)
	case err != nil:
		w.resolve(name, err, gone > 0)
	}
	return nil
}

// lookBack returns the connectors of a tunnel when all of its replicas with the present token are among them.
func (w *worker) lookBack(e *entry) ([]cftunnel.Connector, error) {
	for began := time.Now(); ; time.Sleep(comeBack / 4) {
		connectors, err := w.lookConnectors(e)
		if err != nil {
			return nil, err
		}
		missing := 0
		for id, good := range e.replicas {
			if good && !slices.ContainsFunc(connectors, func(c cftunnel.Connector) bool { return c.ID == id }) {
				missing++
			}
		}
		switch {
		case missing == 0:
			return connectors, nil
		case time.Since(began) > 100*comeBack:
			return nil, errors.New("replicas do not come back after a clean-up")
		}
	}
}
