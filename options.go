package cftunnel

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// Defaults of a client.
const (
	defaultBaseURL          = "https://api.cloudflare.com/client/v4"
	defaultRequests         = 1200
	defaultWindow           = 5 * time.Minute
	defaultTimeout          = 30 * time.Second
	defaultMaxResponseBytes = 64 << 20
)

var defaultRetry = RetryPolicy{MaxAttempts: 4, BaseDelay: 500 * time.Millisecond, MaxDelay: 30 * time.Second}

// Option configures a client in [NewClient]. Where two options set the same thing, the later one counts.
type Option func(*settings) error

// settings is what the options write and NewClient reads.
type settings struct {
	environment bool
	authorize   authorizer
	accountID   string
	baseURL     string
	httpClient  *http.Client
	userAgent   string

	requests   int
	window     time.Duration
	limiter    Limiter
	ownLimiter bool // limiter counts, also where it is nil

	retry            RetryPolicy
	timeout          time.Duration
	maxResponseBytes int64
	logger           *slog.Logger
}

// authorizer puts credentials into a request's headers.
type authorizer func(context.Context, http.Header) error

// Limiter paces requests: Wait returns when one may be sent, or with an error when it may not or when the context ends. That error ends the
// call, unsent, and is in the chain of its [*Error]. Wait is called before every attempt, again where a hold of the server began while it
// waited, and by many goroutines at once. A *rate.Limiter of golang.org/x/time/rate is one.
//
// Where a Limiter also has the method Hold(until time.Time), it is told of the server's Retry-After, so that others who share it can wait
// too.
type Limiter interface {
	Wait(ctx context.Context) error
}

// RetryPolicy says how often and after what pauses a request is sent again. Zero fields keep the defaults.
type RetryPolicy struct {
	// MaxAttempts counts the first attempt too. The default is 4; 1 turns retries off.
	MaxAttempts int
	// BaseDelay bounds the pause before the second attempt; the bound doubles with each one after. The pause itself is random, anywhere
	// between nothing and the bound. The default is 500 ms.
	BaseDelay time.Duration
	// MaxDelay bounds each pause, and the server's Retry-After that a call is ready to wait for. The default is 30 s.
	MaxDelay time.Duration
}

// WithAPIToken authenticates with an API token, of a user or of an account. A text that cannot be one is refused, a tunnel token by
// name.
func WithAPIToken(token string) Option {
	return func(s *settings) error { return s.setAPIToken("apiToken", token) }
}

// WithAPIKey authenticates with the old pair of a user's email address and global API key. Prefer a token: the key can do everything that
// its user can.
func WithAPIKey(email, key string) Option {
	return func(s *settings) error { return s.setAPIKey("email", email, "key", key) }
}

// WithTokenSource authenticates with the API token that source returns. It is called before every attempt, and once more by
// [TokensService.Verify], with the context of the call and by many goroutines at once, so a source that fetches should also remember. Its
// error ends the call, unsent, and is in the chain of its [*Error].
func WithTokenSource(source func(context.Context) (Secret, error)) Option {
	return func(s *settings) error {
		if source == nil {
			return invalid("source", "is nil")
		}
		s.authorize = func(ctx context.Context, header http.Header) error {
			token, err := source(ctx)
			if err != nil {
				return err
			}
			if err := checkAPIToken("token of the token source", token.Reveal()); err != nil {
				return err
			}
			header.Set("Authorization", "Bearer "+token.Reveal())
			return nil
		}
		return nil
	}
}

// WithEnvironment reads what no other option sets from CLOUDFLARE_API_TOKEN, or CLOUDFLARE_API_KEY and CLOUDFLARE_EMAIL, from
// CLOUDFLARE_ACCOUNT_ID and from CLOUDFLARE_BASE_URL. The order of the options does not matter. An empty variable counts as not set.
func WithEnvironment() Option {
	return func(s *settings) error {
		s.environment = true
		return nil
	}
}

// WithAccountID names the account that calls work on: 32 hexadecimal digits. See also [Client.ForAccount].
func WithAccountID(accountID string) Option {
	return func(s *settings) error { return s.setAccountID("accountID", accountID) }
}

// WithBaseURL sends requests to another server than https://api.cloudflare.com/client/v4. Plain http is refused but for this machine
// itself, since each request carries the credentials.
func WithBaseURL(baseURL string) Option {
	return func(s *settings) error { return s.setBaseURL("baseURL", baseURL) }
}

// WithHTTPClient sends requests through a copy of this client: its transport, its cookies, its time-out, which bounds an attempt beside that of
// [WithTimeout]. Redirects are not followed, whatever it says of them. A RoundTripper that measures or traces finds the path template with
// [Operation]. All requests go to one host: over HTTP/1.1, many calls at once want a transport with more MaxIdleConnsPerHost than the two of
// http.DefaultTransport.
func WithHTTPClient(client *http.Client) Option {
	return func(s *settings) error {
		if client == nil {
			return invalid("httpClient", "is nil")
		}
		s.httpClient = client
		return nil
	}
}

// WithUserAgent names the program in the User-Agent header, before the name of this library: "my-operator/1.2".
func WithUserAgent(userAgent string) Option {
	return func(s *settings) error {
		if userAgent == "" || !isHeaderValue(userAgent) {
			return invalid("userAgent", "is empty or has characters that a header cannot hold")
		}
		s.userAgent = userAgent
		return nil
	}
}

// WithRateLimit sets the quota that the client and its relatives made by [Client.ForAccount] keep below: never more than so many
// requests, attempts counted, in any window of this length. A tenth of them, at least one, may go at once, the rest evenly. A call waits for
// its turn as long as its context allows. The default is Cloudflare's own limit for a token, 1200 in five minutes: 120 at once, then 3.56 a
// second. Where several processes use one token, give each its share, or use [WithLimiter].
func WithRateLimit(requests int, window time.Duration) Option {
	return func(s *settings) error {
		if requests < 1 {
			return invalid("requests", "is %d; at least one must be allowed", requests)
		}
		if window <= 0 {
			return invalid("window", "is %s; it must be longer than nothing", window)
		}
		s.requests, s.window, s.ownLimiter = requests, window, false
		return nil
	}
}

// WithLimiter paces requests by limiter in place of the client's own quota. nil turns pacing off. The server's Retry-After still holds back
// this client and those made from it by ForAccount; others that share the limiter only where it has Hold, which a *rate.Limiter has not.
func WithLimiter(limiter Limiter) Option {
	return func(s *settings) error {
		if v := reflect.ValueOf(limiter); limiter != nil && v.Kind() == reflect.Pointer && v.IsNil() {
			return invalid("limiter", "is a nil pointer")
		}
		s.limiter, s.ownLimiter = limiter, true
		return nil
	}
}

// WithRetry sets how often and after what pauses requests are sent again. What may be sent again at all is not a matter of policy: see
// the package documentation.
func WithRetry(policy RetryPolicy) Option {
	return func(s *settings) error {
		switch {
		case policy.MaxAttempts < 0:
			return invalid("MaxAttempts", "is %d; it cannot be negative", policy.MaxAttempts)
		case policy.BaseDelay < 0:
			return invalid("BaseDelay", "is %s; it cannot be negative", policy.BaseDelay)
		case policy.MaxDelay < 0:
			return invalid("MaxDelay", "is %s; it cannot be negative", policy.MaxDelay)
		case policy.MaxDelay > 0 && policy.BaseDelay > policy.MaxDelay:
			return invalid("BaseDelay", "is %s, more than MaxDelay, %s", policy.BaseDelay, policy.MaxDelay)
		}
		s.retry = policy
		return nil
	}
}

// WithTimeout bounds one attempt, from asking for a connection to the last byte of the answer. The default is 30 s. The context bounds the
// whole call.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		if timeout <= 0 {
			return invalid("timeout", "is %s; it must be longer than nothing", timeout)
		}
		s.timeout = timeout
		return nil
	}
}

// WithMaxResponseBytes bounds the body of an answer, after decompression. A longer one is an error. The default is 64 MiB.
func WithMaxResponseBytes(n int64) Option {
	return func(s *settings) error {
		if n < 1 {
			return invalid("maxResponseBytes", "is %d; it must be at least 1", n)
		}
		s.maxResponseBytes = n
		return nil
	}
}

// WithLogger logs one record for each attempt: operation, method, path template, status, ray id, attempt, duration and error. Attempts
// that fail for reasons other than the request itself are warnings, all others debug records. No body, query or header is ever
// logged. The default, and nil, is silence.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) error {
		s.logger = logger
		return nil
	}
}

// readEnvironment fills in what no option set.
func (s *settings) readEnvironment() error {
	if s.authorize == nil {
		token, key, email := os.Getenv(envAPIToken), os.Getenv(envAPIKey), os.Getenv(envEmail)
		var err error
		switch {
		case token != "":
			err = s.setAPIToken(envAPIToken, token)
		case key != "" || email != "":
			err = s.setAPIKey(envEmail, email, envAPIKey, key)
		}
		if err != nil {
			return err
		}
	}
	if accountID := os.Getenv(envAccountID); s.accountID == "" && accountID != "" {
		if err := s.setAccountID(envAccountID, accountID); err != nil {
			return err
		}
	}
	if baseURL := os.Getenv(envBaseURL); s.baseURL == "" && baseURL != "" {
		return s.setBaseURL(envBaseURL, baseURL)
	}
	return nil
}

// The variables of WithEnvironment.
const (
	envAPIToken  = "CLOUDFLARE_API_TOKEN"
	envAPIKey    = "CLOUDFLARE_API_KEY"
	envEmail     = "CLOUDFLARE_EMAIL"
	envAccountID = "CLOUDFLARE_ACCOUNT_ID"
	envBaseURL   = "CLOUDFLARE_BASE_URL"
)

func (s *settings) setAPIToken(name, token string) error {
	if err := checkAPIToken(name, token); err != nil {
		return err
	}
	bearer := "Bearer " + token
	s.authorize = func(_ context.Context, header http.Header) error {
		header.Set("Authorization", bearer)
		return nil
	}
	return nil
}

func (s *settings) setAPIKey(emailName, email, keyName, key string) error {
	if err := checkCredential(emailName, email); err != nil {
		return err
	}
	if err := checkCredential(keyName, key); err != nil {
		return err
	}
	s.authorize = func(_ context.Context, header http.Header) error {
		header.Set("X-Auth-Email", email)
		header.Set("X-Auth-Key", key)
		return nil
	}
	return nil
}

func (s *settings) setAccountID(name, accountID string) error {
	if err := apipath.AccountID(accountID); err != nil {
		return invalid(name, "%v", err)
	}
	s.accountID = accountID
	return nil
}

func (s *settings) setBaseURL(name, baseURL string) error {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return invalid(name, "is not an absolute URL")
	case u.User != nil:
		return invalid(name, "holds a user or a password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return invalid(name, "has a query or a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return invalid(name, "is plain http to another machine, which would show the credentials to everybody between; use https")
	case u.Scheme != "http" && u.Scheme != "https":
		return invalid(name, "is neither https nor http")
	}
	s.baseURL = strings.TrimRight(u.String(), "/")
	return nil
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

func checkAPIToken(name, token string) error {
	if err := checkCredential(name, token); err != nil {
		return err
	}
	if isTunnelToken(token) {
		return invalid(name, "is a tunnel token, or another one of the kind eyJ…; the API takes an API token")
	}
	return nil
}

func checkCredential(name, value string) error {
	if value == "" {
		return invalid(name, "is empty")
	}
	for _, c := range []byte(value) {
		if c <= ' ' || c > '~' {
			return invalid(name, "has white space or other characters that a header cannot hold")
		}
	}
	return nil
}

// isTunnelToken knows a tunnel token, or another JSON object in base64, by its beginning. An old API token, of just 40 characters, may begin
// with the same three by chance, but not with the first key of a tunnel token.
func isTunnelToken(token string) bool {
	if !strings.HasPrefix(token, "eyJ") {
		return false
	}
	const oldTokenLength = 40
	for _, firstKey := range []string{"eyJhIjoi", "eyJ0Ijoi", "eyJzIjoi", "eyJlIjoi"} { // {"a":" and so on for t, s and e
		if strings.HasPrefix(token, firstKey) {
			return true
		}
	}
	return len(token) != oldTokenLength
}

func isHeaderValue(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isHeaderName reports whether name is a token in the sense of RFC 9110.
func isHeaderName(name string) bool {
	for _, c := range []byte(name) {
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return name != ""
}

// CallOption changes one call.
type CallOption func(*call) error

// call is what the options of one call write and the call reads.
type call struct {
	info        *ResponseInfo
	header      http.Header
	query       url.Values
	maxAttempts int
}

// ResponseInfo tells of a call what its result does not. It is filled whether the call succeeds or fails, with the last answer that came.
type ResponseInfo struct {
	// StatusCode is 0 where no answer came.
	StatusCode int
	// Attempts counts the attempts, those that got no connection too.
	Attempts int
	// RayID is Cloudflare's name of the request.
	RayID string
	// Header is the answer's, nil where none came.
	Header http.Header
	// RetryAfter is how long the answer's Retry-After header asks to wait, given in seconds or as a date; 0 where it does not.
	RetryAfter time.Duration
	// RateLimits is what the answer's Ratelimit and Ratelimit-Policy headers tell. It is for show: the counts were seen not to follow real use,
	// and the client does not pace by them.
	RateLimits []RateLimit
	// Messages is what the API had to say beside result and errors. They come with success too, so never classify by them.
	Messages []Message
}

// Message is a remark of the API.
type Message struct {
	Code    int    // the API's, 0 where it gave none
	Message string // the text, which may be any
}

// RateLimit is a quota as an answer tells of it.
type RateLimit struct {
	// Name is that of the policy, such as "default".
	Name string
	// Quota is how many requests the policy allows in a Window; both are 0 where the answer does not say.
	Quota  int
	Window time.Duration
	// Remaining is how many of them are left, or -1 where the answer does not say.
	Remaining int
	// Reset is how long it takes until there are more, 0 where the answer does not say.
	Reset time.Duration
}

// CaptureResponse fills info. Where one call sends several requests, as All does, info is of the last. Calls at the same time need one each.
func CaptureResponse(info *ResponseInfo) CallOption {
	return func(c *call) error {
		if info == nil {
			return invalid("info", "is nil")
		}
		c.info = info
		return nil
	}
}

// AddHeader adds a header to the request. Those that carry the client's credentials are refused. An Idempotency-Key does not make a POST
// be sent again: this API does not know it.
func AddHeader(key, value string) CallOption {
	return func(c *call) error {
		if !isHeaderName(key) {
			return invalid("key", "is not the name of a header")
		}
		if !isHeaderValue(value) {
			return invalid("value", "has characters that a header cannot hold")
		}
		switch http.CanonicalHeaderKey(key) {
		case "Authorization", "X-Auth-Email", "X-Auth-Key":
			return invalid("key", "is a header of the client's credentials; make another client for others")
		}
		c.header.Add(key, value)
		return nil
	}
}

// AddQuery adds a parameter to the query, for those that the API has and this client does not.
func AddQuery(key, value string) CallOption {
	return func(c *call) error {
		if key == "" {
			return invalid("key", "is empty")
		}
		c.query.Add(key, value)
		return nil
	}
}

// MaxAttempts overrides the client's number of attempts for one call. With 1, a call is sent once; net/http alone may send a request without a
// body again by itself, where the connection that it took had died or took no more, which is counted and paced.
func MaxAttempts(n int) CallOption {
	return func(c *call) error {
		if n < 1 {
			return invalid("maxAttempts", "is %d; it must be at least 1", n)
		}
		c.maxAttempts = n
		return nil
	}
}
