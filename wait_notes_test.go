package cftunnel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// waitRecord is the log record of a wait.
type waitRecord struct {
	Level     string        `json:"level"`
	Message   string        `json:"msg"`
	Call      string        `json:"call"`
	Operation string        `json:"operation"`
	Reason    string        `json:"reason"`
	Duration  time.Duration `json:"duration"`
}

// waitRecorder records what a client reports about its waits.
type waitRecorder struct {
	mu    sync.Mutex
	hooks []cftunnel.WaitInfo
	log   bytes.Buffer
}

func (r *waitRecorder) options() []cftunnel.Option {
	return []cftunnel.Option{
		cftunnel.WithLogger(slog.New(slog.NewJSONHandler(&r.log, nil))), // at level info
		cftunnel.WithHooks(cftunnel.Hooks{Wait: func(_ context.Context, info cftunnel.WaitInfo) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.hooks = append(r.hooks, info)
		}}),
	}
}

func (r *waitRecorder) records(t *testing.T) (records []waitRecord) {
	t.Helper()
	for line := range strings.Lines(r.log.String()) {
		var record waitRecord
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		if record.Message == "cloudflare api wait" {
			records = append(records, record)
		}
	}
	return records
}

func TestWaits_HooksAndLog(t *testing.T) {
	t.Parallel()
	type wait struct {
		reason cftunnel.WaitReason
		d      time.Duration // rounded to 100 ms
	}
	slow, noLimit := cftunnel.WithRateLimit(1, time.Minute), cftunnel.WithoutRateLimit()
	sleepingLimiter := cftunnel.WithLimiter(limiterFunc(func(context.Context) error {
		time.Sleep(3 * time.Second)
		return nil
	}))
	retryAfter := func(status int, seconds string) tunneltest.Fault {
		return tunneltest.Fault{Status: status, Header: http.Header{"Retry-After": {seconds}}}
	}
	for name, test := range map[string]struct {
		opt   cftunnel.Option
		call  func(ctx context.Context, h *harness, c *cftunnel.Client)
		waits []wait
	}{
		"none": {noLimit, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			require.NoError(h.t, list(ctx, c))
		}, nil},
		"pace": {slow, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			require.NoError(h.t, list(ctx, c))
			require.NoError(h.t, list(ctx, c))
		}, []wait{{cftunnel.WaitPace, 60600 * time.Millisecond}}},
		"Limiter": {sleepingLimiter, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			require.NoError(h.t, list(ctx, c))
		}, []wait{{cftunnel.WaitPace, 3 * time.Second}}},
		"hold": {noLimit, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(429, "7"))
			require.NoError(h.t, list(ctx, c))
		}, []wait{{cftunnel.WaitHold, 7 * time.Second}}},
		"no Retry-After": {noLimit, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(tunneltest.Fault{Status: 429})
			require.NoError(h.t, list(ctx, c))
		}, []wait{{cftunnel.WaitHold, 5 * time.Second}}},
		"hold, then pace": {slow, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(429, "7"))
			require.NoError(h.t, list(ctx, c))
		}, []wait{{cftunnel.WaitHold, 7 * time.Second}, {cftunnel.WaitPace, 53600 * time.Millisecond}}},
		"hold of another call": {slow, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			require.NoError(h.t, list(ctx, c))
			child, err := c.ForAccount(strings.Repeat("a", 32))
			require.NoError(h.t, err)
			h.srv.Inject(retryAfter(429, "25"))
			var group sync.WaitGroup
			group.Go(func() { assert.NoError(h.t, list(ctx, child)) })
			group.Wait()
		}, []wait{
			{cftunnel.WaitPace, 60600 * time.Millisecond},
			{cftunnel.WaitHold, 25 * time.Second},
			{cftunnel.WaitPace, 35600 * time.Millisecond},
		}},
		"retry": {noLimit, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(503, "3"))
			require.NoError(h.t, list(ctx, c))
		}, []wait{{cftunnel.WaitRetry, 3 * time.Second}}},
		"cancelled retry": {noLimit, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(503, "20"))
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			require.ErrorIs(h.t, list(ctx, c), context.Canceled)
		}, []wait{{cftunnel.WaitRetry, 2 * time.Second}}},
		"cancelled hold": {noLimit, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(429, "20"))
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			require.ErrorIs(h.t, list(ctx, c), context.Canceled)
		}, []wait{{cftunnel.WaitHold, 2 * time.Second}}},
		"beyond the deadline": {slow, func(ctx context.Context, h *harness, c *cftunnel.Client) {
			require.NoError(h.t, list(ctx, c))
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			require.ErrorIs(h.t, list(ctx, c), context.DeadlineExceeded)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				recorder := &waitRecorder{}
				client := h.newClient(append(recorder.options(), test.opt)...)
				test.call(t.Context(), h, client)
				records := recorder.records(t)
				require.Len(t, recorder.hooks, len(test.waits), "%v", recorder.hooks)
				require.Len(t, records, len(test.waits))
				for i, want := range test.waits {
					got, record := recorder.hooks[i], records[i]
					rounded := got.Duration.Round(100 * time.Millisecond)
					assert.Equal(t, want, wait{got.Reason, rounded})
					assert.Equal(t, opList, got.Operation)
					assert.Equal(t, waitRecord{
						Level: "INFO", Message: "cloudflare api wait", Call: "Tunnels.List",
						Operation: opList, Reason: string(got.Reason), Duration: got.Duration,
					}, record)
				}
			})
		})
	}
}

// If a hold begins while a call waits for the rate limit, the reason of its wait becomes the hold.
func TestWaits_HoldBeginsDuringWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		recorder := &waitRecorder{}
		limiter, err := cftunnel.NewLimiter(1, 10*time.Second)
		require.NoError(t, err)
		client := h.newClient(append(recorder.options(), cftunnel.WithLimiter(limiter))...)
		require.NoError(t, list(t.Context(), client))
		var group sync.WaitGroup
		group.Go(func() { assert.NoError(t, list(t.Context(), client)) })
		synctest.Wait()
		limiter.Hold(time.Now().Add(25 * time.Second))
		group.Wait()
		require.Len(t, recorder.hooks, 1)
		assert.Equal(t, cftunnel.WaitHold, recorder.hooks[0].Reason)
		assert.Equal(t, 25*time.Second, recorder.hooks[0].Duration)
	})
}

// Waits of less than a second are reported to hooks, but not logged.
func TestWaits_ShortWaitsAreNotLogged(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		recorder := &waitRecorder{}
		client := h.newClient(append(recorder.options(), cftunnel.WithRateLimit(2, time.Second))...)
		require.NoError(t, list(t.Context(), client))
		require.NoError(t, list(t.Context(), client))
		require.Len(t, recorder.hooks, 1)
		assert.Less(t, recorder.hooks[0].Duration, time.Second)
		assert.Empty(t, recorder.records(t))
	})
}
