package tunnellogs_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// missing is a fault: the API lists no connector, once.
func missing() tunneltest.Fault {
	return tunneltest.Fault{
		Operation: opList, Body: `{"success":true,"errors":[],"messages":[],"result":[]}`,
	}
}

// after returns a script that waits and then runs another one.
func after(
	pause time.Duration, script func(context.Context, *websocket.Conn),
) func(context.Context, *websocket.Conn) {
	return func(ctx context.Context, conn *websocket.Conn) {
		time.Sleep(pause)
		script(ctx, conn)
	}
}

func TestTail_MissingInListBeforeTheEnd(t *testing.T) {
	t.Parallel()
	const large = `{"type":"logs","logs":[{"message":"larger than MaxEntryBytes"}]}`
	for name, script := range map[string]func(context.Context, *websocket.Conn){
		"replaced":        closes(1000, "context closed"),
		"unknown type":    closes(1003, "unknown type"),
		"idle":            closes(4003, "idle"),
		"not JSON":        sends("{"),
		"entry too large": sends(large),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				s := r.serve(after(10*time.Minute, script))
				r.params.MaxEntryBytes = int64(len(large) - 1)
				tail := r.tail(r.client, r.params)
				r.Inject(missing())
				time.Sleep(2 * time.Hour)
				tail.oneError(ids[0])
				assert.Len(t, s.received(), 1)
				tail.end()
			})
		})
	}
}

func TestTail_MissingInListBeforeRefusal(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"no connector": 530, "forbidden": 403} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				tail := r.tail(r.client, r.params)
				r.Inject(missing())
				time.Sleep(30*time.Second + time.Millisecond)
				r.Inject(tunneltest.Fault{Operation: opLogs, Status: status})
				r.logs.cut()
				time.Sleep(2 * time.Hour)
				assert.Equal(t, status, tail.oneError(ids[0]).StatusCode)
				assert.Equal(t, 2, r.count(opLogs))
				tail.end()
			})
		})
	}
}

// A connection that ends twice without a close frame counts as a replacement.
func TestTail_MissingInListBeforeTwoCuts(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		s := r.serve(silent)
		tail := r.tail(r.client, r.params)
		r.Inject(missing())
		time.Sleep(10 * time.Minute)
		for range 2 {
			r.logs.cut()
			time.Sleep(10 * time.Second)
		}
		time.Sleep(2 * time.Hour)
		require.ErrorIs(t, tail.oneError(ids[0]), tunnellogs.ErrReplaced)
		assert.Len(t, s.received(), 2)
		tail.end()
	})
}

// The list says nothing about the time after the end, although it is received then.
func TestTail_ListRequestedBeforeTheEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		s := r.serve(after(35*time.Second, closes(1000, "context closed")))
		tail := r.tail(r.client, r.params)
		late := missing()
		late.Delay = 10 * time.Second
		r.Inject(late)
		time.Sleep(2 * time.Hour)
		require.ErrorIs(t, tail.oneError(ids[0]), tunnellogs.ErrReplaced)
		assert.Len(t, s.received(), 1)
		tail.end()
	})
}

func TestTail_ReconnectedBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]time.Duration{
		"and before the next poll": 10 * time.Second,
		"and an hour later":        time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				var opened atomic.Int32
				s := r.serve(func(ctx context.Context, conn *websocket.Conn) {
					if opened.Add(1) == 2 {
						after(10*time.Second, closes(1000, "context closed"))(ctx, conn)
					}
				})
				tail := r.tail(r.client, r.params)
				r.logs.cut()
				r.reconnect(ids[0]) // between two polls; Tail opens the second stream
				time.Sleep(pause)
				require.ErrorIs(t, tail.oneError(ids[0]), tunnellogs.ErrReplaced)
				assert.Len(t, s.received(), 2)
				r.logs.cut()
				r.reconnect(ids[0])
				time.Sleep(time.Minute)
				assert.Len(t, s.received(), 3)
				tail.end()
			})
		})
	}
}

// The connector comes back before the loop receives the error of its stream.
func TestTail_ReturnsWhileLoopIsSlow(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, _ []string) {
		var once sync.Once
		s := r.serve(func(ctx context.Context, conn *websocket.Conn) {
			sends(`{"type":"logs","logs":[{}]}`)(ctx, conn)
			once.Do(func() { after(time.Minute, closes(1000, "context closed"))(ctx, conn) })
		})
		for _, err := range tunnellogs.Tail(t.Context(), r.client, r.tunnel.ID, r.params) {
			if err != nil {
				require.ErrorIs(t, err, tunnellogs.ErrReplaced)
				break
			}
			time.Sleep(2 * time.Minute)
			r.Inject(missing())
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			assert.Len(t, s.received(), 2)
		}
	})
}
