package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/redact"
	"github.com/cftunnel/cftunnel-go/internal/retry"
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
)

// send sends a request. If the response is a page of a list, it returns the description of the
// page.
func (c *Client) send(ctx context.Context, r request, opts []CallOption) (PageInfo, error) {
	call, err := c.newCall(ctx, r, opts)
	if err != nil {
		return PageInfo{}, err
	}
	call.context = callContext{ctx, &call.progress}
	return call.run(&call.context) //nolint:contextcheck // it embeds ctx
}

// call is one call of a method, with the state of its attempts.
type call struct {
	client    *Client
	request   request
	options   callOptions
	path, url string
	body      []byte

	progress
	context          callContext
	transportRetries atomic.Int32
	current          attempt
	last             *Error // of the latest attempt, nil if it succeeded
	responded        *Error // of the latest attempt with a response
	uncertain        bool   // an attempt may have been carried out
	redactor         redact.Redactor
}

// progress is what the context of a request says about its call. It is not the call itself, because
// the linker keeps the types and methods behind every pointer in a context.
type progress struct {
	operation string // for logs, traces and errors
	attempts  atomic.Int32
}

// callContext is the context of a call's requests. It is part of the call, unlike what
// context.WithValue allocates.
type callContext struct {
	context.Context
	progress *progress
}

// Value returns the progress of the call for its key, and other values from the caller's context.
func (c *callContext) Value(key any) any {
	if key == (progressKey{}) {
		return c.progress
	}
	return c.Context.Value(key)
}

// newCall returns a call that is ready to be sent. It checks all arguments.
func (c *Client) newCall(ctx context.Context, r request, opts []CallOption) (*call, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, invalid("ctx", "is nil")
	}
	options, err := newCallOptions(opts, c.retry.MaxAttempts)
	if err != nil {
		return nil, err
	}
	path, err := r.path(c.accountID)
	if err != nil {
		return nil, err
	}
	query, err := encodeQuery(r.query, options.query)
	if err != nil {
		return nil, err
	}
	body, err := encodeBody(r.body)
	if err != nil {
		return nil, err
	}
	result := &call{
		client: c, request: r, options: options,
		path: path, url: c.baseURL + path + query, body: body,
	}
	if result.operation = r.operation.label; options.template != "" {
		result.operation = r.operation.method + " " + options.template
	}
	if query != "" {
		result.redactor.AddURL(result.url)
	}
	if body != nil {
		result.redactor.AddBody(body)
	}
	return result, nil
}

// run makes attempts until one succeeds or must not be retried.
func (c *call) run(ctx context.Context) (PageInfo, error) {
	delays := retry.NewDelays(c.client.retry.BaseDelay, c.client.retry.MaxDelay)
	for {
		header, err := c.ready(ctx)
		if err != nil {
			return PageInfo{}, c.unsent(err)
		}
		a := c.attempt(ctx, header)
		c.note(ctx, a)
		switch {
		case !a.failed:
			return a.page(), nil
		case !a.retry || int(c.attempts.Load()) >= c.options.maxAttempts:
			return PageInfo{}, c.last
		}
		if err := c.pause(ctx, delays.Next()); err != nil {
			return PageInfo{}, c.unsent(err)
		}
	}
}

// attempt is one request and its outcome.
type attempt struct {
	roundtrip.Response
	outcome
	envelope   *envelope.Envelope // nil if there is none
	excerpt    string             // the beginning of a body that is not JSON
	retryAfter time.Duration
	rayID      string
	duration   time.Duration
}

func (a *attempt) page() PageInfo {
	if a.envelope == nil || a.envelope.Info == nil {
		return PageInfo{}
	}
	return PageInfo(*a.envelope.Info)
}

// maxCredentialAge is how long a call may wait before it must get its credential again.
const maxCredentialAge = time.Minute

// ready waits until the next attempt may be sent, and returns its header.
func (c *call) ready(ctx context.Context) (http.Header, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Getting credentials can take long, so the wait comes after it.
	credential, err := c.credential(ctx)
	if err != nil {
		return nil, err
	}
	previous := credential
	waited, err := c.wait(ctx)
	if err == nil && waited > maxCredentialAge {
		credential, err = c.credential(ctx)
	}
	if err != nil {
		c.redactor.AddSecret(previous.token()) // the error may quote it
		return nil, err
	}
	header := credential.header(c.client.userAgent, c.body != nil)
	maps.Copy(header, c.options.header) // AddHeader refuses the headers of credentials
	c.redactor.AddHeader(header)
	return header, nil
}

// credential returns the credential of the next attempt, from the source of the call or the client.
func (c *call) credential(ctx context.Context) (credential, error) {
	source := c.client.credentials
	if first := c.request.credentials; first != nil {
		source, c.request.credentials = first, nil
	}
	got, err := source(ctx)
	if err != nil {
		c.redactor.AddSecret(got.token()) // the error may quote it
	}
	return got, err
}

// wait waits until the limiter allows a request, and returns how long that took. It reports the
// waits for a hold and for the rate limit separately to hooks and log.
func (c *call) wait(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := c.client.limiter.Wait(ctx)
	waited := time.Since(began)
	hold := min(max(0, c.client.limiter.HeldUntil().Sub(began)), waited)
	c.noteWait(ctx, WaitHold, hold)
	c.noteWait(ctx, WaitPace, waited-hold)
	return waited, err
}

// pause waits before the next attempt, at least as long as the server asked for. It returns an
// error at once if the pause would be too long.
func (c *call) pause(ctx context.Context, delay time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.last.StatusCode == http.StatusTooManyRequests {
		return nil // the next wait lasts until the end of the hold
	}
	if c.last.RetryAfter > c.client.retry.MaxDelay {
		return errors.New("the server asks for a longer pause than MaxDelay")
	}
	delay = max(delay, c.last.RetryAfter)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay {
		return fmt.Errorf("no time is left for another attempt: %w", context.DeadlineExceeded)
	}
	began := time.Now()
	err := sleep(ctx, delay)
	c.noteWait(ctx, WaitRetry, time.Since(began))
	return err
}

// attempt sends the request once.
func (c *call) attempt(ctx context.Context, header http.Header) *attempt {
	began := time.Now()
	c.attempts.Add(1)
	c.current = attempt{Response: c.client.http.Do(ctx, roundtrip.Request{
		Method: c.request.operation.method, URL: c.url, Header: header, Body: c.body,
		Timeout: c.client.timeout, MaxBytes: c.client.maxResponseBytes,
		Secret: c.request.operation.secret && c.client.ownTransport, OnRetry: c.onRetry,
	})}
	a := &c.current
	defer a.Release()
	for _, secret := range a.Secrets {
		c.redactor.AddSecret(secret)
	}
	e, unreadable := c.decode(a.Response)
	a.envelope = e
	a.outcome = c.request.classify(a.Response, e, unreadable, c.uncertain)
	if a.StatusCode != 0 && (a.failed || c.isObserved(ctx)) {
		a.rayID = c.clean(a.Header.Get("Cf-Ray"), maxRayID)
		a.retryAfter = retry.ParseRetryAfter(a.Header, time.Now())
	}
	if a.failed && e == nil {
		a.excerpt = c.bodyExcerpt(a.Body)
	}
	a.duration = time.Since(began)
	return a
}

// decode decodes the envelope of a response, and its result if the status is 2xx.
func (c *call) decode(resp roundtrip.Response) (*envelope.Envelope, error) {
	if resp.StatusCode/100 != 2 {
		e, _ := envelope.Decode(resp.Body, nil)
		return e, nil
	}
	if resp.Err != nil {
		return nil, nil
	}
	if resp.StatusCode == http.StatusNoContent && c.request.operation.anyEnvelope {
		return &envelope.Envelope{Success: new(true)}, nil
	}
	e, err := envelope.Decode(resp.Body, c.request.result)
	if err != nil {
		return nil, fmt.Errorf("the response cannot be read: %w", err)
	}
	if e.NextCursor && c.request.allPages {
		return e, errCursor
	}
	if c.request.check != nil && c.request.isSuccess(e) {
		err = c.request.check()
	}
	return e, err
}

var errNoAttemptLeft = errors.New("the connection was lost again, and no attempt is left")

// onRetry makes a retry by net/http an attempt that is rate limited, counted and logged. The first
// retry is always allowed. It uses a new connection, so a dead idle connection cannot use up the
// attempts of the call.
func (c *call) onRetry(ctx context.Context) error {
	n := int(c.attempts.Load())
	if first := c.transportRetries.Add(1) == 1; !first && n >= c.options.maxAttempts {
		return errNoAttemptLeft
	}
	if _, err := c.wait(ctx); err != nil {
		return err
	}
	c.noteTransportRetry(ctx, n)
	c.attempts.Add(1)
	return nil
}

// sleep waits for d. It returns the context's error if the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
