package cftunnel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/openjson"
	"github.com/cftunnel/cftunnel-go/internal/retry"
)

// TunnelConfiguration is the remote configuration of a tunnel, as it is kept by the API. What is set is its Config.
type TunnelConfiguration struct {
	TunnelID string // a UUID
	// Version is one more after each change, and 0 where the configuration was never set.
	Version int
	Config  TunnelConfig // without rules where it was never set
	Source  ConfigSource // where cloudflared takes its configuration from
	// CreatedAt is zero where the configuration was never set.
	CreatedAt time.Time
}

// TunnelConfig says where a tunnel sends what comes through it. What the API keeps in it beyond these fields survives reading, changing and
// writing, here and in the types below.
type TunnelConfig struct {
	// Ingress is matched in its order. The last rule must match everything.
	Ingress []IngressRule `json:"ingress,omitempty"`
	// OriginRequest is for every rule that does not say otherwise.
	OriginRequest *OriginRequest `json:"originRequest,omitempty"`
	WARPRouting   *WARPRouting   `json:"warp-routing,omitempty"` // nil is off

	rest openjson.Rest
}

// IngressRule sends what matches its hostname and path to a service.
type IngressRule struct {
	// Hostname may begin with "*.". Empty matches every host.
	Hostname string `json:"hostname,omitempty"`
	// Path is a regular expression. Empty matches every path.
	Path string `json:"path,omitempty"`
	// Service is a URL of the schemes http, https, ws, wss, tcp, ssh, rdp or smb, a socket as unix:PATH or unix+tls:PATH, an answer
	// as http_status:404, or one of hello_world, bastion and socks-proxy.
	Service       string         `json:"service"`
	OriginRequest *OriginRequest `json:"originRequest,omitempty"` // for this rule; nil takes over the whole configuration's

	rest openjson.Rest
}

// OriginRequest says how cloudflared talks to a service. Fields that are nil or empty are cloudflared's defaults, or in a rule those of the
// whole configuration.
type OriginRequest struct {
	Access *Access `json:"access,omitempty"` // nil checks no token
	// CAPool is a path, on cloudflared's machine, to the certificates that the service's own is checked by.
	CAPool string `json:"caPool,omitempty"`
	// ConnectTimeout is in seconds. cloudflared's default is 10.
	ConnectTimeout *int `json:"connectTimeout,omitempty"`
	// DisableChunkedEncoding sends bodies with their length, for services that read no others.
	DisableChunkedEncoding *bool `json:"disableChunkedEncoding,omitempty"`
	// HTTP2Origin talks HTTP/2 to a service of the scheme https.
	HTTP2Origin *bool `json:"http2Origin,omitempty"`
	// HTTPHostHeader replaces the Host header.
	HTTPHostHeader string `json:"httpHostHeader,omitempty"`
	// KeepAliveConnections is how many idle connections are kept. cloudflared's default is 100.
	KeepAliveConnections *int `json:"keepAliveConnections,omitempty"`
	// KeepAliveTimeout is in seconds. cloudflared's default is 90.
	KeepAliveTimeout *int `json:"keepAliveTimeout,omitempty"`
	// NoHappyEyeballs does not try the other of IPv4 and IPv6 where one is slow.
	NoHappyEyeballs *bool `json:"noHappyEyeballs,omitempty"`
	// NoTLSVerify takes any certificate of the service.
	NoTLSVerify *bool `json:"noTLSVerify,omitempty"`
	// OriginServerName is the name that the service's certificate must have.
	OriginServerName string `json:"originServerName,omitempty"`
	// ProxyType is empty, or "socks".
	ProxyType string `json:"proxyType,omitempty"`
	// TCPKeepAlive is in seconds. cloudflared's default is 30.
	TCPKeepAlive *int `json:"tcpKeepAlive,omitempty"`
	// TLSTimeout is in seconds. cloudflared's default is 10.
	TLSTimeout *int `json:"tlsTimeout,omitempty"`

	rest openjson.Rest
}

// Access makes cloudflared check the token of Cloudflare Access on each request.
type Access struct {
	// AUDTag is the audience tags of the applications whose tokens are taken.
	AUDTag []string `json:"audTag,omitempty"`
	// TeamName is the organization's, as in its domain: TeamName.cloudflareaccess.com.
	TeamName string `json:"teamName,omitempty"`
	// Required refuses requests without a token.
	Required bool `json:"required,omitempty"`

	rest openjson.Rest
}

// WARPRouting says whether private networks are reached through the tunnel.
type WARPRouting struct {
	Enabled bool `json:"enabled"` // false is cloudflared's default

	rest openjson.Rest
}

// The codecs of the types that keep what they do not know.

// UnmarshalJSON reads the fields, and keeps members that the type does not have.
func (c *TunnelConfig) UnmarshalJSON(data []byte) (err error) {
	c.rest, err = keep(data, (*plainConfig)(c))
	return err
}

// MarshalJSON writes the fields, and the members that UnmarshalJSON kept.
func (c TunnelConfig) MarshalJSON() ([]byte, error) { return openjson.Marshal(plainConfig(c), c.rest) }

// UnmarshalJSON reads the fields, and keeps members that the type does not have.
func (r *IngressRule) UnmarshalJSON(data []byte) (err error) {
	r.rest, err = keep(data, (*plainRule)(r))
	// A catch-all has no hostname and no path, not empty ones.
	for _, name := range []string{"hostname", "path"} {
		if empty := string(r.rest[name]); empty == `""` || empty == "null" {
			delete(r.rest, name)
		}
	}
	if len(r.rest) == 0 {
		r.rest = nil
	}
	return err
}

// MarshalJSON writes the fields, and the members that UnmarshalJSON kept.
func (r IngressRule) MarshalJSON() ([]byte, error) { return openjson.Marshal(plainRule(r), r.rest) }

// UnmarshalJSON reads the fields, and keeps members that the type does not have.
func (o *OriginRequest) UnmarshalJSON(data []byte) (err error) {
	o.rest, err = keep(data, (*plainOrigin)(o))
	return err
}

// MarshalJSON writes the fields, and the members that UnmarshalJSON kept.
func (o OriginRequest) MarshalJSON() ([]byte, error) { return openjson.Marshal(plainOrigin(o), o.rest) }

// UnmarshalJSON reads the fields, and keeps members that the type does not have.
func (a *Access) UnmarshalJSON(data []byte) (err error) {
	a.rest, err = keep(data, (*plainAccess)(a))
	return err
}

// MarshalJSON writes the fields, and the members that UnmarshalJSON kept.
func (a Access) MarshalJSON() ([]byte, error) { return openjson.Marshal(plainAccess(a), a.rest) }

// UnmarshalJSON reads the fields, and keeps members that the type does not have.
func (w *WARPRouting) UnmarshalJSON(data []byte) (err error) {
	w.rest, err = keep(data, (*plainRouting)(w))
	return err
}

// MarshalJSON writes the fields, and the members that UnmarshalJSON kept.
func (w WARPRouting) MarshalJSON() ([]byte, error) { return openjson.Marshal(plainRouting(w), w.rest) }

// The same types without their methods, for the codec.
type (
	plainConfig  TunnelConfig
	plainRule    IngressRule
	plainOrigin  OriginRequest
	plainAccess  Access
	plainRouting WARPRouting
)

// keep takes null for an object without members, as the standard library does.
func keep(data []byte, v any) (openjson.Rest, error) {
	if string(data) == "null" {
		return nil, nil
	}
	return openjson.Unmarshal(data, v)
}

// Validate says what the server would refuse: no rules, a last rule that does not match everything, a service that is none. The error
// is an [*InvalidArgumentError] that names the rule. UpdateConfiguration and ModifyConfiguration ask it before they send.
func (c TunnelConfig) Validate() error {
	if len(c.Ingress) == 0 {
		return invalid("Ingress", "has no rules; at least one that matches everything is needed")
	}
	for i, rule := range c.Ingress {
		if reason := serviceProblem(rule.Service); reason != "" {
			return invalid(fmt.Sprintf("Ingress[%d].Service", i), "%s", reason)
		}
	}
	last := len(c.Ingress) - 1
	switch {
	case c.Ingress[last].Hostname != "":
		return invalid(fmt.Sprintf("Ingress[%d].Hostname", last), "is set, but the last rule must match everything")
	case c.Ingress[last].Path != "":
		return invalid(fmt.Sprintf("Ingress[%d].Path", last), "is set, but the last rule must match everything")
	}
	return nil
}

// Services of cloudflared itself, and the schemes of those that it connects to.
var (
	ownServices    = []string{"hello_world", "hello-world", "helloworld", "bastion", "socks-proxy"}
	serviceSchemes = []string{"http", "https", "ws", "wss", "tcp", "ssh", "rdp", "smb"}
)

func serviceProblem(service string) string {
	if service == "" {
		return "is empty"
	}
	if slices.Contains(ownServices, service) {
		return ""
	}
	if code, ok := strings.CutPrefix(service, "http_status:"); ok {
		if n, err := strconv.ParseUint(code, 10, 16); err != nil || n < 100 || n > 599 {
			return "is http_status without a status, such as http_status:404"
		}
		return ""
	}
	for _, prefix := range []string{"unix:", "unix+tls:"} {
		if path, ok := strings.CutPrefix(service, prefix); ok {
			if path == "" {
				return "is a socket without a path"
			}
			return ""
		}
	}
	u, err := url.Parse(service)
	switch {
	case err != nil || !slices.Contains(serviceSchemes, u.Scheme):
		return "has no scheme that is known, such as http://, tcp:// or http_status:"
	case u.Hostname() == "":
		return "has no host"
	}
	return ""
}

const configurationPath = tunnelPath + "/configurations"

// The operations on remote configurations.
var (
	opConfiguration = op("Tunnels.Configuration", http.MethodGet, configurationPath, tunnelsRead)
	opConfigure     = op("Tunnels.UpdateConfiguration", http.MethodPut, configurationPath, tunnelsWrite)
)

// Configuration returns a tunnel's remote configuration: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations. One that was never
// set is no error: its Version is 0 and its Config empty.
//
// Errors: [ErrNotFound], also for a deleted tunnel.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/get/
func (s *TunnelsService) Configuration(ctx context.Context, tunnelID string, opts ...CallOption) (*TunnelConfiguration, error) {
	return s.configuration(ctx, request{operation: opConfiguration, ids: []string{tunnelID}}, opts)
}

// UpdateConfiguration replaces the whole of a tunnel's remote configuration, and returns it as it then is:
// PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations. To change a part of it, use [TunnelsService.ModifyConfiguration].
// The replicas of a tunnel whose ConfigSource is local take no notice of it.
//
// Errors: [*InvalidArgumentError] for what [TunnelConfig.Validate] says; [ErrNotFound], also for a deleted tunnel; [ErrBadRequest];
// [ErrOutcomeUnknown] where it may be replaced all the same.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/update/
func (s *TunnelsService) UpdateConfiguration(ctx context.Context, tunnelID string, config TunnelConfig, opts ...CallOption) (*TunnelConfiguration, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return s.configure(ctx, request{operation: opConfigure, ids: []string{tunnelID}}, config, opts)
}

// maxModifications bounds how often ModifyConfiguration starts over.
const maxModifications = 5

// ModifyConfiguration reads a tunnel's remote configuration, lets modify change it, and writes it:
// GET and PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations. What this package does not know in it is kept. An error of modify ends
// it, unwritten.
//
// The API cannot write under a condition, so that this is a best effort against others who write at the same time. The configuration is
// read once more just before it is written, and where it has changed, everything starts over with the new one, so that modify may be
// called several times. After five rounds it gives up with [ErrConcurrentUpdate] and no result. Where the version of what was written
// tells that somebody else wrote between that last read and the write, their change is lost: the result is returned, and
// ErrConcurrentUpdate beside it. A write whose answer was lost is not repeated blindly: the configuration is read, and tells whether it was
// written. Where it is neither as before nor as it was to be, nobody can tell, and the error is both [ErrOutcomeUnknown] and
// ErrConcurrentUpdate. The somebody else whose change is lost may then be this call: its own write, given up, and come late.
//
// Other errors are those of Configuration and UpdateConfiguration.
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/update/
func (s *TunnelsService) ModifyConfiguration(ctx context.Context, tunnelID string, modify func(*TunnelConfig) error, opts ...CallOption) (*TunnelConfiguration, error) {
	if modify == nil {
		return nil, invalid("modify", "is nil")
	}
	c, err := clientOf(s)
	if err != nil {
		return nil, err
	}
	options, err := newCallOptions(opts, c.retry.MaxAttempts)
	if err != nil {
		return nil, err
	}
	policy := c.retry
	delays := retry.NewDelays(policy.BaseDelay, policy.MaxDelay)
	current, err := s.Configuration(ctx, tunnelID, opts...)
	if err != nil {
		return nil, err
	}
	var lost error // of a write that was not there when it was looked for
	losses := 0
	var sent TunnelConfig // by that write, over the version before
	before := -1
	for range maxModifications {
		version, config := current.Version, current.Config
		if err := modify(&config); err != nil {
			return nil, joinCauses(err, lost)
		}
		if err := config.Validate(); err != nil {
			return nil, joinCauses(err, lost)
		}
		if current, err = s.Configuration(ctx, tunnelID, opts...); err != nil {
			return nil, joinCauses(err, lost)
		}
		if current.Version != version {
			if lost != nil && current.Version == before+1 && same(current.Config, sent) {
				return current, nil // it came late
			}
			continue
		}
		written, err := s.configure(ctx, request{operation: once(opConfigure), ids: []string{tunnelID}}, config, opts)
		switch {
		case err == nil && written.Version > version+1:
			return written, fmt.Errorf("cftunnel: the configuration of tunnel %s went from version %d to %d, so that a change by somebody else is lost: %w",
				tunnelID, version, written.Version, ErrConcurrentUpdate)
		case err == nil:
			return written, nil
		case !errors.Is(err, ErrOutcomeUnknown):
			return nil, joinCauses(err, lost)
		}

		lost, sent, before = err, config, version
		losses++
		if current, err = s.Configuration(ctx, tunnelID, opts...); err != nil {
			return nil, joinCauses(err, lost)
		}
		switch {
		case current.Version == version+1 && same(current.Config, config):
			return current, nil
		case current.Version != version:
			return nil, fmt.Errorf("%w; the configuration has gone from version %d to %d: %w", lost, version, current.Version, ErrConcurrentUpdate)
		case losses >= options.maxAttempts:
			return nil, lost
		}
		pause := delays.Next()
		if failure, ok := errors.AsType[*Error](lost); ok {
			pause = max(pause, failure.RetryAfter)
		}
		if pause > policy.MaxDelay {
			return nil, lost
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, joinCauses(err, lost)
		}
	}
	return nil, joinCauses(fmt.Errorf("cftunnel: the configuration of tunnel %s was changed by somebody else again and again; it was not written: %w",
		tunnelID, ErrConcurrentUpdate), lost)
}

// same compares what would be sent.
func same(a, b TunnelConfig) bool {
	one, oneErr := json.Marshal(a)
	other, otherErr := json.Marshal(b)
	return oneErr == nil && otherErr == nil && bytes.Equal(one, other)
}

// configure writes a configuration that was validated.
func (s *TunnelsService) configure(ctx context.Context, r request, config TunnelConfig, opts []CallOption) (*TunnelConfiguration, error) {
	r.body = struct {
		Config TunnelConfig `json:"config"`
	}{config}
	return s.configuration(ctx, r, opts)
}

func (s *TunnelsService) configuration(ctx context.Context, r request, opts []CallOption) (*TunnelConfiguration, error) {
	tunnelID := r.ids[0]
	response, err := doItem(ctx, s, r, func(c *configurationResponse) error {
		if c.TunnelID == "" { // what was never set has next to nothing
			return nil
		}
		return checkID(c.TunnelID, tunnelID)
	}, opts)
	if err != nil {
		return nil, err
	}
	return response.configuration(tunnelID), nil
}

type configurationResponse struct {
	TunnelID  string       `json:"tunnel_id"`
	Version   int          `json:"version"`
	Config    TunnelConfig `json:"config"`
	Source    ConfigSource `json:"source"`
	CreatedAt time.Time    `json:"created_at"`
}

func (a configurationResponse) configuration(tunnelID string) *TunnelConfiguration {
	return &TunnelConfiguration{TunnelID: cmp.Or(a.TunnelID, tunnelID), Version: a.Version, Config: a.Config, Source: a.Source, CreatedAt: a.CreatedAt}
}
