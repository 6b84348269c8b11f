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

// Defaults of a client.
const (
	defaultBaseURL          = "https://api.cloudflare.com/client/v4"
	defaultRequests         = 1200
	defaultWindow           = 5 * time.Minute
	defaultTimeout          = 30 * time.Second
	defaultMaxResponseBytes = 64 << 20
)

var defaultRetry = RetryPolicy{MaxAttempts: 4, BaseDelay: 500 * time.Millisecond, MaxDelay: 30 * time.Second}

// Option configures a client in [NewClient]. If two options set the same thing, the later one counts.
type Option func(*settings) error

// settings is what the options write and NewClient reads.
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

// Limiter paces requests: Wait returns when one may be sent, or with an error if none may be sent or
// the context ends. That error ends the call, unsent, and is in the chain of its [*Error]. Wait is
// called before every attempt, again if a hold began while it waited, and by many goroutines at once. A
// *rate.Limiter of golang.org/x/time/rate is a Limiter; so is a [*QuotaLimiter].
//
// If a Limiter also has the method Hold(until time.Time), it is called with the end of the server's
// Retry-After, so that others that share the Limiter can wait too.
type Limiter interface {
	Wait(ctx context.Context) error
}

// RetryPolicy says how often a request is retried, and after what pauses. Zero fields keep the
// defaults.
type RetryPolicy struct {
	// MaxAttempts counts the first attempt too. The default is 4; 1 turns retries off.
	MaxAttempts int
	// BaseDelay bounds the pause before the second attempt; the bound doubles with each attempt after
	// that. The pause is random, between 0 and the bound. The default is 500 ms.
	BaseDelay time.Duration
	// MaxDelay bounds each pause, and the server's Retry-After that a call waits for. The default is
	// 30 s.
	MaxDelay time.Duration
}

// Hooks are functions that a client calls, for metrics and traces. Both are optional. They run in the
// goroutine of the call, with its context, and must be safe for concurrent use.
type Hooks struct {
	// Attempt is called after each attempt.
	Attempt func(context.Context, AttemptInfo)
	// Wait is called when a wait of a millisecond or more has ended.
	Wait func(context.Context, WaitInfo)
}

// AttemptInfo describes an attempt that has ended.
type AttemptInfo struct {
	// Call is the method, such as "Tunnels.Get"; Operation is what [Operation] returns.
	Call, Operation string
	// Attempt is 1 for the first. StatusCode is 0 if there was no response.
	Attempt, StatusCode int
	RayID               string        // identifies the request for Cloudflare's support
	Duration            time.Duration // from asking for a connection to the decoded response
	// Err is nil if the attempt succeeded, otherwise usually an [*Error].
	Err error
}

// WaitReason says what a call waited for.
type WaitReason string

// The reasons of a wait.
const (
	WaitPace  WaitReason = "pace"  // the client's own rate limit
	WaitHold  WaitReason = "hold"  // a 429 that holds back every call
	WaitRetry WaitReason = "retry" // the pause before another attempt
)

// WaitInfo describes a wait that has ended.
type WaitInfo struct {
	Operation string        // what [Operation] returns
	Reason    WaitReason    // what the call waited for
	Duration  time.Duration // a millisecond or more
}

var errTransportRetry = errors.New("the connection was lost, and net/http sends the request again")

// WithAccountID sets the account that calls work on: 32 hexadecimal digits. See also
// [Client.ForAccount].
func WithAccountID(accountID string) Option {
	return func(s *settings) error { return s.setAccountID("accountID", accountID) }
}

// WithBaseURL sends requests to another server than https://api.cloudflare.com/client/v4. Plain http is
// refused except for a loopback address, since each request carries the credentials.
func WithBaseURL(baseURL string) Option {
	return func(s *settings) error { return s.setBaseURL("baseURL", baseURL) }
}

// WithHTTPClient sends requests through a copy of this client: its transport, its cookies, and its
// timeout, which bounds an attempt besides that of [WithTimeout]. Redirects are not followed. All
// requests go to one host: over HTTP/1.1, many calls at once need a transport with more
// MaxIdleConnsPerHost than the 2 of http.DefaultTransport. To add to the client's own transport, use
// [WithTransport].
func WithHTTPClient(client *http.Client) Option {
	return func(s *settings) error {
		if client == nil {
			return invalid("httpClient", "is nil")
		}
		s.httpClient = client
		return nil
	}
}

// WithTransport wraps the client's transport, for example to add telemetry, or to trust a CA: wrap gets
// the client's own *http.Transport, or that of [WithHTTPClient], and returns what is used instead. A
// RoundTripper finds out about the call with [Operation] and [Attempt]. It must not call
// http.DefaultClient. If it keeps idle connections, it needs a CloseIdleConnections method. If this
// option is given twice, the second wraps what the first returned.
func WithTransport(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(s *settings) error {
		if wrap == nil {
			return invalid("wrap", "is nil")
		}
		s.transports = append(s.transports, wrap)
		return nil
	}
}

// WithUserAgent names the program in the User-Agent header, before the name of this library:
// "my-operator/1.2".
func WithUserAgent(userAgent string) Option {
	return func(s *settings) error {
		if userAgent == "" || !isHeaderValue(userAgent) {
			return invalid("userAgent", "is empty or has characters that a header cannot have")
		}
		s.userAgent = userAgent
		return nil
	}
}

// WithRateLimit sets the quota of the client and those made from it by [Client.ForAccount]: never more
// than requests, attempts counted, in any window. A burst of up to 10% of them, at least one, may be sent
// at once, the rest evenly spread. A call waits for its turn as long as its context allows. The default
// is Cloudflare's own limit for a token, 1200 in 5 minutes: 120 at once, then 3.56 a second. If several
// processes use one token, give each its share, or use [WithLimiter].
func WithRateLimit(requests int, window time.Duration) Option {
	return func(s *settings) error {
		if err := checkQuota(requests, window); err != nil {
			return err
		}
		s.limiter = func(maxHold time.Duration) *limiter.Limiter { return limiter.New(requests, window, maxHold) }
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

// WithLimiter paces requests by l instead of the client's own quota. The server's Retry-After still holds
// back this client and those made from it by ForAccount; others that share l only if it has Hold, which
// a *rate.Limiter does not have.
func WithLimiter(l Limiter) Option {
	return func(s *settings) error {
		if v := reflect.ValueOf(l); l == nil || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil() {
			return invalid("limiter", "is nil; to turn pacing off, use WithoutRateLimit")
		}
		if shared, ok := l.(*QuotaLimiter); ok {
			if shared.limiter == nil {
				return invalid("limiter", "is a zero QuotaLimiter; create it with NewLimiter")
			}
			s.limiter = shared.limiter.WithMaxHold
			return nil
		}
		s.limiter = func(maxHold time.Duration) *limiter.Limiter { return limiter.Before(l, maxHold) }
		return nil
	}
}

// WithoutRateLimit turns pacing off. The server's Retry-After still holds back this client and those made
// from it by ForAccount.
func WithoutRateLimit() Option {
	return func(s *settings) error {
		s.limiter = func(maxHold time.Duration) *limiter.Limiter { return limiter.Before(nil, maxHold) }
		return nil
	}
}

// WithRetry sets how often requests are retried, and after what pauses. Which requests may be retried is
// not a matter of policy: see the package documentation.
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

// WithTimeout bounds one attempt, from asking for a connection to the last byte of the response. The
// default is 30 s. The context bounds the whole call.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		if timeout <= 0 {
			return invalid("timeout", "is %s; it must be positive", timeout)
		}
		s.timeout = timeout
		return nil
	}
}

// WithMaxResponseBytes bounds the body of a response, after decompression. A longer one is an error. The
// default is 64 MiB.
func WithMaxResponseBytes(n int64) Option {
	return func(s *settings) error {
		if n < 1 {
			return invalid("maxResponseBytes", "is %d; it must be positive", n)
		}
		s.maxResponseBytes = n
		return nil
	}
}

// WithLogger logs one record for each attempt, with the keys call, operation, status, ray_id, attempt,
// duration and error. An attempt that fails for another reason than the request itself is logged as a
// warning, others at debug level. A wait of a second or more is logged at info level, with the keys
// call, operation, reason and duration. No body, query or header is logged. By default, and if logger
// is nil, nothing is logged.
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
