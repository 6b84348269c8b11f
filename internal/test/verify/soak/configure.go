package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// configure replaces a tunnel's configuration, or in a case in ten reads it.
func (w *worker) configure(e *entry) error {
	if w.chance(10) {
		return w.readConfiguration(e)
	}
	config, mark := cftunnel.TunnelConfig{}, w.newName()
	// With members that the client does not know.
	document := fmt.Sprintf(`{"ingress":[{"hostname":"%s.example.com","service":"http://localhost:8080","soakRule":"%[1]s"},
		{"service":"http_status:404"}],"originRequest":{"connectTimeout":%d},"soak":{"mark":"%[1]s"}}`, mark, w.rng.IntN(60))
	if err := json.Unmarshal([]byte(document), &config); err != nil {
		return err
	}
	for _, part := range []string{fmt.Sprintf(`"soakRule":"%s"`, mark), fmt.Sprintf(`"soak":{"mark":"%s"}`, mark)} {
		if !strings.Contains(text(config), part) {
			w.find("a configuration lost %s on its way through the client's types", part)
		}
	}
	got, err := call(w, "UpdateConfiguration", func(ctx context.Context, o options) (configured, error) {
		got, err := w.client(e).Tunnels.UpdateConfiguration(ctx, e.id, config, o...)
		return ofTunnel(got), err
	})
	return w.enterConfiguration("UpdateConfiguration", e, got, err, text(config), w.sent)
}

// readConfiguration reads what was written, and that there is none of a deleted tunnel.
func (w *worker) readConfiguration(e *entry) error {
	var expected []error
	if gone := w.dead(); gone != nil && w.chance(30) {
		e, expected = gone, []error{cftunnel.ErrNotFound}
	}
	got, err := call(w, "Configuration", func(ctx context.Context, o options) (configured, error) {
		return configurationOf(ctx, w.client(e), e, o)
	}, expected...)
	switch {
	case err == nil && e.deleted:
		w.find("Configuration of %s, which is deleted: there is one", e.name)
	case err == nil && got != e.configured:
		w.find("Configuration of %s: it is %v, and in the books %v", e.name, got, e.configured)
	}
	return nil
}

var errKeep = errors.New("the configuration is good as it is")

// modify puts a rule at the front, and takes the oldest one away where there are many; sometimes it thinks better of it.
func (w *worker) modify(e *entry) error {
	rule := cftunnel.IngressRule{Hostname: w.newName() + ".example.com", Service: "tcp://localhost:22"}
	keep, want := w.chance(10), e.config
	got, err := call(w, "ModifyConfiguration", func(ctx context.Context, o options) (configured, error) {
		got, err := w.client(e).Tunnels.ModifyConfiguration(ctx, e.id, func(c *cftunnel.TunnelConfig) error {
			if now := text(*c); now != e.config {
				w.find("ModifyConfiguration of %s: it read %s, and in the books is %s", e.name, now, e.config)
			}
			if keep {
				return errKeep
			}
			rules := append([]cftunnel.IngressRule{rule}, c.Ingress...)
			switch {
			case len(c.Ingress) == 0:
				rules = append(rules, cftunnel.IngressRule{Service: "http_status:404"})
			case len(rules) > 5:
				rules = append(rules[:4], rules[5])
			}
			c.Ingress = rules
			want = text(*c)
			return nil
		}, o...)
		return ofTunnel(got), err
	}, errKeep, cftunnel.ErrConcurrentUpdate)
	switch {
	case keep && err == nil:
		w.find("ModifyConfiguration of %s: an error did not keep it from writing", e.name)
	case errors.Is(err, cftunnel.ErrConcurrentUpdate) && w.puts(w.id) < 2:
		w.find("ModifyConfiguration of %s, which nobody else writes: %v", e.name, err)
	case errors.Is(err, cftunnel.ErrConcurrentUpdate) && got.version > 0:
		err = nil // the result is there; the rival was a write of its own that came late
	}
	return w.enterConfiguration("ModifyConfiguration", e, got, err, want, 1)
}

// configureWARP replaces how a WARP connector is highly available. One that is not takes no addresses.
func (w *worker) configureWARP(e *entry) error {
	if w.chance(10) {
		return w.readConfiguration(e)
	}
	params := []cftunnel.WARPConfigurationParams{
		{HAMode: cftunnel.HAModeNone},
		{HAMode: cftunnel.HAModeDisabled},
		{HAMode: cftunnel.HAModeAWS, FNRID: w.newName()},
		// Left out, the server would fill in the addresses before the change, which are the same where the request comes twice.
		{HAMode: cftunnel.HAModeLocal, VIPs: []string{fmt.Sprintf("192.0.2.%d", 2+w.rng.IntN(200))}, VIPsPrevious: []string{"192.0.2.1"}},
	}[w.rng.IntN(4)]
	var expected []error
	if !e.ha && (params.HAMode == cftunnel.HAModeAWS || params.HAMode == cftunnel.HAModeLocal) {
		expected = append(expected, cftunnel.ErrBadRequest)
	}
	got, err := call(w, "UpdateConfiguration of WARP", func(ctx context.Context, o options) (configured, error) {
		got, err := w.client(e).WARPConnectors.UpdateConfiguration(ctx, e.id, params, o...)
		return ofWARP(got), err
	}, expected...)
	if err == nil && expected != nil {
		w.find("UpdateConfiguration of %s, which is not highly available: it took the mode %s", e.name, params.HAMode)
	}
	return w.enterConfiguration("UpdateConfiguration of WARP", e, got, err, text(params), w.sent)
}

// enterConfiguration books a configuration that was to be want, after a call that may have written it up to most times, and once more where
// a write that was given up came late.
func (w *worker) enterConfiguration(name string, e *entry, got configured, err error, want string, most int) error {
	if err == nil && most == 1 && !w.broken {
		if booked := (configured{e.version + 1, want}); got != booked {
			w.find("%s of %s: the answer is %v, and ought to be %v", name, e.name, got, booked)
		}
		e.configured = got
		return nil
	}
	id := w.id
	now, lookErr := look(w, "Configuration", func(ctx context.Context, o options) (configured, error) {
		return configurationOf(ctx, w.client(e), e, o)
	})
	if lookErr != nil {
		return lookErr
	}
	done := now.version != e.version
	switch {
	case err != nil:
		w.resolve(name, err, done)
	case now.version < got.version || now.config != got.config:
		w.find("%s of %s: the answer was %v, and now it is %v", name, e.name, got, now)
	}
	times := now.version - e.version
	if times > most && times == w.puts(id) {
		w.tally.cameLate()
		most = times
	}
	if times < 0 || times > most || done && now.config != want || !done && now.config != e.config {
		w.find("%s of %s, written %d times at most: it was %v, to be %s, and is %v", name, e.name, most, e.configured, want, now)
	}
	e.configured = now
	return nil
}

func (w *worker) createWARP() error {
	e := &entry{
		account: w.rng.IntN(len(w.clients)), name: w.newName(), kind: cftunnel.TunnelTypeWARPConnector, ha: w.chance(70),
	}
	made, err := call(w, "Create of WARP", func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
		return w.client(e).WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: e.name, HA: e.ha}, o...)
	})
	return w.enter("Create of WARP", e, cftunnel.Secret{}, made, err)
}

// failover makes another replica the active one.
func (w *worker) failover(e *entry) error {
	id := w.replica(e)
	var expected []error
	if !e.ha {
		expected = append(expected, cftunnel.ErrBadRequest)
	}
	_, err := call(w, "Failover", func(ctx context.Context, o options) (struct{}, error) {
		return struct{}{}, w.client(e).WARPConnectors.Failover(ctx, e.id, id, o...)
	}, expected...)
	if err != nil {
		active, lookErr := w.lookActive(e)
		if lookErr != nil {
			return lookErr
		}
		if e.active == id {
			return nil // nobody can tell
		}
		w.resolve("Failover", err, active == id)
		if active != id {
			return nil
		}
	}
	e.active = id
	return nil
}
