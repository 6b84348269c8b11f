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

// waitRecord is a wait in the log.
type waitRecord struct {
	Level     string        `json:"level"`
	Message   string        `json:"msg"`
	Call      string        `json:"call"`
	Operation string        `json:"operation"`
	Reason    string        `json:"reason"`
	Duration  time.Duration `json:"duration"`
}

// waitRecorder are what a client says about its waits.
type waitRecorder struct {
	mu    sync.Mutex
	hooks []cftunnel.WaitInfo
	log   bytes.Buffer
}

func (n *waitRecorder) options() []cftunnel.Option {
	return []cftunnel.Option{
		cftunnel.WithLogger(slog.New(slog.NewJSONHandler(&n.log, nil))), // at level info
		cftunnel.WithHooks(cftunnel.Hooks{Wait: func(_ context.Context, info cftunnel.WaitInfo) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.hooks = append(n.hooks, info)
		}}),
	}
}

func (n *waitRecorder) records(t *testing.T) (records []waitRecord) {
	t.Helper()
	for line := range strings.Lines(n.log.String()) {
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
		d      time.Duration // to the tenth of a second
	}
	slow := cftunnel.WithRateLimit(1, time.Minute)
	retryAfter := func(status int, seconds string) tunneltest.Fault {
		return tunneltest.Fault{Status: status, Header: http.Header{"Retry-After": {seconds}}}
	}
	for name, test := range map[string]struct {
		opt   cftunnel.Option
		call  func(t *testing.T, ctx context.Context, h *harness, c *cftunnel.Client)
		waits []wait
	}{
		"none": {cftunnel.WithoutRateLimit(), func(t *testing.T, ctx context.Context, _ *harness, c *cftunnel.Client) {
			require.NoError(t, list(ctx, c))
		}, nil},
		"pace": {slow, func(t *testing.T, ctx context.Context, _ *harness, c *cftunnel.Client) {
			require.NoError(t, list(ctx, c))
			require.NoError(t, list(ctx, c))
		}, []wait{{cftunnel.WaitPace, 60600 * time.Millisecond}}},
		"pace of a Limiter": {cftunnel.WithLimiter(limiterFunc(func(context.Context) error {
			time.Sleep(3 * time.Second)
			return nil
		})), func(t *testing.T, ctx context.Context, _ *harness, c *cftunnel.Client) {
			require.NoError(t, list(ctx, c))
		}, []wait{{cftunnel.WaitPace, 3 * time.Second}}},
		"hold": {cftunnel.WithoutRateLimit(), func(t *testing.T, ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(429, "7"))
			require.NoError(t, list(ctx, c))
		}, []wait{{cftunnel.WaitHold, 7 * time.Second}}},
		"hold without Retry-After": {cftunnel.WithoutRateLimit(), func(t *testing.T, ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(tunneltest.Fault{Status: 429})
			require.NoError(t, list(ctx, c))
		}, []wait{{cftunnel.WaitHold, 5 * time.Second}}},
		"hold, then pace": {slow, func(t *testing.T, ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(429, "7"))
			require.NoError(t, list(ctx, c))
		}, []wait{{cftunnel.WaitHold, 7 * time.Second}, {cftunnel.WaitPace, 53600 * time.Millisecond}}},
		"hold of another call, begun in the wait": {slow, func(t *testing.T, ctx context.Context, h *harness, c *cftunnel.Client) {
			require.NoError(t, list(ctx, c))
			child, err := c.ForAccount(strings.Repeat("a", 32))
			require.NoError(t, err)
			h.srv.Inject(retryAfter(429, "25"))
			var group sync.WaitGroup
			group.Go(func() { assert.NoError(t, list(ctx, child)) })
			group.Wait()
		}, []wait{{cftunnel.WaitPace, 60600 * time.Millisecond}, {cftunnel.WaitHold, 25 * time.Second}, {cftunnel.WaitPace, 35600 * time.Millisecond}}},
		"retry": {cftunnel.WithoutRateLimit(), func(t *testing.T, ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(503, "3"))
			require.NoError(t, list(ctx, c))
		}, []wait{{cftunnel.WaitRetry, 3 * time.Second}}},
		"retry that is cancelled": {cftunnel.WithoutRateLimit(), func(t *testing.T, ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(503, "20"))
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			require.ErrorIs(t, list(ctx, c), context.Canceled)
		}, []wait{{cftunnel.WaitRetry, 2 * time.Second}}},
		"hold that is cancelled": {cftunnel.WithoutRateLimit(), func(t *testing.T, ctx context.Context, h *harness, c *cftunnel.Client) {
			h.srv.Inject(retryAfter(429, "20"))
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			require.ErrorIs(t, list(ctx, c), context.Canceled)
		}, []wait{{cftunnel.WaitHold, 2 * time.Second}}},
		"refused at once": {slow, func(t *testing.T, ctx context.Context, _ *harness, c *cftunnel.Client) {
			require.NoError(t, list(ctx, c))
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			require.ErrorIs(t, list(ctx, c), context.DeadlineExceeded)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				notes := &waitRecorder{}
				client := h.newClient(append(notes.options(), test.opt)...)
				test.call(t, t.Context(), h, client)
				records := notes.records(t)
				require.Len(t, notes.hooks, len(test.waits), "%v", notes.hooks)
				require.Len(t, records, len(test.waits))
				for i, want := range test.waits {
					got, record := notes.hooks[i], records[i]
					assert.Equal(t, want, wait{got.Reason, got.Duration.Round(100 * time.Millisecond)})
					assert.Equal(t, opList, got.Operation)
					assert.Equal(t, waitRecord{"INFO", "cloudflare api wait", "Tunnels.List", opList, string(got.Reason), got.Duration}, record)
				}
			})
		})
	}
}

// A hold that begins while a call waits for its turn is what it waits for from then on.
func TestWaits_HoldBeginsDuringWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		notes := &waitRecorder{}
		limiter, err := cftunnel.NewLimiter(1, 10*time.Second)
		require.NoError(t, err)
		client := h.newClient(append(notes.options(), cftunnel.WithLimiter(limiter))...)
		require.NoError(t, list(t.Context(), client))
		var group sync.WaitGroup
		group.Go(func() { assert.NoError(t, list(t.Context(), client)) })
		synctest.Wait()
		limiter.Hold(time.Now().Add(25 * time.Second))
		group.Wait()
		require.Len(t, notes.hooks, 1)
		assert.Equal(t, cftunnel.WaitHold, notes.hooks[0].Reason)
		assert.Equal(t, 25*time.Second, notes.hooks[0].Duration)
	})
}

// Short waits are for hooks only.
func TestWaits_ShortWaitsAreNotLogged(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		notes := &waitRecorder{}
		client := h.newClient(append(notes.options(), cftunnel.WithRateLimit(2, time.Second))...)
		require.NoError(t, list(t.Context(), client))
		require.NoError(t, list(t.Context(), client))
		require.Len(t, notes.hooks, 1)
		assert.Less(t, notes.hooks[0].Duration, time.Second)
		assert.Empty(t, notes.records(t))
	})
}
