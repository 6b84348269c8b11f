package cftunnel

import (
	"context"
	"net/http"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// ConnectorsService tells of the connectors of a cloudflared tunnel, and cleans up their connections. Those of a WARP connector are with
// [WARPConnectorsService].
type ConnectorsService service

// Connector is one running cloudflared, or WARP: a replica of a tunnel. The API calls it a client.
type Connector struct {
	// ID is mostly a UUID, and kept as it comes.
	ID       string    `json:"id"`
	Version  string    `json:"version,omitempty"`  // of cloudflared, or of WARP
	Arch     string    `json:"arch,omitempty"`     // of its machine, such as linux_amd64
	Features []string  `json:"features,omitempty"` // of cloudflared that it runs with
	RunAt    time.Time `json:"run_at,omitzero"`    // when it started
	// ConfigVersion is that of the remote configuration which it runs with.
	ConfigVersion int `json:"config_version,omitempty"`
	// HAStatus is empty for connectors of cloudflared.
	HAStatus    HAStatus     `json:"ha_status,omitempty"`
	Connections []Connection `json:"conns"` // to the edge; none where the connector is about to go
}

func (c Connector) complete() bool { return c.ID != "" }

// Connection is one of a connector's links to Cloudflare's edge. A healthy cloudflared holds four.
type Connection struct {
	ID            string    `json:"id"`                       // mostly a UUID
	ClientID      string    `json:"client_id,omitempty"`      // of the connector
	ClientVersion string    `json:"client_version,omitempty"` // of cloudflared
	ColoName      string    `json:"colo_name,omitempty"`      // the data center
	OpenedAt      time.Time `json:"opened_at,omitzero"`       // when it was made
	OriginIP      string    `json:"origin_ip,omitempty"`      // the public address of the connector's network
	// IsPendingReconnect is on its way out of the API; it is false where the answer lacks it.
	IsPendingReconnect bool `json:"is_pending_reconnect"`
}

// CleanupParams says which connections to clean up.
type CleanupParams struct {
	// ConnectorID names one connector. Empty is all of them.
	ConnectorID string `url:"client_id,omitempty"`
}

const (
	connectionsPath = tunnelPath + "/connections"
	connectorPath   = "/connectors/{connector_id}"
)

// The operations of ConnectorsService.
var (
	opConnectorList    = op("Connectors.List", http.MethodGet, connectionsPath, tunnelsRead)
	opConnectorGet     = op("Connectors.Get", http.MethodGet, tunnelPath+connectorPath, tunnelsRead)
	opConnectorCleanup = op("Connectors.Cleanup", http.MethodDelete, connectionsPath, tunnelsWrite)
)

// List returns the connectors that run a tunnel, with their connections, none where it is down:
// GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections.
//
// Errors: [ErrNotFound].
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connections/methods/get/
func (s *ConnectorsService) List(ctx context.Context, tunnelID string, opts ...CallOption) ([]Connector, error) {
	return s.client.connectors(ctx, request{operation: opConnectorList, tunnelID: tunnelID}, opts)
}

// Get returns one connector of a tunnel: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connectors/{connector_id}.
//
// Errors: [ErrNotFound], also where it has stopped.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connectors/methods/get/
func (s *ConnectorsService) Get(ctx context.Context, tunnelID, connectorID string, opts ...CallOption) (*Connector, error) {
	return s.client.connector(ctx, request{operation: opConnectorGet, tunnelID: tunnelID, connectorID: connectorID}, opts)
}

// Cleanup drops the connections of one connector of a tunnel, or of all where params name none:
// DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections. A cloudflared that still runs with a valid token connects again; after a
// rotation, one with the old token does not.
//
// Errors: [ErrNotFound]; [ErrOutcomeUnknown] where they may be dropped all the same.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connections/methods/delete/
func (s *ConnectorsService) Cleanup(ctx context.Context, tunnelID string, params CleanupParams, opts ...CallOption) error {
	if params.ConnectorID != "" {
		if err := apipath.Word(params.ConnectorID); err != nil {
			return invalid("ConnectorID", "%v", err)
		}
	}
	_, err := s.client.send(ctx, request{operation: opConnectorCleanup, tunnelID: tunnelID, query: params}, opts)
	return err
}

// connectors sends a request whose answer is a list that has no pages.
func (c *Client) connectors(ctx context.Context, r request, opts []CallOption) ([]Connector, error) {
	var connectors []Connector
	r.result = &connectors
	if _, err := c.send(ctx, r, opts); err != nil {
		return nil, err
	}
	return connectors, nil
}

// connector sends a request whose answer is one connector.
func (c *Client) connector(ctx context.Context, r request, opts []CallOption) (*Connector, error) {
	return fetch[Connector](ctx, c, r, opts)
}
