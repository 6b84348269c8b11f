package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/exchange"
	"github.com/cftunnel/cftunnel-go/internal/pace"
	"github.com/cftunnel/cftunnel-go/internal/ratelimit"
	"github.com/cftunnel/cftunnel-go/internal/redact"
	"github.com/cftunnel/cftunnel-go/internal/retry"
)

// trip is one call under way: its attempts, and what their answers mean.
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
	var delays *retry.Delays
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
		if delays == nil {
			delays = retry.NewDelays(t.client.retry.BaseDelay, t.client.retry.MaxDelay)
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
	_, hasDeadline := ctx.Deadline()
	if l, ok := limiter.(interface{ Burst() int }); ok && cause == nil && hasDeadline && l.Burst() > 0 {
		cause = context.DeadlineExceeded
	}
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}

func (t *trip) headers(ctx context.Context) (http.Header, error) {
	const mediaType = "application/json"
	values := []string{mediaType, t.client.userAgent, mediaType} // of one piece, as net/http's own are
	header := http.Header{"Accept": values[0:1:1], "User-Agent": values[1:2:2]}
	if t.body != nil {
		header["Content-Type"] = values[2:3:3]
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
	c, began := t.client, time.Now()
	t.attempts.Add(1)
	scratch := c.scratch()
	defer c.keep(scratch)
	answer := exchange.Do(ctx, c.http, exchange.Request{
		Method: t.method, URL: t.url, Header: header, Body: t.body, Timeout: c.timeout, MaxBytes: c.maxResponseBytes,
		Scratch:  scratch,
		OnRepeat: t.countRepeat,
	})

	verdict := t.judge(answer)
	t.last = t.failure(answer, verdict)
	if answer.Status == http.StatusTooManyRequests {
		if after := retry.After(answer.Header, time.Now()); after > 0 {
			c.hold(time.Now().Add(after))
		}
	}
	t.capture(answer, verdict.envelope)
	t.log(ctx, answer, time.Since(began))
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
		e, _ := t.decode(answer.Body, nil)
		return verdict{
			envelope: e,
			err:      answer.Err,
			failed:   true,
			again:    retry.Status(answer.Status) && (idempotent || answer.Status == http.StatusTooManyRequests),
			doubt:    write && answer.Status >= http.StatusInternalServerError,
		}
	}
	e, err := t.decode(answer.Body, t.result)
	switch {
	case err != nil:
		return verdict{err: fmt.Errorf("the answer cannot be read: %w", err), failed: true, doubt: write}
	case e.Success == nil:
		return verdict{envelope: e, err: errors.New("the answer does not say whether it is a success"), failed: true, doubt: write}
	case !*e.Success:
		return verdict{envelope: e, failed: true}
	case t.object != nil && !t.object.complete():
		return verdict{envelope: e, err: errors.New("the answer lacks its result"), failed: true, doubt: write}
	}
	return verdict{envelope: e}
}

// decode reads an envelope, and the result of one that is a success.
func (t *trip) decode(body []byte, result any) (*envelope.Envelope, error) {
	if t.foreign {
		return (&envelope.Decoder{Slow: true}).Decode(body, result)
	}
	return t.client.decoder.Decode(body, result)
}

// failure returns the error of an attempt, or nil where it succeeded.
func (t *trip) failure(answer exchange.Answer, v verdict) *Error {
	if !v.failed {
		return nil
	}
	switch {
	case v.doubt:
		t.unknown = true
	case answer.Status != 0 && !refusesUnseen(answer.Status):
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
		e.Body = t.excerpt(answer.Status, answer.Body)
	}
	if answer.Status != 0 {
		t.answered = e
	}
	return e
}

// refusesUnseen reports whether a server that answers so may not have looked at what the request is about.
func refusesUnseen(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusTooEarly:
		return true
	}
	return status/100 == 2 // a failure that comes as a success may be anything
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
// holds a secret.
func (t *trip) excerpt(status int, body []byte) string {
	text := strings.Trim(strings.ToValidUTF8(string(body), "\uFFFD"), "\ufeff \t\r\n")
	if strings.IndexAny(text, `{["`) == 0 || t.secret && mayBeSecret(status, text) {
		return ""
	}
	return cut(printable(t.blotter.Blot(text)), maxBody)
}

// mayBeSecret reports whether the answer to a request for a secret may be that secret in the plain: a page of HTML is not, and of a failure
// only what has a word as long as a token.
func mayBeSecret(status int, text string) bool {
	const token = 32
	switch {
	case strings.HasPrefix(text, "<"):
		return false
	case status/100 == 2:
		return true
	}
	return slices.ContainsFunc(strings.Fields(text), func(word string) bool { return len(word) >= token })
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
		*info = ResponseInfo{
			StatusCode: answer.Status, RayID: t.rayID(answer), Header: answer.Header, RetryAfter: retry.After(answer.Header, time.Now()),
		}
		for _, limit := range ratelimit.Parse(answer.Header) {
			info.RateLimits = append(info.RateLimits, RateLimit(limit))
		}
		if e != nil {
			for _, m := range detailsOf(e.Messages, &t.blotter) {
				info.Messages = append(info.Messages, Message{Code: m.Code, Message: m.Message})
			}
		}
	}
	info.Attempts = int(t.attempts.Load())
}

func (t *trip) log(ctx context.Context, answer exchange.Answer, took time.Duration) {
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
		slog.Int("attempt", int(t.attempts.Load())),
		slog.Duration("duration", took),
	}
	if t.last != nil {
		withoutBody := *t.last
		withoutBody.Body = ""
		attrs = append(attrs, slog.String("error", withoutBody.Error()))
	}
	logger.LogAttrs(ctx, level, "cloudflare api request", attrs...)
}
