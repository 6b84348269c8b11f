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
// again.
//
// Retries. GET, PUT, PATCH and DELETE are sent again on 429, 500, 502 to 504, 520 to 530 and broken connections, four times in all with
// random pauses between; see [WithRetry]. A POST is sent again only on 429, where no connection was got, or where an HTTP/2 server refused it
// unread: nothing is created twice.
//
// Rate limit. Cloudflare allows a token 1200 requests in five minutes, and past that refuses every call for five more. A client and those made
// from it by ForAccount stay below: a tenth of the quota may go at once, the rest evenly, each attempt counted; see [WithRateLimit]. A
// Retry-After of the server holds all of them back; where it is longer than a call can wait, the call fails at once with [ErrRateLimited].
// Processes that share a token must share the quota too: [WithLimiter].
//
// Secrets. A [Secret] prints as [REDACTED] wherever it is printed, and its text is had from Reveal alone. What was sent as a secret is
// blotted out of every error.
//
// Lists. All and AllTypes read every page, List and ListAllTypes one. They find live tunnels unless they are told otherwise, and only what
// the credentials may read: that a tunnel is not in a list is no proof that it is gone.
//
// Package tunneltest is a fake of the API for tests.
package cftunnel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-querystring/query"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/exchange"
	"github.com/cftunnel/cftunnel-go/internal/pace"
	"github.com/cftunnel/cftunnel-go/internal/redact"
	"github.com/cftunnel/cftunnel-go/internal/retry"
)

const library = "cftunnel-go/0.1.0"

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
// that unread.
//
// Its errors are those of every call: [*InvalidArgumentError] before anything is sent, else [*Error].
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
	r.result = fresh.Interface()
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

// request is what a service asks of the road that all calls take.
type request struct {
	operation
	// What the template names, beside the client's account.
	tunnelID, connectorID, resource string

	query  any // url.Values, or a struct with url tags; nil for none
	body   any // nil for none
	result any // a pointer, or nil
	// unrepeatable keeps a request whose work may have been done from being sent again, though its method would allow it.
	unrepeatable bool
	// complete reports whether the result holds what the operation promises; nil asks nothing.
	complete func() bool
}

// object is a result that can lack what makes it one.
type object interface{ complete() bool }

// fetch sends r and returns its result, fresh. An answer without one is an error.
func fetch[T object](ctx context.Context, c *Client, r request, opts []CallOption) (T, error) {
	// A pointer stays nil where the result is null or not there at all.
	var result *T
	r.result = &result
	r.complete = func() bool { return result != nil && (*result).complete() }
	if _, err := c.send(ctx, r, opts); err != nil {
		var none T
		return none, err
	}
	return *result, nil
}

// send is the road: arguments, path and query, then for each attempt the limiter, HTTP, and the envelope's value or error.
func (c *Client) send(ctx context.Context, r request, opts []CallOption) (*envelope.Info, error) {
	if ctx == nil {
		return nil, invalid("ctx", "is nil")
	}
	options := call{header: http.Header{}, query: url.Values{}, maxAttempts: c.retry.MaxAttempts}
	for _, opt := range opts {
		if opt == nil {
			return nil, invalid("opts", "holds a nil option")
		}
		if err := opt(&options); err != nil {
			return nil, err
		}
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
	t := trip{client: c, request: r, options: options, path: path, url: target, body: body}
	t.blotter.AddURL(target)
	t.blotter.AddBody(body)
	return t.run(withOperation(ctx, r.template))
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

type operationKey struct{}

func withOperation(ctx context.Context, template string) context.Context {
	return context.WithValue(ctx, operationKey{}, template)
}

// Operation returns the path template of the call that a request belongs to, such as /accounts/{account_id}/cfd_tunnel/{tunnel_id}: a
// label for the metrics and traces of a RoundTripper, which asks with the request's context. For [Client.Do] it is the path itself. It
// is empty in any other context.
func Operation(ctx context.Context) string {
	template, _ := ctx.Value(operationKey{}).(string)
	return template
}

// trip is one call under way.
type trip struct {
	client *Client
	request
	options   call
	path, url string
	body      []byte

	attempts atomic.Int32
	last     *Error         // of the latest attempt, nil where it succeeded
	answered *Error         // the latest that came with an answer
	unknown  bool           // whether a write may have been carried out, for all that the answers so far tell
	blotter  redact.Blotter // of everything that was sent so far
}

// run makes attempts until one succeeds or no other may follow.
func (t *trip) run(ctx context.Context) (*envelope.Info, error) {
	policy := t.client.retry
	delays := retry.NewDelays(policy.BaseDelay, policy.MaxDelay)
	for {
		// The credentials may take their time, so the turn is waited for when they are there.
		header, err := t.headers(ctx)
		if err != nil {
			return nil, t.notSent(err)
		}
		if err := t.wait(ctx); err != nil {
			return nil, t.notSent(err)
		}
		info, again := t.attempt(ctx, header)
		if t.last == nil {
			return info, nil
		}
		if !again || int(t.attempts.Load()) >= t.options.maxAttempts {
			return nil, t.last
		}
		if err := t.pause(ctx, delays.Next()); err != nil {
			return nil, t.notSent(err)
		}
	}
}

// wait holds first, then paces.
func (t *trip) wait(ctx context.Context) error {
	c := t.client
	for {
		if err := c.gate.Wait(ctx); err != nil {
			return err
		}
		if c.limiter == nil {
			return nil
		}
		if err := c.limiter.Wait(ctx); err != nil {
			return limiterError(ctx, c.limiter, err)
		}
		if c.gate.Held() == 0 {
			return nil
		}
	}
}

// limiterError puts the context's kind beside an error that a limiter gave because of it. That a *rate.Limiter, or what is built on one,
// refuses a wait beyond the deadline is not to be seen from its error.
func limiterError(ctx context.Context, limiter Limiter, err error) error {
	cause := ctx.Err()
	if l, ok := limiter.(interface{ Burst() int }); ok && cause == nil && l.Burst() > 0 {
		cause = context.DeadlineExceeded
	}
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}

func (t *trip) headers(ctx context.Context) (http.Header, error) {
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {t.client.userAgent}}
	if t.body != nil {
		header.Set("Content-Type", "application/json")
	}
	maps.Copy(header, t.options.header)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := t.client.authorize(ctx, header)
	t.blotter.AddHeader(header)
	return header, err
}

// pause waits before the next attempt, at least as long as the server asked for. A pause that cannot end in time is not begun.
func (t *trip) pause(ctx context.Context, delay time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.last.StatusCode == http.StatusTooManyRequests && t.last.RetryAfter > 0 {
		return nil // the family's hold, which wait waits for
	}
	if t.last.RetryAfter > t.client.retry.MaxDelay {
		return errors.New("the server asks for a longer pause than MaxDelay")
	}
	delay = max(delay, t.last.RetryAfter)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay {
		return fmt.Errorf("no time is left for another attempt: %w", context.DeadlineExceeded)
	}
	return sleep(ctx, delay)
}

// attempt sends the request once. It leaves nil or the error in t.last, and says whether another attempt may follow.
func (t *trip) attempt(ctx context.Context, header http.Header) (info *envelope.Info, again bool) {
	c, number, began := t.client, t.attempts.Add(1), time.Now()
	answer := exchange.Do(ctx, c.http, exchange.Request{
		Method: t.method, URL: t.url, Header: header, Body: t.body, Timeout: c.timeout, MaxBytes: c.maxResponseBytes,
		OnRepeat: t.countRepeat,
	})

	verdict := t.judge(answer)
	t.last = t.failure(answer, verdict)
	if after := retry.After(answer.Header, time.Now()); after > 0 && answer.Status == http.StatusTooManyRequests {
		c.hold(time.Now().Add(after))
	}
	t.capture(answer, verdict.envelope)
	t.log(ctx, answer, number, time.Since(began))
	if verdict.envelope != nil {
		info = verdict.envelope.Info
	}
	return info, verdict.again
}

// countRepeat makes a request that net/http sends again by itself, without asking how many attempts are left, an attempt that is paced,
// counted and logged.
func (t *trip) countRepeat(ctx context.Context) error {
	if err := t.wait(ctx); err != nil {
		return err
	}
	t.client.logger.LogAttrs(ctx, slog.LevelWarn, "cloudflare api request", slog.String("operation", t.name), slog.String("method", t.method),
		slog.String("path", t.template), slog.Int("status", 0), slog.Int("attempt", int(t.attempts.Add(1))-1),
		slog.String("error", "the connection was of no use; net/http sends the request again"))
	return nil
}

func (c *Client) hold(until time.Time) {
	c.gate.Hold(until)
	if limiter, ok := c.limiter.(interface{ Hold(until time.Time) }); ok {
		limiter.Hold(until)
	}
}

// verdict is what an answer means.
type verdict struct {
	envelope *envelope.Envelope // nil where there is none to be read
	err      error              // why the answer is not what was asked for, beside what it says itself
	failed   bool
	again    bool // another attempt may go better, and does no harm
	doubt    bool // the work may have been done all the same
}

// judge reads an answer. It is where retries are decided.
func (t *trip) judge(answer exchange.Answer) verdict {
	idempotent := retry.Idempotent(t.method) && !t.unrepeatable
	write := t.method != http.MethodGet
	success := answer.Status/100 == 2
	if answer.Err != nil && (answer.Status == 0 || success) {
		_, tooLarge := errors.AsType[*exchange.TooLargeError](answer.Err)
		return verdict{
			err:    answer.Err,
			failed: true,
			again:  (idempotent || !answer.Sent) && !tooLarge && retry.Broken(answer.Err),
			doubt:  write && answer.Sent,
		}
	}
	if !success {
		e, _ := envelope.Decode(answer.Body, nil)
		return verdict{
			envelope: e,
			err:      answer.Err,
			failed:   true,
			again:    retry.Status(answer.Status) && (idempotent || answer.Status == http.StatusTooManyRequests),
			doubt:    write && answer.Status >= http.StatusInternalServerError,
		}
	}
	e, err := envelope.Decode(answer.Body, t.result)
	switch {
	case err != nil:
		return verdict{err: fmt.Errorf("the answer cannot be read: %w", err), failed: true, doubt: write}
	case e.Success == nil:
		return verdict{envelope: e, err: errors.New("the answer does not say whether it is a success"), failed: true, doubt: write}
	case !*e.Success:
		return verdict{envelope: e, failed: true}
	case t.complete != nil && !t.complete():
		return verdict{envelope: e, err: errors.New("the answer lacks its result"), failed: true, doubt: write}
	}
	return verdict{envelope: e}
}

// failure returns the error of an attempt, or nil where it succeeded.
func (t *trip) failure(answer exchange.Answer, v verdict) *Error {
	if !v.failed {
		return nil
	}
	switch {
	case v.doubt:
		t.unknown = true
	case answer.Status != 0 && answer.Status != http.StatusTooManyRequests:
		t.unknown = false // the server has looked, and says how it is
	}
	cause := blotted(v.err, &t.blotter)
	if answer.Status == 0 && t.answered != nil {
		cause = join(cause, t.answered)
	}
	e := t.newError(cause)
	e.StatusCode = answer.Status
	e.RayID = t.rayID(answer)
	e.RetryAfter = retry.After(answer.Header, time.Now())
	if v.envelope != nil {
		e.Errors = detailsOf(v.envelope.Errors, &t.blotter)
	} else {
		e.Body = t.excerpt(answer.Body)
	}
	if answer.Status != 0 {
		t.answered = e
	}
	return e
}

// newError returns an error that tells of the whole call so far.
func (t *trip) newError(cause error) *Error {
	return &Error{
		Method: t.method, Path: t.path, Attempts: int(t.attempts.Load()),
		cause: cause, permissions: t.permissions, unknown: t.unknown,
	}
}

// notSent returns the error of a call that ends before its next attempt: that of the latest one, with the reason for no other beside it.
func (t *trip) notSent(err error) error {
	held, isHeld := errors.AsType[*pace.HeldError](err)
	if t.last != nil {
		if isHeld {
			t.last.held, t.last.RetryAfter = true, max(t.last.RetryAfter, held.Rest)
		}
		// A 429 tells of the hold itself.
		if !errors.Is(t.last, err) && !(isHeld && t.last.StatusCode == http.StatusTooManyRequests) {
			t.last.cause = join(err, t.last.cause)
		}
		return t.last
	}
	if _, ok := errors.AsType[*InvalidArgumentError](err); ok {
		return err
	}
	e := t.newError(err)
	if isHeld {
		e.held, e.RetryAfter = true, held.Rest
	}
	return e
}

// excerpt returns the beginning of a body that is not JSON. One that begins like JSON is not shown at all: it may be a cut answer that
// holds a secret. Where the operation's answer is one, nothing but a page of HTML is shown.
func (t *trip) excerpt(body []byte) string {
	text := strings.Trim(strings.ToValidUTF8(string(body), "\uFFFD"), "\ufeff \t\r\n")
	if strings.IndexAny(text, `{["`) == 0 || t.secret && !strings.HasPrefix(text, "<") {
		return ""
	}
	return cut(printable(t.blotter.Blot(text)), maxBody)
}

func (t *trip) rayID(answer exchange.Answer) string {
	return cut(printable(t.blotter.Blot(answer.Header.Get("Cf-Ray"))), maxRayID)
}

// join puts two causes under one error; either may be nil.
func join(first, second error) error {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return fmt.Errorf("%w; before that: %w", first, second)
}

// capture keeps what the latest answer told.
func (t *trip) capture(answer exchange.Answer, e *envelope.Envelope) {
	info := t.options.info
	if info == nil {
		return
	}
	if answer.Status != 0 {
		*info = ResponseInfo{StatusCode: answer.Status, RayID: t.rayID(answer), Header: answer.Header}
		if e != nil {
			for _, m := range detailsOf(e.Messages, &t.blotter) {
				info.Messages = append(info.Messages, Message{Code: m.Code, Message: m.Message})
			}
		}
	}
	info.Attempts = int(t.attempts.Load())
}

func (t *trip) log(ctx context.Context, answer exchange.Answer, attempt int32, took time.Duration) {
	level := slog.LevelDebug
	if t.last != nil && (answer.Status/100 == 2 || answer.Status == 0 || retry.Status(answer.Status)) {
		level = slog.LevelWarn
	}
	logger := t.client.logger
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", t.name),
		slog.String("method", t.method),
		slog.String("path", t.template),
		slog.Int("status", answer.Status),
		slog.String("ray_id", t.rayID(answer)),
		slog.Int("attempt", int(attempt)),
		slog.Duration("duration", took),
	}
	if t.last != nil {
		withoutBody := *t.last
		withoutBody.Body = ""
		attrs = append(attrs, slog.String("error", withoutBody.Error()))
	}
	logger.LogAttrs(ctx, level, "cloudflare api request", attrs...)
}
