package tunneltest

import (
	"net/http"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// connectorJSON is a connector in a response. The API calls it a client.
type connectorJSON struct {
	ID            string            `json:"id"`
	Version       string            `json:"version"`
	Arch          string            `json:"arch"`
	Features      []string          `json:"features"`
	RunAt         timestamp         `json:"run_at"`
	ConfigVersion *int              `json:"config_version,omitempty"`
	HAStatus      cftunnel.HAStatus `json:"ha_status,omitempty"`
	Conns         []connectionJSON  `json:"conns"`
}

type connectionJSON struct {
	ID            string    `json:"id"`
	UUID          string    `json:"uuid,omitempty"`
	ClientID      string    `json:"client_id"`
	ClientVersion string    `json:"client_version"`
	ColoName      string    `json:"colo_name"`
	OpenedAt      timestamp `json:"opened_at"`
	OriginIP      string    `json:"origin_ip"`
	IsPending     bool      `json:"is_pending_reconnect"`
}

// json returns the connector as in a response. Connections of a WARP connector have no uuid.
func (c *connector) json(t *tunnel) connectorJSON {
	j := connectorJSON{
		ID: c.id, Version: c.version, Arch: "linux_amd64", Features: []string{"ha-origin"},
		RunAt: timestamp{c.startedAt}, Conns: []connectionJSON{},
	}
	if t.isWARP() {
		j.HAStatus = cftunnel.HAStatusPassive
		switch {
		case len(c.conns) == 0:
			j.HAStatus = cftunnel.HAStatusOffline
		case t.ha.active == c.id:
			j.HAStatus = cftunnel.HAStatusActive
		}
	} else {
		j.Features = append(j.Features, "management_logs")
		j.ConfigVersion = new(t.config.version)
	}
	for _, conn := range c.conns {
		k := connectionJSON{
			ID: conn.id, ClientID: c.id, ClientVersion: c.version, ColoName: conn.colo,
			OpenedAt: timestamp{conn.opened}, OriginIP: "198.51.100.7",
		}
		if !t.isWARP() {
			k.UUID = conn.id
		}
		j.Conns = append(j.Conns, k)
	}
	return j
}

func (s *Server) listConnectors(c *call) *response {
	t := c.tunnel()
	if t == nil {
		return notFound()
	}
	toJSON := func(c *connector) connectorJSON { return c.json(t) }
	return success(allJSON(t.connectors, toJSON))
}

func (s *Server) getConnector(c *call) *response {
	t := c.tunnel()
	if t == nil {
		return notFound()
	}
	for _, connector := range t.connectors {
		if connector.id == c.values["connector_id"] {
			return success(connector.json(t))
		}
	}
	return failure(http.StatusNotFound, 1003, "Connector not found")
}

// cleanUp removes one connector, or all connectors if there is no client_id. An unknown client_id
// is not an error. As with the real API, a running connector reconnects after a second, unless its
// token was rotated.
func (s *Server) cleanUp(c *call) *response {
	t := c.tunnel()
	if t == nil {
		return notFound()
	}
	id := c.query.Get("client_id")
	c.account.cleanedUp = append(c.account.cleanedUp, t)
	t.cleanUp(func(c *connector) bool { return id == "" || c.id == id }, s.currentTime())
	return success(nil)
}
