package cftunnel

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// ConnectorsService lists the connectors of a cloudflared tunnel, and drops their connections. For
// the machines that run a WARP connector, see [WARPConnectorsService].
type ConnectorsService service

// Connector is a running replica of a tunnel: one cloudflared or WARP process. The API calls it a
// client.
type Connector struct {
	// ID identifies the connector. Most IDs are UUIDs, but not all.
	ID string `json:"id"`
	// Version is the version of cloudflared or WARP.
	Version string `json:"version,omitempty"`
	// Arch is the platform of the machine, such as linux_amd64.
	Arch string `json:"arch,omitempty"`
	// Features lists the features that cloudflared runs with.
	Features []string `json:"features,omitempty"`
	// RunAt is when the connector started.
	RunAt time.Time `json:"run_at,omitzero"`
	// ConfigVersion is the version of the remote configuration that the connector runs with.
	ConfigVersion int `json:"config_version,omitempty"`
	// HAStatus is the role of a machine that runs a WARP connector. It is empty for cloudflared.
	HAStatus HAStatus `json:"ha_status,omitempty"`
	// Connections are the connections to Cloudflare's edge.
	Connections []Connection `json:"conns"`
}

// HAStatus is the role of a machine that runs a highly available WARP connector. The API may return
// other values.
type HAStatus string

// The roles of machines.
const (
	HAStatusOffline HAStatus = "offline"
	HAStatusPassive HAStatus = "passive"
	HAStatusActive  HAStatus = "active"
)

// Connection is a connection from a connector to Cloudflare's edge. A healthy cloudflared has four.
type Connection struct {
	// ID identifies the connection. Most IDs are UUIDs, but not all. It is empty if the response
	// has none.
	ID string `json:"id"`
	// ConnectorID is the ID of the connector.
	ConnectorID string `json:"client_id,omitempty"`
	// Version is the version of cloudflared.
	Version string `json:"client_version,omitempty"`
	// ColoName is the name of Cloudflare's data center.
	ColoName string `json:"colo_name,omitempty"`
	// OpenedAt is when the connection was opened.
	OpenedAt time.Time `json:"opened_at,omitzero"`
	// OriginIP is the public IP address of the connector.
	OriginIP string `json:"origin_ip,omitempty"`
	// IsPendingReconnect means that the connection has ended, but is still listed. It is deprecated
	// by the API: usually false.
	IsPendingReconnect bool `json:"is_pending_reconnect"`
}

// CleanupParams selects the connections to drop.
type CleanupParams struct {
	// ConnectorID selects the connections of one connector. If it is empty, all are selected.
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

// List returns the connectors of a tunnel, with their connections. The list is empty if no
// connector runs.
//
// It returns [ErrNotFound] if the account never had such a tunnel.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connections/methods/get/
func (s *ConnectorsService) List(
	ctx context.Context, tunnelID string, opts ...CallOption,
) ([]Connector, error) {
	r := request{operation: opConnectorList, ids: []string{tunnelID}}
	return listConnectors(ctx, clientOf(s), r, opts)
}

// Get returns a connector of a tunnel by ID.
//
// It returns [ErrNotFound] if the tunnel does not exist or is deleted, or if the connector has
// stopped.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connectors/{connector_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connectors/methods/get/
func (s *ConnectorsService) Get(
	ctx context.Context, tunnelID, connectorID string, opts ...CallOption,
) (*Connector, error) {
	r := request{operation: opConnectorGet, ids: []string{tunnelID, connectorID}}
	return doConnector(ctx, clientOf(s), r, opts)
}

// Cleanup drops the connections of one connector of a tunnel, or of all of them.
//
// A cloudflared that still runs reconnects if its token is valid. After a rotation, a cloudflared
// with the old token cannot reconnect.
//
// It returns [ErrNotFound] if the account never had such a tunnel, and [ErrOutcomeUnknown] if the
// call failed but the connections may have been dropped.
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connections/methods/delete/
func (s *ConnectorsService) Cleanup(
	ctx context.Context, tunnelID string, params CleanupParams, opts ...CallOption,
) error {
	if params.ConnectorID != "" {
		if err := apipath.OpaqueID(params.ConnectorID); err != nil {
			return invalid("ConnectorID", "%v", err)
		}
	}
	r := request{operation: opConnectorCleanup, ids: []string{tunnelID}, query: queryOf(params)}
	return doNoResult(ctx, clientOf(s), r, opts)
}

// connectorResponse is a connector in a response.
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

// connectionsOf converts connections. If one has no id, its uuid is used.
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

// listConnectors sends a request for a list of connectors, which has no pages.
func listConnectors(
	ctx context.Context, c *Client, r request, opts []CallOption,
) ([]Connector, error) {
	check := func(c *connectorResponse) error { return checkPathID(c.ID) }
	responses, err := doList(ctx, c, r, check, opts)
	if err != nil || responses == nil {
		return nil, err
	}
	connectors := make([]Connector, len(responses))
	for i := range responses {
		connectors[i] = responses[i].connector()
	}
	return connectors, nil
}

// doConnector sends a request for one connector.
func doConnector(
	ctx context.Context, c *Client, r request, opts []CallOption,
) (*Connector, error) {
	connectorID := r.ids[1]
	check := func(c *connectorResponse) error { return checkID(c.ID, connectorID) }
	response, err := doItem(ctx, c, r, check, opts)
	if err != nil {
		return nil, err
	}
	connector := response.connector()
	return &connector, nil
}
