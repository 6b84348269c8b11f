package tunneltest

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Limits of the real service.
const (
	connectionsPerConnector = 4
	maxConnectors           = 25
)

// account is the state of one account.
type account struct {
	id        string
	tunnels   []*tunnel // in the order of creation
	byID      map[string]*tunnel
	cleanedUp []*tunnel // those with connectors that may reconnect

	virtualNetworks []*virtualNetwork
	ipRoutes        []*ipRoute
	hostnameRoutes  []*hostnameRoute
	// pools has the IDs of the tunnels in each pool of a load balancer, by the name of the pool.
	pools map[string][]string
}

// tunnel is a tunnel of any kind.
type tunnel struct {
	id, name, kind string
	created        time.Time
	deleted        time.Time
	remote         bool // remotely managed
	secret         string
	metadata       json.RawMessage
	connectors     []*connector
	reconnecting   []*connector // cleaned up; they reconnect later
	activePeriods  []period
	seededInactive time.Time // conns_inactive_at of a tunnel that was never active, if set
	config         configuration
	ha             ha
}

// period is a time during which a tunnel had connections. If it has not ended, to is zero.
type period struct{ from, to time.Time }

// connector is a running cloudflared or WARP.
type connector struct {
	id          string
	startedAt   time.Time
	version     string
	secret      string // the secret of the tunnel when the connector started
	conns       []connection
	reconnectAt time.Time // after a cleanup
	logs        connectorLogs
}

type connection struct {
	id, colo string
	opened   time.Time
}

// account returns the account with this ID, and creates it if necessary. The caller holds s.mu.
func (s *Server) account(id string) *account {
	id = strings.ToLower(id)
	a := s.accounts[id]
	if a == nil {
		a = &account{id: id, byID: map[string]*tunnel{}}
		a.addDefaultNetwork(s.currentTime())
		s.accounts[id] = a
	}
	return a
}

// addTunnel creates a tunnel.
func (a *account) addTunnel(name, kind string, remote bool, secret string, now time.Time) *tunnel {
	if secret == "" {
		secret = cftunnel.NewTunnelSecret().Reveal()
	}
	t := &tunnel{
		id: randomUUID(), name: name, kind: kind, created: now, remote: remote, secret: secret,
		metadata: json.RawMessage("{}"),
	}
	a.tunnels = append(a.tunnels, t)
	a.byID[t.id] = t
	return t
}

// nameTaken reports whether a tunnel that is not deleted has the name. It ignores the tunnel
// except, which can be nil.
func (a *account) nameTaken(name string, except *tunnel) bool {
	return slices.ContainsFunc(a.tunnels, func(t *tunnel) bool {
		return t != except && t.name == name && t.deleted.IsZero()
	})
}

// tokenFields are the fields of a tunnel token.
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

// connections returns the number of connections of all connectors.
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
	case len(t.activePeriods) > 0:
		return cftunnel.TunnelStatusDown
	}
	return cftunnel.TunnelStatusInactive
}

func (t *tunnel) isActive() bool {
	return len(t.activePeriods) > 0 && t.activePeriods[len(t.activePeriods)-1].to.IsZero()
}

// activeAt returns when the tunnel became active, or zero if it is not active.
func (t *tunnel) activeAt() time.Time {
	if !t.isActive() {
		return time.Time{}
	}
	return t.activePeriods[len(t.activePeriods)-1].from
}

// inactiveAt returns when the tunnel became inactive, or zero if it is active.
func (t *tunnel) inactiveAt() time.Time {
	switch {
	case t.isActive():
		return time.Time{}
	case len(t.activePeriods) > 0:
		return t.activePeriods[len(t.activePeriods)-1].to
	case !t.seededInactive.IsZero():
		return t.seededInactive
	}
	return t.created
}

func (t *tunnel) existedAt(at time.Time) bool {
	return existed(t.created, t.deleted, at)
}

func (t *tunnel) wasActiveAt(at time.Time) bool {
	return slices.ContainsFunc(t.activePeriods, func(p period) bool {
		return existed(p.from, p.to, at)
	})
}

// removeConnectors removes the connectors that match.
func (t *tunnel) removeConnectors(match func(*connector) bool, now time.Time) {
	for _, c := range t.connectors {
		if match(c) {
			c.logs.end()
		}
	}
	t.connectors = slices.DeleteFunc(t.connectors, match)
	t.updateActivity(now)
}

// reconnectAfter is how long after a cleanup a connector reconnects.
const reconnectAfter = time.Second

// cleanUp disconnects the connectors that match. They reconnect later, unless their token is
// rotated.
func (t *tunnel) cleanUp(match func(*connector) bool, now time.Time) {
	for _, c := range t.connectors {
		if match(c) {
			c.reconnectAt = now.Add(reconnectAfter)
			t.reconnecting = append(t.reconnecting, c)
		}
	}
	t.removeConnectors(match, now)
}

// reconnectDue reconnects the connectors whose reconnectAt has passed. Connectors whose token was
// rotated never reconnect.
func (t *tunnel) reconnectDue(now time.Time) {
	for i := 0; i < len(t.reconnecting); {
		c := t.reconnecting[i]
		if c.reconnectAt.After(now) {
			i++
			continue
		}
		t.reconnecting = slices.Delete(t.reconnecting, i, i+1)
		if c.secret != t.secret || !t.deleted.IsZero() {
			continue
		}
		for j := range c.conns {
			c.conns[j] = newConnection(j, c.reconnectAt)
		}
		t.connectors = append(t.connectors, c)
		t.updateActivity(c.reconnectAt)
	}
}

// reconnectDue reconnects the due connectors of all tunnels. The caller holds s.mu.
func (s *Server) reconnectDue() {
	now := s.currentTime()
	for _, a := range s.accounts {
		for _, t := range a.cleanedUp {
			t.reconnectDue(now)
		}
		a.cleanedUp = slices.DeleteFunc(a.cleanedUp, func(t *tunnel) bool {
			return len(t.reconnecting) == 0
		})
	}
}

// updateActivity updates the active periods and the active connector after a change of the
// connectors.
func (t *tunnel) updateActivity(now time.Time) {
	t.electActive()
	switch has := t.connections() > 0; {
	case has && !t.isActive():
		t.activePeriods = append(t.activePeriods, period{from: now})
	case !has && t.isActive():
		t.activePeriods[len(t.activePeriods)-1].to = now
	}
}
