package tunneltest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Connect does what cloudflared does with a tunnel token, or WARP with that of a WARP connector: it runs a new connector, with four
// connections, and the tunnel is healthy. Of the connectors of a WARP connector, the first is active and others are passive. It returns
// an error, and changes nothing, for a token that the edge would refuse: one that is malformed, of a tunnel that is not there or is
// deleted, or older than the tunnel's secret; for a 26th connector of a tunnel; and for a second one of a WARP connector without HA.
func (s *Server) Connect(token cftunnel.Secret) (connectorID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comeBack()
	t, err := s.tunnelOf(strings.TrimSpace(token.Reveal()))
	if err != nil {
		return "", err
	}
	switch n := len(t.connectors) + len(t.away); {
	case n >= maxConnectors:
		return "", fmt.Errorf("tunneltest: tunnel %s has %d connectors already", t.id, maxConnectors)
	case n > 0 && t.isWARP() && !t.ha.on:
		return "", fmt.Errorf("tunneltest: WARP connector %s is not highly available, and runs already", t.id)
	}
	return t.run(connectionsPerConnector, s.stamp()).id, nil
}

// tunnelOf finds the tunnel that a token runs. The caller holds s.mu.
func (s *Server) tunnelOf(token string) (*tunnel, error) {
	for _, a := range s.accounts {
		for _, t := range a.tunnels {
			if t.isWARP() && t.deleted.IsZero() && t.warpToken() == token {
				return t, nil
			}
		}
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	var fields tokenFields
	if err != nil || json.Unmarshal(raw, &fields) != nil {
		return nil, errors.New("tunneltest: not a tunnel token, or one of a WARP connector that is out of date")
	}
	t := s.account(fields.Account).byID[fields.Tunnel]
	switch {
	case t == nil || !t.deleted.IsZero():
		return nil, errors.New("tunneltest: the token is of a tunnel that does not exist")
	case t.secret != fields.Secret:
		return nil, fmt.Errorf("tunneltest: the token of tunnel %s was rotated; this one is out of date", t.id)
	}
	return t, nil
}

// newConnection is the i-th of a connector, each to another data center.
func newConnection(i int, now time.Time) connection {
	colos := []string{"fra06", "ams01", "fra10", "ams13"}
	return connection{id: newUUID(), colo: colos[i%len(colos)], opened: now}
}

// Disconnect ends a connector, as stopping cloudflared does. One that is not there is no error.
func (s *Server) Disconnect(connectorID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comeBack()
	stopped := func(c *connector) bool { return c.id == connectorID }
	for _, a := range s.accounts {
		for _, t := range a.tunnels {
			t.drop(stopped, s.stamp())
			t.away = slices.DeleteFunc(t.away, stopped)
		}
	}
}

// SetConnections makes a connector hold n connections, fewer or more than the four that it began with: below four in all, its tunnel is
// degraded, and with none down. A connector whose token was rotated gets none anew. One that is not there is no error.
func (s *Server) SetConnections(connectorID string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comeBack()
	now := s.stamp()
	for _, a := range s.accounts {
		for _, t := range a.tunnels {
			i := slices.IndexFunc(t.connectors, func(c *connector) bool { return c.id == connectorID })
			if i < 0 {
				continue
			}
			c := t.connectors[i]
			c.conns = c.conns[:min(max(n, 0), len(c.conns))]
			if len(c.conns) == 0 {
				c.logs.end()
			}
			for len(c.conns) < n && c.secret == t.secret {
				c.conns = append(c.conns, newConnection(len(c.conns), now))
			}
			t.follow(now)
		}
	}
}
