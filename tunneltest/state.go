package tunneltest

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Numbers of the real service.
const (
	connectionsPerConnector = 4
	maxConnectors           = 25
)

// account is the tunnels of one account, in the order of their creation.
type account struct {
	id      string
	tunnels []*tunnel
	byID    map[string]*tunnel
	cleaned []*tunnel // those that replicas may come back to

	virtualNetworks []*virtualNetwork
	ipRoutes        []*ipRoute
	hostnameRoutes  []*hostnameRoute
	// pools holds the tunnels that are origins of each load balancer's pool by its name.
	pools map[string][]string
}

// tunnel is a tunnel of any kind.
type tunnel struct {
	id, name, kind string
	created        time.Time
	deleted        time.Time
	remote         bool // its configuration is kept by the API
	secret         string
	metadata       json.RawMessage
	connectors     []*connector
	away           []*connector // cleaned up, and about to come back
	active         []span
	seededInactive time.Time // conns_inactive_at of a tunnel that never ran, unless zero
	config         configuration
	ha             ha
}

// span is a time during which a tunnel had connections; its end is zero while it lasts.
type span struct{ from, to time.Time }

// connector is one running cloudflared.
type connector struct {
	id      string
	run     time.Time
	version string
	secret  string // of the token that it runs with
	conns   []connection
	back    time.Time // when it connects again after a clean-up
	logs    connectorLogs
}

type connection struct {
	id, colo string
	opened   time.Time
}

// account returns the account of this id. The caller holds s.mu.
func (s *Server) account(id string) *account {
	id = strings.ToLower(id)
	a := s.accounts[id]
	if a == nil {
		a = &account{id: id, byID: map[string]*tunnel{}}
		a.addDefaultNetwork(s.stamp())
		s.accounts[id] = a
	}
	return a
}

// add makes a tunnel.
func (a *account) add(name, kind string, remote bool, secret string, now time.Time) *tunnel {
	if secret == "" {
		secret = cftunnel.NewTunnelSecret().Reveal()
	}
	t := &tunnel{
		id: newUUID(), name: name, kind: kind, created: now, remote: remote, secret: secret, metadata: json.RawMessage("{}"),
	}
	a.tunnels = append(a.tunnels, t)
	a.byID[t.id] = t
	return t
}

// nameTaken reports whether a live tunnel other than this one has the name.
func (a *account) nameTaken(name string, but *tunnel) bool {
	return slices.ContainsFunc(a.tunnels, func(t *tunnel) bool { return t != but && t.name == name && t.deleted.IsZero() })
}

// tokenFields is what a tunnel token holds.
type tokenFields struct {
	Account string `json:"a"`
	Tunnel  string `json:"t"`
	Secret  string `json:"s"`
}

func (a *account) token(t *tunnel) string {
	if t.isWARP() {
		return t.warpToken()
	}
	fields, _ := json.Marshal(tokenFields{a.id, t.id, t.secret})
	return base64.StdEncoding.EncodeToString(fields)
}

// connections counts those of all its connectors.
func (t *tunnel) connections() int {
	n := 0
	for _, c := range t.connectors {
		n += len(c.conns)
	}
	return n
}

func (t *tunnel) status() cftunnel.TunnelStatus {
	switch conns := t.connections(); {
	case conns >= connectionsPerConnector:
		return cftunnel.TunnelStatusHealthy
	case conns > 0:
		return cftunnel.TunnelStatusDegraded
	case len(t.active) > 0:
		return cftunnel.TunnelStatusDown
	}
	return cftunnel.TunnelStatusInactive
}

func (t *tunnel) isActive() bool {
	return len(t.active) > 0 && t.active[len(t.active)-1].to.IsZero()
}

// activeAt is when the tunnel came up, zero while it is not.
func (t *tunnel) activeAt() time.Time {
	if !t.isActive() {
		return time.Time{}
	}
	return t.active[len(t.active)-1].from
}

// inactiveAt is when it went down, zero while it is up.
func (t *tunnel) inactiveAt() time.Time {
	switch {
	case t.isActive():
		return time.Time{}
	case len(t.active) > 0:
		return t.active[len(t.active)-1].to
	case !t.seededInactive.IsZero():
		return t.seededInactive
	}
	return t.created
}

func (t *tunnel) existedAt(at time.Time) bool {
	return existed(t.created, t.deleted, at)
}

func (t *tunnel) wasActiveAt(at time.Time) bool {
	return slices.ContainsFunc(t.active, func(s span) bool { return !s.from.After(at) && (s.to.IsZero() || s.to.After(at)) })
}

// drop takes connectors away.
func (t *tunnel) drop(gone func(*connector) bool, now time.Time) {
	for _, c := range t.connectors {
		if gone(c) {
			c.logs.end()
		}
	}
	t.connectors = slices.DeleteFunc(t.connectors, gone)
	t.follow(now)
}

// reconnectAfter is how long a replica that was cleaned up takes to come back.
const reconnectAfter = time.Second

// cleanUp drops connectors that still run: they come back if their token is still good then.
func (t *tunnel) cleanUp(gone func(*connector) bool, now time.Time) {
	for _, c := range t.connectors {
		if gone(c) {
			c.back = now.Add(reconnectAfter)
			t.away = append(t.away, c)
		}
	}
	t.drop(gone, now)
}

// comeBack lets in whoever's time has come. A token that was rotated meanwhile is refused, for good.
func (t *tunnel) comeBack(now time.Time) {
	for i := 0; i < len(t.away); {
		c := t.away[i]
		if c.back.After(now) {
			i++
			continue
		}
		t.away = slices.Delete(t.away, i, i+1)
		if c.secret != t.secret || !t.deleted.IsZero() {
			continue
		}
		for j := range c.conns {
			c.conns[j] = newConnection(j, c.back)
		}
		t.connectors = append(t.connectors, c)
		t.follow(c.back)
	}
}

// comeBack lets replicas in whose time has come. The caller holds s.mu.
func (s *Server) comeBack() {
	now := s.stamp()
	for _, a := range s.accounts {
		for _, t := range a.cleaned {
			t.comeBack(now)
		}
		a.cleaned = slices.DeleteFunc(a.cleaned, func(t *tunnel) bool { return len(t.away) == 0 })
	}
}

// follow keeps what depends on the connectors in step with them: the times of activity, and who is active.
func (t *tunnel) follow(now time.Time) {
	t.elect()
	switch has := t.connections() > 0; {
	case has && !t.isActive():
		t.active = append(t.active, span{from: now})
	case !has && t.isActive():
		t.active[len(t.active)-1].to = now
	}
}
