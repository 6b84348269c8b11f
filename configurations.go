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
	// TunnelID is the ID of the tunnel.
	TunnelID string
	// Version grows by one with each write. It is 0 if the configuration was never set.
	Version int
	// Config is empty if the configuration was never set.
	Config TunnelConfig
	// Source is where cloudflared reads its configuration from. If it is ConfigSourceLocal, Config
	// has no effect.
	Source ConfigSource
	// CreatedAt is when this version was written. It is zero if the configuration was never set.
	CreatedAt time.Time
}

// TunnelConfig is the content of a remote configuration: one that is stored in the API instead of
// in a file.
//
// JSON members that this package does not know are kept when a configuration is read, changed and
// written. This also applies inside [IngressRule], [OriginRequest] and the other structs of a
// configuration. A member whose JSON has an unexpected type, such as an object instead of a list,
// is kept too: its field is then zero, and a write that sets the field returns an error.
type TunnelConfig struct {
	// Ingress lists the rules. The first rule that matches a request applies. The last rule must
	// match every request.
	Ingress []IngressRule `json:"ingress,omitempty"`
	// OriginRequest applies to each rule that does not override it.
	OriginRequest *OriginRequest `json:"originRequest,omitempty"`
	// WARPRouting configures access to private networks. Nil means that it is off.
	WARPRouting *WARPRouting `json:"warp-routing,omitempty"`

	members unknownjson.Members
}

// IngressRule sends the requests that match its hostname and path to a service.
type IngressRule struct {
	// Hostname has no port. It may have a * as its first character, as in "*.example.com". An empty
	// Hostname and "*" match every host.
	Hostname string `json:"hostname,omitempty"`
	// Path is a regular expression in RE2 syntax. An empty Path matches every path.
	Path string `json:"path,omitempty"`
	// Service is one of:
	//   - a URL of scheme, host and port: http, https, ws and wss are proxied as HTTP; all other
	//     schemes, such as tcp, ssh or rdp, are proxied as TCP streams
	//   - a Unix socket: unix:PATH, or unix+tls:PATH
	//   - a fixed response: http_status:404
	//   - hello_world (a test page), bastion (a jump host) or socks-proxy (a SOCKS5 proxy)
	//
	// It is ignored if OriginRequest.BastionMode is true.
	Service string `json:"service,omitempty"`
	// OriginRequest overrides TunnelConfig.OriginRequest field by field. Nil overrides nothing.
	OriginRequest *OriginRequest `json:"originRequest,omitempty"`

	members unknownjson.Members
}

// OriginRequest configures how cloudflared connects to a service. In a rule, a field that is nil or
// empty inherits the value of TunnelConfig.OriginRequest. In TunnelConfig.OriginRequest, such a
// field means cloudflared's default.
type OriginRequest struct {
	// Access makes cloudflared verify tokens of Cloudflare Access.
	Access *Access `json:"access,omitempty"`
	// BastionMode makes the rule a bastion (jump host). Its Service is then ignored.
	BastionMode *bool `json:"bastionMode,omitempty"`
	// CAPool is the path of a file with CA certificates on cloudflared's machine. They are used to
	// verify the certificate of the service.
	CAPool string `json:"caPool,omitempty"`
	// ConnectTimeout is the timeout for a new connection in seconds. cloudflared's default is 30.
	ConnectTimeout *int `json:"connectTimeout,omitempty" unit:"seconds"`
	// DisableChunkedEncoding sends request bodies with a Content-Length header instead of in
	// chunks.
	DisableChunkedEncoding *bool `json:"disableChunkedEncoding,omitempty"`
	// HTTP2Origin uses HTTP/2 for services with an https URL.
	HTTP2Origin *bool `json:"http2Origin,omitempty"`
	// HTTPHostHeader replaces the Host header of requests to the service.
	HTTPHostHeader string `json:"httpHostHeader,omitempty"`
	// IPRules limits the destinations that the service socks-proxy may connect to. The first rule
	// that matches applies.
	IPRules []IPRule `json:"ipRules,omitempty"`
	// KeepAliveConnections is the maximum number of idle connections. cloudflared's default is 100.
	KeepAliveConnections *int `json:"keepAliveConnections,omitempty"`
	// KeepAliveTimeout is how long an idle connection is kept, in seconds. cloudflared's default is
	// 90.
	KeepAliveTimeout *int `json:"keepAliveTimeout,omitempty" unit:"seconds"`
	// MatchSNIToHost requires that the certificate of the service is valid for the request's host.
	MatchSNIToHost *bool `json:"matchSNItoHost,omitempty"`
	// NoHappyEyeballs disables the fallback between IPv6 and IPv4.
	NoHappyEyeballs *bool `json:"noHappyEyeballs,omitempty"`
	// NoTLSVerify turns off the verification of the certificate of the service.
	NoTLSVerify *bool `json:"noTLSVerify,omitempty"`
	// OriginServerName is the name that the certificate of the service must be valid for.
	OriginServerName string `json:"originServerName,omitempty"`
	// ProxyAddress is the listen address of the proxy that cloudflared runs for a bastion or TCP
	// service.
	ProxyAddress string `json:"proxyAddress,omitempty"`
	// ProxyPort is the listen port of that proxy. 0 is a random port.
	ProxyPort *int `json:"proxyPort,omitempty"`
	// ProxyType is the type of that proxy: "socks" for SOCKS5, or empty.
	ProxyType string `json:"proxyType,omitempty"`
	// TCPKeepAlive is the TCP keepalive interval in seconds. cloudflared's default is 30.
	TCPKeepAlive *int `json:"tcpKeepAlive,omitempty" unit:"seconds"`
	// TLSTimeout is the timeout for a TLS handshake in seconds. cloudflared's default is 10.
	TLSTimeout *int `json:"tlsTimeout,omitempty" unit:"seconds"`

	members unknownjson.Members
}

// IPRule allows or denies destinations of the service socks-proxy.
type IPRule struct {
	// Prefix is a CIDR, such as 192.0.2.0/24.
	Prefix string `json:"prefix,omitempty"`
	// Ports lists the ports. If it is empty, the rule applies to every port.
	Ports []int `json:"ports,omitempty"`
	// Allow allows the destinations. False denies them.
	Allow bool `json:"allow,omitempty"`

	members unknownjson.Members
}

// Access makes cloudflared verify the token of each request, if Required is true. The token is a
// JWT of Cloudflare Access, the product that controls who can reach an application.
type Access struct {
	// AUDTag lists the audience tags (aud claims) of the Access applications whose tokens are
	// accepted.
	AUDTag []string `json:"audTag,omitempty"`
	// Environment is the Access environment, such as "fedramp". The default is the public one.
	Environment string `json:"environment,omitempty"`
	// Required makes cloudflared reject requests without a valid token. If it is false, tokens are
	// not verified. If Required is true and AUDTag is not empty, TeamName must not be empty.
	Required bool `json:"required,omitempty"`
	// TeamName is the name of the organization, as in its domain TeamName.cloudflareaccess.com.
	TeamName string `json:"teamName,omitempty"`

	members unknownjson.Members
}

// WARPRouting configures access to private networks through the tunnel.
type WARPRouting struct {
	// Enabled must be true to turn the access on: the API usually removes a WARPRouting in which it
	// is false. Only the API uses Enabled; cloudflared 2026.8 does not read it.
	//
	// False is usually left out of requests. It is sent in three cases: the configuration that was
	// read has false, ModifyConfiguration changed true to false, or no other field of WARPRouting
	// is set.
	Enabled bool `json:"enabled,omitempty"`
	// ConnectTimeout is the timeout for a new connection in seconds. cloudflared's default is 5.
	ConnectTimeout *int `json:"connectTimeout,omitempty" unit:"seconds"`
	// MaxActiveFlows limits the number of concurrent TCP and UDP flows. By default, cloudflared
	// does not limit it.
	MaxActiveFlows *int `json:"maxActiveFlows,omitempty"`
	// TCPKeepAlive is the TCP keepalive interval in seconds. cloudflared's default is 30.
	TCPKeepAlive *int `json:"tcpKeepAlive,omitempty" unit:"seconds"`

	members unknownjson.Members
}

const configurationPath = tunnelPath + "/configurations"

// The operations on remote configurations.
var (
	opConfiguration = op("Tunnels.Configuration", http.MethodGet, configurationPath, tunnelsRead)
	opConfigure     = op(
		"Tunnels.UpdateConfiguration", http.MethodPut, configurationPath, tunnelsWrite)
)

// Configuration returns the remote configuration of a tunnel. If it was never set, Version is 0 and
// Config is empty.
//
// It returns [ErrNotFound] if the tunnel does not exist or is deleted.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/get/
func (s *TunnelsService) Configuration(
	ctx context.Context, tunnelID string, opts ...CallOption,
) (*TunnelConfiguration, error) {
	return s.configuration(ctx, request{operation: opConfiguration, ids: []string{tunnelID}}, opts)
}

// UpdateConfiguration replaces the whole remote configuration of a tunnel, and returns the new one.
// To change a part of it, use [TunnelsService.ModifyConfiguration].
//
// It returns an [*InvalidArgumentError] if [TunnelConfig.Validate] returns an error, [ErrNotFound]
// if the tunnel does not exist or is deleted, [ErrBadRequest] if the API refuses the configuration,
// and [ErrOutcomeUnknown] if the call failed but the configuration may have been replaced.
//
// If the tunnel is locally managed, the configuration is stored but has no effect.
// UpdateConfiguration then returns the result together with [ErrLocallyManaged].
//
// Operation: PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/update/
func (s *TunnelsService) UpdateConfiguration(
	ctx context.Context, tunnelID string, config TunnelConfig, opts ...CallOption,
) (*TunnelConfiguration, error) {
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

// configure writes a configuration that is already validated and encoded.
func (s *TunnelsService) configure(
	ctx context.Context, r request, config json.RawMessage, opts []CallOption,
) (*TunnelConfiguration, error) {
	r.body = struct {
		Config json.RawMessage `json:"config"`
	}{config}
	return s.configuration(ctx, r, opts)
}

func (s *TunnelsService) configuration(
	ctx context.Context, r request, opts []CallOption,
) (*TunnelConfiguration, error) {
	tunnelID := r.ids[0]
	response, err := doItem(ctx, clientOf(s), r, func(c *configurationResponse) error {
		if c.TunnelID == "" { // a configuration that was never set has no ID
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
