// Package cftunnel is a client for Cloudflare Tunnel: it creates, finds, lists, changes and deletes tunnels, reads and rotates their
// tokens, configures them, and tells which connectors run them.
//
//	client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
//	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})
//
// Six things are good to know.
//
// Credentials. A client needs an API token, and nearly every call an account. [WithEnvironment] takes both from CLOUDFLARE_API_TOKEN and
// CLOUDFLARE_ACCOUNT_ID; [Client.ForAccount] gives a client for another account of the same token.
//
// Errors. A bad argument is an [*InvalidArgumentError], and nothing was sent. Everything else that goes wrong with a request is an [*Error],
// with the status, the API's codes and the ray id; errors.Is finds [ErrNotFound], [ErrTunnelNameTaken] and the other sentinels in it. Ask for
// [ErrOutcomeUnknown] first: it says that a write may have been carried out although the call failed, so that one must look before doing it
// again. Any call can be [ErrUnauthorized], [ErrForbidden], [ErrRateLimited] or [ErrServer]; each method names what else it can be.
//
// Retries. GET, PUT, PATCH and DELETE are sent again on 429, 500, 502 to 504, 520 to 530, broken connections and attempts that take too long,
// up to four attempts in all with random pauses between; see [WithRetry] and [WithTimeout]. A POST is sent again only on 429, where no
// connection was got, or where an HTTP/2 server refused it unread: nothing is created twice.
//
// Rate limit. Cloudflare allows a token 1200 requests in five minutes, and past that refuses every call for five more. A client and those made
// from it by ForAccount stay below: a tenth of the quota may go at once, the rest evenly, each attempt counted; see [WithRateLimit]. A call
// waits for its turn for as long as its context lasts, and fails at once with [context.DeadlineExceeded] where that is too short: give calls a
// deadline. A Retry-After of the server holds all of them back; where it is longer than the deadline or [RetryPolicy].MaxDelay, the call fails
// at once with [ErrRateLimited]. Processes that share a token must share the quota too: a part of it each, or a [Limiter].
//
// Secrets. A [Secret] does not show its text, however it is printed; [Secret.Reveal] alone gives it. What was sent as a secret is blotted out
// of every error.
//
// Lists. All and AllTypes read every page, List and ListAllTypes one. They find live tunnels unless they are told otherwise, and only what
// the credentials may read: that a tunnel is not in a list is no proof that it is gone.
//
// Package [github.com/cftunnel/cftunnel-go/tunneltest] is a fake of the API for tests. The repository has pages on testing with it
// (docs/testing.md) and on running a program with this client (docs/operating.md): permissions, rotation, quotas, lost answers.
package cftunnel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/google/go-querystring/query"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/exchange"
	"github.com/cftunnel/cftunnel-go/internal/pace"
	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// Version is that of this module. The User-Agent of every request tells it.
const Version = "0.1.0"

const library = "cftunnel-go/" + Version

// Client talks to the API for one account. It is safe for concurrent use. Make it with [NewClient].
type Client struct {
	// Tunnels manages tunnels: create, find, list, change, delete, and their tokens and configurations.
	Tunnels *TunnelsService
	// Connectors tells which replicas of cloudflared run a tunnel, and drops them.
	Connectors *ConnectorsService
	// WARPConnectors manages tunnels that WARP runs.
	WARPConnectors *WARPConnectorsService
	// Tokens tells whether the client's own API token can be used.
	Tokens *TokensService

	accountID string
	*family
}

// family is what a client and those made from it by ForAccount share.
type family struct {
	baseURL          string
	http             *http.Client
	userAgent        string
	authorize        authorizer
	gate             *pace.Gate
	limiter          Limiter // nil where the gate paces, or nobody
	retry            RetryPolicy
	timeout          time.Duration
	maxResponseBytes int64
	logger           *slog.Logger
	decoder          envelope.Decoder
	scratches        sync.Pool
}

// maxScratch is more than a page of tunnels needs, and less than to be missed by a program.
const maxScratch = 1 << 20

func (f *family) scratch() *exchange.Scratch {
	if scratch, ok := f.scratches.Get().(*exchange.Scratch); ok {
		return scratch
	}
	return new(exchange.Scratch)
}

func (f *family) keep(scratch *exchange.Scratch) {
	if scratch.Size() <= maxScratch {
		f.scratches.Put(scratch)
	}
}

// service is the ground that every service stands on.
type service struct{ client *Client }

// NewClient returns a client. It needs credentials: [WithAPIToken], [WithAPIKey], [WithTokenSource] or [WithEnvironment]. Nearly every
// call also needs an account: [WithAccountID], or [Client.ForAccount] later. A bad option is an [*InvalidArgumentError]. Nothing is sent.
func NewClient(opts ...Option) (*Client, error) {
	s := settings{
		requests:         defaultRequests,
		window:           defaultWindow,
		timeout:          defaultTimeout,
		maxResponseBytes: defaultMaxResponseBytes,
	}
	for _, opt := range opts {
		if opt == nil {
			return nil, invalid("opts", "holds a nil option")
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
	if s.authorize == nil {
		return nil, invalid("credentials", "are missing: use WithAPIToken, WithAPIKey or WithTokenSource, or WithEnvironment with %s set",
			envAPIToken)
	}
	return newClient(s.accountID, newFamily(s)), nil
}

func newClient(accountID string, f *family) *Client {
	c := &Client{accountID: accountID, family: f}
	c.Tunnels = &TunnelsService{client: c}
	c.Connectors = &ConnectorsService{client: c}
	c.WARPConnectors = &WARPConnectorsService{client: c}
	c.Tokens = &TokensService{client: c}
	return c
}

func newFamily(s settings) *family {
	f := &family{
		baseURL:          cmp.Or(s.baseURL, defaultBaseURL),
		http:             exchange.NewClient(s.httpClient),
		userAgent:        strings.TrimSpace(s.userAgent + " " + library),
		authorize:        s.authorize,
		timeout:          s.timeout,
		maxResponseBytes: s.maxResponseBytes,
		logger:           s.logger,
		retry: RetryPolicy{
			MaxAttempts: cmp.Or(s.retry.MaxAttempts, defaultRetry.MaxAttempts),
			MaxDelay:    cmp.Or(s.retry.MaxDelay, max(defaultRetry.MaxDelay, s.retry.BaseDelay)),
		},
	}
	f.retry.BaseDelay = cmp.Or(s.retry.BaseDelay, min(defaultRetry.BaseDelay, f.retry.MaxDelay))
	if s.ownLimiter {
		f.gate, f.limiter = pace.NewHold(f.retry.MaxDelay), s.limiter
	} else {
		f.gate = pace.New(s.requests, s.window, f.retry.MaxDelay)
	}
	if f.logger == nil {
		f.logger = slog.New(slog.DiscardHandler)
	}
	return f
}

// AccountID returns the account that the client works on, or an empty string.
func (c *Client) AccountID() string { return c.accountID }

// ForAccount returns a client for another account. It shares transport, credentials, quota and the server's holds with this one, since
// Cloudflare counts requests by token and not by account.
func (c *Client) ForAccount(accountID string) (*Client, error) {
	if err := apipath.AccountID(accountID); err != nil {
		return nil, invalid("accountID", "%v", err)
	}
	return newClient(accountID, c.family), nil
}

// CloseIdleConnections closes connections that no call is using, those of the caller's own HTTP client too where it was given one.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// Do calls an endpoint that has no method here, on the same road: credentials, pace, retries, envelope and errors.
//
// The path is relative to the base URL: "accounts/0123…/cfd_tunnel". A leading slash is forgiven, a query is taken along; an absolute URL,
// an empty segment and ".." are refused. The caller escapes what it puts into it. The body is encoded as JSON, but for a []byte, which is JSON
// already; nil sends none. A [Secret] in it must be revealed. The value that result points to is replaced by the answer's result; nil leaves
// that unread. A list is read page by page, with page and per_page in the query.
//
// Its errors are those of every call: [*InvalidArgumentError] before anything is sent, else [*Error]. Any method but GET can be an
// [ErrOutcomeUnknown].
func (c *Client) Do(ctx context.Context, method, path string, body, result any, opts ...CallOption) error {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return invalid("method", "is none of GET, POST, PUT, PATCH and DELETE")
	}
	relative, values, err := apipath.Relative(path)
	if err != nil {
		return invalid("path", "%v", err)
	}
	encoded, err := encodeAny(body)
	if err != nil {
		return err
	}
	r := request{operation: operation{name: "Do", method: method, template: relative, secret: true}, query: values}
	if encoded != nil {
		r.body = encoded
	}
	if result == nil {
		_, err = c.send(ctx, r, opts)
		return err
	}
	target := reflect.ValueOf(result)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return invalid("result", "is not a pointer to a value")
	}
	// A call that fails must leave the caller's value alone.
	fresh := reflect.New(target.Type().Elem())
	r.result, r.foreign = fresh.Interface(), true
	if _, err := c.send(ctx, r, opts); err != nil {
		return err
	}
	target.Elem().Set(fresh.Elem())
	return nil
}

// operation is an endpoint.
type operation struct {
	name, method, template string
	// permissions is what the credentials need, for the error text of a 403.
	permissions string
	// secret says that the result may hold one, so that nothing of an answer that cannot be read may be shown.
	secret bool
}

func op(name, method, template, permissions string) operation {
	return operation{name: name, method: method, template: template, permissions: permissions}
}

// secretOp is op for an answer that may hold a secret.
func secretOp(name, method, template, permissions string) operation {
	o := op(name, method, template, permissions)
	o.secret = true
	return o
}

// request is what a service asks of the road that all calls take.
type request struct {
	operation
	// What the template names, beside the client's account.
	tunnelID, connectorID, resource string

	query  any // url.Values, or a struct with url tags; nil for none
	body   any // nil for none
	result any // a pointer, or nil
	// foreign says that the result is of a type that this module does not know.
	foreign bool
	// unrepeatable keeps a request whose work may have been done from being sent again, though its method would allow it.
	unrepeatable bool
	// object is the result again where it must hold what the operation promises, else nil.
	object object
}

// object is a result that can lack what makes it one.
type object interface{ complete() bool }

// fetch sends r and returns its result, fresh. An answer without one is an error.
func fetch[T object](ctx context.Context, c *Client, r request, opts []CallOption) (*T, error) {
	var result optional[T]
	r.result, r.object = &result.value, &result
	if _, err := c.send(ctx, r, opts); err != nil {
		return nil, err
	}
	return result.value, nil
}

// optional is nil where the result is null or not there at all.
type optional[T object] struct{ value *T }

func (o *optional[T]) complete() bool { return o.value != nil && (*o.value).complete() }

// send is the road: arguments, path and query, then for each attempt the limiter, HTTP, and the envelope's value or error.
func (c *Client) send(ctx context.Context, r request, opts []CallOption) (*envelope.Info, error) {
	if ctx == nil {
		return nil, invalid("ctx", "is nil")
	}
	options, err := c.options(opts)
	if err != nil {
		return nil, err
	}
	path, err := c.path(r)
	if err != nil {
		return nil, err
	}
	target, err := c.url(path, r.query, options.query)
	if err != nil {
		return nil, err
	}
	body, err := encode(r.body)
	if err != nil {
		return nil, err
	}
	if options.info != nil {
		*options.info = ResponseInfo{}
	}
	t := &trip{client: c, request: r, options: options, path: path, url: target, body: body}
	t.blotter.AddURL(target)
	t.blotter.AddBody(body)
	return t.run(context.WithValue(ctx, operationKey{}, &t.template))
}

// options puts the options of a call together.
func (c *Client) options(opts []CallOption) (call, error) {
	if len(opts) == 0 {
		return call{maxAttempts: c.retry.MaxAttempts}, nil
	}
	options := call{header: http.Header{}, query: url.Values{}, maxAttempts: c.retry.MaxAttempts}
	for _, opt := range opts {
		if opt == nil {
			return call{}, invalid("opts", "holds a nil option")
		}
		if err := opt(&options); err != nil {
			return call{}, err
		}
	}
	return options, nil
}

// path fills the operation's template with checked ids.
func (c *Client) path(r request) (string, error) {
	return apipath.Expand(r.template, func(name string) (string, error) {
		switch name {
		case "account_id":
			if c.accountID == "" {
				return "", invalid("accountID", "is missing: use WithAccountID, ForAccount, or WithEnvironment with %s set", envAccountID)
			}
			return c.accountID, nil
		case "tunnel_id":
			if err := apipath.UUID(r.tunnelID); err != nil {
				return "", invalid("tunnelID", "%v", err)
			}
			return r.tunnelID, nil
		case "connector_id":
			if err := apipath.Word(r.connectorID); err != nil {
				return "", invalid("connectorID", "%v", err)
			}
			return r.connectorID, nil
		case "resource":
			if err := apipath.Word(r.resource); err != nil {
				return "", invalid("resource", "%v", err)
			}
			return r.resource, nil
		}
		return "", fmt.Errorf("cftunnel: no value for %s", name)
	})
}

func (c *Client) url(path string, params any, extra url.Values) (string, error) {
	if params == nil && len(extra) == 0 {
		return c.baseURL + path, nil
	}
	values, isValues := params.(url.Values)
	if !isValues {
		var err error
		if values, err = query.Values(params); err != nil {
			return "", fmt.Errorf("cftunnel: encoding the query: %w", err)
		}
	}
	for key, list := range extra {
		values[key] = append(values[key], list...)
	}
	if len(values) == 0 {
		return c.baseURL + path, nil
	}
	return c.baseURL + path + "?" + values.Encode(), nil
}

// encode makes the body once, so that every attempt sends the same bytes.
func encode(body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, invalid("body", "cannot be encoded as JSON")
	}
	return encoded, nil
}

// encodeAny is encode for a body that a caller made.
func encodeAny(body any) (json.RawMessage, error) {
	switch body := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		if !json.Valid(body) {
			return nil, invalid("body", "is not valid JSON")
		}
		return body, nil
	case io.Reader:
		return nil, invalid("body", "is an io.Reader; give a value to encode, or JSON as a []byte")
	}
	encoded, err := encode(body)
	if err == nil && bytes.Contains(encoded, []byte(`"`+redact.Mark+`"`)) {
		return nil, invalid("body", "holds a Secret, which would be sent as %s; put what its Reveal returns", redact.Mark)
	}
	return encoded, err
}

// operationKey is of the *string that is the operation's template.
type operationKey struct{}

// Operation returns the path template of the call that a request belongs to, such as /accounts/{account_id}/cfd_tunnel/{tunnel_id}: a
// label for the metrics and traces of a RoundTripper, which asks with the request's context. It is without the method; an Operation of
// package tunneltest is the method, a space, and this. For [Client.Do] it is the path itself, with the ids in it. It is empty in any other
// context.
func Operation(ctx context.Context) string {
	if template, ok := ctx.Value(operationKey{}).(*string); ok {
		return *template
	}
	return ""
}
