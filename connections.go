package cftunnel

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// ConnectorsService lists the connectors of a cloudflared tunnel, and cleans up their connections. For those
// of a WARP connector, see [WARPConnectorsService].
type ConnectorsService service

// Connector is one running cloudflared, or WARP: a replica of a tunnel. The API calls it a client.
type Connector struct {
	ID       string    `json:"id"`                 // usually a UUID
	Version  string    `json:"version,omitempty"`  // of cloudflared, or of WARP
	Arch     string    `json:"arch,omitempty"`     // of its machine, such as linux_amd64
	Features []string  `json:"features,omitempty"` // that cloudflared runs with
	RunAt    time.Time `json:"run_at,omitzero"`    // when it started
	// ConfigVersion is the version of the remote configuration that it runs with.
	ConfigVersion int `json:"config_version,omitempty"`
	// HAStatus is empty for connectors of cloudflared.
	HAStatus    HAStatus     `json:"ha_status,omitempty"`
	Connections []Connection `json:"conns"` // to the edge
}

// HAStatus is the role of a connector of a highly available WARP connector. The API may return other
// values.
type HAStatus string

// The roles of connectors.
const (
	HAStatusOffline HAStatus = "offline"
	HAStatusPassive HAStatus = "passive"
	HAStatusActive  HAStatus = "active"
)

// Connection is one link of a connector to Cloudflare's edge. A healthy cloudflared has four.
type Connection struct {
	// ID is usually a UUID. It is empty if the API gives none.
	ID          string    `json:"id"`
	ConnectorID string    `json:"client_id,omitempty"`      // of the connector that holds it
	Version     string    `json:"client_version,omitempty"` // of cloudflared
	ColoName    string    `json:"colo_name,omitempty"`      // the data center
	OpenedAt    time.Time `json:"opened_at,omitzero"`       // when it was made
	OriginIP    string    `json:"origin_ip,omitempty"`      // the public address of the connector's network
	// IsPendingReconnect is deprecated by the API: false if the response does not have it.
	IsPendingReconnect bool `json:"is_pending_reconnect"`
}

// CleanupParams says which connections to clean up.
type CleanupParams struct {
	// ConnectorID selects one connector. Empty selects all of them.
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

// List returns the connectors that run a tunnel, with their connections; none if the tunnel is down.
//
// It returns [ErrNotFound].
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connections/methods/get/
func (s *ConnectorsService) List(ctx context.Context, tunnelID string, opts ...CallOption) ([]Connector, error) {
	return listConnectors(ctx, s, request{operation: opConnectorList, ids: []string{tunnelID}}, opts)
}

// Get returns one connector of a tunnel.
//
// It returns [ErrNotFound], also if the connector has stopped.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connectors/{connector_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connectors/methods/get/
func (s *ConnectorsService) Get(ctx context.Context, tunnelID, connectorID string, opts ...CallOption) (*Connector, error) {
	return doConnector(ctx, s, request{operation: opConnectorGet, ids: []string{tunnelID, connectorID}}, opts)
}

// Cleanup drops the connections of one connector of a tunnel, or of all if params name none.
//
// A cloudflared that still runs with a valid token connects again; after a rotation, one with the old
// token does not. Cleanup returns [ErrNotFound], and [ErrOutcomeUnknown] if the connections may be dropped
// nevertheless.
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connections/methods/delete/
func (s *ConnectorsService) Cleanup(ctx context.Context, tunnelID string, params CleanupParams, opts ...CallOption) error {
	if params.ConnectorID != "" {
		if err := apipath.OpaqueID(params.ConnectorID); err != nil {
			return invalid("ConnectorID", "%v", err)
		}
	}
	return doNothing(ctx, s, request{operation: opConnectorCleanup, ids: []string{tunnelID}, query: queryOf(params)}, opts)
}

// connectorResponse is a connector as responses have it.
type connectorResponse struct {
	Connector
	Connections []connectionResponse `json:"conns"`
}

type connectionResponse struct {
	Connection
	UUID string `json:"uuid"`
}

func (r *connectorResponse) connector() Connector {
	r.Connector.Connections = connectionsOf(r.Connections)
	return r.Connector
}

// connectionsOf uses the uuid of a connection that has no id.
func connectionsOf(responses []connectionResponse) []Connection {
	if responses == nil {
		return nil
	}
	connections := make([]Connection, len(responses))
	for i, r := range responses {
		r.ID = cmp.Or(r.ID, r.UUID)
		connections[i] = r.Connection
	}
	return connections
}

// listConnectors sends a request whose response is a list that has no pages.
func listConnectors[S serviceType](ctx context.Context, s *S, r request, opts []CallOption) ([]Connector, error) {
	responses, err := doList(ctx, s, r, func(c *connectorResponse) error { return checkPathID(c.ID) }, opts)
	if err != nil || responses == nil {
		return nil, err
	}
	connectors := make([]Connector, len(responses))
	for i := range responses {
		connectors[i] = responses[i].connector()
	}
	return connectors, nil
}

// doConnector sends a request whose response is one connector.
func doConnector[S serviceType](ctx context.Context, s *S, r request, opts []CallOption) (*Connector, error) {
	connectorID := r.ids[1]
	response, err := doItem(ctx, s, r, func(c *connectorResponse) error { return checkID(c.ID, connectorID) }, opts)
	if err != nil {
		return nil, err
	}
	connector := response.connector()
	return &connector, nil
}
