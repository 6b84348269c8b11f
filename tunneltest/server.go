// Package tunneltest provides a stateful fake of the Cloudflare Tunnel API for tests.
//
// The fake stores what a program creates. It has the rules, errors and error codes of the real API.
// The program under test can use package cftunnel or any other client.
//
//	srv := tunneltest.NewServer()
//	defer srv.Close()
//	client, err := srv.NewClient()
//
// # Accounts and tokens
//
// Every account ID of 32 hexadecimal digits is valid. Each account has its own tunnels. The token
// that [Server.APIToken] returns has all permissions in all accounts. It is also accepted as the
// API key in the legacy header X-Auth-Key, together with any X-Auth-Email. Tokens that
// [Server.AddToken] or a request creates have the permissions of their policies.
//
// # Existing tunnels and connectors
//
// [Server.Seed], [Server.SeedTunnels], [Server.SeedZone] and [Server.SeedZoneIn] create tunnels and
// zones without a request. [Server.Connect] and [Server.Disconnect] start and stop a connector of a
// tunnel.
//
// # Failures
//
// [Server.Inject] makes requests fail. [WithQuota] sets a rate limit. [Server.Requests] returns the
// requests that the server received, and whether each was carried out.
//
// # Examples
//
// The page docs/testing.md of the repository has a complete test for each of the features above.
package tunneltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// basePath is the path of the real API's base URL. A client that drops the path of its base URL
// fails against the fake too.
const basePath = "/client/v4"

// Server is a fake of the Cloudflare API. Create it with [NewServer].
//
// Its methods are safe for concurrent use.
type Server struct {
	accountID string
	userID    string
	apiToken  cftunnel.Secret
	latency   time.Duration
	now       func() time.Time
	quota     struct {
		limit  int // 0 for none
		window time.Duration
	}

	middleware []func(http.Handler) http.Handler
	handler    http.Handler // with the middleware

	closing       chan struct{}
	managementKey *ecdsa.PrivateKey // signs management tokens

	pipes     *pipeListener // nil if the server listens on a port
	transport *http.Transport
	listen    struct {
		sync.Mutex
		server *http.Server
		url    string
	}
	customMux *http.ServeMux // endpoints of Handle

	mu           sync.Mutex
	accounts     map[string]*account
	zones        []*zone
	tokens       map[cftunnel.Secret]*apiToken
	tokenCount   int                        // how many were ever created
	remoteAddr   netip.Addr                 // client address; zero means that of the connection
	quotas       map[cftunnel.Secret]*quota // by token
	faults       []*Fault
	requests     []*Request
	recordLimit  int // how many requests to keep; negative means all
	customRoutes []route
}

// Option configures a Server.
type Option func(*Server)

// WithAccountID sets the account ID that [Server.AccountID] returns: 32 hexadecimal digits. The
// default is a random ID.
func WithAccountID(id string) Option { return func(s *Server) { s.accountID = id } }

// WithAPIToken sets the API token that [Server.APIToken] returns. The default is a random token.
func WithAPIToken(token string) Option {
	return func(s *Server) { s.apiToken = cftunnel.NewSecret(token) }
}

// WithQuota sets a rate limit of n requests per window for each API token.
//
// As with the real API, if a token exceeds its quota, all requests with that token are refused with
// status 429 until a whole window has passed. By default there is no quota.
func WithQuota(n int, window time.Duration) Option {
	return func(s *Server) { s.quota.limit, s.quota.window = n, window }
}

// WithLatency delays each request by d before it is carried out. The default is no delay.
//
// To delay the response instead, use [Fault.Delay].
func WithLatency(d time.Duration) Option { return func(s *Server) { s.latency = d } }

// WithClock sets the function that returns the current time. The default is time.Now.
//
// It applies to times in responses, to the expiry of tokens, to the windows of the quota, and to
// the reconnection of connectors after a cleanup. Delays always use the real time, or that of a
// testing/synctest bubble.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithMiddleware wraps the server's handler, for example to record responses.
//
// It applies to [Server.URL] and to [Server.Handler]. If the option is given several times, the
// first middleware is the outermost. [NewServer] panics if middleware is nil.
func WithMiddleware(middleware func(next http.Handler) http.Handler) Option {
	return func(s *Server) {
		if middleware == nil {
			panic("tunneltest: WithMiddleware: middleware is nil")
		}
		s.middleware = append(s.middleware, middleware)
	}
}

// WithRecordLimit sets how many requests [Server.Requests] returns: the last n. The default is all.
//
// Use it to limit the memory of a server that runs for a long time. 0 keeps none.
func WithRecordLimit(n int) Option {
	return func(s *Server) {
		if n < 0 {
			panic("tunneltest: WithRecordLimit: the limit must not be negative")
		}
		s.recordLimit = n
	}
}

// NewServer returns a fake without tunnels. Call [Server.Close] to stop it.
//
// The server listens on a port of the loopback interface after the first call to [Server.URL],
// [Server.HTTPClient] or [Server.NewClient]. It opens no port if it is [InMemory], or if only
// [Server.Handler] is used. NewServer panics if an option is invalid.
func NewServer(opts ...Option) *Server {
	s := &Server{
		accountID:   randomHex(16),
		userID:      randomHex(16),
		apiToken:    cftunnel.NewSecret(randomHex(20)),
		now:         time.Now,
		closing:     make(chan struct{}),
		customMux:   http.NewServeMux(),
		recordLimit: -1,
		accounts:    map[string]*account{},
		tokens:      map[cftunnel.Secret]*apiToken{},
		quotas:      map[cftunnel.Secret]*quota{},
	}
	for i, opt := range opts {
		if opt == nil {
			panic(fmt.Sprintf("tunneltest: NewServer: opts[%d] is nil", i))
		}
		opt(s)
	}
	switch {
	case !isHexID(s.accountID):
		panic("tunneltest: WithAccountID: the account ID is not 32 hexadecimal digits")
	case s.apiToken.IsZero():
		panic("tunneltest: WithAPIToken: the token is empty")
	case !fitsHeader(s.apiToken):
		panic("tunneltest: WithAPIToken: the token " + unfitForHeader)
	case s.quota.limit < 0:
		panic("tunneltest: WithQuota: the number of requests must not be negative")
	case s.quota.limit > 0 && s.quota.window <= 0:
		panic("tunneltest: WithQuota: the window must be positive")
	case s.latency < 0:
		panic("tunneltest: WithLatency: the delay must not be negative")
	case s.now == nil:
		panic("tunneltest: WithClock: the function is nil")
	}
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == logsPath {
			s.serveLogs(w, r)
			return
		}
		s.serve(w, r)
	})
	for _, wrap := range slices.Backward(s.middleware) {
		s.handler = wrap(s.handler)
	}
	s.transport = s.newTransport()
	s.AddToken(Token{Text: s.apiToken})
	var err error
	if s.managementKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		panic("tunneltest: " + err.Error())
	}
	return s
}

// URL returns the base URL of the API. It ends in /client/v4.
//
// If the server is [InMemory], only the clients of [Server.NewClient] and [Server.HTTPClient] can
// connect to this URL.
func (s *Server) URL() string { return s.start() + basePath }

// start begins to serve, if it has not begun yet, and returns the server's URL without a path.
func (s *Server) start() string {
	s.listen.Lock()
	defer s.listen.Unlock()
	if s.listen.server != nil {
		return s.listen.url
	}
	s.listen.server = &http.Server{Handler: s.Handler()}
	var listener net.Listener = s.pipes
	s.listen.url = "http://127.0.0.1"
	if s.pipes == nil {
		var err error
		listener, err = net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
		if err != nil {
			panic("tunneltest: listening on the loopback interface failed: " + err.Error())
		}
		s.listen.url = "http://" + listener.Addr().String()
		s.listen.server.ReadHeaderTimeout = time.Minute
	}
	if s.isClosed() {
		_ = listener.Close() // so that connections to a closed server are refused
	}
	go func() { _ = s.listen.server.Serve(listener) }()
	return s.listen.url
}

// Handler returns the server's HTTP handler, for use with another HTTP server.
//
// The paths of its requests begin with /client/v4. To cut a connection, the handler panics with
// [http.ErrAbortHandler].
func (s *Server) Handler() http.Handler { return s.handler }

// Close stops the server, closes its connections, and ends all delays.
func (s *Server) Close() {
	s.listen.Lock()
	defer s.listen.Unlock()
	if s.isClosed() {
		return
	}
	close(s.closing)
	if s.listen.server != nil {
		_ = s.listen.server.Close()
	}
	if s.pipes != nil {
		_ = s.pipes.Close()
	}
	s.transport.CloseIdleConnections()
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// AccountID returns the ID of the account that clients of [Server.NewClient] use.
//
// It is also the default account of [Server.Seed], [Server.SeedTunnels], [Server.SeedZone] and
// [Server.AddToken].
func (s *Server) AccountID() string { return s.accountID }

// APIToken returns an API token of the user with all permissions in all accounts.
func (s *Server) APIToken() cftunnel.Secret { return s.apiToken }

// NewClient returns a client for the server, with the account ID of [Server.AccountID] and the
// token of [Server.APIToken]. The options in opts override these defaults.
//
// The client's rate limit is the server's quota, so its requests are not refused with status 429.
// To test what happens past the quota, use [cftunnel.WithoutRateLimit]. If the server has no quota,
// the client has no rate limit.
//
// The client waits before a retry, as any client does. To make tests with faults fast, use
// [cftunnel.WithRetry] with a BaseDelay of one nanosecond.
func (s *Server) NewClient(opts ...cftunnel.Option) (*cftunnel.Client, error) {
	pacing := cftunnel.WithoutRateLimit()
	if s.quota.limit > 0 {
		pacing = cftunnel.WithRateLimit(s.quota.limit, s.quota.window)
	}
	defaults := []cftunnel.Option{
		cftunnel.WithBaseURL(s.URL()),
		cftunnel.WithAPIToken(s.apiToken.Reveal()),
		cftunnel.WithAccountID(s.accountID),
		pacing,
	}
	if s.pipes != nil {
		defaults = append(defaults, cftunnel.WithHTTPClient(s.HTTPClient()))
	}
	return cftunnel.NewClient(append(defaults, opts...)...)
}

// Request is a request that the server received.
type Request struct {
	// Time is when the request arrived, by the clock of [WithClock].
	Time time.Time
	// Operation is the method and the path template of the request, such as
	// "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}". The documentation of each method of
	// package cftunnel names its operation. Operation is empty if the server has no such endpoint.
	Operation string
	// Method is the HTTP method. Path is the escaped path below the base URL.
	Method, Path string
	// Query has the decoded query parameters.
	Query url.Values
	// Header is the header of the request. Credentials are redacted.
	Header http.Header
	// Body is the body of the request. It is a Secret because it can contain the secret of a
	// tunnel. It is empty if the body was too large.
	Body cftunnel.Secret
	// Done reports whether the server carried out the request, even if the response says otherwise
	// or was lost.
	Done bool
	// Status is the HTTP status of the response. It is 0 if the connection was cut or if there is
	// no response yet.
	Status int
}

// Requests returns the requests that the server has received, oldest first, including requests that
// were refused or whose connection was cut. [WithRecordLimit] limits their number.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.lastRequests()
	list := make([]Request, len(kept))
	for i, r := range kept {
		list[i] = *r
		list[i].Query, list[i].Header = cloneValues(r.Query), r.Header.Clone()
	}
	return list
}

// recordRequest adds a request to those that Requests returns. The caller holds s.mu.
func (s *Server) recordRequest(r *Request) {
	s.requests = append(s.requests, r)
	// Removing old requests only at twice the limit moves each request at most once.
	if s.recordLimit >= 0 && len(s.requests) >= 2*s.recordLimit {
		s.requests = slices.Clone(s.lastRequests())
	}
}

// lastRequests returns the requests within the record limit. The caller holds s.mu.
func (s *Server) lastRequests() []*Request {
	if s.recordLimit < 0 || len(s.requests) <= s.recordLimit {
		return s.requests
	}
	return s.requests[len(s.requests)-s.recordLimit:]
}

func cloneValues(values url.Values) url.Values {
	clone := make(url.Values, len(values))
	for key, list := range values {
		clone[key] = slices.Clone(list)
	}
	return clone
}

// currentTime returns the current time with the precision of the times in responses.
func (s *Server) currentTime() time.Time { return s.now().Truncate(time.Microsecond) }

// sleep waits for d or until the server is closed. It does not stop if the client disconnects,
// because a real server does not notice that either.
func (s *Server) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closing:
	}
}

// randomUUID returns a random UUID of version 4.
func randomUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
