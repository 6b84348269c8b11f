package cftunnel

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// CallOption configures one call.
type CallOption func(*callOptions) error

// callOptions collects the values that the options of one call set.
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

// ResponseInfo describes the last response to a call. It is filled whether the call succeeds or
// fails.
type ResponseInfo struct {
	// StatusCode is the HTTP status, or 0 if there was no response.
	StatusCode int
	// Attempts is the number of attempts, including those that got no connection.
	Attempts int
	// RayID identifies the request for Cloudflare's support.
	RayID string
	// Header is the header of the response, or nil if there was no response.
	Header http.Header
	// Messages are the API's messages besides its errors. A successful response can have messages
	// too, so do not use them to detect errors.
	Messages []Message
	// RetryAfter is the pause that the Retry-After header asks for. The header has seconds or a
	// date. RetryAfter is 0 if the header is missing.
	RetryAfter time.Duration
	// Page is the result_info of a list. It is zero if the response has none.
	Page PageInfo
}

// Message is a message of the API that is not an error.
type Message struct {
	// Code is the API's numeric code, or 0 if there is none.
	Code int
	// Message is the API's text, redacted and truncated.
	Message string
}

// CaptureResponse stores a description of the response in info. If a call sends several requests,
// as All does, info describes the last one. Concurrent calls must not share info. The option can be
// given more than once.
func CaptureResponse(info *ResponseInfo) CallOption {
	return func(o *callOptions) error {
		if info == nil {
			return invalid("info", "is nil")
		}
		*info = ResponseInfo{} // also if the call fails before it sends a request
		o.infos = append(o.infos, info)
		return nil
	}
}

// AddHeader adds a header to the request. An Idempotency-Key header does not make a POST request
// retryable, because this API does not support it.
//
// The call returns an [*InvalidArgumentError] for the headers of credentials (Authorization,
// X-Auth-Email and X-Auth-Key) and for those that net/http sets itself (Host, Content-Length,
// Transfer-Encoding and Trailer).
func AddHeader(key, value string) CallOption {
	return func(o *callOptions) error {
		if !isHeaderName(key) {
			return invalid("key", "is not the name of a header")
		}
		if !isHeaderValue(value) {
			return invalid("value", "has characters that a header cannot contain")
		}
		switch http.CanonicalHeaderKey(key) {
		case "Authorization", "X-Auth-Email", "X-Auth-Key":
			return invalid("key",
				"is a header of the client's credentials; to use others, create another client")
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			return invalid("key", "is a header that net/http sets itself")
		}
		o.header.Add(key, value)
		return nil
	}
}

// AddQuery adds a parameter to the query. Use it for parameters that this package has no field for.
func AddQuery(key, value string) CallOption {
	return func(o *callOptions) error {
		if key == "" {
			return invalid("key", "is empty")
		}
		o.query.Add(key, value)
		return nil
	}
}

// MaxAttempts overrides [RetryPolicy].MaxAttempts for one call. With 1, the call is not retried.
// There is one exception: if an idle connection turns out to be closed, net/http can send the
// request again on a new connection. This is an attempt too: it is rate limited and included in
// [Error].Attempts.
func MaxAttempts(n int) CallOption {
	return func(o *callOptions) error {
		if n < 1 {
			return invalid("maxAttempts", "is %d; it must be positive", n)
		}
		o.maxAttempts = n
		return nil
	}
}

// AsOperation sets the path template of a call of [Client.Do], such as
// "/accounts/{account_id}/devices". [Operation], logs, hooks and errors use it to identify the
// call. By default they use the path itself, including its IDs.
func AsOperation(template string) CallOption {
	return func(o *callOptions) error {
		if !strings.HasPrefix(template, "/") || strings.ContainsAny(template, "? \t") ||
			!isHeaderValue(template) || !utf8.ValidString(template) {
			return invalid("template", "is not a path template that begins with a slash")
		}
		o.template = template
		return nil
	}
}

// progressKey is the context key of a *progress.
type progressKey struct{}

// Operation returns the HTTP method and path template of the call that a request belongs to, such
// as "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}". A RoundTripper calls it with the context
// of the request, for example to label metrics and traces. Logs, errors and package tunneltest use
// the same text. For [Client.Do] without [AsOperation], it returns the method and the path,
// including its IDs. In any other context it returns an empty string.
func Operation(ctx context.Context) string {
	if p := progressOf(ctx); p != nil {
		return p.operation
	}
	return ""
}

// Attempt returns the number of the current attempt of a call. The first attempt is 1. A
// RoundTripper calls Attempt with the context of the request. In any other context it returns 0.
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
