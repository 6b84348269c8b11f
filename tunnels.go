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

// TunnelsService manages tunnels that cloudflared runs, and lists those of every type.
type TunnelsService service

// Tunnel is a tunnel of any type.
type Tunnel struct {
	ID         string       `json:"id"`          // usually a UUID
	AccountTag string       `json:"account_tag"` // the ID of the account
	Name       string       `json:"name"`        // unique among the live tunnels of the account
	Type       TunnelType   `json:"tun_type"`    // cfd_tunnel, warp_connector, …
	Status     TunnelStatus `json:"status"`      // the health of its connections
	// ConfigSource says where the configuration of a cloudflared tunnel is stored. It is empty for other
	// types and for deleted tunnels.
	ConfigSource ConfigSource `json:"config_src,omitempty"`
	CreatedAt    time.Time    `json:"created_at,omitzero"` // to the microsecond
	// DeletedAt is zero for a live tunnel. A deleted one can still be read.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	// ConnsActiveAt is when the tunnel came up, zero while it has no connection.
	ConnsActiveAt time.Time `json:"conns_active_at,omitzero"`
	// ConnsInactiveAt is when the tunnel lost its last connection, or was created; zero while it has one.
	ConnsInactiveAt time.Time `json:"conns_inactive_at,omitzero"`
	// Connections is deprecated by the API: usually empty. It says nothing about health.
	Connections []Connection `json:"connections,omitempty"`
	// Metadata is the JSON object that was stored with the tunnel.
	Metadata json.RawMessage `json:"metadata,omitempty"`
	// Token runs the tunnel. Only Create and Update set it. It is never encoded as JSON.
	Token Secret `json:"-"`
}

// IsDeleted reports whether the tunnel is deleted.
func (t Tunnel) IsDeleted() bool { return !t.DeletedAt.IsZero() }

// TunnelType is the type of a tunnel. The API may return other values.
type TunnelType string

// The types of tunnels.
const (
	TunnelTypeCloudflared   TunnelType = "cfd_tunnel"
	TunnelTypeWARPConnector TunnelType = "warp_connector"
	TunnelTypeWARP          TunnelType = "warp"
	TunnelTypeMagic         TunnelType = "magic"
	TunnelTypeIPsec         TunnelType = "ip_sec"
	TunnelTypeGRE           TunnelType = "gre"
	TunnelTypeCNI           TunnelType = "cni"
)

// TunnelStatus is the health of a tunnel. The API may return other values.
type TunnelStatus string

// The statuses of tunnels.
const (
	TunnelStatusInactive TunnelStatus = "inactive" // it never ran
	TunnelStatusDegraded TunnelStatus = "degraded" // some connections are missing
	TunnelStatusHealthy  TunnelStatus = "healthy"
	TunnelStatusDown     TunnelStatus = "down" // it ran, and has no connection now
)

// ConfigSource says where a tunnel's configuration is stored.
type ConfigSource string

// The sources of a configuration.
const (
	ConfigSourceLocal      ConfigSource = "local"      // locally managed: a file beside cloudflared
	ConfigSourceCloudflare ConfigSource = "cloudflare" // remotely managed: this API
)

// TunnelCreateParams describes a new tunnel.
type TunnelCreateParams struct {
	// Name must be unique among the account's live tunnels.
	Name string
	// ConfigSource is ConfigSourceLocal if it is empty: that is the server's default. For a tunnel that
	// UpdateConfiguration or Hostnames.Publish will configure, set ConfigSourceCloudflare.
	ConfigSource ConfigSource
	// Secret is what the tunnel's token is made of: standard base64, of 32 random bytes if
	// [NewTunnelSecret] made it. If it is zero, the server makes one.
	Secret Secret
}

func (p TunnelCreateParams) check() error {
	if err := checkName("Name", p.Name); err != nil {
		return err
	}
	return checkTunnelSecret("Secret", p.Secret)
}

// TunnelUpdateParams says what to change. Zero fields stay as they are; if both are zero, it is an error.
type TunnelUpdateParams struct {
	// Name is the new name.
	Name string
	// Secret replaces the tunnel's secret, so that earlier tokens open no new connections: standard
	// base64, as [NewTunnelSecret] makes it.
	Secret Secret
}

// TunnelDeleteParams says how to delete.
type TunnelDeleteParams struct {
	// Cascade deletes a tunnel together with its connections. Cloudflare does not document it;
	// cloudflared uses it.
	Cascade bool `url:"cascade,omitempty"`
}

// The permissions that the operations on tunnels need.
const (
	tunnelsRead = `"Cloudflare One Connectors Read", "Cloudflare One Connector: cloudflared Read" or "Cloudflare Tunnel Read", ` +
		`or the same with Write`
	tunnelsWrite = `"Cloudflare One Connectors Write", "Cloudflare One Connector: cloudflared Write" or "Cloudflare Tunnel Write"`
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
// It is retried only if it certainly was not carried out. It returns [ErrTunnelNameTaken], and
// [ErrOutcomeUnknown] if the tunnel may exist nevertheless: look for it with FindByName. If the response
// has no token, the token is fetched; if that fails, the tunnel is returned beside the error.
//
// Operation: POST /accounts/{account_id}/cfd_tunnel
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/create/
func (s *TunnelsService) Create(ctx context.Context, params TunnelCreateParams, opts ...CallOption) (*Tunnel, error) {
	if err := params.check(); err != nil {
		return nil, err
	}
	tunnel, err := doTunnel(ctx, s, request{operation: opTunnelCreate, body: struct {
		Name         string       `json:"name"`
		ConfigSource ConfigSource `json:"config_src,omitempty"`
		Secret       string       `json:"tunnel_secret,omitempty"`
	}{params.Name, params.ConfigSource, params.Secret.Reveal()}}, checkNewTunnel(params.Name), opts)
	if err != nil || !tunnel.Token.IsZero() {
		return tunnel, err
	}
	if tunnel.Token, err = s.Token(ctx, tunnel.ID, opts...); err != nil {
		return tunnel, fmt.Errorf("cftunnel: tunnel %s is created, but reading its token failed: %w", tunnel.ID, err)
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
func (s *TunnelsService) Get(ctx context.Context, tunnelID string, opts ...CallOption) (*Tunnel, error) {
	return doTunnel(ctx, s, request{operation: opTunnelGet, ids: []string{tunnelID}}, checkTunnel(tunnelID), opts)
}

// Update changes the name or the secret of a tunnel, and returns it with its token if the response has
// that.
//
// To replace the secret, [TunnelsService.RotateSecret] also makes it and always returns the token. Update
// returns [ErrNotFound], [ErrTunnelNameTaken], and [ErrOutcomeUnknown] if the tunnel may be changed
// nevertheless.
//
// Operation: PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/edit/
func (s *TunnelsService) Update(ctx context.Context, tunnelID string, params TunnelUpdateParams, opts ...CallOption) (*Tunnel, error) {
	return updateTunnel(ctx, s, opTunnelUpdate, tunnelID, params, nil, opts)
}

// Delete deletes a tunnel and its routes, and returns it as it then is, with DeletedAt set.
//
// If the response has no tunnel, only the ID is set. Delete returns [ErrActiveConnections] if the tunnel
// has connections and params.Cascade is not set, [ErrNotFound], and [ErrOutcomeUnknown] if the tunnel may
// be deleted nevertheless. If a response was lost and the retry is a 404, the tunnel is deleted.
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/delete/
func (s *TunnelsService) Delete(ctx context.Context, tunnelID string, params TunnelDeleteParams, opts ...CallOption) (*Tunnel, error) {
	return deleteTunnel(ctx, s, request{operation: opTunnelDelete, ids: []string{tunnelID}, query: queryOf(params)}, opts)
}

// tunnelResponse is a tunnel as responses have it.
type tunnelResponse struct {
	Tunnel
	Connections  []connectionResponse `json:"connections"`
	RemoteConfig remoteConfig         `json:"remote_config"` // the older form of ConfigSource
	Token        string               `json:"token"`
}

// tunnel returns what is inside, with what the response says elsewhere.
func (r *tunnelResponse) tunnel() Tunnel {
	if r.ConfigSource == "" && !r.IsDeleted() {
		r.ConfigSource = r.RemoteConfig.source
	}
	r.Tunnel.Connections = connectionsOf(r.Connections)
	return r.Tunnel
}

// remoteConfig is a boolean that may be missing, without an allocation for each tunnel of a page.
type remoteConfig struct{ source ConfigSource }

// UnmarshalJSON reads whether the API has the configuration.
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

// checkTunnel refuses a tunnel other than the one that was asked for.
func checkTunnel(id string) func(*tunnelResponse) error {
	return func(t *tunnelResponse) error { return checkID(t.ID, id) }
}

// checkNewTunnel refuses a tunnel with another name than was asked for.
func checkNewTunnel(name string) func(*tunnelResponse) error {
	return func(t *tunnelResponse) error {
		if t.Name != "" && strings.TrimSpace(t.Name) != strings.TrimSpace(name) {
			return errOtherID
		}
		return checkPathID(t.ID)
	}
}

// doTunnel sends a request whose response is a tunnel. Only those that change it may return its token.
func doTunnel[S serviceType](ctx context.Context, s *S, r request, check func(*tunnelResponse) error, opts []CallOption) (*Tunnel, error) {
	response, err := doItem(ctx, s, r, check, opts)
	if err != nil {
		return nil, err
	}
	tunnel := response.tunnel()
	if r.operation.secret {
		tunnel.Token = NewSecret(response.Token)
	}
	return &tunnel, nil
}

// updateTunnel changes a tunnel of any type that can be changed. seen, if not nil, becomes the token of
// the response, even if the response is refused.
func updateTunnel[S serviceType](
	ctx context.Context, s *S, o operation, tunnelID string, params TunnelUpdateParams, seen *Secret, opts []CallOption,
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
	return doTunnel(ctx, s, r, func(t *tunnelResponse) error {
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

// deleteTunnel sends a request that deletes a tunnel. The response may be about nothing.
func deleteTunnel[S serviceType](ctx context.Context, s *S, r request, opts []CallOption) (*Tunnel, error) {
	check := func(t *tunnelResponse) error { return checkDeletedID(t.ID, r.ids[0]) }
	response, err := doDelete(ctx, s, r, check, opts)
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
