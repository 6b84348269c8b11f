package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// WARPConnectorsService manages WARP connectors. A WARP connector is a tunnel that connects a
// private network to Cloudflare. It is run by the WARP client instead of cloudflared.
type WARPConnectorsService service

// WARPConnectorCreateParams are the parameters of a new WARP connector.
type WARPConnectorCreateParams struct {
	// Name is required. It must be unique among the live tunnels of the account.
	Name string
	// HA makes the WARP connector highly available: several machines run it, but only one of them
	// is active.
	HA bool
}

// The permissions that the operations on WARP connectors need.
const (
	warpRead = `"Cloudflare One Connectors Read" or "Cloudflare One Connector: WARP Read", ` +
		`or the same with Write`
	warpWrite = `"Cloudflare One Connectors Write" or "Cloudflare One Connector: WARP Write"`
)

const (
	warpsPath = "/accounts/{account_id}/warp_connector"
	warpPath  = warpsPath + "/{tunnel_id}"
)

// The operations of WARPConnectorsService.
var (
	opWARPCreate = secretOp("WARPConnectors.Create", http.MethodPost,
		warpsPath, warpWrite)
	opWARPGet = op("WARPConnectors.Get", http.MethodGet,
		warpPath, warpRead)
	opWARPList = op("WARPConnectors.List", http.MethodGet,
		warpsPath, warpRead)
	opWARPUpdate = secretOp("WARPConnectors.Update", http.MethodPatch,
		warpPath, warpWrite)
	opWARPDelete = op("WARPConnectors.Delete", http.MethodDelete,
		warpPath, warpWrite)
	opWARPToken = secretOp("WARPConnectors.Token", http.MethodGet,
		warpPath+"/token", warpWrite)
	opWARPConnectors = op("WARPConnectors.Connectors", http.MethodGet,
		warpPath+"/connections", warpRead)
	opWARPConnector = op("WARPConnectors.Connector", http.MethodGet,
		warpPath+connectorPath, warpRead)
	opWARPFailover = op("WARPConnectors.Failover", http.MethodPut,
		warpPath+"/failover", warpWrite)
)

// Create creates a WARP connector and returns it with its token.
//
// The request is retried only if it certainly was not carried out. If the response has no token,
// Create requests the token. If that fails, it returns both the WARP connector and an error.
//
// It returns [ErrTunnelNameTaken] if a live tunnel has the name, and [ErrOutcomeUnknown] if the
// call failed but the WARP connector may have been created: search for it by its name with All.
//
// Operation: POST /accounts/{account_id}/warp_connector
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/create/
func (s *WARPConnectorsService) Create(
	ctx context.Context, params WARPConnectorCreateParams, opts ...CallOption,
) (*Tunnel, error) {
	if err := checkName("Name", params.Name); err != nil {
		return nil, err
	}
	tunnel, err := doTunnel(ctx, clientOf(s), request{operation: opWARPCreate, body: struct {
		Name string `json:"name"`
		HA   bool   `json:"ha,omitempty"`
	}{params.Name, params.HA}}, checkNewTunnel(params.Name), opts)
	if err != nil || !tunnel.Token.IsZero() {
		return tunnel, err
	}
	if tunnel.Token, err = s.Token(ctx, tunnel.ID, opts...); err != nil {
		return tunnel, fmt.Errorf(
			"cftunnel: WARP connector %s is created, but reading its token failed: %w",
			tunnel.ID, err)
	}
	return tunnel, nil
}

// Get returns a WARP connector by ID. Deleted ones are returned too: check [Tunnel.IsDeleted].
//
// It returns [ErrNotFound] if the account never had such a WARP connector.
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/get/
func (s *WARPConnectorsService) Get(
	ctx context.Context, tunnelID string, opts ...CallOption,
) (*Tunnel, error) {
	r := request{operation: opWARPGet, ids: []string{tunnelID}}
	return doTunnel(ctx, clientOf(s), r, checkTunnel(tunnelID), opts)
}

// List returns one page of the account's WARP connectors. By default, it returns only live ones.
// For all pages, see [WARPConnectorsService.All].
//
// Operation: GET /accounts/{account_id}/warp_connector
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/list/
func (s *WARPConnectorsService) List(
	ctx context.Context, params TunnelListParams, opts ...CallOption,
) (*Page[Tunnel], error) {
	return listTunnels(ctx, clientOf(s), opWARPList, params, opts)
}

// All returns an iterator over the WARP connectors on all pages of List. It works like
// [TunnelsService.All].
//
// Operation: GET /accounts/{account_id}/warp_connector
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/list/
func (s *WARPConnectorsService) All(
	ctx context.Context, params TunnelListParams, opts ...CallOption,
) iter.Seq2[*Tunnel, error] {
	return allTunnels(params, func(params TunnelListParams) (*Page[Tunnel], error) {
		return s.List(ctx, params, opts...)
	})
}

// Update changes the name or the secret of a WARP connector, and returns the WARP connector. The
// result has the token if the response has it.
//
// It returns [ErrNotFound] if the WARP connector does not exist or is deleted, [ErrTunnelNameTaken]
// if a live tunnel has the name, and [ErrOutcomeUnknown] if the call failed but the WARP connector
// may have been changed.
//
// Operation: PATCH /accounts/{account_id}/warp_connector/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/edit/
func (s *WARPConnectorsService) Update(
	ctx context.Context, tunnelID string, params TunnelUpdateParams, opts ...CallOption,
) (*Tunnel, error) {
	return updateTunnel(ctx, clientOf(s), opWARPUpdate, tunnelID, params, nil, opts)
}

// Delete deletes a WARP connector and returns the deleted one. If the response has no WARP
// connector, only the ID of the result is set. If it was deleted before the call, Delete returns
// the deleted one or [ErrNotFound], depending on the API.
//
// It returns [ErrActiveConnections] if the WARP connector has connections and params.Cascade is not
// set, [ErrNotFound] if the WARP connector does not exist, and [ErrOutcomeUnknown] if the call
// failed but the WARP connector may have been deleted.
//
// Operation: DELETE /accounts/{account_id}/warp_connector/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/delete/
func (s *WARPConnectorsService) Delete(
	ctx context.Context, tunnelID string, params TunnelDeleteParams, opts ...CallOption,
) (*Tunnel, error) {
	r := request{operation: opWARPDelete, ids: []string{tunnelID}, query: queryOf(params)}
	return deleteTunnel(ctx, clientOf(s), r, opts)
}

// Token returns the token to run a WARP connector with. The format of the token is not documented.
//
// Although the request is a GET, it needs a Write permission. It returns [ErrNotFound] if the WARP
// connector does not exist or is deleted.
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/token/methods/get/
func (s *WARPConnectorsService) Token(
	ctx context.Context, tunnelID string, opts ...CallOption,
) (Secret, error) {
	return doToken(ctx, clientOf(s), request{operation: opWARPToken, ids: []string{tunnelID}}, nil, opts)
}

// RotateSecret replaces the secret of a WARP connector, and returns the new token.
//
// If the response has no token, RotateSecret requests the token. Every retry sends the same secret.
// The API has no clean-up for WARP connectors, so params.CleanupConnections must not be set.
//
// It returns a Rotation together with an error in two cases. If the secret is replaced but
// requesting the token fails, the Rotation has a Tunnel but no Token. If the error is
// [ErrOutcomeUnknown], the Rotation is empty: call [WARPConnectorsService.Token] to get the current
// token. With every other error, such as [ErrNotFound], the Rotation is nil.
//
// Operation: PATCH /accounts/{account_id}/warp_connector/{tunnel_id}
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/edit/
func (s *WARPConnectorsService) RotateSecret(
	ctx context.Context, tunnelID string, params RotateParams, opts ...CallOption,
) (*Rotation, error) {
	if params.CleanupConnections {
		return nil, invalid("CleanupConnections",
			"is set, but the API has no clean-up for WARP connectors")
	}
	secret := params.Secret
	if secret.IsZero() {
		secret = NewTunnelSecret()
	}
	tunnel, err := s.Update(ctx, tunnelID, TunnelUpdateParams{Secret: secret}, opts...)
	if errors.Is(err, ErrOutcomeUnknown) {
		return &Rotation{}, err
	}
	if err != nil {
		return nil, err
	}
	rotation := &Rotation{Tunnel: tunnel, Token: tunnel.Token}
	if rotation.Token.IsZero() {
		if rotation.Token, err = s.Token(ctx, tunnelID, opts...); err != nil {
			return rotation, fmt.Errorf(
				"cftunnel: WARP connector %s is rotated, but reading its new token failed: %w",
				tunnelID, err)
		}
	}
	return rotation, nil
}

// Connectors returns the machines that run a WARP connector, with their HA status.
//
// It returns [ErrNotFound] if the account never had such a WARP connector.
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/connections
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/connections/methods/get/
func (s *WARPConnectorsService) Connectors(
	ctx context.Context, tunnelID string, opts ...CallOption,
) ([]Connector, error) {
	r := request{operation: opWARPConnectors, ids: []string{tunnelID}}
	return listConnectors(ctx, clientOf(s), r, opts)
}

// Connector returns one of the machines that run a WARP connector. tunnelID is the ID of the WARP
// connector, and connectorID that of the machine.
//
// It returns [ErrNotFound] if the WARP connector does not exist or is deleted, or if the machine
// has stopped.
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/connectors/{connector_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/connectors/methods/get/
func (s *WARPConnectorsService) Connector(
	ctx context.Context, tunnelID, connectorID string, opts ...CallOption,
) (*Connector, error) {
	r := request{operation: opWARPConnector, ids: []string{tunnelID, connectorID}}
	return doConnector(ctx, clientOf(s), r, opts)
}

// Failover makes one machine of a highly available WARP connector the active one.
//
// It returns [ErrNotFound] if the WARP connector does not exist or is deleted, [ErrBadRequest] if
// it is not highly available or the machine does not run it, and [ErrOutcomeUnknown] if the call
// failed but the machine may have become active.
//
// Operation: PUT /accounts/{account_id}/warp_connector/{tunnel_id}/failover
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/failover/methods/update/
func (s *WARPConnectorsService) Failover(
	ctx context.Context, tunnelID, connectorID string, opts ...CallOption,
) error {
	if err := apipath.OpaqueID(connectorID); err != nil {
		return invalid("connectorID", "%v", err)
	}
	r := request{operation: opWARPFailover, ids: []string{tunnelID}, body: struct {
		ClientID string `json:"client_id"`
	}{connectorID}}
	return doNoResult(ctx, clientOf(s), r, opts)
}
