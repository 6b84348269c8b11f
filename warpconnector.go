package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// WARPConnectorsService manages WARP connectors: tunnels that WARP runs on a machine, to connect the network behind it.
type WARPConnectorsService service

// WARPConnectorCreateParams describes a new WARP connector.
type WARPConnectorCreateParams struct {
	// Name must be unique among the account's live tunnels.
	Name string
	// HA makes it highly available: several machines run it, one of them active and the others ready to take over.
	HA bool
}

// HAMode is how traffic finds the active machine of a highly available WARP connector. There may be others than these.
type HAMode string

// The modes that are known.
const (
	HAModeNone     HAMode = "none"     // no way is set yet
	HAModeDisabled HAMode = "disabled" // switched off
	HAModeAWS      HAMode = "aws"      // a floating network resource of AWS moves
	HAModeLocal    HAMode = "local"    // virtual addresses move
)

// WARPConfiguration is how a WARP connector is highly available.
type WARPConfiguration struct {
	TunnelID string // the WARP connector's id
	// Version is one more after each change.
	Version int
	HAMode  HAMode // how traffic finds the active machine
	// FNRID names the floating network resource of HAModeAWS.
	FNRID string
	// VIPs are the virtual addresses of HAModeLocal, IPv4 or IPv6, VIPsPrevious those before the last change, which machines give up.
	VIPs, VIPsPrevious   []string
	CreatedAt, UpdatedAt time.Time // UpdatedAt is zero where it never was
}

// WARPConfigurationParams is a new configuration, which takes the place of the old one.
type WARPConfigurationParams struct {
	HAMode HAMode // must be set
	// FNRID goes with HAModeAWS.
	FNRID string
	// VIPs and VIPsPrevious go with HAModeLocal.
	VIPs, VIPsPrevious []string
}

// warpWrite and warpRead are what the operations on WARP connectors need.
const (
	warpRead  = `"Cloudflare One Connectors Read" or "Cloudflare One Connector: WARP Read", or the same with Write`
	warpWrite = `"Cloudflare One Connectors Write" or "Cloudflare One Connector: WARP Write"`
)

const (
	warpsPath = "/accounts/{account_id}/warp_connector"
	warpPath  = warpsPath + "/{tunnel_id}"
)

// The operations of WARPConnectorsService.
var (
	opWARPCreate        = secretOp("WARPConnectors.Create", http.MethodPost, warpsPath, warpWrite)
	opWARPGet           = op("WARPConnectors.Get", http.MethodGet, warpPath, warpRead)
	opWARPList          = op("WARPConnectors.List", http.MethodGet, warpsPath, warpRead)
	opWARPUpdate        = secretOp("WARPConnectors.Update", http.MethodPatch, warpPath, warpWrite)
	opWARPDelete        = op("WARPConnectors.Delete", http.MethodDelete, warpPath, warpWrite)
	opWARPToken         = secretOp("WARPConnectors.Token", http.MethodGet, warpPath+"/token", warpWrite)
	opWARPConnectors    = op("WARPConnectors.Connectors", http.MethodGet, warpPath+"/connections", warpRead)
	opWARPConnector     = op("WARPConnectors.Connector", http.MethodGet, warpPath+connectorPath, warpRead)
	opWARPFailover      = op("WARPConnectors.Failover", http.MethodPut, warpPath+"/failover", warpWrite)
	opWARPConfiguration = op("WARPConnectors.Configuration", http.MethodGet, warpPath+"/configurations", warpRead)
	opWARPConfigure     = op("WARPConnectors.UpdateConfiguration", http.MethodPut, warpPath+"/configurations", warpWrite)
)

// Create creates a WARP connector and returns it, with its token if the response has that.
//
// It is retried only if it certainly was not carried out. It returns [ErrTunnelNameTaken], and
// [ErrOutcomeUnknown] if the WARP connector may exist nevertheless: look for it with All and the name. If the
// response has no token, the token is fetched; if that fails, the WARP connector is returned beside the error.
//
// Operation: POST /accounts/{account_id}/warp_connector
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/create/
func (s *WARPConnectorsService) Create(ctx context.Context, params WARPConnectorCreateParams, opts ...CallOption) (*Tunnel, error) {
	if err := checkName("Name", params.Name); err != nil {
		return nil, err
	}
	tunnel, err := doTunnel(ctx, s, request{operation: opWARPCreate, body: struct {
		Name string `json:"name"`
		HA   bool   `json:"ha,omitempty"`
	}{params.Name, params.HA}}, checkNewTunnel(params.Name), opts)
	if err != nil || !tunnel.Token.IsZero() {
		return tunnel, err
	}
	if tunnel.Token, err = s.Token(ctx, tunnel.ID, opts...); err != nil {
		return tunnel, fmt.Errorf("cftunnel: WARP connector %s is created, but reading its token failed: %w", tunnel.ID, err)
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
func (s *WARPConnectorsService) Get(ctx context.Context, tunnelID string, opts ...CallOption) (*Tunnel, error) {
	return doTunnel(ctx, s, request{operation: opWARPGet, ids: []string{tunnelID}}, checkTunnel(tunnelID), opts)
}

// List returns one page of the account's WARP connectors, live ones only unless params say otherwise.
//
// See [WARPConnectorsService.All] for every page.
//
// Operation: GET /accounts/{account_id}/warp_connector
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/list/
func (s *WARPConnectorsService) List(ctx context.Context, params TunnelListParams, opts ...CallOption) (*Page[Tunnel], error) {
	return listTunnels(ctx, s, opWARPList, params, opts)
}

// All yields every WARP connector that List would return, from every page, as [TunnelsService.All] does.
//
// Operation: GET /accounts/{account_id}/warp_connector
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/list/
func (s *WARPConnectorsService) All(ctx context.Context, params TunnelListParams, opts ...CallOption) iter.Seq2[*Tunnel, error] {
	return allTunnels(params, func(params TunnelListParams) (*Page[Tunnel], error) { return s.List(ctx, params, opts...) })
}

// Update changes the name or the secret of a WARP connector, and returns it with its token if the response
// has that.
//
// It returns [ErrNotFound], [ErrTunnelNameTaken], and [ErrOutcomeUnknown] if the WARP connector may be changed
// nevertheless.
//
// Operation: PATCH /accounts/{account_id}/warp_connector/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/edit/
func (s *WARPConnectorsService) Update(ctx context.Context, tunnelID string, params TunnelUpdateParams, opts ...CallOption) (*Tunnel, error) {
	return updateTunnel(ctx, s, opWARPUpdate, tunnelID, params, nil, opts)
}

// Delete deletes a WARP connector and returns it as it then is, with DeletedAt set.
//
// It returns [ErrActiveConnections] if it has connections and params.Cascade is not set, [ErrNotFound], and
// [ErrOutcomeUnknown] if it may be deleted nevertheless.
//
// Operation: DELETE /accounts/{account_id}/warp_connector/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/delete/
func (s *WARPConnectorsService) Delete(ctx context.Context, tunnelID string, params TunnelDeleteParams, opts ...CallOption) (*Tunnel, error) {
	return deleteTunnel(ctx, s, request{operation: opWARPDelete, ids: []string{tunnelID}, query: queryOf(params)}, opts)
}

// Token returns the token that WARP runs the connector with.
//
// Its form is not documented: use it as it is. Although it is a GET, it needs a permission to write. It returns
// [ErrNotFound].
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/token/methods/get/
func (s *WARPConnectorsService) Token(ctx context.Context, tunnelID string, opts ...CallOption) (Secret, error) {
	return doToken(ctx, s, request{operation: opWARPToken, ids: []string{tunnelID}}, nil, opts)
}

// RotateSecret replaces the secret of a WARP connector, and returns its new token.
//
// If the response does not have the token, it is fetched. The secret is made once, so that a retry sends the
// same. WARP connectors have no clean-up: params.CleanupConnections is refused.
//
// If the token cannot be fetched after the rotation, the Rotation is returned without it beside the error. It
// is also returned, empty, beside an [ErrOutcomeUnknown]: Token then returns the token that the WARP connector
// has. With every other error, such as [ErrNotFound], the Rotation is nil.
//
// Operation: PATCH /accounts/{account_id}/warp_connector/{tunnel_id}
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/edit/
func (s *WARPConnectorsService) RotateSecret(ctx context.Context, tunnelID string, params RotateParams, opts ...CallOption) (*Rotation, error) {
	if params.CleanupConnections {
		return nil, invalid("CleanupConnections", "is set, but the API has no clean-up for WARP connectors")
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
			return rotation, fmt.Errorf("cftunnel: WARP connector %s is rotated, but reading its new token failed: %w", tunnelID, err)
		}
	}
	return rotation, nil
}

// Connectors returns the machines that run a WARP connector, with their HA status.
//
// It returns [ErrNotFound].
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/connections
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/connections/methods/get/
func (s *WARPConnectorsService) Connectors(ctx context.Context, tunnelID string, opts ...CallOption) ([]Connector, error) {
	return listConnectors(ctx, s, request{operation: opWARPConnectors, ids: []string{tunnelID}}, opts)
}

// Connector returns one machine that runs a WARP connector.
//
// It returns [ErrNotFound], also if the machine has stopped.
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/connectors/{connector_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/connectors/methods/get/
func (s *WARPConnectorsService) Connector(ctx context.Context, tunnelID, connectorID string, opts ...CallOption) (*Connector, error) {
	return doConnector(ctx, s, request{operation: opWARPConnector, ids: []string{tunnelID, connectorID}}, opts)
}

// Failover makes one machine of a highly available WARP connector the active one.
//
// It returns [ErrNotFound], [ErrBadRequest] if the WARP connector is not highly available or the machine does
// not run it, and [ErrOutcomeUnknown] if the machine may have become active nevertheless.
//
// Operation: PUT /accounts/{account_id}/warp_connector/{tunnel_id}/failover
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/failover/methods/update/
func (s *WARPConnectorsService) Failover(ctx context.Context, tunnelID, connectorID string, opts ...CallOption) error {
	if err := apipath.OpaqueID(connectorID); err != nil {
		return invalid("connectorID", "%v", err)
	}
	return doNothing(ctx, s, request{operation: opWARPFailover, ids: []string{tunnelID}, body: struct {
		ClientID string `json:"client_id"`
	}{connectorID}}, opts)
}

// Configuration returns how a WARP connector is highly available.
//
// It returns [ErrNotFound].
//
// Operation: GET /accounts/{account_id}/warp_connector/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/configurations/methods/get/
func (s *WARPConnectorsService) Configuration(ctx context.Context, tunnelID string, opts ...CallOption) (*WARPConfiguration, error) {
	return s.configuration(ctx, request{operation: opWARPConfiguration, ids: []string{tunnelID}}, opts)
}

// UpdateConfiguration replaces how a WARP connector is highly available, and returns it as it then is.
//
// It returns an [*InvalidArgumentError] if params have no mode, or what belongs to two modes, [ErrNotFound],
// [ErrBadRequest] if the mode and the rest do not match, and [ErrOutcomeUnknown] if the configuration may be
// replaced nevertheless.
//
// Operation: PUT /accounts/{account_id}/warp_connector/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/configurations/methods/update/
func (s *WARPConnectorsService) UpdateConfiguration(
	ctx context.Context, tunnelID string, params WARPConfigurationParams, opts ...CallOption,
) (*WARPConfiguration, error) {
	local := len(params.VIPs)+len(params.VIPsPrevious) > 0
	switch {
	case params.HAMode == "":
		return nil, invalid("HAMode", "is empty")
	case params.FNRID != "" && local:
		return nil, invalid("FNRID", "is set beside VIPs: the one belongs to the mode aws, the other to local")
	}
	body := warpSettings{HAMode: params.HAMode}
	if params.FNRID != "" || local {
		body.Config = &warpAddresses{FNRID: params.FNRID, VIPs: vipsOf(params.VIPs), VIPsPrevious: vipsOf(params.VIPsPrevious)}
	}
	return s.configuration(ctx, request{operation: opWARPConfigure, ids: []string{tunnelID}, body: body}, opts)
}

func (s *WARPConnectorsService) configuration(ctx context.Context, r request, opts []CallOption) (*WARPConfiguration, error) {
	tunnelID := r.ids[0]
	response, err := doItem(ctx, s, r, func(w *warpResponse) error {
		switch {
		case w.HAMode == "":
			return errNoResult
		case w.TunnelID != "":
			return checkID(w.TunnelID, tunnelID)
		}
		return nil
	}, opts)
	if err != nil {
		return nil, err
	}
	c := &WARPConfiguration{
		TunnelID: response.TunnelID, Version: response.Version, HAMode: response.HAMode,
		CreatedAt: response.CreatedAt, UpdatedAt: response.UpdatedAt,
	}
	if config := response.Config; config != nil {
		c.FNRID, c.VIPs, c.VIPsPrevious = config.FNRID, addressesOf(config.VIPs), addressesOf(config.VIPsPrevious)
	}
	return c, nil
}

// warpSettings is what is sent and comes back, in either of the two forms of config.
type warpSettings struct {
	HAMode HAMode         `json:"ha_mode"`
	Config *warpAddresses `json:"config"`
}

type warpAddresses struct {
	FNRID        string `json:"fnr_id,omitempty"`
	VIPs         []vip  `json:"vips,omitempty"`
	VIPsPrevious []vip  `json:"vips_previous,omitempty"`
}

type vip struct {
	Address string `json:"address"`
}

type warpResponse struct {
	warpSettings
	TunnelID  string    `json:"tunnel_id"`
	Version   int       `json:"configuration_version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func vipsOf(addresses []string) []vip {
	var vips []vip
	for _, address := range addresses {
		vips = append(vips, vip{address})
	}
	return vips
}

func addressesOf(vips []vip) []string {
	var addresses []string
	for _, v := range vips {
		addresses = append(addresses, v.Address)
	}
	return addresses
}
