package cftunnel

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/limiter"
)

// The defaults of a client.
const (
	apiPath                 = "/client/v4"
	defaultBaseURL          = "https://api.cloudflare.com" + apiPath
	defaultRequests         = 1200
	defaultWindow           = 5 * time.Minute
	defaultTimeout          = 30 * time.Second
	defaultMaxResponseBytes = 64 << 20
)

var defaultRetry = RetryPolicy{
	MaxAttempts: 4, BaseDelay: 500 * time.Millisecond, MaxDelay: 30 * time.Second,
}

// Option configures a client in [NewClient]. If two options set the same value, the last one
// applies. [WithEnvironment] never overrides another option.
type Option func(*settings) error

// settings collects the values that options set.
type settings struct {
	environment bool
	credentials credentials
	accountID   string
	baseURL     string
	httpClient  *http.Client
	transports  []func(http.RoundTripper) http.RoundTripper
	userAgent   string

	limiter          func(maxHold time.Duration) *limiter.Limiter // nil for the default quota
	retry            RetryPolicy
	timeout          time.Duration
	maxResponseBytes int64
	logger           logSink
	hooks            Hooks
}

// Limiter decides when requests are sent. A [*QuotaLimiter] is a Limiter, and so is a *rate.Limiter
// of golang.org/x/time/rate.
//
// If a Limiter also has a method Hold(until time.Time), the client calls it after a 429 response,
// with the time until which no request may be sent. Clients that share the Limiter can then wait
// too.
type Limiter interface {
	// Wait blocks until a request may be sent. It returns an error if the request must not be sent
	// or the context ends. The request is then not sent, and the call returns an [*Error] that
	// wraps this error. If the error has a method RetryAfter() time.Duration, its result is also
	// the RetryAfter of the *Error. Wait is called before every attempt, and again if another call
	// got a 429 response during the wait. It must be safe for concurrent use.
	Wait(ctx context.Context) error
}

// RetryPolicy says how often a request is retried, and how long the pauses are. A field that is
// zero means its default.
type RetryPolicy struct {
	// MaxAttempts is the maximum number of attempts, including the first. The default is 4; 1 turns
	// retries off.
	MaxAttempts int
	// BaseDelay is the maximum pause before the second attempt. The maximum doubles with each
	// further attempt. The pause is random, from 0 to the maximum. The default is 500ms.
	BaseDelay time.Duration
	// MaxDelay is the maximum of every pause. If a Retry-After header asks for a longer one, the
	// call fails at once. The default is 30s.
	MaxDelay time.Duration
}

// Hooks are functions that a client calls, for metrics and traces. A nil function is not called.
// Hooks run in the goroutine of the call, with the context of the call, and must be safe for
// concurrent use.
//
// Hooks do not report the result of a call. A call that fails without an attempt, such as one that
// fails at once because of an earlier 429 response, is not reported at all. To count failed calls,
// count the errors that methods return.
type Hooks struct {
	// Attempt is called after each attempt.
	Attempt func(context.Context, AttemptInfo)
	// Wait is called after each wait of a millisecond or more.
	Wait func(context.Context, WaitInfo)
}

// AttemptInfo describes a finished attempt.
type AttemptInfo struct {
	// Call is the method that this operation belongs to, such as "Tunnels.Get". If a method calls
	// other methods, it is the name of the inner method: an attempt of Hostnames.Publish can have
	// the Call "Zones.List".
	Call string
	// Operation is the HTTP method and path template, as [Operation] returns it.
	Operation string
	// Attempt is the number of the attempt, from 1.
	Attempt int
	// StatusCode is the HTTP status, or 0 if there was no response.
	StatusCode int
	// RayID identifies the request for Cloudflare's support. It is empty if there was no response.
	RayID string
	// Duration includes getting a connection and decoding the response.
	Duration time.Duration
	// Err is nil if the attempt succeeded, otherwise usually an [*Error].
	Err error
}

// WaitReason is the reason why a call waited.
type WaitReason string

// The reasons for a wait.
const (
	WaitPace  WaitReason = "pace"  // the client's rate limit
	WaitHold  WaitReason = "hold"  // a 429 response that delays every call
	WaitRetry WaitReason = "retry" // the pause before a retry
)

// WaitInfo describes a finished wait.
type WaitInfo struct {
	// Operation is the HTTP method and path template, as [Operation] returns it.
	Operation string
	// Reason is the reason why the call waited.
	Reason WaitReason
	// Duration is a millisecond or more.
	Duration time.Duration
}

var errTransportRetry = errors.New("the connection was lost, and net/http sends the request again")

// WithAccountID sets the account of the client. An account ID is 32 hexadecimal digits. See also
// [Client.ForAccount].
func WithAccountID(accountID string) Option {
	return func(s *settings) error { return s.setAccountID("accountID", accountID) }
}

// WithBaseURL sets the base URL of the API, including the path /client/v4. The default is
// https://api.cloudflare.com/client/v4. Plain HTTP is allowed only to a loopback address, because
// every request contains the credentials.
func WithBaseURL(baseURL string) Option {
	return func(s *settings) error { return s.setBaseURL("baseURL", baseURL) }
}

// WithHTTPClient sends requests with the transport, the cookie jar and the timeout of an HTTP
// client. The timeout limits each attempt, in addition to that of [WithTimeout]. Redirects are not
// followed. If the client has no transport, http.DefaultTransport is used.
//
// All requests go to one host. For many concurrent calls over HTTP/1.1, set MaxIdleConnsPerHost of
// the transport: with the default of 2, most connections are used only once. To change the default
// transport of this package instead, use [WithTransport].
//
// The client closes all idle connections of the transport if one of them is dead.
func WithHTTPClient(client *http.Client) Option {
	return func(s *settings) error {
		if client == nil {
			return invalid("httpClient", "is nil")
		}
		s.httpClient = client
		return nil
	}
}

// WithTransport wraps the client's transport, for example to add telemetry, to set a proxy or to
// trust a CA. The function wrap gets the default transport, or the transport of [WithHTTPClient],
// and returns the transport to use. If the option is given twice, the second function wraps the
// result of the first.
//
// The default transport is a new *http.Transport, so wrap may change it. It uses the proxy of the
// environment variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and trusts the CAs of the system. Its
// TLSClientConfig is nil: set a new one.
//
// A RoundTripper can call [Operation] and [Attempt] with the context of the request. It must not
// use http.DefaultClient. If it keeps idle connections, it needs a CloseIdleConnections method.
func WithTransport(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(s *settings) error {
		if wrap == nil {
			return invalid("wrap", "is nil")
		}
		s.transports = append(s.transports, wrap)
		return nil
	}
}

// WithUserAgent adds the name of the program to the User-Agent header, before the name of this
// library. An example is "my-operator/1.2".
func WithUserAgent(userAgent string) Option {
	return func(s *settings) error {
		if userAgent == "" || !isHeaderValue(userAgent) {
			return invalid("userAgent", "is empty or has characters that a header cannot contain")
		}
		s.userAgent = userAgent
		return nil
	}
}

// WithRateLimit sets the rate limit of the client and the clients made from it by
// [Client.ForAccount]. They never send more than the given number of requests in any window of the
// given length. Each attempt counts. A burst of up to 10% of the requests, but at least one, is
// sent at once; 1% is kept in reserve, and the rest is spread evenly. A call waits for its turn
// until its context ends.
//
// The default is Cloudflare's limit for a token, 1200 requests in 5 minutes: a burst of 120, then
// 3.56 requests per second. If several processes use the same token, give each a part of the quota,
// or use [WithLimiter].
func WithRateLimit(requests int, window time.Duration) Option {
	return func(s *settings) error {
		if err := checkQuota(requests, window); err != nil {
			return err
		}
		s.limiter = func(maxHold time.Duration) *limiter.Limiter {
			return limiter.New(requests, window, maxHold)
		}
		return nil
	}
}

func checkQuota(requests int, window time.Duration) error {
	if requests < 1 {
		return invalid("requests", "is %d; it must be positive", requests)
	}
	if window <= 0 {
		return invalid("window", "is %s; it must be positive", window)
	}
	return nil
}

// WithLimiter replaces the client's own rate limit by l. A 429 response still delays this client
// and the clients made from it by ForAccount. It delays other clients that share l only if l has a
// Hold method, which a *rate.Limiter does not have.
func WithLimiter(l Limiter) Option {
	return func(s *settings) error {
		v := reflect.ValueOf(l)
		if l == nil || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil() {
			return invalid("limiter", "is nil; to turn pacing off, use WithoutRateLimit")
		}
		if shared, ok := l.(*QuotaLimiter); ok {
			if shared.limiter == nil {
				return invalid("limiter", "is a zero QuotaLimiter; create it with NewLimiter")
			}
			s.limiter = shared.limiter.WithMaxHold
			return nil
		}
		s.limiter = func(maxHold time.Duration) *limiter.Limiter {
			return limiter.Before(l, maxHold)
		}
		return nil
	}
}

// WithoutRateLimit turns off the client's own rate limit. A 429 response still delays this client
// and the clients made from it by ForAccount.
func WithoutRateLimit() Option {
	return func(s *settings) error {
		s.limiter = func(maxHold time.Duration) *limiter.Limiter {
			return limiter.Before(nil, maxHold)
		}
		return nil
	}
}

// WithRetry sets how often requests are retried, and how long the pauses are. It does not change
// which requests are retried: see the package documentation.
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
			return invalid("BaseDelay", "is %s, more than MaxDelay, %s",
				policy.BaseDelay, policy.MaxDelay)
		}
		s.retry = policy
		return nil
	}
}

// WithTimeout limits the duration of one attempt, from getting a connection to reading the last
// byte of the response. The default is 30s. To limit the whole call, use a context with a deadline.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		if timeout <= 0 {
			return invalid("timeout", "is %s; it must be positive", timeout)
		}
		s.timeout = timeout
		return nil
	}
}

// WithMaxResponseBytes limits the size of a response body in bytes, after decompression. A larger
// body is an error. The default is 64 MiB.
func WithMaxResponseBytes(n int64) Option {
	return func(s *settings) error {
		if n < 1 {
			return invalid("maxResponseBytes", "is %d; it must be positive", n)
		}
		s.maxResponseBytes = n
		return nil
	}
}

// WithLogger sets a logger. By default, and if logger is nil, nothing is logged.
//
// Each attempt is one record with the keys call, operation, status, ray_id, attempt, duration and
// error. The level of a failed attempt is warn if there was no response, if the status is one that
// can be retried, or if the attempt failed although the status is 2xx, for example with a body that
// is not valid JSON. All other attempts have the level debug. Each wait of a second or more is one
// record at level info, with the keys call, operation, reason and duration. Bodies, queries and
// headers are not logged.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) error {
		s.logger = logSink{}
		if logger != nil {
			s.logger = logSink{logger.Enabled, logger.LogAttrs}
		}
		return nil
	}
}

// WithHooks sets functions that are called after each attempt and each wait.
func WithHooks(hooks Hooks) Option {
	return func(s *settings) error {
		s.hooks = hooks
		return nil
	}
}
