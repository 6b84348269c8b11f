package cftunnel

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// CallOption changes one call.
type CallOption func(*callOptions) error

// callOptions is what the options of one call write and the call reads.
type callOptions struct {
	infos       []*ResponseInfo
	header      http.Header
	query       url.Values
	maxAttempts int
	template    string
}

func newCallOptions(opts []CallOption, maxAttempts int) (callOptions, error) {
	if len(opts) == 0 {
		return callOptions{maxAttempts: maxAttempts}, nil
	}
	options := callOptions{header: http.Header{}, query: url.Values{}, maxAttempts: maxAttempts}
	for _, opt := range opts {
		if opt == nil {
			return callOptions{}, invalid("opts", "contains a nil option")
		}
		if err := opt(&options); err != nil {
			return callOptions{}, err
		}
	}
	return options, nil
}

// ResponseInfo describes the response to a call. It is filled whether the call succeeds or fails, with
// the latest response.
type ResponseInfo struct {
	// StatusCode is 0 if there was no response.
	StatusCode int
	// Attempts counts the attempts, including those without a connection.
	Attempts int
	// RayID identifies the request for Cloudflare's support.
	RayID string
	// Header is the response's, nil if there was none.
	Header http.Header
	// Messages is what the API says besides result and errors. Messages come with success too, so do not
	// classify by them.
	Messages []Message
	// RetryAfter is how long the response's Retry-After header asks to wait, given in seconds or as a
	// date; 0 if there is none.
	RetryAfter time.Duration
	// Page is the result_info of a list, zero if there is none.
	Page PageInfo
}

// Message is a remark of the API.
type Message struct {
	Code    int    // the API's, 0 if there is none
	Message string // any text
}

// CaptureResponse fills info. If one call sends several requests, as All does, info describes the last.
// Each of several concurrent calls needs its own info. The option can be given more than once.
func CaptureResponse(info *ResponseInfo) CallOption {
	return func(o *callOptions) error {
		if info == nil {
			return invalid("info", "is nil")
		}
		o.infos = append(o.infos, info)
		return nil
	}
}

// AddHeader adds a header to the request. Those of the client's credentials are refused. An
// Idempotency-Key does not make a POST retryable: this API does not support it.
func AddHeader(key, value string) CallOption {
	return func(o *callOptions) error {
		if !isHeaderName(key) {
			return invalid("key", "is not the name of a header")
		}
		if !isHeaderValue(value) {
			return invalid("value", "has characters that a header cannot have")
		}
		switch http.CanonicalHeaderKey(key) {
		case "Authorization", "X-Auth-Email", "X-Auth-Key":
			return invalid("key", "is a header of the client's credentials; create another client for others")
		}
		o.header.Add(key, value)
		return nil
	}
}

// AddQuery adds a parameter to the query, for those that the API has and this client does not.
func AddQuery(key, value string) CallOption {
	return func(o *callOptions) error {
		if key == "" {
			return invalid("key", "is empty")
		}
		o.query.Add(key, value)
		return nil
	}
}

// MaxAttempts overrides the client's number of attempts for one call. With 1, a call is sent once. Only
// net/http may send a request once more, on a new connection, if an idle one was dead; that is counted
// and paced.
func MaxAttempts(n int) CallOption {
	return func(o *callOptions) error {
		if n < 1 {
			return invalid("maxAttempts", "is %d; it must be positive", n)
		}
		o.maxAttempts = n
		return nil
	}
}

// AsOperation sets the path template that [Operation], logs, hooks and errors name a call of [Client.Do]
// by: "/accounts/{account_id}/devices". Without it they have the path itself, with its ids.
func AsOperation(template string) CallOption {
	return func(o *callOptions) error {
		if !strings.HasPrefix(template, "/") || !isHeaderValue(template) || !utf8.ValidString(template) || strings.ContainsAny(template, "? \t") {
			return invalid("template", "is not a path template that begins with a slash")
		}
		o.template = template
		return nil
	}
}

// progressKey is the context key of a *progress.
type progressKey struct{}

// Operation returns the method and the path template of the call that a request belongs to, such as
// "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}". It labels the metrics and traces of a
// RoundTripper, which calls it with the request's context. Logs, errors and package tunneltest use the
// same text. For [Client.Do] without [AsOperation], the path has its ids. It is empty in any other
// context.
func Operation(ctx context.Context) string {
	if p := progressOf(ctx); p != nil {
		return p.operation
	}
	return ""
}

// Attempt returns the number of the attempt that a request belongs to, 1 for the first, as [Operation]
// does. It is 0 in any other context.
func Attempt(ctx context.Context) int {
	if p := progressOf(ctx); p != nil {
		return int(p.attempts.Load())
	}
	return 0
}

func progressOf(ctx context.Context) *progress {
	if ctx == nil {
		return nil
	}
	p, _ := ctx.Value(progressKey{}).(*progress)
	return p
}

func isHeaderValue(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isHeaderName reports whether name is a token of RFC 9110.
func isHeaderName(name string) bool {
	for _, c := range []byte(name) {
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return name != ""
}
