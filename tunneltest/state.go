package tunneltest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

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
	active         []span
}

// span is a time during which a tunnel had connections; its end is zero while it lasts.
type span struct{ from, to time.Time }

// connector is one running cloudflared.
type connector struct {
	id      string
	run     time.Time
	version string
	conns   []connection
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
		s.accounts[id] = a
	}
	return a
}

// add makes a tunnel.
func (a *account) add(name, kind string, remote bool, secret string, now time.Time) *tunnel {
	if secret == "" {
		secret = newSecret()
	}
	t := &tunnel{
		id: uuid.NewString(), name: name, kind: kind, created: now, remote: remote, secret: secret, metadata: json.RawMessage("{}"),
	}
	a.tunnels = append(a.tunnels, t)
	a.byID[t.id] = t
	return t
}

// nameTaken reports whether a live tunnel other than this one has the name.
func (a *account) nameTaken(name string, but *tunnel) bool {
	return slices.ContainsFunc(a.tunnels, func(t *tunnel) bool { return t != but && t.name == name && t.deleted.IsZero() })
}

func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// tokenFields is what a tunnel token holds.
type tokenFields struct {
	Account string `json:"a"`
	Tunnel  string `json:"t"`
	Secret  string `json:"s"`
}

func (a *account) token(t *tunnel) string {
	fields, _ := json.Marshal(tokenFields{a.id, t.id, t.secret})
	return base64.StdEncoding.EncodeToString(fields)
}

func (t *tunnel) status() cftunnel.TunnelStatus {
	conns := 0
	for _, c := range t.connectors {
		conns += len(c.conns)
	}
	switch {
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
	}
	return t.created
}

func (t *tunnel) existedAt(at time.Time) bool {
	return !t.created.After(at) && (t.deleted.IsZero() || t.deleted.After(at))
}

func (t *tunnel) wasActiveAt(at time.Time) bool {
	return slices.ContainsFunc(t.active, func(s span) bool { return !s.from.After(at) && (s.to.IsZero() || s.to.After(at)) })
}

// follow keeps the times of activity in step with the connectors.
func (t *tunnel) follow(now time.Time) {
	switch has := len(t.connectors) > 0; {
	case has && !t.isActive():
		t.active = append(t.active, span{from: now})
	case !has && t.isActive():
		t.active[len(t.active)-1].to = now
	}
}

// SeedTunnels makes n remotely managed tunnels in the account of AccountID and returns them as Get would.
func (s *Server) SeedTunnels(n int) []cftunnel.Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(s.accountID)
	seeded := make([]cftunnel.Tunnel, n)
	for i := range seeded {
		name := fmt.Sprintf("seed-%05d", len(a.tunnels)+1)
		for n := 1; a.nameTaken(name, nil); n++ {
			name = fmt.Sprintf("seed-%05d-%d", len(a.tunnels)+1, n)
		}
		t := a.add(name, string(cftunnel.TunnelTypeCloudflared), true, "", s.stamp())
		at := t.created.UTC()
		seeded[i] = cftunnel.Tunnel{
			ID: t.id, AccountTag: a.id, Name: t.name, Type: cftunnel.TunnelTypeCloudflared, Status: t.status(),
			ConfigSource: cftunnel.ConfigSourceCloudflare, CreatedAt: at, ConnsInactiveAt: at, Metadata: slices.Clone(t.metadata),
		}
	}
	return seeded
}

// Connect does what cloudflared does with a tunnel token: it runs a new connector, with four connections, and the tunnel is healthy. It
// returns an error, and changes nothing, for a token that the edge would refuse: one that is malformed, of a tunnel that is not there or is
// deleted, or older than the tunnel's secret.
func (s *Server) Connect(token cftunnel.Secret) (connectorID string, err error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(token.Reveal()))
	var fields tokenFields
	if err != nil || json.Unmarshal(raw, &fields) != nil {
		return "", errors.New("tunneltest: not a tunnel token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.account(fields.Account).byID[fields.Tunnel]
	switch {
	case t == nil || !t.deleted.IsZero():
		return "", errors.New("tunneltest: the token is of a tunnel that does not exist")
	case t.secret != fields.Secret:
		return "", fmt.Errorf("tunneltest: the token of tunnel %s was rotated; this one is out of date", t.id)
	case len(t.connectors) >= maxConnectors:
		return "", fmt.Errorf("tunneltest: tunnel %s has %d connectors already", t.id, maxConnectors)
	}
	now := s.stamp()
	c := &connector{id: uuid.NewString(), run: now, version: "2026.10.0"}
	for _, colo := range []string{"fra06", "fra10", "ams01", "ams13"} {
		c.conns = append(c.conns, connection{id: uuid.NewString(), colo: colo, opened: now})
	}
	t.connectors = append(t.connectors, c)
	t.follow(now)
	return c.id, nil
}

// Disconnect ends a connector, as stopping cloudflared does. One that is not there is no error.
func (s *Server) Disconnect(connectorID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		for _, t := range a.tunnels {
			t.connectors = slices.DeleteFunc(t.connectors, func(c *connector) bool { return c.id == connectorID })
			t.follow(s.stamp())
		}
	}
}
