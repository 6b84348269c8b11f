package cftunnel

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// TunnelsService manages tunnels that cloudflared runs, and lists those of every kind.
type TunnelsService service

// Tunnel is a tunnel of any kind.
type Tunnel struct {
	ID         string       `json:"id"`          // mostly a UUID
	AccountTag string       `json:"account_tag"` // the account's id
	Name       string       `json:"name"`        // which no other live tunnel of the account has
	Type       TunnelType   `json:"tun_type"`    // the kind
	Status     TunnelStatus `json:"status"`      // the health, by its connections
	// ConfigSource says where the configuration of a cloudflared tunnel lives. It is empty for other kinds and for deleted tunnels.
	ConfigSource ConfigSource `json:"config_src,omitempty"`
	CreatedAt    time.Time    `json:"created_at,omitzero"` // to the microsecond
	// DeletedAt is zero for a live tunnel. A deleted one can still be read.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	// ConnsActiveAt is when the tunnel came up, zero while it has no connection.
	ConnsActiveAt time.Time `json:"conns_active_at,omitzero"`
	// ConnsInactiveAt is when the tunnel lost its last connection, or was created; zero while it has one.
	ConnsInactiveAt time.Time `json:"conns_inactive_at,omitzero"`
	// Connections is on its way out of the API and mostly empty. It says nothing about health.
	Connections []Connection `json:"connections,omitempty"`
	// Metadata is the JSON object that was stored with the tunnel.
	Metadata json.RawMessage `json:"metadata,omitempty"`
	// Token runs the tunnel. Create and Update alone set it, where their answer holds it. It is never encoded as JSON.
	Token Secret `json:"-"`
}

// IsDeleted reports whether the tunnel is gone.
func (t Tunnel) IsDeleted() bool { return !t.DeletedAt.IsZero() }

// TunnelType is the kind of a tunnel. There may be kinds that this list does not have.
type TunnelType string

// The kinds that are known.
const (
	TunnelTypeCloudflared   TunnelType = "cfd_tunnel"
	TunnelTypeWARPConnector TunnelType = "warp_connector"
	TunnelTypeWARP          TunnelType = "warp"
	TunnelTypeMagic         TunnelType = "magic"
	TunnelTypeIPsec         TunnelType = "ip_sec"
	TunnelTypeGRE           TunnelType = "gre"
	TunnelTypeCNI           TunnelType = "cni"
)

// TunnelStatus is how a tunnel is. There may be others than these.
type TunnelStatus string

// The statuses that are known.
const (
	TunnelStatusInactive TunnelStatus = "inactive" // it never ran
	TunnelStatusDegraded TunnelStatus = "degraded" // some connections are missing
	TunnelStatusHealthy  TunnelStatus = "healthy"
	TunnelStatusDown     TunnelStatus = "down" // it ran, and has no connection now
)

// ConfigSource says where a tunnel's configuration lives.
type ConfigSource string

// The places of a configuration.
const (
	ConfigSourceLocal      ConfigSource = "local"      // locally managed: in a file beside cloudflared
	ConfigSourceCloudflare ConfigSource = "cloudflare" // remotely managed: in this API
)

// TunnelCreateParams describes a new tunnel.
type TunnelCreateParams struct {
	// Name must be unique among the account's live tunnels.
	Name string
	// ConfigSource is ConfigSourceLocal where it is empty: that is the server's default. For a tunnel that is to be configured by
	// UpdateConfiguration, set ConfigSourceCloudflare.
	ConfigSource ConfigSource
	// Secret is what the tunnel's token is made of: standard base64 of at least 32 random bytes. The server makes one where it is zero.
	Secret Secret
}

func (p TunnelCreateParams) check() error {
	if err := checkName("Name", p.Name); err != nil {
		return err
	}
	return checkTunnelSecret("Secret", p.Secret)
}

// TunnelUpdateParams says what to change. What is zero stays as it is; both zero is an error.
type TunnelUpdateParams struct {
	// Name is the new one. Empty leaves it as it is.
	Name string
	// Secret replaces the tunnel's secret, which makes the tokens of before useless for new connections: standard base64 of at least 32
	// random bytes.
	Secret Secret
}

// TunnelDeleteParams says how to delete.
type TunnelDeleteParams struct {
	// Cascade deletes a tunnel together with its connections. Cloudflare does not document it; cloudflared uses it.
	Cascade bool `url:"cascade,omitempty"`
}

// TunnelListParams filters a list. Zero fields filter nothing, but for IsDeleted.
type TunnelListParams struct {
	Name   string       `url:"name,omitempty"`   // the whole name
	UUID   string       `url:"uuid,omitempty"`   // the id, which one tunnel has at most
	Status TunnelStatus `url:"status,omitempty"` // with this health alone; empty asks for all
	// IsDeleted asks for deleted tunnels only, new(true), or for live ones only, new(false) and nil. No list has both.
	IsDeleted     *bool  `url:"is_deleted"`
	IncludePrefix string `url:"include_prefix,omitempty"` // of the name
	ExcludePrefix string `url:"exclude_prefix,omitempty"` // of the name
	// ExistedAt asks for tunnels that there were then, WasActiveAt and WasInactiveAt for those that then had, or had no, connections.
	ExistedAt     time.Time `url:"existed_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	WasActiveAt   time.Time `url:"was_active_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	WasInactiveAt time.Time `url:"was_inactive_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// Page counts from 1. All begins with it.
	Page int `url:"page,omitempty"`
	// PerPage is 1 to 1000. The default is 1000.
	PerPage int `url:"per_page,omitempty"`
}

// AllTypesListParams filters a list of tunnels of all kinds.
type AllTypesListParams struct {
	Name   string       `url:"name,omitempty"`   // the whole name
	UUID   string       `url:"uuid,omitempty"`   // the id, which one tunnel has at most
	Status TunnelStatus `url:"status,omitempty"` // with this health alone; empty asks for all
	// Types asks for these kinds only; empty asks for all.
	Types []TunnelType `url:"tun_types,omitempty,comma"`
	// IsDeleted asks for deleted tunnels only, new(true), or for live ones only, new(false) and nil. No list has both.
	IsDeleted     *bool  `url:"is_deleted"`
	IncludePrefix string `url:"include_prefix,omitempty"` // of the name
	ExcludePrefix string `url:"exclude_prefix,omitempty"` // of the name
	// ExistedAt asks for tunnels that there were then, WasActiveAt and WasInactiveAt for those that then had, or had no, connections.
	ExistedAt     time.Time `url:"existed_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	WasActiveAt   time.Time `url:"was_active_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	WasInactiveAt time.Time `url:"was_inactive_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// Page counts from 1. AllTypes begins with it.
	Page int `url:"page,omitempty"`
	// PerPage is 1 to 1000. The default is 1000.
	PerPage int `url:"per_page,omitempty"`
}

// What the operations on tunnels need.
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
	opTunnelCreate   = secretOp("Tunnels.Create", http.MethodPost, tunnelsPath, tunnelsWrite)
	opTunnelGet      = op("Tunnels.Get", http.MethodGet, tunnelPath, tunnelsRead)
	opTunnelList     = op("Tunnels.List", http.MethodGet, tunnelsPath, tunnelsRead)
	opTunnelListAll  = op("Tunnels.ListAllTypes", http.MethodGet, "/accounts/{account_id}/tunnels", tunnelsRead)
	opTunnelUpdate   = secretOp("Tunnels.Update", http.MethodPatch, tunnelPath, tunnelsWrite)
	opTunnelDelete   = op("Tunnels.Delete", http.MethodDelete, tunnelPath, tunnelsWrite)
	opTunnelGetToken = secretOp("Tunnels.Token", http.MethodGet, tunnelPath+"/token", tunnelsWrite)
	opTunnelLogs     = secretOp("Tunnels.ManagementToken", http.MethodPost, tunnelPath+"/management", tunnelsWrite)
	opTunnelManage   = secretOp("Tunnels.ManagementToken", http.MethodPost, tunnelPath+"/management/{resource}", tunnelsWrite)
)

// ManagementResource is what a management token opens on a running connector. There may be others than these.
type ManagementResource string

// The resources that are known.
const (
	ManagementResourceLogs        ManagementResource = "logs" // the live log, as cloudflared tail shows it
	ManagementResourceAdmin       ManagementResource = "admin"
	ManagementResourceHostDetails ManagementResource = "host_details"
)

// Create makes a tunnel and returns it with its token: POST /accounts/{account_id}/cfd_tunnel.
//
// It is sent again only where it surely was not carried out. Errors: [ErrTunnelNameTaken]; [ErrOutcomeUnknown] where the tunnel may exist
// all the same, to be looked for with FindByName.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/create/
func (s *TunnelsService) Create(ctx context.Context, params TunnelCreateParams, opts ...CallOption) (*Tunnel, error) {
	if err := params.check(); err != nil {
		return nil, err
	}
	return s.client.tunnel(ctx, request{operation: opTunnelCreate, body: struct {
		Name         string       `json:"name"`
		ConfigSource ConfigSource `json:"config_src,omitempty"`
		Secret       string       `json:"tunnel_secret,omitempty"`
	}{params.Name, params.ConfigSource, params.Secret.Reveal()}}, opts)
}

// Get returns a tunnel, also a deleted one, whose IsDeleted is true: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}.
//
// Errors: [ErrNotFound] where there never was one of this id.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/get/
func (s *TunnelsService) Get(ctx context.Context, tunnelID string, opts ...CallOption) (*Tunnel, error) {
	return s.client.tunnel(ctx, request{operation: opTunnelGet, tunnelID: tunnelID}, opts)
}

// List returns one page of the account's tunnels, live ones only where params do not say otherwise: GET /accounts/{account_id}/cfd_tunnel.
// It holds only what the credentials may read, so that absence is no proof that a tunnel is gone. See [TunnelsService.All] for every page.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) List(ctx context.Context, params TunnelListParams, opts ...CallOption) (*Page[Tunnel], error) {
	return s.client.list(ctx, opTunnelList, params, opts)
}

// All yields every tunnel that List would find, from every page: GET /accounts/{account_id}/cfd_tunnel. It asks for 1000 a page where
// params do not say otherwise, and for no page more than it must. It can be ranged over again, which asks anew. An error is yielded once,
// with a nil tunnel, and ends it.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) All(ctx context.Context, params TunnelListParams, opts ...CallOption) iter.Seq2[*Tunnel, error] {
	return allTunnels(params, func(params TunnelListParams) (*Page[Tunnel], error) { return s.List(ctx, params, opts...) })
}

// ListAllTypes returns one page of the account's tunnels of every kind, live ones only where params do not say otherwise:
// GET /accounts/{account_id}/tunnels. See [TunnelsService.AllTypes] for every page.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/methods/list/
func (s *TunnelsService) ListAllTypes(ctx context.Context, params AllTypesListParams, opts ...CallOption) (*Page[Tunnel], error) {
	if err := checkList(params.UUID, params.Page, params.PerPage); err != nil {
		return nil, err
	}
	for _, kind := range params.Types {
		if kind == "" || strings.Contains(string(kind), ",") {
			return nil, invalid("Types", "holds an empty kind or one with a comma")
		}
	}
	params.IsDeleted = orFalse(params.IsDeleted)
	return s.client.tunnels(ctx, request{operation: opTunnelListAll, query: params}, opts)
}

// AllTypes yields every tunnel that ListAllTypes would find, from every page, as [TunnelsService.All] does: GET /accounts/{account_id}/tunnels.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/methods/list/
func (s *TunnelsService) AllTypes(ctx context.Context, params AllTypesListParams, opts ...CallOption) iter.Seq2[*Tunnel, error] {
	return pagesOfTunnels(params.Page, params.PerPage, func(page, perPage int) (*Page[Tunnel], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.ListAllTypes(ctx, params, opts...)
	})
}

// Update changes a tunnel's name or secret, and returns it with its token where the answer holds that:
// PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}. For a new secret, [TunnelsService.RotateSecret] also makes it and always tells the token.
//
// Errors: [ErrNotFound], [ErrTunnelNameTaken]; [ErrOutcomeUnknown] where it may be changed all the same.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/edit/
func (s *TunnelsService) Update(ctx context.Context, tunnelID string, params TunnelUpdateParams, opts ...CallOption) (*Tunnel, error) {
	return s.client.update(ctx, opTunnelUpdate, tunnelID, params, opts)
}

// Delete deletes a tunnel and returns it as it then is, with DeletedAt set: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}. Where the
// answer says that it succeeded and nothing else, there is only the ID.
//
// Errors: [ErrActiveConnections] while it has connections and params.Cascade is not set, [ErrNotFound]; [ErrOutcomeUnknown] where it may be
// deleted all the same.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/delete/
func (s *TunnelsService) Delete(ctx context.Context, tunnelID string, params TunnelDeleteParams, opts ...CallOption) (*Tunnel, error) {
	return s.client.deleteTunnel(ctx, request{operation: opTunnelDelete, tunnelID: tunnelID, query: params}, opts)
}

// Token returns the token that cloudflared runs the tunnel with: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token. Whoever has it
// can run the tunnel. Though it is a GET, it needs a permission to write.
//
// Errors: [ErrNotFound].
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/token/methods/get/
func (s *TunnelsService) Token(ctx context.Context, tunnelID string, opts ...CallOption) (Secret, error) {
	return s.client.token(ctx, request{operation: opTunnelGetToken, tunnelID: tunnelID}, opts)
}

// ManagementToken returns a short-lived token, a JWT, for the management endpoints of a tunnel's connectors:
// POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management for logs, and where the server no longer knows that,
// POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}, which serves every other resource. How long it holds, the token
// itself tells.
//
// Errors: [ErrNotFound]; [ErrOutcomeUnknown], after which it can be asked for again.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/management/methods/create/
func (s *TunnelsService) ManagementToken(ctx context.Context, tunnelID string, resource ManagementResource, opts ...CallOption) (Secret, error) {
	if resource == ManagementResourceLogs {
		token, err := s.client.token(ctx, request{operation: opTunnelLogs, tunnelID: tunnelID, body: struct {
			Resources []ManagementResource `json:"resources"`
		}{[]ManagementResource{resource}}}, opts)
		if !isGone(err) {
			return token, err
		}
	}
	return s.client.token(ctx, request{operation: opTunnelManage, tunnelID: tunnelID, resource: string(resource)}, opts)
}

// isGone reports whether the server does not know the endpoint, rather than what it was asked for.
func isGone(err error) bool {
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch failure.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusGone:
		return true
	case http.StatusNotFound:
		return hasCode(failure.Errors, codeNoRoute)
	}
	return false
}

// FindByName returns the live tunnel of this name, which it looks for itself in what the server's filter lets through:
// GET /accounts/{account_id}/cfd_tunnel.
//
// Errors: [ErrNotFound] where the credentials can read no such tunnel. A 404 of the list itself, of a wrong account for instance, is not
// that.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) FindByName(ctx context.Context, name string, opts ...CallOption) (*Tunnel, error) {
	if err := checkName("name", name); err != nil {
		return nil, err
	}
	for tunnel, err := range s.All(ctx, TunnelListParams{Name: name}, opts...) {
		if failure, ok := errors.AsType[*Error](err); ok {
			failure.noAbsence = true // the list itself was not found: a wrong account, a wrong base URL
		}
		if err != nil {
			return nil, err
		}
		if tunnel.Name == name && !tunnel.IsDeleted() {
			return tunnel, nil
		}
	}
	return nil, fmt.Errorf("cftunnel: no live tunnel is named %q: %w", name, ErrNotFound)
}

// Ensure returns the live tunnel of params.Name, and makes it where there is none: GET and POST /accounts/{account_id}/cfd_tunnel. It can be
// called again at any time, also after it failed, and by several programs at once; it never makes two. created is true where this call is
// known to have made the tunnel, which then has its Token; one that was found has none, and its configuration source and secret are as
// they are. After a create whose answer was lost, the tunnel is looked for, and made once more where it is not there.
//
// Errors: [ErrTunnelNameTaken] where the name belongs to a tunnel that the credentials cannot read, or to a WARP connector;
// [ErrOutcomeUnknown] where the answers to both creates were lost, and no such tunnel could be found.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/create/
func (s *TunnelsService) Ensure(ctx context.Context, params TunnelCreateParams, opts ...CallOption) (t *Tunnel, created bool, err error) {
	if err := params.check(); err != nil {
		return nil, false, err
	}
	t, err = s.FindByName(ctx, params.Name, opts...)
	if !errors.Is(err, ErrNotFound) {
		return t, false, err
	}
	// A create may be tried again where the tunnel is not found after a lost answer: the name is its key, so there is never a second one.
	var lost error // of the first create
	for range 2 {
		if t, err = s.Create(ctx, params, opts...); err == nil {
			return t, true, nil
		}
		if !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrTunnelNameTaken) {
			return nil, false, join(err, lost)
		}
		// Somebody made it: this call, or another at the same time.
		found, findErr := s.FindByName(ctx, params.Name, opts...)
		switch {
		case findErr == nil:
			return found, false, nil
		case !errors.Is(findErr, ErrNotFound):
			return nil, false, fmt.Errorf("%w; and looking for the tunnel failed: %w", join(err, lost), findErr)
		case errors.Is(err, ErrTunnelNameTaken):
			return nil, false, join(err, lost)
		}
		lost = err
	}
	return nil, false, err
}

// RotateParams says how to rotate.
type RotateParams struct {
	// Secret is the new secret: standard base64 of at least 32 random bytes. It is made where it is zero.
	Secret Secret
	// CleanupConnections drops the tunnel's connections when the secret is new, so that replicas with the old token are out at once:
	// what to do after a compromise. WARP connectors have no such clean-up.
	CleanupConnections bool
}

// Rotation is what came of a rotation.
type Rotation struct {
	// Tunnel is nil where no answer to the rotation could be read.
	Tunnel *Tunnel
	// Token is the new token, to run replicas with.
	Token Secret
}

// RotateSecret gives a tunnel a new secret, and returns its new token: PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}. From then on the
// old token opens no new connections; those that stand stay until their replica restarts, or with params.CleanupConnections are dropped:
// DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections. The secret is made once, so that a request whose answer was lost is repeated
// with the same.
//
// Where the clean-up fails after the rotation, the Rotation is returned beside the error, which says so. It is also returned, without a
// Tunnel, beside an [ErrOutcomeUnknown]: its Token is the new one if the rotation was carried out.
//
// With every other error the Rotation is nil. Compare tokens by the Secret that [ParseTunnelToken] finds in them: the same credentials have
// several texts.
//
// Other errors: [ErrNotFound].
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/edit/
func (s *TunnelsService) RotateSecret(ctx context.Context, tunnelID string, params RotateParams, opts ...CallOption) (*Rotation, error) {
	secret := params.Secret
	if secret.IsZero() {
		secret = NewTunnelSecret()
	}
	credentials := TunnelCredentials{
		AccountTag: strings.ToLower(s.client.accountID), TunnelID: strings.ToLower(tunnelID), Secret: secret,
	}
	tunnel, err := s.Update(ctx, tunnelID, TunnelUpdateParams{Secret: secret}, opts...)
	if errors.Is(err, ErrOutcomeUnknown) {
		return &Rotation{Token: credentials.Token()}, err
	}
	if err != nil {
		return nil, err
	}
	rotation := &Rotation{Tunnel: tunnel, Token: tunnel.Token}
	if rotation.Token.IsZero() {
		rotation.Token = credentials.Token()
	}
	if !params.CleanupConnections {
		return rotation, nil
	}
	if err := s.client.Connectors.Cleanup(ctx, tunnelID, CleanupParams{}, opts...); err != nil {
		return rotation, fmt.Errorf("cftunnel: tunnel %s is rotated, but its connections are not cleaned up: %w", tunnelID, err)
	}
	return rotation, nil
}

// How long CleanupAndDelete goes on, and how long it pauses between.
const (
	maxDeleting      = 2 * time.Minute
	firstDeletePause = time.Second
	maxDeletePause   = 10 * time.Second
)

// CleanupAndDelete cleans up a tunnel's connections and deletes it: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections and
// DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}. Replicas that still run connect again, so both are repeated while the server says that there
// are connections, for as long as the context lasts and two minutes at most.
//
// Errors: [ErrActiveConnections] where replicas kept coming back, beside the context's error; [ErrNotFound]; [ErrOutcomeUnknown], after which
// it can be called again.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/delete/
func (s *TunnelsService) CleanupAndDelete(ctx context.Context, tunnelID string, opts ...CallOption) (*Tunnel, error) {
	if ctx == nil {
		return nil, invalid("ctx", "is nil")
	}
	ctx, cancel := context.WithTimeout(ctx, maxDeleting)
	defer cancel()
	var refusal error // by those connections, the latest
	for pause := firstDeletePause; ; pause = min(2*pause, maxDeletePause) {
		if err := s.client.Connectors.Cleanup(ctx, tunnelID, CleanupParams{}, opts...); err != nil {
			return nil, join(err, refusal)
		}
		tunnel, err := s.Delete(ctx, tunnelID, TunnelDeleteParams{}, opts...)
		switch {
		case err == nil:
			return tunnel, nil
		case !errors.Is(err, ErrActiveConnections):
			return nil, join(err, refusal)
		}
		refusal = fmt.Errorf("cftunnel: the replicas of tunnel %s keep coming back: %w", tunnelID, err)
		if err := sleep(ctx, pause); err != nil {
			return nil, join(err, refusal)
		}
	}
}

// WaitParams says how to wait.
type WaitParams struct {
	// Interval is the first pause between two looks. Each one after is half as long again, up to 15 s or Interval, whichever is more. The
	// default is 1 s.
	Interval time.Duration
	// OnPoll is told what each look found.
	OnPoll func(*Tunnel)
}

// Pauses of WaitForStatus.
const (
	defaultInterval = time.Second
	maxInterval     = 15 * time.Second
)

// WaitForStatus looks at a tunnel until it has this status, and returns it: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}. It goes on for as long
// as the context lasts; its error then names the status that was last seen, and the tunnel as it was last seen is returned beside it.
//
// Errors: [ErrNotFound], also for a tunnel that is deleted; the context's; those of Get.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/get/
func (s *TunnelsService) WaitForStatus(ctx context.Context, tunnelID string, status TunnelStatus, params WaitParams, opts ...CallOption) (*Tunnel, error) {
	switch {
	case status == "":
		return nil, invalid("status", "is empty")
	case params.Interval < 0:
		return nil, invalid("Interval", "is %s; it cannot be negative", params.Interval)
	}
	pause := cmp.Or(params.Interval, defaultInterval)
	longest := max(pause, maxInterval)
	var last *Tunnel
	for {
		tunnel, err := s.Get(ctx, tunnelID, opts...)
		if err == nil {
			last = tunnel
			if params.OnPoll != nil {
				params.OnPoll(tunnel)
			}
			switch {
			case tunnel.IsDeleted():
				return tunnel, fmt.Errorf("cftunnel: tunnel %s is deleted, and will not be %s: %w", tunnelID, status, ErrNotFound)
			case tunnel.Status == status:
				return tunnel, nil
			}
			err = sleep(ctx, pause)
		}
		if err != nil && last != nil {
			return last, fmt.Errorf("cftunnel: tunnel %s was last seen %s, not %s: %w", tunnelID, last.Status, status, err)
		}
		if err != nil {
			return nil, err
		}
		pause = min(pause+max(pause/2, 1), longest)
	}
}

// sleep waits, or returns the error of a context that ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tunnelAnswer is a tunnel as answers have it.
type tunnelAnswer struct {
	Tunnel
	RemoteConfig remoteConfig `json:"remote_config"`
	Token        string       `json:"token"`
}

func (a tunnelAnswer) complete() bool { return a.ID != "" }

// tunnel returns what is inside, with what the answer tells elsewhere.
func (a *tunnelAnswer) tunnel() *Tunnel {
	if a.ConfigSource == "" && !a.IsDeleted() {
		a.ConfigSource = a.RemoteConfig.source
	}
	return &a.Tunnel
}

// remoteConfig is the older form of a tunnel's ConfigSource: whether the API has its configuration.
type remoteConfig struct{ source ConfigSource }

// UnmarshalJSON takes a bool. It tells one that is missing from false.
func (r *remoteConfig) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true":
		r.source = ConfigSourceCloudflare
	case "false":
		r.source = ConfigSourceLocal
	case "null":
		r.source = ""
	default:
		return json.Unmarshal(data, new(bool)) // for its error
	}
	return nil
}

// tokenAnswer is a bare string.
type tokenAnswer string

func (a tokenAnswer) complete() bool { return a != "" }

// token sends a request whose answer is a bare token.
func (c *Client) token(ctx context.Context, r request, opts []CallOption) (Secret, error) {
	token, err := fetch[tokenAnswer](ctx, c, r, opts)
	if err != nil {
		return Secret{}, err
	}
	return NewSecret(string(*token)), nil
}

// list reads one page of tunnels of one kind.
func (c *Client) list(ctx context.Context, op operation, params TunnelListParams, opts []CallOption) (*Page[Tunnel], error) {
	if err := checkList(params.UUID, params.Page, params.PerPage); err != nil {
		return nil, err
	}
	params.IsDeleted = orFalse(params.IsDeleted)
	return c.tunnels(ctx, request{operation: op, query: params}, opts)
}

// update changes a tunnel of any kind that can be changed.
func (c *Client) update(ctx context.Context, op operation, tunnelID string, params TunnelUpdateParams, opts []CallOption) (*Tunnel, error) {
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
	return c.tunnel(ctx, request{operation: op, tunnelID: tunnelID, body: struct {
		Name   string `json:"name,omitempty"`
		Secret string `json:"tunnel_secret,omitempty"`
	}{params.Name, params.Secret.Reveal()}}, opts)
}

// tunnel sends a request whose answer is a tunnel. Only those that change it may bring its token.
func (c *Client) tunnel(ctx context.Context, r request, opts []CallOption) (*Tunnel, error) {
	answer, err := fetch[tunnelAnswer](ctx, c, r, opts)
	if err != nil {
		return nil, err
	}
	tunnel := answer.tunnel()
	if r.secret {
		tunnel.Token = NewSecret(answer.Token)
	}
	return tunnel, nil
}

// deleteTunnel sends a request that deletes a tunnel. That it succeeded does not depend on what the answer says of the tunnel, which may be
// nothing but its id then.
func (c *Client) deleteTunnel(ctx context.Context, r request, opts []CallOption) (*Tunnel, error) {
	var answer *tunnelAnswer
	r.result = &answer
	if _, err := c.send(ctx, r, opts); err != nil {
		return nil, err
	}
	if answer == nil || !answer.complete() {
		return &Tunnel{ID: r.tunnelID}, nil
	}
	return answer.tunnel(), nil
}

// tunnels sends a request whose answer is a page of tunnels.
func (c *Client) tunnels(ctx context.Context, r request, opts []CallOption) (*Page[Tunnel], error) {
	var answers []tunnelAnswer
	r.result = &answers
	info, err := c.send(ctx, r, opts)
	if err != nil {
		return nil, err
	}
	page := &Page[Tunnel]{Items: make([]Tunnel, len(answers))}
	for i := range answers {
		page.Items[i] = *answers[i].tunnel()
	}
	if info != nil {
		page.Info = PageInfo(*info)
	}
	return page, nil
}

// allTunnels reads every page of a list of one kind.
func allTunnels(params TunnelListParams, list func(TunnelListParams) (*Page[Tunnel], error)) iter.Seq2[*Tunnel, error] {
	return pagesOfTunnels(params.Page, params.PerPage, func(page, perPage int) (*Page[Tunnel], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return list(params)
	})
}

func pagesOfTunnels(page, perPage int, fetch func(page, perPage int) (*Page[Tunnel], error)) iter.Seq2[*Tunnel, error] {
	return pager[Tunnel]{
		page: page, perPage: perPage, fetch: fetch,
		identity: func(t *Tunnel) string { return t.ID + "\x00" + t.Name },
	}.all()
}

func checkName(argument, name string) error {
	if strings.TrimSpace(name) == "" {
		return invalid(argument, "is empty or blank")
	}
	return nil
}

func checkList(uuid string, page, perPage int) error {
	if uuid != "" {
		if err := apipath.UUID(uuid); err != nil {
			return invalid("UUID", "%v", err)
		}
	}
	if page < 0 {
		return invalid("Page", "is %d; pages count from 1", page)
	}
	if perPage < 0 || perPage > maxPerPage {
		return invalid("PerPage", "is %d; a page holds 1 to %d", perPage, maxPerPage)
	}
	return nil
}

func orFalse(b *bool) *bool {
	if b == nil {
		return new(false)
	}
	return b
}
