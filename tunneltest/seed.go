package tunneltest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// TunnelSeed describes a tunnel for [Server.Seed].
type TunnelSeed struct {
	// AccountID is the tunnel's account. The default is that of [Server.AccountID].
	AccountID string
	// Name is the tunnel's name. The default is a new one that begins with "seed-".
	Name string
	// Type is the kind of the tunnel. The default is [cftunnel.TunnelTypeCloudflared].
	Type cftunnel.TunnelType
	// Status is the tunnel's status. The default is down if ConnsInactiveAt is set, and else
	// inactive. A healthy or degraded tunnel has one connector, with four connections or two.
	Status cftunnel.TunnelStatus
	// ConfigSource says where the configuration of a cloudflared tunnel is. The default is
	// [cftunnel.ConfigSourceCloudflare].
	ConfigSource cftunnel.ConfigSource
	// CreatedAt is when the tunnel was created. The default is now, or ConnsInactiveAt if that is
	// earlier.
	CreatedAt time.Time
	// ConnsInactiveAt is when the tunnel lost its last connection. The default for a tunnel that is
	// down is now. For one that is healthy or degraded, it is the end of an earlier run.
	ConnsInactiveAt time.Time
}

// Seed creates a tunnel without a request, and returns it as Get does. Its token is that of
// [cftunnel.TunnelsService.Token]. Seed panics if no tunnel can be as described, for example if the
// name is taken.
func (s *Server) Seed(seed TunnelSeed) cftunnel.Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seed(seed)
}

// SeedTunnels creates n remotely managed tunnels in the account of AccountID, without requests, and
// returns them as Get does.
func (s *Server) SeedTunnels(n int) []cftunnel.Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	seeded := make([]cftunnel.Tunnel, n)
	for i := range seeded {
		seeded[i] = s.seed(TunnelSeed{})
	}
	return seeded
}

// seed is Seed. The caller holds s.mu.
func (s *Server) seed(seed TunnelSeed) cftunnel.Tunnel {
	accountID := cmp.Or(seed.AccountID, s.accountID)
	if !isAccountID(accountID) {
		panic("tunneltest: the account id of a seed is not 32 hexadecimal digits")
	}
	a := s.account(accountID)
	name := cmp.Or(seed.Name, a.newName())
	if a.nameTaken(name, nil) {
		panic(fmt.Sprintf("tunneltest: a seed with the name of another live tunnel, %q", name))
	}
	now := s.stamp()
	inactive := seed.ConnsInactiveAt.Truncate(time.Microsecond)
	created := seed.CreatedAt.Truncate(time.Microsecond)
	if created.IsZero() {
		created = now
		if !inactive.IsZero() && inactive.Before(now) {
			created = inactive
		}
	}
	kind := cmp.Or(seed.Type, cftunnel.TunnelTypeCloudflared)
	source := cmp.Or(seed.ConfigSource, cftunnel.ConfigSourceCloudflare)
	remote := kind == cftunnel.TunnelTypeCloudflared && source == cftunnel.ConfigSourceCloudflare
	t := a.add(name, string(kind), remote, "", created)
	t.ha.mode = cftunnel.HAModeNone // of a WARP connector
	if seed.Status == "" && !inactive.IsZero() {
		seed.Status = cftunnel.TunnelStatusDown
	}
	t.runAs(seed.Status, inactive, now)
	return t.asRead(a)
}

// newName returns a name that no live tunnel has.
func (a *account) newName() string {
	name := fmt.Sprintf("seed-%05d", len(a.tunnels)+1)
	for n := 1; a.nameTaken(name, nil); n++ {
		name = fmt.Sprintf("seed-%05d-%d", len(a.tunnels)+1, n)
	}
	return name
}

// runAs gives a new tunnel the past that leads to a status.
func (t *tunnel) runAs(status cftunnel.TunnelStatus, inactive, now time.Time) {
	connections := 0
	switch status {
	case "", cftunnel.TunnelStatusInactive:
		t.seededInactive = inactive
		return
	case cftunnel.TunnelStatusDown:
		if inactive.IsZero() {
			inactive = now
		}
	case cftunnel.TunnelStatusDegraded:
		connections = connectionsPerConnector / 2
	case cftunnel.TunnelStatusHealthy:
		connections = connectionsPerConnector
	default:
		panic(fmt.Sprintf("tunneltest: a seed with the unknown status %q", status))
	}
	up := t.created
	if !inactive.IsZero() {
		t.active = append(t.active, span{from: t.created, to: inactive})
		up = now
	}
	if connections > 0 {
		t.run(connections, up)
	}
}

// run adds a connector.
func (t *tunnel) run(connections int, now time.Time) *connector {
	c := &connector{id: newUUID(), run: now, version: "2026.10.0", secret: t.secret}
	for i := range connections {
		c.conns = append(c.conns, newConnection(i, now))
	}
	t.connectors = append(t.connectors, c)
	t.follow(now)
	return c
}

// asRead returns the tunnel as Get does.
func (t *tunnel) asRead(a *account) cftunnel.Tunnel {
	read := cftunnel.Tunnel{
		ID: t.id, AccountTag: a.id, Name: t.name, Type: cftunnel.TunnelType(t.kind),
		Status: t.status(), CreatedAt: t.created.UTC(), ConnsActiveAt: t.activeAt().UTC(),
		ConnsInactiveAt: t.inactiveAt().UTC(), Metadata: slices.Clone(t.metadata),
	}
	if read.Type == cftunnel.TunnelTypeCloudflared {
		read.ConfigSource = cftunnel.ConfigSourceLocal
		if t.remote {
			read.ConfigSource = cftunnel.ConfigSourceCloudflare
		}
	}
	return read
}
