package cftunnel

import (
	"context"
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

// HAStatus is what a connector of a highly available WARP connector does. There may be others than these.
type HAStatus string

// The statuses that are known.
const (
	HAStatusOffline HAStatus = "offline"
	HAStatusPassive HAStatus = "passive"
	HAStatusActive  HAStatus = "active"
)

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

// Create makes a WARP connector and returns it, with its token where the answer holds that: POST /accounts/{account_id}/warp_connector.
//
// It is sent again only where it surely was not carried out. Errors: [ErrTunnelNameTaken]; [ErrOutcomeUnknown] where it may exist all
// the same, to be looked for with All and the name.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/create/
func (s *WARPConnectorsService) Create(ctx context.Context, params WARPConnectorCreateParams, opts ...CallOption) (*Tunnel, error) {
	if err := checkName("Name", params.Name); err != nil {
		return nil, err
	}
	return s.client.tunnel(ctx, request{operation: opWARPCreate, body: struct {
		Name string `json:"name"`
		HA   bool   `json:"ha,omitempty"`
	}{params.Name, params.HA}}, opts)
}

// Get returns a WARP connector, also a deleted one, whose IsDeleted is true: GET /accounts/{account_id}/warp_connector/{tunnel_id}.
//
// Errors: [ErrNotFound] where there never was one of this id.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/get/
func (s *WARPConnectorsService) Get(ctx context.Context, tunnelID string, opts ...CallOption) (*Tunnel, error) {
	return s.client.tunnel(ctx, request{operation: opWARPGet, tunnelID: tunnelID}, opts)
}

// List returns one page of the account's WARP connectors, live ones only where params do not say otherwise:
// GET /accounts/{account_id}/warp_connector. See [WARPConnectorsService.All] for every page.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/list/
func (s *WARPConnectorsService) List(ctx context.Context, params TunnelListParams, opts ...CallOption) (*Page[Tunnel], error) {
	return s.client.list(ctx, opWARPList, params, opts)
}

// All yields every WARP connector that List would find, from every page, as [TunnelsService.All] does:
// GET /accounts/{account_id}/warp_connector.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/list/
func (s *WARPConnectorsService) All(ctx context.Context, params TunnelListParams, opts ...CallOption) iter.Seq2[*Tunnel, error] {
	return allTunnels(params, func(params TunnelListParams) (*Page[Tunnel], error) { return s.List(ctx, params, opts...) })
}

// Update changes a WARP connector's name or secret, and returns it with its token where the answer holds that:
// PATCH /accounts/{account_id}/warp_connector/{tunnel_id}.
//
// Errors: [ErrNotFound], [ErrTunnelNameTaken]; [ErrOutcomeUnknown] where it may be changed all the same.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/edit/
func (s *WARPConnectorsService) Update(ctx context.Context, tunnelID string, params TunnelUpdateParams, opts ...CallOption) (*Tunnel, error) {
	return s.client.update(ctx, opWARPUpdate, tunnelID, params, opts)
}

// Delete deletes a WARP connector and returns it as it then is, with DeletedAt set: DELETE /accounts/{account_id}/warp_connector/{tunnel_id}.
//
// Errors: [ErrActiveConnections] while it has connections and params.Cascade is not set, [ErrNotFound]; [ErrOutcomeUnknown] where it may be
// deleted all the same.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/methods/delete/
func (s *WARPConnectorsService) Delete(ctx context.Context, tunnelID string, params TunnelDeleteParams, opts ...CallOption) (*Tunnel, error) {
	return s.client.deleteTunnel(ctx, request{operation: opWARPDelete, tunnelID: tunnelID, query: params}, opts)
}

// Token returns the token that WARP runs the connector with: GET /accounts/{account_id}/warp_connector/{tunnel_id}/token. Its form is not
// documented: take it as it is. Though it is a GET, it needs a permission to write.
//
// Errors: [ErrNotFound].
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/token/methods/get/
func (s *WARPConnectorsService) Token(ctx context.Context, tunnelID string, opts ...CallOption) (Secret, error) {
	return s.client.token(ctx, request{operation: opWARPToken, tunnelID: tunnelID}, opts)
}

// RotateSecret gives a WARP connector a new secret, and returns its new token: PATCH /accounts/{account_id}/warp_connector/{tunnel_id}. Where the
// answer does not hold that, it is fetched: GET /accounts/{account_id}/warp_connector/{tunnel_id}/token. The secret is made once, so that a request whose
// answer was lost is repeated with the same. There is no clean-up of a WARP connector's connections: params.CleanupConnections is refused.
//
// Where the token cannot be fetched after the rotation, the Rotation is returned without it beside the error, which says so. Other errors:
// [ErrNotFound]; [ErrOutcomeUnknown] where it may be rotated all the same, and Token tells the token that it has.
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
	if err != nil {
		return nil, err
	}
	rotation := &Rotation{Tunnel: tunnel, Token: tunnel.Token}
	if rotation.Token.IsZero() {
		if rotation.Token, err = s.Token(ctx, tunnelID, opts...); err != nil {
			return rotation, fmt.Errorf("cftunnel: WARP connector %s is rotated, but its new token cannot be read: %w", tunnelID, err)
		}
	}
	return rotation, nil
}

// Connectors returns the machines that run a WARP connector, with their HA status:
// GET /accounts/{account_id}/warp_connector/{tunnel_id}/connections.
//
// Errors: [ErrNotFound].
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/connections/methods/get/
func (s *WARPConnectorsService) Connectors(ctx context.Context, tunnelID string, opts ...CallOption) ([]Connector, error) {
	return s.client.connectors(ctx, request{operation: opWARPConnectors, tunnelID: tunnelID}, opts)
}

// Connector returns one machine that runs a WARP connector:
// GET /accounts/{account_id}/warp_connector/{tunnel_id}/connectors/{connector_id}.
//
// Errors: [ErrNotFound], also where it has stopped.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/connectors/methods/get/
func (s *WARPConnectorsService) Connector(ctx context.Context, tunnelID, connectorID string, opts ...CallOption) (*Connector, error) {
	return s.client.connector(ctx, request{operation: opWARPConnector, tunnelID: tunnelID, connectorID: connectorID}, opts)
}

// Failover makes one machine of a highly available WARP connector the active one:
// PUT /accounts/{account_id}/warp_connector/{tunnel_id}/failover.
//
// Errors: [ErrNotFound]; [ErrBadRequest] where the WARP connector is not highly available or the machine does not run it;
// [ErrOutcomeUnknown] where it may have become active all the same.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/failover/methods/update/
func (s *WARPConnectorsService) Failover(ctx context.Context, tunnelID, connectorID string, opts ...CallOption) error {
	if err := apipath.Word(connectorID); err != nil {
		return invalid("connectorID", "%v", err)
	}
	_, err := s.client.send(ctx, request{operation: opWARPFailover, tunnelID: tunnelID, body: struct {
		ClientID string `json:"client_id"`
	}{connectorID}}, opts)
	return err
}

// Configuration returns how a WARP connector is highly available:
// GET /accounts/{account_id}/warp_connector/{tunnel_id}/configurations.
//
// Errors: [ErrNotFound].
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/configurations/methods/get/
func (s *WARPConnectorsService) Configuration(ctx context.Context, tunnelID string, opts ...CallOption) (*WARPConfiguration, error) {
	return s.configuration(ctx, request{operation: opWARPConfiguration, tunnelID: tunnelID}, opts)
}

// UpdateConfiguration replaces how a WARP connector is highly available, and returns it as it then is:
// PUT /accounts/{account_id}/warp_connector/{tunnel_id}/configurations.
//
// Errors: [*InvalidArgumentError] where params name no mode, or what belongs to two; [ErrNotFound]; [ErrBadRequest] where the mode and the rest
// do not go together; [ErrOutcomeUnknown] where it may be replaced all the same.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/warp_connector/subresources/configurations/methods/update/
func (s *WARPConnectorsService) UpdateConfiguration(ctx context.Context, tunnelID string, params WARPConfigurationParams, opts ...CallOption) (*WARPConfiguration, error) {
	local := len(params.VIPs)+len(params.VIPsPrevious) > 0
	switch {
	case params.HAMode == "":
		return nil, invalid("HAMode", "is empty")
	case params.FNRID != "" && local:
		return nil, invalid("FNRID", "is set beside VIPs: the one goes with the mode aws, the other with local")
	}
	body := warpSettings{HAMode: params.HAMode}
	if params.FNRID != "" || local {
		body.Config = &warpAddresses{FNRID: params.FNRID, VIPs: vipsOf(params.VIPs), VIPsPrevious: vipsOf(params.VIPsPrevious)}
	}
	return s.configuration(ctx, request{operation: opWARPConfigure, tunnelID: tunnelID, body: body}, opts)
}

func (s *WARPConnectorsService) configuration(ctx context.Context, r request, opts []CallOption) (*WARPConfiguration, error) {
	answer, err := fetch[warpAnswer](ctx, s.client, r, opts)
	if err != nil {
		return nil, err
	}
	c := &WARPConfiguration{
		TunnelID: answer.TunnelID, Version: answer.Version, HAMode: answer.HAMode, CreatedAt: answer.CreatedAt, UpdatedAt: answer.UpdatedAt,
	}
	if answer.Config != nil {
		c.FNRID, c.VIPs, c.VIPsPrevious = answer.Config.FNRID, addressesOf(answer.Config.VIPs), addressesOf(answer.Config.VIPsPrevious)
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

type warpAnswer struct {
	warpSettings
	TunnelID  string    `json:"tunnel_id"`
	Version   int       `json:"configuration_version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func (a warpAnswer) complete() bool { return a.HAMode != "" }

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
