// Package tunneltest is a stateful fake of Cloudflare's API for tunnels, for the tests of programs that use it, through package cftunnel
// or not. It keeps tunnels as the real API does, with its rules, errors and codes, counts requests against a quota, fails when it is told
// to, and records what it was asked and what it did.
//
//	srv := tunneltest.NewServer()
//	defer srv.Close()
//	client, err := srv.NewClient()
//
// Every well-formed account id is an account, with tunnels of its own. The API token works on all of them, and is taken as the key of the
// old X-Auth-Email and X-Auth-Key pair too. Other tokens, of [Server.AddToken] or created by a request, may do what their policies say.
//
// [Server.Connect] and [Server.Disconnect] are a replica that starts and stops, [Server.Inject] makes requests fail, [WithQuota] refuses those
// that are too many, and [Server.Requests] tells what was asked and done. The repository's docs/testing.md has a test for each.
package tunneltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// basePath is where the API is, as on the real server, so that a client which forgets its base URL's path fails.
const basePath = "/client/v4"

// Server is the fake. Make it with [NewServer]. It is safe for concurrent use.
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
	handler    http.Handler // the server's own, inside the middleware

	closing       chan struct{}
	managementKey *ecdsa.PrivateKey // signs management tokens

	pipes     *pipeListener // nil if the server listens on a port
	transport *http.Transport
	listen    struct {
		sync.Mutex
		server *http.Server
		url    string
	}
	own *http.ServeMux // of Handle

	mu         sync.Mutex
	accounts   map[string]*account
	zones      []*zone
	tokens     map[cftunnel.Secret]*apiToken
	tokenCount int                        // how many there ever were
	remoteAddr netip.Addr                 // of requests; invalid for that of the connection
	quotas     map[cftunnel.Secret]*quota // by the token
	faults     []*Fault
	requests   []*Request
	keep       int // how many requests; negative for all
	ownRoutes  []route
}

// Option configures a Server.
type Option func(*Server)

// WithAccountID names the account of [Server.AccountID]: 32 hexadecimal digits. The default is a random one.
func WithAccountID(id string) Option { return func(s *Server) { s.accountID = id } }

// WithAPIToken sets the API token that the server accepts. The default is a random one.
func WithAPIToken(token string) Option {
	return func(s *Server) { s.apiToken = cftunnel.NewSecret(token) }
}

// WithQuota refuses requests as the real API does: after n of one API token in any window, every request of that token is answered with 429
// until a whole window has passed. There is no quota by default.
func WithQuota(n int, window time.Duration) Option {
	return func(s *Server) { s.quota.limit, s.quota.window = n, window }
}

// WithLatency makes every request take at least so long before anything is done.
func WithLatency(d time.Duration) Option { return func(s *Server) { s.latency = d } }

// WithClock sets where the server's time comes from: the times in its answers, the quota's windows, and when a replica that was cleaned up
// comes back. The default is time.Now.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithMiddleware wraps the server's handler, for example to record responses. It applies to the
// server's own port and to [Server.Handler]. If it is given several times, the first is outermost.
func WithMiddleware(middleware func(next http.Handler) http.Handler) Option {
	return func(s *Server) {
		if middleware == nil {
			panic("tunneltest: a middleware is nil")
		}
		s.middleware = append(s.middleware, middleware)
	}
}

// WithRecordLimit keeps only the last n requests for [Server.Requests], so that a server which runs
// for long does not grow. The default is to keep all.
func WithRecordLimit(n int) Option { return func(s *Server) { s.keep = n } }

// NewServer returns a fake without tunnels. It panics for options that no server can have. Unless
// it is [InMemory], it listens on the loopback interface from the first call of URL, HTTPClient or
// NewClient on; a test that serves Handler itself has nothing open.
func NewServer(opts ...Option) *Server {
	s := &Server{
		accountID: randomHex(16),
		userID:    randomHex(16),
		apiToken:  cftunnel.NewSecret(randomHex(20)),
		now:       time.Now,
		closing:   make(chan struct{}),
		own:       http.NewServeMux(),
		keep:      -1,
		accounts:  map[string]*account{},
		tokens:    map[cftunnel.Secret]*apiToken{},
		quotas:    map[cftunnel.Secret]*quota{},
	}
	for _, opt := range opts {
		opt(s)
	}
	switch {
	case !isAccountID(s.accountID):
		panic("tunneltest: an account id is 32 hexadecimal digits")
	case s.apiToken.IsZero():
		panic("tunneltest: the API token is empty")
	case s.quota.limit < 0 || s.quota.limit > 0 && s.quota.window <= 0:
		panic("tunneltest: a quota is of at least no requests in a window longer than nothing")
	case s.now == nil:
		panic("tunneltest: the clock is nil")
	case s.keep < -1:
		panic("tunneltest: a negative number of requests to keep")
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

// URL returns the base URL for clients. It ends in /client/v4. The URL of a server that is
// [InMemory] is good for its HTTPClient only.
func (s *Server) URL() string { return s.start() + basePath }

// start serves until Close, and returns the server's URL without a path.
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
		listener, err = net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
		if err != nil {
			panic("tunneltest: no port to listen on: " + err.Error())
		}
		s.listen.url = "http://" + listener.Addr().String()
		s.listen.server.ReadHeaderTimeout = time.Minute
	}
	if s.isClosed() {
		_ = listener.Close() // like the listener of a server that was closed
	}
	go func() { _ = s.listen.server.Serve(listener) }()
	return s.listen.url
}

// Handler returns what the server serves, to be served elsewhere. Paths begin with /client/v4. To cut a connection it panics with
// http.ErrAbortHandler, which an http.Server understands.
func (s *Server) Handler() http.Handler { return s.handler }

// Close ends the server and its connections, and every delay that is still under way.
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

// AccountID returns the account that NewClient's clients work on and SeedTunnels fills.
func (s *Server) AccountID() string { return s.accountID }

// APIToken returns the API token that the server accepts.
func (s *Server) APIToken() cftunnel.Secret { return s.apiToken }

// NewClient returns a client of this server. It is paced to the server's quota, so that it meets no 429, or not at all where the server has
// none; opts come after and win. To meet the quota, give WithoutRateLimit(). It pauses before a retry as any client does: a
// [cftunnel.RetryPolicy] with a BaseDelay of a nanosecond keeps tests with faults short.
func (s *Server) NewClient(opts ...cftunnel.Option) (*cftunnel.Client, error) {
	pacing := cftunnel.WithoutRateLimit()
	if s.quota.limit > 0 {
		pacing = cftunnel.WithRateLimit(s.quota.limit, s.quota.window)
	}
	own := []cftunnel.Option{
		cftunnel.WithBaseURL(s.URL()),
		cftunnel.WithAPIToken(s.apiToken.Reveal()),
		cftunnel.WithAccountID(s.accountID),
		pacing,
	}
	if s.pipes != nil {
		own = append(own, cftunnel.WithHTTPClient(s.HTTPClient()))
	}
	return cftunnel.NewClient(append(own, opts...)...)
}

// Request is what the server keeps of a request.
type Request struct {
	Time time.Time // when it came, by the server's clock
	// Operation is the method and the path template, "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}", empty where there is none. The
	// comments of package cftunnel's methods name theirs.
	Operation string
	// Method and Path are as they came, Path below the base URL.
	Method, Path string
	Query        url.Values // decoded
	// Header has no credentials.
	Header http.Header
	// Body may contain a tunnel's secret. Requests with the same body have equal ones. It is empty if
	// the body was too large to be read.
	Body cftunnel.Secret
	// Done reports whether the server carried the request out, whatever it then answered.
	Done bool
	// Status is what it answered, 0 where it cut the connection or has not answered yet.
	Status int
}

// Requests returns every request so far, in the order in which they arrived, refused and cut ones
// too. With [WithRecordLimit] it returns the last ones.
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

// keepRequest adds a request to the record. The caller holds s.mu.
func (s *Server) keepRequest(r *Request) {
	s.requests = append(s.requests, r)
	if s.keep >= 0 && len(s.requests) >= 2*s.keep { // so that each is moved once at most
		s.requests = slices.Clone(s.lastRequests())
	}
}

// lastRequests returns the requests to keep. The caller holds s.mu.
func (s *Server) lastRequests() []*Request {
	if s.keep < 0 || len(s.requests) <= s.keep {
		return s.requests
	}
	return s.requests[len(s.requests)-s.keep:]
}

func cloneValues(values url.Values) url.Values {
	clone := make(url.Values, len(values))
	for key, list := range values {
		clone[key] = slices.Clone(list)
	}
	return clone
}

// stamp is the time to keep in the state, as precise as answers tell it.
func (s *Server) stamp() time.Time { return s.now().Truncate(time.Microsecond) }

// sleep waits unless the server is closed meanwhile. That the client has gone does not end it: a real server does not know either.
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

// newUUID returns a random UUID of version 4.
func newUUID() string {
	id := []byte(randomHex(16))
	id[12], id[16] = '4', "89ab"[id[16]%4]
	return string(id[:8]) + "-" + string(id[8:12]) + "-" + string(id[12:16]) + "-" + string(id[16:20]) + "-" + string(id[20:])
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
