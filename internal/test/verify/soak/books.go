package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// books is what one worker knows. Nobody else touches its tunnels.
type books struct {
	entries []*entry
	// attempts is of calls that send one request, by the name that they send in callHeader; 0 for other calls.
	attempts map[string]int
}

// entry is what is known of one tunnel.
type entry struct {
	account  int // its place among the clients
	id, name string
	kind     cftunnel.TunnelType
	ha       bool
	deleted  bool
	token    cftunnel.Secret // zero where nobody has asked for it
	old      cftunnel.Secret // the one before, zero where there was none
	configured
	replicas map[string]bool // those that run, and whether their token is the present one
	active   string          // the replica that a WARP connector works through
	ran      bool
}

// configured is the configuration of a tunnel of either kind, as text that can be compared.
type configured struct {
	version int
	config  string
}

func (e *entry) isWARP() bool { return e.kind == cftunnel.TunnelTypeWARPConnector }

// status is what the tunnel's must be while no replica is on its way back from a clean-up.
func (e *entry) status() cftunnel.TunnelStatus {
	switch {
	case len(e.replicas) > 0:
		return cftunnel.TunnelStatusHealthy
	case e.ran:
		return cftunnel.TunnelStatusDown
	}
	return cftunnel.TunnelStatusInactive
}

// live returns the entries of tunnels that exist and fit.
func (b *books) live(fits func(*entry) bool) []*entry {
	var list []*entry
	for _, e := range b.entries {
		if !e.deleted && fits(e) {
			list = append(list, e)
		}
	}
	return list
}

// tunnels is what the services of both kinds have in common.
type tunnels interface {
	Get(context.Context, string, ...cftunnel.CallOption) (*cftunnel.Tunnel, error)
	All(context.Context, cftunnel.TunnelListParams, ...cftunnel.CallOption) iter.Seq2[*cftunnel.Tunnel, error]
	Update(context.Context, string, cftunnel.TunnelUpdateParams, ...cftunnel.CallOption) (*cftunnel.Tunnel, error)
	Delete(context.Context, string, cftunnel.TunnelDeleteParams, ...cftunnel.CallOption) (*cftunnel.Tunnel, error)
	Token(context.Context, string, ...cftunnel.CallOption) (cftunnel.Secret, error)
	RotateSecret(context.Context, string, cftunnel.RotateParams, ...cftunnel.CallOption) (*cftunnel.Rotation, error)
}

func service(c *cftunnel.Client, kind cftunnel.TunnelType) tunnels {
	if kind == cftunnel.TunnelTypeWARPConnector {
		return c.WARPConnectors
	}
	return c.Tunnels
}

func configurationOf(ctx context.Context, c *cftunnel.Client, e *entry, opts []cftunnel.CallOption) (configured, error) {
	if e.isWARP() {
		got, err := c.WARPConnectors.Configuration(ctx, e.id, opts...)
		return ofWARP(got), err
	}
	got, err := c.Tunnels.Configuration(ctx, e.id, opts...)
	return ofTunnel(got), err
}

func ofTunnel(c *cftunnel.TunnelConfiguration) configured {
	if c == nil {
		return configured{}
	}
	return configured{c.Version, text(c.Config)}
}

func ofWARP(c *cftunnel.WARPConfiguration) configured {
	if c == nil {
		return configured{}
	}
	return configured{c.Version, text(cftunnel.WARPConfigurationParams{
		HAMode: c.HAMode, FNRID: c.FNRID, VIPs: c.VIPs, VIPsPrevious: c.VIPsPrevious,
	})}
}

func text(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err) // configurations always encode
	}
	return string(encoded)
}

func connectorsOf(ctx context.Context, c *cftunnel.Client, e *entry, opts []cftunnel.CallOption) ([]cftunnel.Connector, error) {
	if e.isWARP() {
		return c.WARPConnectors.Connectors(ctx, e.id, opts...)
	}
	return c.Connectors.List(ctx, e.id, opts...)
}

// sameToken compares what tokens hold, which one can write in several ways. Those of WARP connectors are opaque.
func (e *entry) sameToken(a, b cftunnel.Secret) bool {
	if e.isWARP() {
		return a == b
	}
	one, err := cftunnel.ParseTunnelToken(a)
	other, otherErr := cftunnel.ParseTunnelToken(b)
	return err == nil && otherErr == nil && *one == *other
}

// differs says in what a tunnel is not as the books have it.
func (e *entry) differs(t *cftunnel.Tunnel) (list []string) {
	compare := func(what string, is, booked any) {
		if is != booked {
			list = append(list, fmt.Sprintf("%s is %v, and in the books %v", what, is, booked))
		}
	}
	compare("id", t.ID, e.id)
	compare("name", t.Name, e.name)
	compare("kind", t.Type, e.kind)
	compare("deleted", t.IsDeleted(), e.deleted)
	compare("status", t.Status, e.status())
	return list
}

// differsIn says in what a tunnel's replicas are not as the books have them.
func (e *entry) differsIn(connectors []cftunnel.Connector) (list []string) {
	known := map[string]bool{}
	for _, c := range connectors {
		known[c.ID] = true
		if _, booked := e.replicas[c.ID]; !booked {
			list = append(list, fmt.Sprintf("connector %s runs, and is not in the books", c.ID))
		}
		if active := c.HAStatus == cftunnel.HAStatusActive; active != (c.ID == e.active) {
			list = append(list, fmt.Sprintf("connector %s is %q, and in the books %q is the active one", c.ID, c.HAStatus, e.active))
		}
	}
	for id := range e.replicas {
		if !known[id] {
			list = append(list, fmt.Sprintf("connector %s is in the books, and does not run", id))
		}
	}
	slices.Sort(list)
	return list
}
