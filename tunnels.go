package cftunnel

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// TunnelsService manages cloudflared tunnels, and lists tunnels of every type.
type TunnelsService service

// Tunnel is a cloudflared tunnel, a WARP connector or a tunnel of another [TunnelType].
type Tunnel struct {
	// ID identifies the tunnel. Most IDs are UUIDs, but not all.
	ID string `json:"id"`
	// AccountTag is the ID of the account.
	AccountTag string `json:"account_tag"`
	// Name is unique among the live tunnels of the account.
	Name string `json:"name"`
	// Type is the type of the tunnel, such as TunnelTypeCloudflared.
	Type TunnelType `json:"tun_type"`
	// Status is the health of the tunnel.
	Status TunnelStatus `json:"status"`
	// ConfigSource says where the configuration of a cloudflared tunnel is stored. It is empty for
	// other types and for deleted tunnels.
	ConfigSource ConfigSource `json:"config_src,omitempty"`
	// CreatedAt has microsecond precision.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// DeletedAt is zero for a live tunnel.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	// ConnsActiveAt is when the tunnel last changed from no connections to at least one. It is zero
	// if the tunnel has no connections.
	ConnsActiveAt time.Time `json:"conns_active_at,omitzero"`
	// ConnsInactiveAt is when the tunnel lost its last connection, or when it was created. It is
	// zero if the tunnel has connections.
	ConnsInactiveAt time.Time `json:"conns_inactive_at,omitzero"`
	// Connections is deprecated by the API: usually empty. Do not use it to check the tunnel's
	// health.
	Connections []Connection `json:"connections,omitempty"`
	// Metadata is the JSON object that is stored with the tunnel.
	Metadata json.RawMessage `json:"metadata,omitempty"`
	// Token is the token to run the tunnel with. Only methods that create or update a tunnel set
	// it. It is never encoded as JSON.
	Token Secret `json:"-"`
}

// IsDeleted reports whether the tunnel is deleted: DeletedAt is set.
func (t Tunnel) IsDeleted() bool { return !t.DeletedAt.IsZero() }

// TunnelType is the type of a tunnel. The API may return other values.
type TunnelType string

// The types of tunnels.
const (
	TunnelTypeCloudflared   TunnelType = "cfd_tunnel"     // run by cloudflared
	TunnelTypeWARPConnector TunnelType = "warp_connector" // run by WARP: see WARPConnectorsService
	TunnelTypeWARP          TunnelType = "warp"           // of a WARP device; not a WARP connector
	TunnelTypeMagic         TunnelType = "magic"          // of Magic WAN
	TunnelTypeIPsec         TunnelType = "ip_sec"         // an IPsec tunnel
	TunnelTypeGRE           TunnelType = "gre"            // a GRE tunnel
	TunnelTypeCNI           TunnelType = "cni"            // Cloudflare Network Interconnect
)

// TunnelStatus is the health of a tunnel. The API may return other values.
type TunnelStatus string

// The statuses of tunnels.
const (
	TunnelStatusInactive TunnelStatus = "inactive" // never had a connection
	TunnelStatusDegraded TunnelStatus = "degraded" // some connections are missing
	TunnelStatusHealthy  TunnelStatus = "healthy"  // all connections are up
	TunnelStatusDown     TunnelStatus = "down"     // had connections earlier, but has none now
)

// ConfigSource says where a tunnel's configuration is stored.
type ConfigSource string

// The sources of a configuration.
const (
	ConfigSourceLocal      ConfigSource = "local"      // locally managed: in a file of cloudflared
	ConfigSourceCloudflare ConfigSource = "cloudflare" // remotely managed: in the API
)

// TunnelCreateParams are the parameters of a new tunnel.
type TunnelCreateParams struct {
	// Name is required. It must be unique among the live tunnels of the account.
	Name string
	// ConfigSource says where the configuration is stored. The default is ConfigSourceLocal. Set
	// ConfigSourceCloudflare to use UpdateConfiguration or Hostnames.Publish.
	ConfigSource ConfigSource
	// Secret is the secret in the tunnel's token: at least 16 bytes, encoded in standard base64.
	// [NewTunnelSecret] returns one. By default the server generates it.
	Secret Secret
}

func (p TunnelCreateParams) check() error {
	if err := checkName("Name", p.Name); err != nil {
		return err
	}
	return checkTunnelSecret("Secret", p.Secret)
}

// TunnelUpdateParams are the changes to a tunnel. A zero field changes nothing. At least one field
// must be set.
type TunnelUpdateParams struct {
	// Name is the new name.
	Name string
	// Secret is the new secret: at least 16 bytes, encoded in standard base64. [NewTunnelSecret]
	// returns one. Earlier tokens cannot open new connections after the change.
	Secret Secret
}

// TunnelDeleteParams are the options of Delete.
type TunnelDeleteParams struct {
	// Cascade deletes the tunnel even if it has connections. Cloudflare does not document it, but
	// cloudflared uses it.
	Cascade bool `url:"cascade,omitempty"`
}

// The permissions that the operations on tunnels need.
const (
	tunnelsRead = `"Cloudflare One Connectors Read", ` +
		`"Cloudflare One Connector: cloudflared Read" or "Cloudflare Tunnel Read", ` +
		`or the same with Write`
	tunnelsWrite = `"Cloudflare One Connectors Write", ` +
		`"Cloudflare One Connector: cloudflared Write" or "Cloudflare Tunnel Write"`
)

const (
	tunnelsPath = "/accounts/{account_id}/cfd_tunnel"
	tunnelPath  = tunnelsPath + "/{tunnel_id}"
)

// The operations of TunnelsService.
var (
	opTunnelCreate = secretOp("Tunnels.Create", http.MethodPost, tunnelsPath, tunnelsWrite)
	opTunnelGet    = op("Tunnels.Get", http.MethodGet, tunnelPath, tunnelsRead)
	opTunnelUpdate = secretOp("Tunnels.Update", http.MethodPatch, tunnelPath, tunnelsWrite)
	opTunnelDelete = op("Tunnels.Delete", http.MethodDelete, tunnelPath, tunnelsWrite)
)

// Create creates a tunnel and returns it with its token.
//
// The request is retried only if it certainly was not carried out. If the response has no token,
// Create requests the token. If that fails, it returns both the tunnel and an error.
//
// It returns [ErrTunnelNameTaken] if a live tunnel has the name, and [ErrOutcomeUnknown] if the
// call failed but the tunnel may have been created: check with FindByName.
//
// Operation: POST /accounts/{account_id}/cfd_tunnel
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/create/
func (s *TunnelsService) Create(
	ctx context.Context, params TunnelCreateParams, opts ...CallOption,
) (*Tunnel, error) {
	if err := params.check(); err != nil {
		return nil, err
	}
	tunnel, err := doTunnel(ctx, clientOf(s), request{operation: opTunnelCreate, body: struct {
		Name         string       `json:"name"`
		ConfigSource ConfigSource `json:"config_src,omitempty"`
		Secret       string       `json:"tunnel_secret,omitempty"`
	}{params.Name, params.ConfigSource, params.Secret.Reveal()}}, checkNewTunnel(params.Name), opts)
	if err != nil || !tunnel.Token.IsZero() {
		return tunnel, err
	}
	if tunnel.Token, err = s.Token(ctx, tunnel.ID, opts...); err != nil {
		return tunnel, fmt.Errorf(
			"cftunnel: tunnel %s is created, but reading its token failed: %w", tunnel.ID, err)
	}
	return tunnel, nil
}

// Get returns a tunnel by ID. Deleted tunnels are returned too: check [Tunnel.IsDeleted].
//
// It returns [ErrNotFound] if the account never had such a tunnel.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/get/
func (s *TunnelsService) Get(
	ctx context.Context, tunnelID string, opts ...CallOption,
) (*Tunnel, error) {
	r := request{operation: opTunnelGet, ids: []string{tunnelID}}
	return doTunnel(ctx, clientOf(s), r, checkTunnel(tunnelID), opts)
}

// Update changes the name or the secret of a tunnel, and returns the tunnel. The result has the
// tunnel's token if the response has it.
//
// To replace the secret, prefer [TunnelsService.RotateSecret], which generates the secret and
// always returns the token.
//
// It returns [ErrNotFound] if the tunnel does not exist or is deleted, [ErrTunnelNameTaken] if a
// live tunnel has the name, and [ErrOutcomeUnknown] if the call failed but the tunnel may have been
// changed.
//
// Operation: PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/edit/
func (s *TunnelsService) Update(
	ctx context.Context, tunnelID string, params TunnelUpdateParams, opts ...CallOption,
) (*Tunnel, error) {
	return updateTunnel(ctx, clientOf(s), opTunnelUpdate, tunnelID, params, nil, opts)
}

// Delete deletes a tunnel and its routes, and returns the deleted tunnel. If the response has no
// tunnel, only the ID of the result is set.
//
// If the response to the first attempt is lost and the retry gets a 404, the tunnel is deleted and
// Delete succeeds. If the tunnel was deleted before the call, Delete returns the deleted tunnel or
// [ErrNotFound], depending on the API.
//
// It returns [ErrActiveConnections] if the tunnel has connections and params.Cascade is not set,
// [ErrNotFound] if the tunnel does not exist, and [ErrOutcomeUnknown] if the call failed but the
// tunnel may have been deleted.
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/delete/
func (s *TunnelsService) Delete(
	ctx context.Context, tunnelID string, params TunnelDeleteParams, opts ...CallOption,
) (*Tunnel, error) {
	r := request{operation: opTunnelDelete, ids: []string{tunnelID}, query: queryOf(params)}
	return deleteTunnel(ctx, clientOf(s), r, opts)
}

// tunnelResponse is a tunnel in a response.
type tunnelResponse struct {
	Tunnel
	Connections  []connectionResponse `json:"connections"`
	RemoteConfig remoteConfig         `json:"remote_config"` // the older form of ConfigSource
	Token        string               `json:"token"`
}

// tunnel returns the tunnel, completed by the members of the response that Tunnel does not have.
func (r *tunnelResponse) tunnel() Tunnel {
	if r.ConfigSource == "" && !r.IsDeleted() {
		r.ConfigSource = r.RemoteConfig.source
	}
	r.Tunnel.Connections = connectionsOf(r.Connections)
	return r.Tunnel
}

// remoteConfig is a boolean that may be missing. Unlike a *bool, it needs no allocation.
type remoteConfig struct{ source ConfigSource }

// UnmarshalJSON decodes true as remotely managed, false as locally managed, and ignores null.
func (r *remoteConfig) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true":
		r.source = ConfigSourceCloudflare
	case "false":
		r.source = ConfigSourceLocal
	default:
		var isRemote *bool
		return json.Unmarshal(data, &isRemote)
	}
	return nil
}

// checkTunnel returns a check that the tunnel in a response is the requested one.
func checkTunnel(id string) func(*tunnelResponse) error {
	return func(t *tunnelResponse) error { return checkID(t.ID, id) }
}

// checkNewTunnel returns a check that a new tunnel has the requested name.
func checkNewTunnel(name string) func(*tunnelResponse) error {
	return func(t *tunnelResponse) error {
		if t.Name != "" && strings.TrimSpace(t.Name) != strings.TrimSpace(name) {
			return errOtherID
		}
		return checkPathID(t.ID)
	}
}

// doTunnel sends a request whose response is a tunnel. The result has a token only if the operation
// may return secrets.
func doTunnel(
	ctx context.Context, c *Client, r request, check func(*tunnelResponse) error, opts []CallOption,
) (*Tunnel, error) {
	response, err := doItem(ctx, c, r, check, opts)
	if err != nil {
		return nil, err
	}
	tunnel := response.tunnel()
	if r.operation.secret {
		tunnel.Token = NewSecret(response.Token)
	}
	return &tunnel, nil
}

// updateTunnel updates a tunnel of any type. If seen is not nil, it is set to the token of the
// response, even if the response is refused.
func updateTunnel(
	ctx context.Context, c *Client, o operation, tunnelID string, params TunnelUpdateParams,
	seen *Secret, opts []CallOption,
) (*Tunnel, error) {
	if params == (TunnelUpdateParams{}) {
		return nil, invalid("params", "changes nothing: set Name or Secret")
	}
	if params.Name != "" {
		if err := checkName("Name", params.Name); err != nil {
			return nil, err
		}
	}
	if err := checkTunnelSecret("Secret", params.Secret); err != nil {
		return nil, err
	}
	r := request{operation: o, ids: []string{tunnelID}, body: struct {
		Name   string `json:"name,omitempty"`
		Secret string `json:"tunnel_secret,omitempty"`
	}{params.Name, params.Secret.Reveal()}}
	return doTunnel(ctx, c, r, func(t *tunnelResponse) error {
		if seen != nil {
			*seen = NewSecret(t.Token)
		}
		if !params.Secret.IsZero() && hasOtherSecret(NewSecret(t.Token), params.Secret) {
			return errOldSecret
		}
		if o == opTunnelUpdate {
			if err := checkTokenOf(NewSecret(t.Token), tunnelID); err != nil {
				return err
			}
		}
		return checkID(t.ID, tunnelID)
	}, opts)
}

// deleteTunnel sends a request that deletes a tunnel. The response may have no tunnel.
func deleteTunnel(
	ctx context.Context, c *Client, r request, opts []CallOption,
) (*Tunnel, error) {
	check := func(t *tunnelResponse) error { return checkDeletedID(t.ID, r.ids[0]) }
	response, err := doDelete(ctx, c, r, check, opts)
	if err != nil {
		return nil, err
	}
	if response == nil || response.ID == "" {
		return &Tunnel{ID: r.ids[0]}, nil
	}
	tunnel := response.tunnel()
	return &tunnel, nil
}

func checkName(argument, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return invalid(argument, "is empty or blank")
	case !utf8.ValidString(name):
		return invalid(argument, "is not UTF-8")
	}
	return nil
}
