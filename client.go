package cftunnel

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
	"github.com/cftunnel/cftunnel-go/internal/limiter"
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
)

// Version is the version of this module. Every request sends it in the User-Agent header.
const Version = "0.2.0"

const library = "cftunnel-go/" + Version

// Client calls the API for one account. It is safe for concurrent use. Create it with [NewClient].
type Client struct {
	// Tunnels manages tunnels, their tokens and their configurations.
	Tunnels *TunnelsService
	// Connectors lists the connectors of a tunnel, and drops their connections.
	Connectors *ConnectorsService
	// WARPConnectors manages WARP connectors: tunnels that are run by WARP, Cloudflare's client
	// program, instead of cloudflared.
	WARPConnectors *WARPConnectorsService
	// Tokens verifies the client's own API token.
	Tokens *TokensService
	// UserTokens manages the API tokens of the user.
	UserTokens *APITokensService
	// AccountTokens manages the API tokens of the account.
	AccountTokens *APITokensService
	// Routes manages the CIDR routes of private networks.
	Routes *RoutesService
	// VirtualNetworks manages virtual networks, which separate routes with the same CIDR.
	VirtualNetworks *VirtualNetworksService
	// HostnameRoutes manages the routes of private hostnames.
	HostnameRoutes *HostnameRoutesService
	// Zones lists DNS zones, and finds the zone of a hostname.
	Zones *ZonesService
	// DNSRecords manages the DNS records of zones.
	DNSRecords *DNSRecordsService
	// Hostnames publishes hostnames: it writes an ingress rule, and then a DNS record.
	Hostnames *HostnamesService

	accountID string
	*backend
}

// backend is the part of a client that ForAccount shares with the new client.
type backend struct {
	baseURL          string
	http             *roundtrip.Client
	ownTransport     bool // no other program uses the connections
	userAgent        string
	credentials      credentials
	limiter          *limiter.Limiter
	retry            RetryPolicy
	timeout          time.Duration
	maxResponseBytes int64
	logger           logSink
	hooks            Hooks
}

// service is the underlying type of every service.
type service struct{ client *Client }

// NewClient returns a client. It sends no request.
//
// It needs credentials: [WithAPIToken], [WithAPIKey], [WithTokenSource] or [WithEnvironment].
// Nearly every call also needs an account ID: set it with [WithAccountID] or [WithEnvironment], or
// later with [Client.ForAccount].
//
// It returns an [*InvalidArgumentError] if an option is invalid.
func NewClient(opts ...Option) (*Client, error) {
	s := settings{
		timeout:          defaultTimeout,
		maxResponseBytes: defaultMaxResponseBytes,
	}
	for _, opt := range opts {
		if opt == nil {
			return nil, invalid("opts", "contains a nil option")
		}
		if err := opt(&s); err != nil {
			return nil, err
		}
	}
	if s.environment {
		if err := s.readEnvironment(); err != nil {
			return nil, err
		}
	}
	if s.credentials == nil {
		return nil, invalid("credentials",
			"are missing: use WithAPIToken, WithAPIKey or WithTokenSource, "+
				"or WithEnvironment with %s set", envAPIToken)
	}
	b, err := newBackend(s)
	if err != nil {
		return nil, err
	}
	return newClient(s.accountID, b), nil
}

func newClient(accountID string, b *backend) *Client {
	c := &Client{accountID: accountID, backend: b}
	c.Tunnels = &TunnelsService{client: c}
	c.Connectors = &ConnectorsService{client: c}
	c.WARPConnectors = &WARPConnectorsService{client: c}
	c.Tokens = &TokensService{client: c}
	c.UserTokens = &APITokensService{service{c}, false}
	c.AccountTokens = &APITokensService{service{c}, true}
	c.Routes = &RoutesService{client: c}
	c.VirtualNetworks = &VirtualNetworksService{client: c}
	c.HostnameRoutes = &HostnameRoutesService{client: c}
	c.Zones = &ZonesService{client: c}
	c.DNSRecords = &DNSRecordsService{client: c}
	c.Hostnames = &HostnamesService{client: c}
	return c
}

func newBackend(s settings) (*backend, error) {
	b := &backend{
		baseURL:          cmp.Or(s.baseURL, defaultBaseURL),
		userAgent:        strings.TrimSpace(s.userAgent + " " + library),
		credentials:      s.credentials,
		timeout:          s.timeout,
		maxResponseBytes: s.maxResponseBytes,
		logger:           s.logger,
		hooks:            s.hooks,
		retry: RetryPolicy{
			MaxAttempts: cmp.Or(s.retry.MaxAttempts, defaultRetry.MaxAttempts),
			MaxDelay:    cmp.Or(s.retry.MaxDelay, max(defaultRetry.MaxDelay, s.retry.BaseDelay)),
		},
	}
	b.retry.BaseDelay = cmp.Or(s.retry.BaseDelay, min(defaultRetry.BaseDelay, b.retry.MaxDelay))
	if b.limiter = limiter.New(defaultRequests, defaultWindow, b.retry.MaxDelay); s.limiter != nil {
		b.limiter = s.limiter(b.retry.MaxDelay)
	}

	var httpClient http.Client
	own := roundtrip.NewTransport()
	var transport http.RoundTripper = own
	if s.httpClient != nil {
		httpClient, transport = *s.httpClient, s.httpClient.Transport
		if transport == nil {
			transport = http.DefaultTransport
		}
	}
	base, _ := transport.(*http.Transport)
	for _, wrap := range s.transports {
		if transport = wrap(transport); transport == nil {
			return nil, invalid("wrap", "returns a nil RoundTripper")
		}
		if t, ok := transport.(*http.Transport); ok {
			base = t
		}
	}
	b.http, b.ownTransport = roundtrip.NewClient(httpClient, transport, base), base == own
	return b, nil
}

// check returns an error for a client that NewClient did not create.
func (c *Client) check() error {
	switch {
	case c == noService:
		return invalid("service", "is nil; use the services of a client that NewClient created")
	case c == nil || c.backend == nil:
		return invalid("client", "is nil or zero; create it with NewClient")
	}
	return nil
}

// AccountID returns the ID of the client's account, or an empty string if it has none.
func (c *Client) AccountID() string {
	if c == nil {
		return ""
	}
	return c.accountID
}

// ForAccount returns a client for another account. The two clients share transport, credentials and
// rate limit, because Cloudflare counts requests per token, not per account.
//
// It returns an [*InvalidArgumentError] if accountID is not 32 hexadecimal digits.
func (c *Client) ForAccount(accountID string) (*Client, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := apipath.AccountID(accountID); err != nil {
		return nil, invalid("accountID", "%v", err)
	}
	return newClient(accountID, c.backend), nil
}

// CloseIdleConnections closes all connections that no call is using. It includes those of an HTTP
// client set by [WithHTTPClient].
func (c *Client) CloseIdleConnections() {
	if c.check() == nil {
		c.http.CloseIdleConnections()
	}
}
