package cftunnel

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/retry"
)

// logSink is a [slog.Logger], the methods of which a program without one need not link.
type logSink struct {
	enabled func(context.Context, slog.Level) bool
	write   func(context.Context, slog.Level, string, ...slog.Attr)
}

func (l logSink) isEnabled(ctx context.Context, level slog.Level) bool {
	return l.enabled != nil && l.enabled(ctx, level)
}

func (l logSink) log(ctx context.Context, level slog.Level, text string, attrs ...slog.Attr) {
	if l.write != nil {
		l.write(ctx, level, text, attrs...)
	}
}

// isObserved reports whether anybody wants to know about attempts that succeed.
func (c *call) isObserved(ctx context.Context) bool {
	return len(c.options.infos) > 0 || c.client.hooks.Attempt != nil || c.client.logger.isEnabled(ctx, slog.LevelDebug)
}

// note records what an attempt came to: the call's error, the hold of a 429, ResponseInfo, log and
// hooks.
func (c *call) note(ctx context.Context, a *attempt) {
	c.uncertain = a.uncertain
	c.last = c.attemptError(a)
	switch a.StatusCode {
	case 0:
	case http.StatusTooManyRequests:
		c.client.limiter.Throttled(a.retryAfter)
	default:
		c.client.limiter.Recovered()
	}
	c.fillResponseInfo(a)
	attempt := int(c.attempts.Load())
	if hook := c.client.hooks.Attempt; hook != nil {
		info := AttemptInfo{
			Call: c.request.operation.call, Operation: c.operation, Attempt: attempt,
			StatusCode: a.StatusCode, RayID: a.rayID, Duration: a.duration,
		}
		if c.last != nil {
			failure := *c.last // which changes if the call ends before its next attempt
			info.Err = &failure
		}
		hook(ctx, info)
	}
	level := slog.LevelDebug
	if a.failed && (a.StatusCode/100 <= 2 || retry.RetryableStatus(a.StatusCode)) {
		level = slog.LevelWarn
	}
	if !c.client.logger.isEnabled(ctx, level) {
		return
	}
	var text string
	if c.last != nil {
		alone := *c.last // without the earlier error, which has a record of its own, and without bodies
		alone.Body = ""
		alone.setCause(a.cause)
		text = alone.Error()
	}
	c.log(ctx, level, attempt, a.StatusCode, a.rayID, a.duration, text)
}

// noteTransportRetry records an attempt whose connection was of no use, so that net/http makes another.
func (c *call) noteTransportRetry(ctx context.Context, attempt int) {
	const text = "the connection was lost; net/http sends the request again"
	if hook := c.client.hooks.Attempt; hook != nil {
		hook(ctx, AttemptInfo{
			Call: c.request.operation.call, Operation: c.operation, Attempt: attempt, Err: errTransportRetry,
		})
	}
	c.log(ctx, slog.LevelWarn, attempt, 0, "", 0, text)
}

func (c *call) log(
	ctx context.Context, level slog.Level, attempt, status int, rayID string, duration time.Duration, text string,
) {
	attrs := []slog.Attr{
		slog.String("call", c.request.operation.call),
		slog.String("operation", c.operation),
		slog.Int("status", status),
		slog.String("ray_id", rayID),
		slog.Int("attempt", attempt),
		slog.Duration("duration", duration),
	}
	if text != "" {
		attrs = append(attrs, slog.String("error", text))
	}
	c.client.logger.log(ctx, level, "cloudflare api request", attrs...)
}

const (
	shortestWait = time.Millisecond // more than it takes not to wait
	loggedWait   = time.Second      // the shortest one that is logged
)

// noteWait records a wait that has ended.
func (c *call) noteWait(ctx context.Context, reason WaitReason, d time.Duration) {
	if d < shortestWait {
		return
	}
	if hook := c.client.hooks.Wait; hook != nil {
		hook(ctx, WaitInfo{Operation: c.operation, Reason: reason, Duration: d})
	}
	if d < loggedWait {
		return
	}
	c.client.logger.log(ctx, slog.LevelInfo, "cloudflare api wait",
		slog.String("call", c.request.operation.call), slog.String("operation", c.operation),
		slog.String("reason", string(reason)), slog.Duration("duration", d))
}

// fillResponseInfo keeps what the latest response said.
func (c *call) fillResponseInfo(a *attempt) {
	for _, info := range c.options.infos {
		if a.StatusCode != 0 {
			*info = ResponseInfo{
				StatusCode: a.StatusCode, RayID: a.rayID, Header: a.Header, RetryAfter: a.retryAfter, Page: a.page(),
			}
			if a.envelope != nil {
				for _, m := range c.details(a.envelope.Messages) {
					info.Messages = append(info.Messages, Message{Code: m.Code, Message: m.Message})
				}
			}
		}
		info.Attempts = int(c.attempts.Load())
	}
}
