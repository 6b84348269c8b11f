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

// Connect starts a connector of a tunnel, as cloudflared or WARP does with the token of the tunnel.
//
// The connector has four connections, so the tunnel is healthy. One second after
// [cftunnel.ConnectorsService.Cleanup], the connector reconnects, unless its token was rotated. If
// the tunnel is a highly available WARP connector, its first connector is active, and later ones
// are passive.
//
// Connect returns an error in these cases:
//   - the token is malformed
//   - the tunnel does not exist or is deleted
//   - the token was rotated
//   - the tunnel already has 25 connectors
//   - the tunnel is a WARP connector that is not highly available, and a machine already runs it
func (s *Server) Connect(token cftunnel.Secret) (connectorID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconnectDue()
	t, err := s.tunnelByToken(strings.TrimSpace(token.Reveal()))
	if err != nil {
		return "", err
	}
	switch n := len(t.connectors) + len(t.reconnecting); {
	case n >= maxConnectors:
		return "", fmt.Errorf("tunneltest: tunnel %s already has %d connectors", t.id, n)
	case n > 0 && t.isWARP() && !t.ha.on:
		return "", fmt.Errorf("tunneltest: WARP connector %s is not highly available and "+
			"already has a connector", t.id)
	}
	return t.addConnector(connectionsPerConnector, s.currentTime()).id, nil
}

// tunnelByToken returns the tunnel that a token belongs to. The caller holds s.mu.
func (s *Server) tunnelByToken(token string) (*tunnel, error) {
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
		return nil, errors.New("tunneltest: the token is malformed, or is the rotated token of a " +
			"WARP connector")
	}
	t := s.account(fields.Account).byID[fields.Tunnel]
	switch {
	case t == nil || !t.deleted.IsZero():
		return nil, errors.New("tunneltest: the tunnel of the token does not exist or is deleted")
	case t.secret != fields.Secret:
		return nil, fmt.Errorf("tunneltest: the token of tunnel %s was rotated", t.id)
	}
	return t, nil
}

// newConnection returns the connection number i of a connector.
func newConnection(i int, now time.Time) connection {
	colos := []string{"fra06", "ams01", "fra10", "ams13"}
	return connection{id: randomUUID(), colo: colos[i%len(colos)], opened: now}
}

// Disconnect stops a connector, as stopping cloudflared does. If there is no such connector,
// Disconnect does nothing.
func (s *Server) Disconnect(connectorID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconnectDue()
	stopped := func(c *connector) bool { return c.id == connectorID }
	for _, a := range s.accounts {
		for _, t := range a.tunnels {
			t.removeConnectors(stopped, s.currentTime())
			t.reconnecting = slices.DeleteFunc(t.reconnecting, stopped)
		}
	}
}

// SetConnections sets how many connections a connector has. [Server.Connect] starts with four.
//
// A tunnel with fewer than four connections in total is degraded; without connections it is down.
// A connector whose token was rotated can lose connections but gets no new ones. If there is no
// such connector, SetConnections does nothing.
func (s *Server) SetConnections(connectorID string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconnectDue()
	now := s.currentTime()
	isWanted := func(c *connector) bool { return c.id == connectorID }
	for _, a := range s.accounts {
		for _, t := range a.tunnels {
			i := slices.IndexFunc(t.connectors, isWanted)
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
			t.updateActivity(now)
		}
	}
}
