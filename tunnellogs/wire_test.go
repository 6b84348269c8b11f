package tunnellogs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

// fakeService is a management service whose behavior a test defines.
type fakeService struct {
	pause time.Duration // before each frame is read

	mu       sync.Mutex
	frames   []string // from the clients
	requests []*http.Request
}

func (s *fakeService) record(frame string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, frame)
}

// received returns the requests so far.
func (s *fakeService) received() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// takeFrames returns the frames from the clients since the last call.
func (s *fakeService) takeFrames() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	frames := s.frames
	s.frames = nil
	return frames
}

// serve connects the streams of the rig to a fakeService. It runs script on each connection after
// it has read the start message.
func (r *rig) serve(script func(ctx context.Context, conn *websocket.Conn)) *fakeService {
	s := new(fakeService)
	r.logs = newNetwork(r.t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, request)
		s.mu.Unlock()
		conn, err := websocket.Accept(w, request, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		ctx, cancel := context.WithCancel(context.WithoutCancel(request.Context()))
		defer cancel()
		_, start, err := conn.Read(ctx)
		if err != nil {
			return
		}
		s.record(string(start))
		go script(ctx, conn)
		for {
			time.Sleep(s.pause)
			_, frame, err := conn.Read(ctx)
			if code := websocket.CloseStatus(err); code != -1 {
				s.record(fmt.Sprintf("close %d", code))
			}
			if err != nil {
				return
			}
			s.record(string(frame))
		}
	}))
	r.params.HTTPClient = r.logs.client
	return s
}

func silent(context.Context, *websocket.Conn) {}

// sends returns a script that sends text frames.
func sends(frames ...string) func(context.Context, *websocket.Conn) {
	return func(ctx context.Context, conn *websocket.Conn) {
		for _, frame := range frames {
			_ = conn.Write(ctx, websocket.MessageText, []byte(frame))
		}
	}
}

// closes returns a script that closes the connection.
func closes(code websocket.StatusCode, reason string) func(context.Context, *websocket.Conn) {
	return func(_ context.Context, conn *websocket.Conn) { _ = conn.Close(code, reason) }
}

const (
	stop   = `{"type":"stop_streaming"}`
	closed = "close 1000"
)

func TestOpen_Request(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		s := r.serve(silent)
		r.params.Endpoint = "http://127.0.0.1/base/"
		require.NoError(t, r.open(ids[0], tunnellogs.Filter{}).Close())
		require.Len(t, s.received(), 1)
		request := s.received()[0]
		assert.Equal(t, "/base/logs", request.URL.Path)
		assert.Equal(t, ids[0], request.URL.Query().Get("connector_id"))
		assert.Len(t, strings.Split(request.URL.Query().Get("access_token"), "."), 3)
		for _, name := range []string{"Origin", "Authorization", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions"} {
			assert.Empty(t, request.Header.Get(name), name)
		}
	})
}

func TestStream_SentFrames(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		s := r.serve(silent)
		stream := r.open(ids[0], tunnellogs.Filter{})
		for _, filter := range []tunnellogs.Filter{
			{Level: tunnellogs.LevelWarn, Events: []tunnellogs.EventType{tunnellogs.EventHTTP}},
			{Sampling: 1},
			{Sampling: 0.25},
			{Sampling: 1},
			{Level: tunnellogs.LevelInfo},
		} {
			require.NoError(t, stream.SetFilter(t.Context(), filter))
		}
		require.NoError(t, stream.Close())
		assert.Equal(t, []string{
			`{"type":"start_streaming","filters":{}}`,
			stop, `{"type":"start_streaming","filters":{"level":"warn","events":["http"]}}`,
			stop, `{"type":"start_streaming","filters":{}}`,
			stop, `{"type":"start_streaming","filters":{"sampling":0.25}}`,
			stop, `{"type":"start_streaming","filters":{"sampling":0.999}}`,
			stop, `{"type":"start_streaming","filters":{"level":"info","sampling":0.999}}`,
			stop, closed,
		}, s.takeFrames())
	})
}

// If a close came between the stop and the start of a new filter, the session would stay active.
func TestStreamSetFilter_ConcurrentClose(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		s := r.serve(silent)
		s.pause = 100 * time.Millisecond // so that all of these calls wait for each other
		stream := r.open(ids[0], tunnellogs.Filter{})
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { _ = stream.SetFilter(t.Context(), tunnellogs.Filter{}) })
		}
		synctest.Wait()
		group.Go(func() { _ = stream.Close() })
		group.Wait()
		time.Sleep(time.Minute)
		frames := s.takeFrames()
		require.GreaterOrEqual(t, len(frames), 4)
		for i, frame := range frames[:len(frames)-1] {
			assert.Equal(t, i%2 == 0, strings.Contains(frame, "start"), "%v", frames)
		}
		assert.Equal(t, stop, frames[len(frames)-2])
	})
}

func TestStreamNext_UnexpectedMessages(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		big := strings.Repeat("x", 1<<20)
		r.serve(func(ctx context.Context, conn *websocket.Conn) {
			_ = conn.Write(ctx, websocket.MessageBinary, []byte("binary"))
			sends(
				`{"type":"pong"}`,
				`{"type":7,"logs":[{"message":"no"}]}`,
				`{}`,
				`null`,
				`[]`,
				`{"type":"logs"}`,
				`{"type":"logs","logs":7}`,
				`{"type":"logs","logs":[null,7,{"message":"absent"}]}`,
				`{"type":"logs","more":1,"logs":[{"time":"2026-10-05T14:00:00.5+02:00","level":"trace","event":"quic","message":"unknown","id":1}]}`,
				`{"type":"logs","logs":[{"level":null,"event":"","message":"empty"},{"level":"info","message":"second"}]}`,
				`{"type":"logs","logs":[{"time":7,"level":7,"event":{},"message":"odd","fields":[1]}]}`,
				`{"type":"logs","logs":[{"message":"no"}],"logs":7}`,
				`{"type":"logs","logs":[{"message":"no"}],"logs":null}`,
				`{"type":"logs","logs":[{"message":"no"}],"type":"pong"}`,
				`{"logs":[{"message":"no"}],"TYPE":null,"Logs":[{"message":"repeated"}],"\u0074ype":"lo\u0067s"}`,
				"\n{ \"type\" : \"logs\" , \"logs\" : [ 7 , { \"MESSAGE\" : \"spaced\" , \"\xff\" : { } } ] }\n",
				`{"type":"logs","logs":[{"message":"no","message":"last","message":7,"level":"info","level":7}]}`,
				`{"type":"logs","logs":[{"message":"merged","fields":{"a":1},"fields":{"b":[{}]},"fields":"c"}]}`,
				`{"type":"logs","logs":[{"message":"none","fields":{"a":1},"fields":null}]}`,
				`{"type":"logs","logs":[{"message":"\ud800","fields":{"b":"`+"\xff"+`"}}]}`,
				`{"type":"logs","logs":[{"message":"`+big+`"}]}`,
			)(ctx, conn)
		})
		stream := r.open(ids[0], tunnellogs.Filter{})
		defer stream.Close()
		entry := func(
			level tunnellogs.Level, event tunnellogs.EventType, message string,
		) tunnellogs.Entry {
			return tunnellogs.Entry{
				ConnectorID: ids[0], Level: level, Event: event, Message: message,
			}
		}
		unknown := entry("trace", "quic", "unknown")
		unknown.Time = time.Date(2026, 10, 5, 12, 0, 0, 500000000, time.UTC)
		merged := entry("debug", "cloudflared", "merged")
		merged.Fields = map[string]any{"a": 1.0, "b": []any{map[string]any{}}}
		invalid := entry("debug", "cloudflared", "\ufffd")
		invalid.Fields = map[string]any{"b": "\ufffd"}
		for _, want := range []tunnellogs.Entry{
			entry("debug", "cloudflared", "absent"), unknown,
			entry("debug", "", "empty"), entry("info", "cloudflared", "second"),
			entry("debug", "cloudflared", "odd"), entry("debug", "cloudflared", "repeated"),
			entry("debug", "cloudflared", "spaced"), entry("debug", "cloudflared", "last"), merged,
			entry("debug", "cloudflared", "none"), invalid, entry("debug", "cloudflared", big),
		} {
			got, err := stream.Next(t.Context())
			require.NoError(t, err)
			assert.True(t, assert.ObjectsAreEqual(want, got), "%.10s: %.10s %v", want.Message,
				got.Message, got.Fields)
		}
	})
}

func TestStreamNext_EntryTooLarge(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		frame := `{"type":"logs","logs":[{"message":"` + strings.Repeat("x", 1000) + `"}]}`
		s := r.serve(sends(frame, frame+" ", frame))
		r.params.MaxEntryBytes = int64(len(frame))
		stream := r.open(ids[0], tunnellogs.Filter{})
		_, err := stream.Next(t.Context())
		require.NoError(t, err)
		_, err = stream.Next(t.Context())
		require.ErrorIs(t, err, tunnellogs.ErrEntryTooLarge)
		require.NotErrorIs(t, err, tunnellogs.ErrReplaced)
		require.NoError(t, stream.Close())
		assert.Equal(t, []string{stop, closed}, s.takeFrames()[1:])
	})
}

func TestStreamNext_InvalidJSON(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		s := r.serve(sends("<html>"))
		stream := r.open(ids[0], tunnellogs.Filter{})
		_, err := stream.Next(t.Context())
		var failure *tunnellogs.StreamError
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, "a message is not JSON", failure.Reason)
		time.Sleep(time.Minute) // the stream closes without a call of Close
		assert.Equal(t, []string{stop, closed}, s.takeFrames()[1:])
	})
}

func TestStreamNext_CloseCodes(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		for code, want := range map[websocket.StatusCode]error{
			1000: tunnellogs.ErrReplaced, 4001: tunnellogs.ErrInvalidFilter, 4002: tunnellogs.ErrSessionLimit,
			4003: tunnellogs.ErrIdle, 1003: nil, 1011: nil,
		} {
			r.serve(closes(code, "because\nof it"))
			stream := r.open(ids[0], tunnellogs.Filter{})
			_, err := stream.Next(t.Context())
			var failure *tunnellogs.StreamError
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, int(code), failure.CloseCode)
			assert.Equal(t, `because\nof it`, failure.Reason)
			assert.Equal(t, want, errors.Unwrap(failure))
			require.NoError(t, stream.Close())
		}
	})
}

// A service that does not reply to the close frame must not delay Close for long.
func TestStreamClose_SilentService(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		r.logs = newNetwork(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			conn, err := websocket.Accept(w, request, nil)
			if err != nil {
				return
			}
			_, _, _ = conn.Read(context.WithoutCancel(request.Context())) // only the start message
			time.Sleep(time.Hour)
			_ = conn.CloseNow()
		}))
		r.params.HTTPClient = r.logs.client
		for range 2 {
			stream := r.open(ids[0], tunnellogs.Filter{})
			began := time.Now()
			_ = stream.Close()
			assert.LessOrEqual(t, time.Since(began), 3*time.Second)
		}
		time.Sleep(2 * time.Hour) // until the service ends
	})
}

func TestTail_ReturnsAfterStreamsAreClosed(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, _ []string) {
		s := r.serve(sends(`{"type":"logs","logs":[{}]}`))
		for _, err := range tunnellogs.Tail(t.Context(), r.client, r.tunnel.ID, r.params) {
			require.NoError(t, err)
			break
		}
		s.mu.Lock()
		frames := slices.Clone(s.frames)
		s.mu.Unlock()
		require.GreaterOrEqual(t, len(frames), 2)
		assert.Equal(t, stop, frames[1])
		// The service has replied to the close frame, but may record it a moment later.
		assert.Equal(t, []string{stop, closed}, s.takeFrames()[1:])
	})
}

// respondAndStay writes a response as it is and leaves the connection open.
func respondAndStay(response string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, response)
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
}

func TestOpen_ContextDeadline(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"no response": func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() },
		"invalid 101 whose body stays open": respondAndStay(
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				r.logs = newNetwork(t, handler)
				r.params.HTTPClient = r.logs.client
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				began := time.Now()
				_, err := tunnellogs.Open(ctx, r.client, r.tunnel.ID, ids[0], r.params)
				require.Error(t, err)
				assert.LessOrEqual(t, time.Since(began), 200*time.Millisecond)
				began = time.Now()
				_, err = tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, ids[0], r.params)
				require.Error(t, err)
				assert.LessOrEqual(t, time.Since(began), 31*time.Second)
			})
		})
	}
}

func TestEntry_JSONRoundTrip(t *testing.T) {
	t.Parallel()
	want := tunnellogs.Entry{
		ConnectorID: "c",
		Time:        time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC),
		Level:       "info",
		Event:       "",
		Message:     "GET /logs?access_token=secret",
		Fields:      map[string]any{"headers": map[string]any{"Cookie": []any{"secret"}}},
	}
	encoded, err := json.Marshal(want)
	require.NoError(t, err)
	for _, key := range []string{"connector_id", "time", "level", "event", "message", "fields"} {
		assert.Contains(t, string(encoded), `"`+key+`":`)
	}
	var got tunnellogs.Entry
	require.NoError(t, json.Unmarshal(encoded, &got))
	assert.Equal(t, want, got)
	assert.Equal(t, 2, strings.Count(string(encoded), "secret"))
}
