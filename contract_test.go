package cftunnel_test

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// The names and signatures that other programs are compiled against. This file need not run: it must compile.

type (
	ctx     = context.Context
	callOpt = cftunnel.CallOption
	tunnel  = cftunnel.Tunnel
)

var _ interface {
	Create(ctx, cftunnel.TunnelCreateParams, ...callOpt) (*tunnel, error)
	Get(ctx, string, ...callOpt) (*tunnel, error)
	List(ctx, cftunnel.TunnelListParams, ...callOpt) (*cftunnel.Page[tunnel], error)
	All(ctx, cftunnel.TunnelListParams, ...callOpt) iter.Seq2[*tunnel, error]
	ListAllTypes(ctx, cftunnel.AllTypesListParams, ...callOpt) (*cftunnel.Page[tunnel], error)
	AllTypes(ctx, cftunnel.AllTypesListParams, ...callOpt) iter.Seq2[*tunnel, error]
	Update(ctx, string, cftunnel.TunnelUpdateParams, ...callOpt) (*tunnel, error)
	Delete(ctx, string, cftunnel.TunnelDeleteParams, ...callOpt) (*tunnel, error)
	Token(ctx, string, ...callOpt) (cftunnel.Secret, error)
	ManagementToken(ctx, string, cftunnel.ManagementResource, ...callOpt) (cftunnel.Secret, error)
	Configuration(ctx, string, ...callOpt) (*cftunnel.TunnelConfiguration, error)
	UpdateConfiguration(ctx, string, cftunnel.TunnelConfig, ...callOpt) (*cftunnel.TunnelConfiguration, error)
	ModifyConfiguration(ctx, string, func(*cftunnel.TunnelConfig) error, ...callOpt) (*cftunnel.TunnelConfiguration, error)
	FindByName(ctx, string, ...callOpt) (*tunnel, error)
	Ensure(ctx, cftunnel.TunnelCreateParams, ...callOpt) (*tunnel, bool, error)
	RotateSecret(ctx, string, cftunnel.RotateParams, ...callOpt) (*cftunnel.Rotation, error)
	CleanupAndDelete(ctx, string, ...callOpt) (*tunnel, error)
	WaitForStatus(ctx, string, cftunnel.TunnelStatus, cftunnel.WaitParams, ...callOpt) (*tunnel, error)
} = (*cftunnel.TunnelsService)(nil)

var _ interface {
	List(ctx, string, ...callOpt) ([]cftunnel.Connector, error)
	Get(ctx, string, string, ...callOpt) (*cftunnel.Connector, error)
	Cleanup(ctx, string, cftunnel.CleanupParams, ...callOpt) error
} = (*cftunnel.ConnectorsService)(nil)

var _ interface {
	Create(ctx, cftunnel.WARPConnectorCreateParams, ...callOpt) (*tunnel, error)
	Get(ctx, string, ...callOpt) (*tunnel, error)
	List(ctx, cftunnel.TunnelListParams, ...callOpt) (*cftunnel.Page[tunnel], error)
	All(ctx, cftunnel.TunnelListParams, ...callOpt) iter.Seq2[*tunnel, error]
	Update(ctx, string, cftunnel.TunnelUpdateParams, ...callOpt) (*tunnel, error)
	Delete(ctx, string, cftunnel.TunnelDeleteParams, ...callOpt) (*tunnel, error)
	Token(ctx, string, ...callOpt) (cftunnel.Secret, error)
	RotateSecret(ctx, string, cftunnel.RotateParams, ...callOpt) (*cftunnel.Rotation, error)
	Connectors(ctx, string, ...callOpt) ([]cftunnel.Connector, error)
	Connector(ctx, string, string, ...callOpt) (*cftunnel.Connector, error)
	Failover(ctx, string, string, ...callOpt) error
	Configuration(ctx, string, ...callOpt) (*cftunnel.WARPConfiguration, error)
	UpdateConfiguration(ctx, string, cftunnel.WARPConfigurationParams, ...callOpt) (*cftunnel.WARPConfiguration, error)
} = (*cftunnel.WARPConnectorsService)(nil)

var _ interface {
	Verify(ctx, ...callOpt) (*cftunnel.TokenVerification, error)
	VerifyUser(ctx, ...callOpt) (*cftunnel.TokenVerification, error)
	VerifyAccount(ctx, ...callOpt) (*cftunnel.TokenVerification, error)
} = (*cftunnel.TokensService)(nil)

var _ interface {
	AccountID() string
	ForAccount(string) (*cftunnel.Client, error)
	CloseIdleConnections()
	Do(c ctx, method, path string, body, result any, opts ...callOpt) error
} = (*cftunnel.Client)(nil)

var _ interface {
	URL() string
	Handler() http.Handler
	AccountID() string
	APIToken() cftunnel.Secret
	NewClient(...cftunnel.Option) (*cftunnel.Client, error)
	SeedTunnels(int) []cftunnel.Tunnel
	Connect(cftunnel.Secret) (string, error)
	Disconnect(string)
	Inject(tunneltest.Fault)
	Requests() []tunneltest.Request
	Close()
} = (*tunneltest.Server)(nil)

var (
	_ func(...cftunnel.Option) (*cftunnel.Client, error)                   = cftunnel.NewClient
	_ func(...tunneltest.Option) *tunneltest.Server                        = tunneltest.NewServer
	_ func(ctx) string                                                     = cftunnel.Operation
	_ func(error, ...int) bool                                             = cftunnel.HasCode
	_ func(string) cftunnel.Secret                                         = cftunnel.NewSecret
	_ func() cftunnel.Secret                                               = cftunnel.NewTunnelSecret
	_ func(cftunnel.Secret) (*cftunnel.TunnelCredentials, error)           = cftunnel.ParseTunnelToken
	_ func(cftunnel.TunnelCredentials) cftunnel.Secret                     = cftunnel.TunnelCredentials.Token
	_ func(cftunnel.TunnelCredentials, string) error                       = cftunnel.TunnelCredentials.WriteFile
	_ func(cftunnel.TunnelConfig) error                                    = cftunnel.TunnelConfig.Validate
	_ func(cftunnel.TokenVerification, time.Time) bool                     = cftunnel.TokenVerification.Usable
	_ func(cftunnel.Tunnel) bool                                           = cftunnel.Tunnel.IsDeleted
	_ func(string) tunneltest.Option                                       = tunneltest.WithAccountID
	_ func(string) tunneltest.Option                                       = tunneltest.WithAPIToken
	_ func(int, time.Duration) tunneltest.Option                           = tunneltest.WithQuota
	_ func(time.Duration) tunneltest.Option                                = tunneltest.WithLatency
	_ func(func() time.Time) tunneltest.Option                             = tunneltest.WithClock
	_ func(string) cftunnel.Option                                         = cftunnel.WithAPIToken
	_ func(string, string) cftunnel.Option                                 = cftunnel.WithAPIKey
	_ func(func(context.Context) (cftunnel.Secret, error)) cftunnel.Option = cftunnel.WithTokenSource
	_ func() cftunnel.Option                                               = cftunnel.WithEnvironment
	_ func(string) cftunnel.Option                                         = cftunnel.WithAccountID
	_ func(string) cftunnel.Option                                         = cftunnel.WithBaseURL
	_ func(*http.Client) cftunnel.Option                                   = cftunnel.WithHTTPClient
	_ func(string) cftunnel.Option                                         = cftunnel.WithUserAgent
	_ func(int, time.Duration) cftunnel.Option                             = cftunnel.WithRateLimit
	_ func(cftunnel.Limiter) cftunnel.Option                               = cftunnel.WithLimiter
	_ func(cftunnel.RetryPolicy) cftunnel.Option                           = cftunnel.WithRetry
	_ func(time.Duration) cftunnel.Option                                  = cftunnel.WithTimeout
	_ func(int64) cftunnel.Option                                          = cftunnel.WithMaxResponseBytes
	_ func(*slog.Logger) cftunnel.Option                                   = cftunnel.WithLogger
	_ func(*cftunnel.ResponseInfo) callOpt                                 = cftunnel.CaptureResponse
	_ func(string, string) callOpt                                         = cftunnel.AddHeader
	_ func(string, string) callOpt                                         = cftunnel.AddQuery
	_ func(int) callOpt                                                    = cftunnel.MaxAttempts
)

var _ = []any{
	cftunnel.TunnelCreateParams{Name: "", ConfigSource: cftunnel.ConfigSourceLocal, Secret: cftunnel.Secret{}},
	cftunnel.TunnelCreateParams{ConfigSource: cftunnel.ConfigSourceCloudflare},
	cftunnel.TunnelUpdateParams{Name: "", Secret: cftunnel.Secret{}},
	cftunnel.TunnelDeleteParams{Cascade: true},
	cftunnel.TunnelListParams{
		Name: "", UUID: "", Status: "healthy", IsDeleted: new(true), IncludePrefix: "", ExcludePrefix: "",
		ExistedAt: time.Time{}, WasActiveAt: time.Time{}, WasInactiveAt: time.Time{}, Page: 1, PerPage: 1,
	},
	cftunnel.AllTypesListParams{
		Name: "", UUID: "", Status: "healthy", IsDeleted: new(true), IncludePrefix: "", ExcludePrefix: "",
		ExistedAt: time.Time{}, WasActiveAt: time.Time{}, WasInactiveAt: time.Time{}, Page: 1, PerPage: 1, Types: []cftunnel.TunnelType{"cfd_tunnel"},
	},
	cftunnel.RotateParams{Secret: cftunnel.Secret{}, CleanupConnections: true},
	cftunnel.Rotation{Tunnel: &tunnel{}, Token: cftunnel.Secret{}},
	cftunnel.WaitParams{Interval: time.Second, OnPoll: func(*tunnel) {}},
	cftunnel.CleanupParams{ConnectorID: ""},
	cftunnel.WARPConnectorCreateParams{Name: "", HA: true},
	cftunnel.WARPConfiguration{
		TunnelID: "", Version: 1, HAMode: "aws", FNRID: "", VIPs: []string{""}, VIPsPrevious: []string{""}, CreatedAt: time.Time{}, UpdatedAt: time.Time{},
	},
	cftunnel.TunnelConfiguration{TunnelID: "", Version: 1, Config: cftunnel.TunnelConfig{}, Source: "", CreatedAt: time.Time{}},
	cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{{Hostname: "", Path: "", Service: "", OriginRequest: nil}}, OriginRequest: nil, WARPRouting: nil},
	cftunnel.Connector{
		ID: "", Version: "", Arch: "", Features: []string{""}, RunAt: time.Time{}, ConfigVersion: 1, HAStatus: "active", Connections: []cftunnel.Connection{},
	},
	cftunnel.Connection{ID: "", ClientID: "", ClientVersion: "", ColoName: "", OpenedAt: time.Time{}, OriginIP: "", IsPendingReconnect: true},
	tunnel{
		ID: "", AccountTag: "", Name: "", Type: "", Status: "", ConfigSource: "", CreatedAt: time.Time{}, DeletedAt: time.Time{},
		ConnsActiveAt: time.Time{}, ConnsInactiveAt: time.Time{}, Connections: nil, Metadata: nil, Token: cftunnel.Secret{},
	},
	cftunnel.TokenVerification{ID: "", Status: "active", Owner: "user", NotBefore: time.Time{}, ExpiresOn: time.Time{}},
	cftunnel.TunnelCredentials{AccountTag: "", TunnelID: "", Secret: cftunnel.Secret{}, Endpoint: ""},
	cftunnel.RetryPolicy{MaxAttempts: 1, BaseDelay: 1, MaxDelay: 1},
	cftunnel.ResponseInfo{StatusCode: 1, Attempts: 1, RayID: "", Header: http.Header{}, Messages: []cftunnel.Message{}},
	cftunnel.PageInfo{Page: 1, PerPage: 1, Count: 1, TotalCount: 1},
	cftunnel.Page[tunnel]{Items: []tunnel{}, Info: cftunnel.PageInfo{}},
	&cftunnel.Error{
		StatusCode: 1, Method: "", Path: "", RayID: "", RetryAfter: 1, Attempts: 1, Body: "",
		Errors: []cftunnel.ErrorDetail{{Code: 1, Message: "", DocumentationURL: "", Pointer: "", Chain: []cftunnel.ErrorDetail{}}},
	},
	&cftunnel.InvalidArgumentError{Name: "", Reason: ""},
	[]error{
		cftunnel.ErrBadRequest, cftunnel.ErrUnauthorized, cftunnel.ErrForbidden, cftunnel.ErrNotFound, cftunnel.ErrConflict, cftunnel.ErrRateLimited,
		cftunnel.ErrServer, cftunnel.ErrTunnelNameTaken, cftunnel.ErrActiveConnections, cftunnel.ErrOutcomeUnknown, cftunnel.ErrConcurrentUpdate,
	},
}
