package cftunnel

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/unknownjson"
)

// TunnelConfiguration is the remote configuration of a tunnel, as the API stores it.
type TunnelConfiguration struct {
	TunnelID string // a UUID
	// Version grows by one with each write. It is 0 if the configuration was never set.
	Version int
	Config  TunnelConfig // empty if it was never set
	// Source is where cloudflared reads its configuration from. If it is ConfigSourceLocal, Config
	// has no effect.
	Source    ConfigSource
	CreatedAt time.Time // zero if the configuration was never set
}

// TunnelConfig is what a remote configuration consists of.
//
// Members that this package does not know survive reading, changing and writing, here and in the
// types below. So do members that a field cannot hold, such as a list that is an object: the field
// is then zero, and setting it is an error of the write.
type TunnelConfig struct {
	// Ingress is matched in order. The last rule must match every request.
	Ingress []IngressRule `json:"ingress,omitempty"`
	// OriginRequest applies to each rule that does not override it.
	OriginRequest *OriginRequest `json:"originRequest,omitempty"`
	WARPRouting   *WARPRouting   `json:"warp-routing,omitempty"` // nil is off

	members unknownjson.Members
}

// IngressRule sends the requests that match its hostname and path to a service.
type IngressRule struct {
	// Hostname has no port, and a * only as its first character, as in "*.example.com". Empty and
	// "*" match every host.
	Hostname string `json:"hostname,omitempty"`
	// Path is a regular expression in RE2 syntax. Empty matches every path.
	Path string `json:"path,omitempty"`
	// Service is one of
	//   - a URL of scheme, host and port: http, https, ws and wss are proxied as HTTP, every other
	//     scheme, such as tcp, ssh or rdp, as a TCP stream
	//   - a socket: unix:PATH, or unix+tls:PATH
	//   - a fixed response: http_status:404
	//   - hello_world, bastion, or socks-proxy
	//
	// It is not looked at if OriginRequest.BastionMode is true.
	Service string `json:"service,omitempty"`
	// OriginRequest overrides TunnelConfig.OriginRequest, field by field.
	OriginRequest *OriginRequest `json:"originRequest,omitempty"`

	members unknownjson.Members
}

// OriginRequest configures how cloudflared connects to a service. A field that is nil or empty is
// inherited from TunnelConfig.OriginRequest, and in that one stands for cloudflared's default.
type OriginRequest struct {
	Access *Access `json:"access,omitempty"` // nil does not check tokens
	// BastionMode makes the rule a bastion (jump host), whatever its service.
	BastionMode *bool `json:"bastionMode,omitempty"`
	// CAPool is a file of CA certificates, on cloudflared's machine, to verify the service's
	// certificate with.
	CAPool string `json:"caPool,omitempty"`
	// ConnectTimeout is in seconds. cloudflared's default is 30.
	ConnectTimeout *int `json:"connectTimeout,omitempty" unit:"seconds"`
	// DisableChunkedEncoding sends request bodies with a Content-Length.
	DisableChunkedEncoding *bool `json:"disableChunkedEncoding,omitempty"`
	// HTTP2Origin uses HTTP/2 for services with the scheme https.
	HTTP2Origin *bool `json:"http2Origin,omitempty"`
	// HTTPHostHeader replaces the Host header.
	HTTPHostHeader string `json:"httpHostHeader,omitempty"`
	// IPRules says which destinations the service socks-proxy may connect to. The first that
	// matches counts.
	IPRules []IPRule `json:"ipRules,omitempty"`
	// KeepAliveConnections is the maximum number of idle connections. cloudflared's default is 100.
	KeepAliveConnections *int `json:"keepAliveConnections,omitempty"`
	// KeepAliveTimeout is in seconds. cloudflared's default is 90.
	KeepAliveTimeout *int `json:"keepAliveTimeout,omitempty" unit:"seconds"`
	// MatchSNIToHost expects the service's certificate to be for the request's host.
	MatchSNIToHost *bool `json:"matchSNItoHost,omitempty"`
	// NoHappyEyeballs disables the fallback between IPv6 and IPv4.
	NoHappyEyeballs *bool `json:"noHappyEyeballs,omitempty"`
	// NoTLSVerify accepts any certificate of the service.
	NoTLSVerify *bool `json:"noTLSVerify,omitempty"`
	// OriginServerName is the name that the service's certificate must be for.
	OriginServerName string `json:"originServerName,omitempty"`
	// ProxyAddress is the address that the proxy of a bastion or TCP service listens on.
	ProxyAddress string `json:"proxyAddress,omitempty"`
	// ProxyPort is the port of ProxyAddress. 0 is a random one.
	ProxyPort *int `json:"proxyPort,omitempty"`
	// ProxyType is empty, or "socks" for a SOCKS5 proxy.
	ProxyType string `json:"proxyType,omitempty"`
	// TCPKeepAlive is in seconds. cloudflared's default is 30.
	TCPKeepAlive *int `json:"tcpKeepAlive,omitempty" unit:"seconds"`
	// TLSTimeout is in seconds. cloudflared's default is 10.
	TLSTimeout *int `json:"tlsTimeout,omitempty" unit:"seconds"`

	members unknownjson.Members
}

// IPRule allows or denies destinations of the service socks-proxy.
type IPRule struct {
	Prefix string `json:"prefix,omitempty"` // a CIDR, such as 192.0.2.0/24
	Ports  []int  `json:"ports,omitempty"`  // none is every port
	Allow  bool   `json:"allow,omitempty"`  // false denies

	members unknownjson.Members
}

// Access makes cloudflared verify the token of Cloudflare Access on each request.
type Access struct {
	// AUDTag lists the audience tags of the applications whose tokens are accepted.
	AUDTag []string `json:"audTag,omitempty"`
	// Environment is the Access environment. The default is the public one; "fedramp" is another.
	Environment string `json:"environment,omitempty"`
	// Required rejects requests without a valid token. With AUDTag it needs TeamName.
	Required bool `json:"required,omitempty"`
	// TeamName is the organization's, as in its domain TeamName.cloudflareaccess.com.
	TeamName string `json:"teamName,omitempty"`

	members unknownjson.Members
}

// WARPRouting configures access to private networks through the tunnel.
type WARPRouting struct {
	// Enabled turns it on. cloudflared 2026.8 ignores it. False is written if it was read, if
	// ModifyConfiguration turned it off, or if no other field is set.
	Enabled bool `json:"enabled,omitempty"`
	// ConnectTimeout is in seconds. cloudflared's default is 5.
	ConnectTimeout *int `json:"connectTimeout,omitempty" unit:"seconds"`
	// MaxActiveFlows limits the number of concurrent TCP and UDP flows. cloudflared's default is no
	// limit.
	MaxActiveFlows *int `json:"maxActiveFlows,omitempty"`
	// TCPKeepAlive is in seconds. cloudflared's default is 30.
	TCPKeepAlive *int `json:"tcpKeepAlive,omitempty" unit:"seconds"`

	members unknownjson.Members
}

const configurationPath = tunnelPath + "/configurations"

// The operations on remote configurations.
var (
	opConfiguration = op("Tunnels.Configuration", http.MethodGet, configurationPath, tunnelsRead)
	opConfigure     = op("Tunnels.UpdateConfiguration", http.MethodPut, configurationPath, tunnelsWrite)
)

// Configuration returns the remote configuration of a tunnel. If it was never set, Version is 0 and
// Config is empty.
//
// It returns [ErrNotFound] for an unknown tunnel and for a deleted one.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/get/
func (s *TunnelsService) Configuration(ctx context.Context, tunnelID string, opts ...CallOption) (*TunnelConfiguration, error) {
	return s.configuration(ctx, request{operation: opConfiguration, ids: []string{tunnelID}}, opts)
}

// UpdateConfiguration replaces the whole remote configuration of a tunnel and returns the new one.
// To change a part of it, use [TunnelsService.ModifyConfiguration].
//
// It returns an [*InvalidArgumentError] for what [TunnelConfig.Validate] refuses, [ErrNotFound] for
// an unknown or deleted tunnel, [ErrBadRequest] for what the API refuses, and [ErrOutcomeUnknown]
// if the configuration may have been replaced. If the tunnel is locally managed, the configuration
// is stored and has no effect: the result is returned beside [ErrLocallyManaged].
//
// Operation: PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/update/
func (s *TunnelsService) UpdateConfiguration(ctx context.Context, tunnelID string, config TunnelConfig, opts ...CallOption) (*TunnelConfiguration, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	encoded, err := config.encode()
	if err != nil {
		return nil, err
	}
	r := request{operation: opConfigure, ids: []string{tunnelID}}
	written, err := s.configure(ctx, r, encoded, opts)
	if err != nil {
		return nil, err
	}
	return written, written.localError()
}

// configure writes a configuration that was checked and encoded.
func (s *TunnelsService) configure(ctx context.Context, r request, config json.RawMessage, opts []CallOption) (*TunnelConfiguration, error) {
	r.body = struct {
		Config json.RawMessage `json:"config"`
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

// localError returns ErrLocallyManaged if the tunnel does not read its remote configuration.
func (c *TunnelConfiguration) localError() error {
	if c.Source != ConfigSourceLocal {
		return nil
	}
	return fmt.Errorf("cftunnel: tunnel %s does not read its remote configuration, version %d: %w",
		c.TunnelID, c.Version, ErrLocallyManaged)
}

type configurationResponse struct {
	TunnelID  string       `json:"tunnel_id"`
	Version   int          `json:"version"`
	Config    TunnelConfig `json:"config"`
	Source    ConfigSource `json:"source"`
	CreatedAt time.Time    `json:"created_at"`
}

func (r configurationResponse) configuration(tunnelID string) *TunnelConfiguration {
	return &TunnelConfiguration{
		TunnelID: cmp.Or(r.TunnelID, tunnelID), Version: r.Version, Config: r.Config,
		Source: r.Source, CreatedAt: r.CreatedAt,
	}
}
