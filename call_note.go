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

// isObserved reports whether successful attempts are reported to ResponseInfo, a hook or the log.
func (c *call) isObserved(ctx context.Context) bool {
	return len(c.options.infos) > 0 || c.client.hooks.Attempt != nil ||
		c.client.logger.isEnabled(ctx, slog.LevelDebug)
}

// note records the result of an attempt: in the error of the call, the limiter, ResponseInfo, the
// log and the hooks.
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
			failure := *c.last // a copy, because unsent may change c.last
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
		// The earlier error has its own record, and bodies are not logged.
		alone := *c.last
		alone.Body = ""
		alone.setCause(a.cause)
		text = alone.Error()
	}
	c.log(ctx, level, attempt, a.StatusCode, a.rayID, a.duration, text)
}

// noteTransportRetry records an attempt that ended because its connection was lost, before net/http
// retries it.
func (c *call) noteTransportRetry(ctx context.Context, attempt int) {
	const text = "the connection was lost; net/http sends the request again"
	if hook := c.client.hooks.Attempt; hook != nil {
		hook(ctx, AttemptInfo{
			Call: c.request.operation.call, Operation: c.operation, Attempt: attempt,
			Err: errTransportRetry,
		})
	}
	c.log(ctx, slog.LevelWarn, attempt, 0, "", 0, text)
}

func (c *call) log(
	ctx context.Context, level slog.Level,
	attempt, status int, rayID string, duration time.Duration, text string,
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
	minReportedWait = time.Millisecond // shorter ones were not really waits
	minLoggedWait   = time.Second
)

// noteWait reports a finished wait to the hook and the log.
func (c *call) noteWait(ctx context.Context, reason WaitReason, d time.Duration) {
	if d < minReportedWait {
		return
	}
	if hook := c.client.hooks.Wait; hook != nil {
		hook(ctx, WaitInfo{Operation: c.operation, Reason: reason, Duration: d})
	}
	if d < minLoggedWait {
		return
	}
	c.client.logger.log(ctx, slog.LevelInfo, "cloudflare api wait",
		slog.String("call", c.request.operation.call), slog.String("operation", c.operation),
		slog.String("reason", string(reason)), slog.Duration("duration", d))
}

// fillResponseInfo stores the latest response in the structs of CaptureResponse.
func (c *call) fillResponseInfo(a *attempt) {
	for _, info := range c.options.infos {
		if a.StatusCode != 0 {
			*info = ResponseInfo{
				StatusCode: a.StatusCode, RayID: a.rayID, Header: a.Header,
				RetryAfter: a.retryAfter, Page: a.page(),
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
