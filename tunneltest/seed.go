package tunneltest

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// TunnelSeed describes a tunnel for [Server.Seed]. All fields are optional.
type TunnelSeed struct {
	// AccountID is the account of the tunnel. The default is [Server.AccountID].
	AccountID string
	// Name is the name of the tunnel. The default is an unused name that begins with "seed-".
	Name string
	// Type is the type of the tunnel. The default is [cftunnel.TunnelTypeCloudflared].
	Type cftunnel.TunnelType
	// Status is the status of the tunnel. The default is down if ConnsInactiveAt is set, and
	// inactive otherwise. A healthy tunnel has one connector with four connections. A degraded
	// tunnel has one connector with two connections.
	Status cftunnel.TunnelStatus
	// ConfigSource is the source of the configuration of a cloudflared tunnel. The default is
	// [cftunnel.ConfigSourceCloudflare].
	ConfigSource cftunnel.ConfigSource
	// CreatedAt is when the tunnel was created. The default is the current time, or ConnsInactiveAt
	// if that is earlier.
	CreatedAt time.Time
	// ConnsInactiveAt is when the tunnel lost its last connection. If Status is down, the default
	// is the current time. If Status is healthy or degraded, it is when earlier connections ended,
	// and the present connections begin at the current time. Because the tunnel then has
	// connections, Tunnel.ConnsInactiveAt of the result is zero.
	ConnsInactiveAt time.Time
}

// Seed creates a tunnel without a request and returns it as Get does.
//
// To get the token of the tunnel, call [cftunnel.TunnelsService.Token]. Seed panics if the seed is
// invalid, for example if a tunnel of the account already has the name.
func (s *Server) Seed(seed TunnelSeed) cftunnel.Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seed(seed)
}

// SeedTunnels creates n remotely managed tunnels without a request and returns them as Get does.
//
// The tunnels belong to the account of [Server.AccountID]. SeedTunnels panics if n is negative.
func (s *Server) SeedTunnels(n int) []cftunnel.Tunnel {
	if n < 0 {
		panic("tunneltest: SeedTunnels: n must not be negative")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seeded := make([]cftunnel.Tunnel, n)
	for i := range seeded {
		seeded[i] = s.seed(TunnelSeed{})
	}
	return seeded
}

// seed implements Seed. The caller holds s.mu.
func (s *Server) seed(seed TunnelSeed) cftunnel.Tunnel {
	accountID := cmp.Or(seed.AccountID, s.accountID)
	if !isHexID(accountID) {
		panic("tunneltest: Seed: the account ID is not 32 hexadecimal digits")
	}
	a := s.account(accountID)
	name := cmp.Or(seed.Name, a.newName())
	source := cmp.Or(seed.ConfigSource, cftunnel.ConfigSourceCloudflare)
	switch {
	case strings.TrimSpace(name) == "":
		panic("tunneltest: Seed: the name is blank")
	case a.nameTaken(name, nil):
		panic(fmt.Sprintf("tunneltest: Seed: another tunnel has the name %q", name))
	case source != cftunnel.ConfigSourceCloudflare && source != cftunnel.ConfigSourceLocal:
		panic(fmt.Sprintf("tunneltest: Seed: unknown configuration source %q", source))
	}
	now := s.currentTime()
	inactive := seed.ConnsInactiveAt.Truncate(time.Microsecond)
	created := seed.CreatedAt.Truncate(time.Microsecond)
	if created.IsZero() {
		created = now
		if !inactive.IsZero() && inactive.Before(now) {
			created = inactive
		}
	}
	kind := cmp.Or(seed.Type, cftunnel.TunnelTypeCloudflared)
	remote := kind == cftunnel.TunnelTypeCloudflared && source == cftunnel.ConfigSourceCloudflare
	t := a.addTunnel(name, string(kind), remote, "", created)
	t.ha.mode = cftunnel.HAModeNone
	if seed.Status == "" && !inactive.IsZero() {
		seed.Status = cftunnel.TunnelStatusDown
	}
	t.setSeedStatus(seed.Status, inactive, now)
	var read cftunnel.Tunnel
	convert(t.json(a), &read)
	return read
}

// newName returns an unused name.
func (a *account) newName() string {
	name := fmt.Sprintf("seed-%05d", len(a.tunnels)+1)
	for n := 1; a.nameTaken(name, nil); n++ {
		name = fmt.Sprintf("seed-%05d-%d", len(a.tunnels)+1, n)
	}
	return name
}

// setSeedStatus gives a new tunnel the connectors and the past activity of a status.
func (t *tunnel) setSeedStatus(status cftunnel.TunnelStatus, inactive, now time.Time) {
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
		panic(fmt.Sprintf("tunneltest: Seed: unknown status %q", status))
	}
	up := t.created
	if !inactive.IsZero() {
		t.activePeriods = append(t.activePeriods, period{from: t.created, to: inactive})
		up = now
	}
	if connections > 0 {
		t.addConnector(connections, up)
	}
}

// addConnector adds a connector with this number of connections.
func (t *tunnel) addConnector(connections int, now time.Time) *connector {
	c := &connector{id: randomUUID(), startedAt: now, version: "2026.10.0", secret: t.secret}
	for i := range connections {
		c.conns = append(c.conns, newConnection(i, now))
	}
	t.connectors = append(t.connectors, c)
	t.updateActivity(now)
	return c
}
