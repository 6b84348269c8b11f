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

// maxLive is the maximum number of a worker's tunnels that are not deleted. maxConnectors is the
// maximum number of a tunnel's connectors.
const (
	maxLive       = 8
	maxConnectors = 3
)

// step is an action of a worker: either alone, or with a tunnel for which fits returns true. An
// error ends the worker. weight is the relative frequency.
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

// create creates a tunnel with Ensure or Create.
func (w *worker) create() error {
	t := &tunnel{
		account: w.rng.IntN(len(w.clients)), newName: w.newName(), connectors: map[string]bool{},
	}
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
			Name: t.newName, Status: cftunnel.TunnelStatusInactive,
			Config: text(cftunnel.TunnelConfig{}),
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

// ensureCommon calls Ensure for the common tunnel of all workers.
func (w *worker) ensureCommon() error {
	account := w.rng.IntN(len(w.clients))
	_ = w.call("Ensure", func(ctx context.Context, opts ...option) error {
		return w.ensure(ctx, account, opts)
	})
	return nil
}

// list lists the worker's own tunnels in one account, with a random number of tunnels a page.
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
		w.report("All returned %v, want %v", got, want)
	}
	return nil
}

func (w *worker) rename(t *tunnel) error {
	name := w.newName()
	_, err := w.write("Update", t, func(ctx context.Context, opts ...option) error {
		params := cftunnel.TunnelUpdateParams{Name: name}
		_, err := w.client(t).Tunnels.Update(ctx, t.id, params, opts...)
		return err
	}, nil, func(want *state, _ state) { want.Name = name })
	return err
}

// rotate rotates the secret. The running connectors keep the old token, or their connections are
// cleaned up.
func (w *worker) rotate(t *tunnel) error {
	params := cftunnel.RotateParams{
		Secret: cftunnel.NewTunnelSecret(), CleanupConnections: w.chance(40),
	}
	old := t.Token
	rotated := func(want *state, now state) {
		if hasSecret(now.Token, params.Secret) {
			want.Token = now.Token
		}
	}
	outcomes := []outcome{rotated}
	if params.CleanupConnections {
		cleanedUp := func(want *state, now state) {
			rotated(want, now)
			want.run(nil)
		}
		outcomes = []outcome{cleanedUp, rotated}
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

// configured returns the outcome that the configuration was written. The version may be higher by
// up to maxAttempts, because the request may have been repeated.
func configured(t *tunnel, config *string) outcome {
	return func(want *state, now state) {
		want.Config, want.Version = *config, t.Version+1
		if now.Version > t.Version && now.Version <= t.Version+maxAttempts {
			want.Version = now.Version
		}
	}
}

// modifyConfiguration writes a configuration with unknown members, or inserts a rule at the front
// of the current one.
func (w *worker) modifyConfiguration(t *tunnel) error {
	name, want, before, conflict := w.newName(), t.Config, t.Version, false
	_, err := w.write("ModifyConfiguration", t, func(ctx context.Context, opts ...option) error {
		change := func(c *cftunnel.TunnelConfig) error {
			if now := text(*c); now != t.Config {
				w.report("ModifyConfiguration of %s: the configuration is %s, want %s",
					t, now, t.Config)
			}
			if len(c.Ingress) == 0 || len(c.Ingress) > 5 {
				document := fmt.Sprintf(`{"ingress":[
					{"hostname":"%s.example.com","service":"http://localhost:8080","soak":1},
					{"service":"http_status:404"}
				],"originRequest":{"connectTimeout":7},"soak":{"a":[2]}}`, name)
				*c = cftunnel.TunnelConfig{}
				if err := json.Unmarshal([]byte(document), c); err != nil {
					return err
				}
			} else {
				rule := cftunnel.IngressRule{
					Hostname: name + ".example.com", Service: "tcp://localhost:22",
				}
				c.Ingress = append([]cftunnel.IngressRule{rule}, c.Ingress...)
			}
			want = text(*c)
			return nil
		}
		_, err := w.client(t).Tunnels.ModifyConfiguration(ctx, t.id, change, opts...)
		if conflict = errors.Is(err, cftunnel.ErrConcurrentUpdate); conflict {
			return cftunnel.ErrOutcomeUnknown
		}
		if errors.Is(err, cftunnel.ErrLocallyManaged) {
			return nil // the configuration is stored
		}
		return err
	}, nil, configured(t, &want))
	// The conflicting write can only be this call's own write, repeated after its response was
	// lost.
	if conflict && t.Version < before+2 {
		w.report("ModifyConfiguration of %s: a conflict without another write", t)
	}
	return err
}

// connect starts a connector. It first checks that an old token is refused.
func (w *worker) connect(t *tunnel) error {
	if !t.oldToken.IsZero() {
		if _, err := w.srv.Connect(t.oldToken); err == nil {
			w.report("%s: a connector started with an old token", t)
		}
	}
	if len(t.connectors) >= maxConnectors {
		return nil
	}
	id, err := w.srv.Connect(t.Token)
	if err != nil {
		w.report("%s: a connector cannot start: %v", t, err)
		return nil
	}
	t.connectors[id] = true
	t.run(t.connectors)
	return nil
}

// connector returns the ID of a random running connector.
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

// cleanUp cleans up the connections of one connector or of all.
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

// delete deletes a tunnel with Delete or CleanupAndDelete, with or without running connectors.
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
		// Connectors may reconnect before the tunnel is deleted.
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
			w.report("Delete of %s: the tunnel was deleted despite %d connectors",
				t, len(t.connectors))
		}
		clear(t.connectors)
	case 1:
		t.connectors = left
	}
	return err
}
