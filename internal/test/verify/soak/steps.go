package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// maxLive and maxConnectors bound the live tunnels of a worker, and the connectors of a tunnel.
const (
	maxLive       = 8
	maxConnectors = 3
)

// step is something that a worker does: alone, or with a tunnel that fits. Its error ends the worker.
type step struct {
	weight int
	alone  func(*worker) error
	fits   func(*tunnel) bool
	with   func(*worker, *tunnel) error
}

func isAny(*tunnel) bool       { return true }
func isLive(t *tunnel) bool    { return !t.Deleted }
func isRunning(t *tunnel) bool { return len(t.connectors) > 0 }

var steps = []step{
	{weight: 12, alone: (*worker).create},
	{weight: 1, alone: (*worker).ensureCommon},
	{weight: 8, alone: (*worker).list},
	{weight: 5, alone: (*worker).publish},
	{weight: 2, alone: (*worker).unpublish},
	{weight: 25, fits: isAny, with: (*worker).check},
	{weight: 6, fits: isLive, with: (*worker).rename},
	{weight: 6, fits: isLive, with: (*worker).rotate},
	{weight: 10, fits: isLive, with: (*worker).modifyConfiguration},
	{weight: 12, fits: isLive, with: (*worker).connect},
	{weight: 4, fits: isRunning, with: (*worker).disconnect},
	{weight: 4, fits: isLive, with: (*worker).cleanUp},
	{weight: 8, fits: isLive, with: (*worker).delete},
	{weight: 8, fits: isLive, with: (*worker).addRoute},
	{weight: 3, fits: hasRoutes, with: (*worker).moveRoute},
	{weight: 4, fits: hasRoutes, with: (*worker).deleteRoute},
	{weight: 10, alone: (*worker).tokenStep},
}

func (w *worker) step() error {
	live := 0
	for _, t := range w.tunnels {
		if !t.Deleted {
			live++
		}
	}
	if live >= maxLive {
		return w.delete(w.pick(isLive))
	}
	all := 0
	for _, s := range steps {
		all += s.weight
	}
	n := w.rng.IntN(all)
	for _, s := range steps {
		if n -= s.weight; n >= 0 {
			continue
		}
		if s.alone != nil {
			return s.alone(w)
		}
		if t := w.pick(s.fits); t != nil {
			return s.with(w, t)
		}
		break
	}
	return w.create()
}

// create makes a tunnel, by Ensure or Create.
func (w *worker) create() error {
	t := &tunnel{account: w.rng.IntN(len(w.clients)), newName: w.newName(), connectors: map[string]bool{}}
	params := cftunnel.TunnelCreateParams{Name: t.newName, Secret: cftunnel.NewTunnelSecret()}
	name, do := "Create", func(ctx context.Context, opts ...option) error {
		_, err := w.client(t).Tunnels.Create(ctx, params, opts...)
		return err
	}
	if w.chance(40) {
		name, do = "Ensure", func(ctx context.Context, opts ...option) error {
			_, _, err := w.client(t).Tunnels.Ensure(ctx, params, opts...)
			return err
		}
	}
	done, err := w.write(name, t, do, nil, func(want *state, now state) {
		*want = state{
			Name: t.newName, Status: cftunnel.TunnelStatusInactive, Config: text(cftunnel.TunnelConfig{}),
		}
		if hasSecret(now.Token, params.Secret) {
			want.Token = now.Token
		}
	})
	if done >= 0 {
		w.tunnels = append(w.tunnels, t)
	}
	return err
}

func hasSecret(token, secret cftunnel.Secret) bool {
	credentials, err := cftunnel.ParseTunnelToken(token)
	return err == nil && credentials.Secret == secret
}

// ensureCommon ensures a tunnel that all workers ensure.
func (w *worker) ensureCommon() error {
	account := w.rng.IntN(len(w.clients))
	_ = w.call("Ensure", func(ctx context.Context, opts ...option) error {
		return w.ensure(ctx, account, opts)
	})
	return nil
}

// list lists the worker's own tunnels of one account, on pages of any length.
func (w *worker) list() error {
	account, deleted := w.rng.IntN(len(w.clients)), w.chance(25)
	params := cftunnel.TunnelListParams{
		IncludePrefix: w.name + "-", IsDeleted: &deleted, PerPage: w.rng.IntN(8),
	}
	got, want := map[string]string{}, map[string]string{}
	err := w.call("All", func(ctx context.Context, opts ...option) error {
		for t, err := range w.clients[account].Tunnels.All(ctx, params, opts...) {
			if err != nil {
				return err
			}
			got[t.ID] = t.Name
		}
		return nil
	})
	for _, t := range w.tunnels {
		if t.account == account && t.Deleted == deleted {
			want[t.id] = t.Name
		}
	}
	if err == nil && !maps.Equal(got, want) {
		w.report("All: %v, want %v", got, want)
	}
	return nil
}

func (w *worker) rename(t *tunnel) error {
	name := w.newName()
	_, err := w.write("Update", t, func(ctx context.Context, opts ...option) error {
		_, err := w.client(t).Tunnels.Update(ctx, t.id, cftunnel.TunnelUpdateParams{Name: name}, opts...)
		return err
	}, nil, func(want *state, _ state) { want.Name = name })
	return err
}

// rotate leaves the running connectors with an old token, or cleans them up.
func (w *worker) rotate(t *tunnel) error {
	params := cftunnel.RotateParams{Secret: cftunnel.NewTunnelSecret(), CleanupConnections: w.chance(40)}
	old := t.Token
	rotated := func(want *state, now state) {
		if hasSecret(now.Token, params.Secret) {
			want.Token = now.Token
		}
	}
	outcomes := []outcome{rotated}
	if params.CleanupConnections {
		outcomes = []outcome{func(want *state, now state) { rotated(want, now); want.run(nil) }, rotated}
	}
	done, err := w.write("RotateSecret", t, func(ctx context.Context, opts ...option) error {
		_, err := w.client(t).Tunnels.RotateSecret(ctx, t.id, params, opts...)
		return err
	}, nil, outcomes...)
	if done < 0 || err != nil {
		return err
	}
	t.oldToken = old
	for id := range t.connectors {
		t.connectors[id] = false
	}
	if params.CleanupConnections && done == 0 {
		clear(t.connectors)
	}
	return nil
}

// configured allows that the request was repeated.
func configured(t *tunnel, config *string) outcome {
	return func(want *state, now state) {
		want.Config, want.Version = *config, t.Version+1
		if now.Version > t.Version && now.Version <= t.Version+maxAttempts {
			want.Version = now.Version
		}
	}
}

// modifyConfiguration writes a configuration with members that the client does not know, or adds a
// rule at the front.
func (w *worker) modifyConfiguration(t *tunnel) error {
	name, want, before, conflict := w.newName(), t.Config, t.Version, false
	_, err := w.write("ModifyConfiguration", t, func(ctx context.Context, opts ...option) error {
		_, err := w.client(t).Tunnels.ModifyConfiguration(ctx, t.id, func(c *cftunnel.TunnelConfig) error {
			if now := text(*c); now != t.Config {
				w.report("ModifyConfiguration of %s: it reads %s, want %s", t, now, t.Config)
			}
			if len(c.Ingress) == 0 || len(c.Ingress) > 5 {
				document := fmt.Sprintf(`{"ingress":[{"hostname":"%s.example.com","service":"http://localhost:8080","soak":1},
					{"service":"http_status:404"}],"originRequest":{"connectTimeout":7},"soak":{"a":[2]}}`, name)
				*c = cftunnel.TunnelConfig{}
				if err := json.Unmarshal([]byte(document), c); err != nil {
					return err
				}
			} else {
				rule := cftunnel.IngressRule{Hostname: name + ".example.com", Service: "tcp://localhost:22"}
				c.Ingress = append([]cftunnel.IngressRule{rule}, c.Ingress...)
			}
			want = text(*c)
			return nil
		}, opts...)
		if conflict = errors.Is(err, cftunnel.ErrConcurrentUpdate); conflict {
			return cftunnel.ErrOutcomeUnknown
		}
		if errors.Is(err, cftunnel.ErrLocallyManaged) {
			return nil // it is stored all the same
		}
		return err
	}, nil, configured(t, &want))
	// The other write of a conflict can only be one of its own, repeated after its response was lost.
	if conflict && t.Version < before+2 {
		w.report("ModifyConfiguration of %s: a conflict, and nobody else wrote", t)
	}
	return err
}

// connect starts a connector, and tries an old token first.
func (w *worker) connect(t *tunnel) error {
	if !t.oldToken.IsZero() {
		if _, err := w.srv.Connect(t.oldToken); err == nil {
			w.report("%s: a connector with an old token runs", t)
		}
	}
	if len(t.connectors) >= maxConnectors {
		return nil
	}
	id, err := w.srv.Connect(t.Token)
	if err != nil {
		w.report("%s: a connector is refused: %v", t, err)
		return nil
	}
	t.connectors[id] = true
	t.run(t.connectors)
	return nil
}

// connector returns one of those that run.
func (w *worker) connector(t *tunnel) string {
	ids := slices.Sorted(maps.Keys(t.connectors))
	return ids[w.rng.IntN(len(ids))]
}

func (w *worker) disconnect(t *tunnel) error {
	id := w.connector(t)
	w.srv.Disconnect(id)
	delete(t.connectors, id)
	t.run(t.connectors)
	return nil
}

// cleanUp drops the connections of one connector, or of all.
func (w *worker) cleanUp(t *tunnel) error {
	var params cftunnel.CleanupParams
	left := t.current()
	if isRunning(t) && w.chance(50) {
		params.ConnectorID = w.connector(t)
		left = maps.Clone(t.connectors)
		if !left[params.ConnectorID] {
			delete(left, params.ConnectorID)
		}
	}
	done, err := w.write("Cleanup", t, func(ctx context.Context, opts ...option) error {
		return w.client(t).Connectors.Cleanup(ctx, t.id, params, opts...)
	}, nil, func(want *state, _ state) { want.run(left) })
	if done >= 0 {
		t.connectors = left
	}
	return err
}

// delete deletes a tunnel in one of several ways.
func (w *worker) delete(t *tunnel) error {
	if w.chance(50) {
		for id := range t.connectors {
			w.srv.Disconnect(id)
		}
		clear(t.connectors)
		t.run(nil)
	}
	name, cascade, left := "Delete", w.chance(50), t.current()
	var expected []error
	if isRunning(t) && !cascade {
		expected = append(expected, cftunnel.ErrActiveConnections)
	}
	do := func(ctx context.Context, opts ...option) error {
		params := cftunnel.TunnelDeleteParams{Cascade: cascade}
		_, err := w.client(t).Tunnels.Delete(ctx, t.id, params, opts...)
		return err
	}
	outcomes := []outcome{func(want *state, _ state) { want.delete() }}
	if w.chance(60) {
		// Connectors may come back meanwhile.
		name, expected = "CleanupAndDelete", []error{cftunnel.ErrActiveConnections}
		do = func(ctx context.Context, opts ...option) error {
			_, err := w.client(t).Tunnels.CleanupAndDelete(ctx, t.id, opts...)
			return err
		}
		outcomes = append(outcomes, func(want *state, _ state) { want.run(left) })
	}
	done, err := w.write(name, t, do, expected, outcomes...)
	switch done {
	case 0:
		if name == "Delete" && len(expected) > 0 {
			w.report("Delete of %s: it is deleted with %d connectors", t, len(t.connectors))
		}
		clear(t.connectors)
	case 1:
		t.connectors = left
	}
	return err
}
