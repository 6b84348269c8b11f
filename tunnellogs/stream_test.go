package tunnellogs_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestStreamNext_Entries(t *testing.T) {
	t.Parallel()
	inBubble(t, 2, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[1], tunnellogs.Filter{})
		defer stream.Close()
		at := time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)
		r.log(ids[0], "of the other connector")
		r.Log(ids[1], tunnellogs.Entry{
			Time:    at.Add(time.Millisecond),
			Level:   tunnellogs.LevelWarn,
			Event:   tunnellogs.EventHTTP,
			Message: "<GET>",
			Fields:  map[string]any{"host": "a&b", "n": 1.5, "list": []any{"x"}},
		})
		r.Log(ids[1], tunnellogs.Entry{Time: at})
		entry, err := stream.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, tunnellogs.Entry{
			ConnectorID: ids[1],
			Time:        at,
			Level:       tunnellogs.LevelWarn,
			Event:       tunnellogs.EventHTTP,
			Message:     "<GET>",
			Fields:      map[string]any{"host": "a&b", "n": 1.5, "list": []any{"x"}},
		}, entry)
		entry, err = stream.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, tunnellogs.Entry{
			ConnectorID: ids[1],
			Time:        at,
			Level:       tunnellogs.LevelDebug,
			Event:       tunnellogs.EventCloudflared,
		}, entry)
	})
}

func TestStreamNext_ContinuesAfterTimeout(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{})
		defer stream.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := stream.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		r.log(ids[0], "still here")
		_, err = stream.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		entry, err := stream.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "still here", entry.Message)
	})
}

func TestOpen_StreamOutlivesContext(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := tunnellogs.Open(ctx, r.client, r.tunnel.ID, ids[0], r.params)
		require.NoError(t, err)
		defer stream.Close()
		cancel()
		time.Sleep(time.Minute)
		r.log(ids[0], "alive")
		_, err = stream.Next(t.Context())
		require.NoError(t, err)
	})
}

func TestStream_StaysOpenForHours(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{})
		defer stream.Close()
		time.Sleep(3 * time.Hour) // with pings; there is no idle limit while streaming
		r.log(ids[0], "late")
		_, err := stream.Next(t.Context())
		require.NoError(t, err)
	})
}

func TestStreamNext_ConnectorStops(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{})
		defer stream.Close()
		r.Disconnect(ids[0])
		_, err := stream.Next(t.Context())
		var failure *tunnellogs.StreamError
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, ids[0], failure.ConnectorID)
		assert.Zero(t, failure.CloseCode)
		require.ErrorIs(t, err, io.EOF)
		_, again := stream.Next(t.Context())
		assert.Equal(t, err, again)
		require.NoError(t, stream.Close())
	})
}

func TestOpen_RefusedRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		const unknown = "1c1fd3ba-7a8c-4b3a-8f0e-0f7d0f7d0f7d"
		_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, unknown, r.params)
		var failure *tunnellogs.StreamError
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, 530, failure.StatusCode)
		require.ErrorIs(t, err, tunnellogs.ErrNoConnector)

		r.Inject(tunneltest.Fault{Operation: opLogs, Status: 400,
			Body: `{"errors":[{"code":1001,"message":"missing access_token query parameter"}]}`})
		_, err = tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, ids[0], r.params)
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, 400, failure.StatusCode)
		assert.Equal(t, "1001 missing access_token query parameter", failure.Reason)
		assert.ErrorContains(t, err, "400")
	})
}

func TestOpen_ReadOnlyToken(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		client := r.clientOf(r.AddToken(tunneltest.Token{ReadOnly: true}))
		_, err := tunnellogs.Open(t.Context(), client, r.tunnel.ID, ids[0], r.params)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		assert.Zero(t, r.count(opLogs))
	})
}

func TestOpen_InvalidArguments(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		requests := len(r.Requests())
		open := func(change func(*tunnellogs.Params)) error {
			params := r.params
			change(&params)
			_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, ids[0], params)
			return err
		}
		for name, change := range map[string]func(*tunnellogs.Params){
			"ConnectorIDs":  func(p *tunnellogs.Params) { p.ConnectorIDs = ids },
			"Sampling":      func(p *tunnellogs.Params) { p.Sampling = 1.5 },
			"PollInterval":  func(p *tunnellogs.Params) { p.PollInterval = -1 },
			"MaxEntryBytes": func(p *tunnellogs.Params) { p.MaxEntryBytes = -1 },
			"Endpoint":      func(p *tunnellogs.Params) { p.Endpoint = "http://management.example.com" },
		} {
			var invalid *cftunnel.InvalidArgumentError
			if assert.ErrorAs(t, open(change), &invalid, name) {
				assert.Equal(t, name, invalid.Name)
			}
		}
		for _, endpoint := range []string{
			"://", "https://", "management.example.com", "ftp://a", "https://u:p@a", "https://a?x=1", "https://a#f", "ws://192.0.2.1",
		} {
			err := open(func(p *tunnellogs.Params) { p.Endpoint = endpoint })
			require.Error(t, err, endpoint)
			assert.NotContains(t, err.Error(), "u:p")
		}
		for _, id := range []string{"", "a/b", "a b", "a&access_token=x", strings.Repeat("a", 129)} {
			_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, id, r.params)
			var invalid *cftunnel.InvalidArgumentError
			require.ErrorAs(t, err, &invalid, id)
			assert.Equal(t, "connectorID", invalid.Name)
		}
		_, err := tunnellogs.Open(t.Context(), nil, r.tunnel.ID, ids[0], r.params)
		require.Error(t, err)
		assert.Len(t, r.Requests(), requests, "nothing was sent")
	})
}

func TestStream_NilContextAndZeroStream(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		refused := func(argument string, err error) {
			t.Helper()
			var invalid *cftunnel.InvalidArgumentError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, argument, invalid.Name)
		}
		var none context.Context
		_, err := tunnellogs.Open(none, r.client, r.tunnel.ID, ids[0], r.params)
		refused("ctx", err)
		for _, err := range tunnellogs.Tail(none, r.client, r.tunnel.ID, r.params) {
			refused("ctx", err)
		}
		stream := r.open(ids[0], tunnellogs.Filter{})
		_, err = stream.Next(none)
		refused("ctx", err)
		refused("ctx", stream.SetFilter(none, tunnellogs.Filter{}))
		require.NoError(t, stream.Close())
		for _, stream := range []*tunnellogs.Stream{nil, {}} {
			_, err = stream.Next(t.Context())
			refused("stream", err)
			refused("stream", stream.SetFilter(t.Context(), tunnellogs.Filter{}))
			refused("stream", stream.Close())
		}
		for _, client := range []*cftunnel.Client{nil, {}} {
			_, err = tunnellogs.Open(t.Context(), client, r.tunnel.ID, ids[0], r.params)
			require.Error(t, err)
			for _, err := range tunnellogs.Tail(t.Context(), client, r.tunnel.ID, r.params) {
				require.Error(t, err)
			}
		}
	})
}

func TestOpen_LoopbackEndpoints(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		for _, endpoint := range []string{"http://127.0.0.1", "ws://localhost/", "http://[::1]:8787"} {
			r.params.Endpoint = endpoint
			require.NoError(t, r.open(ids[0], tunnellogs.Filter{}).Close(), endpoint)
		}
	})
}

func TestStreamClose_FreesSession(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		require.NoError(t, r.open(ids[0], tunnellogs.Filter{}).Close())
		synctest.Wait() // until the fake has read the stop
		other := r.clientOf(r.AddToken(tunneltest.Token{}))
		stream, err := tunnellogs.Open(t.Context(), other, r.tunnel.ID, ids[0], r.params)
		require.NoError(t, err)
		defer stream.Close()
		synctest.Wait()
		r.log(ids[0], "for the other user")
		_, err = stream.Next(t.Context())
		require.NoError(t, err)
	})
}

func TestStreamClose_DuringNext(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{})
		next := make(chan error)
		go func() {
			_, err := stream.Next(t.Context())
			next <- err
		}()
		synctest.Wait()
		closed := make(chan error)
		for range 2 {
			go func() { closed <- stream.Close() }()
		}
		require.ErrorIs(t, <-next, net.ErrClosed)
		require.NoError(t, <-closed)
		require.NoError(t, <-closed)
		require.NoError(t, stream.Close())
		_, err := stream.Next(t.Context())
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, stream.SetFilter(t.Context(), tunnellogs.Filter{}), net.ErrClosed)
	})
}

// Entries that nobody reads must not delay Close.
func TestStreamClose_UnreadEntries(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{})
		for range 1000 {
			r.log(ids[0], strings.Repeat("x", 1000))
		}
		synctest.Wait()
		began := time.Now()
		require.NoError(t, stream.Close())
		assert.Zero(t, time.Since(began))
	})
}

func TestStreamNext_SlowReaderLosesLines(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{})
		defer stream.Close()
		for range 1000 {
			r.log(ids[0], "x")
		}
		time.Sleep(time.Hour)
		n := 0
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := stream.Next(ctx)
			cancel()
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				break
			}
			n++
		}
		assert.GreaterOrEqual(t, n, 30)
		assert.Less(t, n, 100, "the buffer, and the lines in transit")
	})
}

func TestStreamNext_SessionLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		first := r.open(ids[0], tunnellogs.Filter{})
		defer first.Close()
		r.client = r.clientOf(r.AddToken(tunneltest.Token{}))
		second := r.open(ids[0], tunnellogs.Filter{})
		defer second.Close()
		_, err := second.Next(t.Context())
		require.ErrorIs(t, err, tunnellogs.ErrSessionLimit)
		var failure *tunnellogs.StreamError
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, 4002, failure.CloseCode)
		assert.Equal(t, "limit exceeded for streaming sessions", failure.Reason)
		r.log(ids[0], "for the first")
		_, err = first.Next(t.Context())
		require.NoError(t, err)
	})
}

func TestStreamNext_Replaced(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		first := r.open(ids[0], tunnellogs.Filter{})
		defer first.Close()
		second := r.open(ids[0], tunnellogs.Filter{})
		defer second.Close()
		_, err := first.Next(t.Context())
		require.ErrorIs(t, err, io.EOF)
		r.log(ids[0], "for the second")
		_, err = second.Next(t.Context())
		require.NoError(t, err)
	})
}

func TestStreamNext_InvalidFilter(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		for _, filter := range []tunnellogs.Filter{
			{Level: "trace"}, {Level: "INFO"}, {Events: []tunnellogs.EventType{"http", "quic"}}, {Events: []tunnellogs.EventType{""}},
		} {
			stream := r.open(ids[0], filter)
			_, err := stream.Next(t.Context())
			require.ErrorIs(t, err, tunnellogs.ErrInvalidFilter, "%v", filter)
			require.NoError(t, stream.Close())
		}
	})
}

func TestStreamSetFilter_LevelsAndEvents(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{Level: tunnellogs.LevelError})
		defer stream.Close()
		logAll := func() (messages []string) {
			synctest.Wait()
			for _, level := range []tunnellogs.Level{tunnellogs.LevelDebug, tunnellogs.LevelError} {
				for _, event := range []tunnellogs.EventType{tunnellogs.EventHTTP, tunnellogs.EventTCP} {
					message := string(level) + " " + string(event)
					r.Log(ids[0], tunnellogs.Entry{Level: level, Event: event, Message: message})
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for {
				entry, err := stream.Next(ctx)
				if err != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return messages
				}
				messages = append(messages, entry.Message)
			}
		}
		assert.Equal(t, []string{"error http", "error tcp"}, logAll())
		onlyTCP := tunnellogs.Filter{Events: []tunnellogs.EventType{tunnellogs.EventTCP}}
		require.NoError(t, stream.SetFilter(t.Context(), onlyTCP))
		assert.Equal(t, []string{"debug tcp", "error tcp"}, logAll())
		require.NoError(t, stream.SetFilter(t.Context(), tunnellogs.Filter{}))
		assert.Len(t, logAll(), 4)
		require.NoError(t, stream.SetFilter(t.Context(), tunnellogs.Filter{Level: "fatal"}))
		_, err := stream.Next(t.Context())
		require.ErrorIs(t, err, tunnellogs.ErrInvalidFilter)
	})
}

func TestStreamSetFilter_CanceledContext(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{})
		defer stream.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := stream.SetFilter(ctx, tunnellogs.Filter{Level: tunnellogs.LevelError})
		require.ErrorIs(t, err, context.Canceled)
		require.Error(t, stream.SetFilter(t.Context(), tunnellogs.Filter{Sampling: -1}))
		r.log(ids[0], "info")
		_, err = stream.Next(t.Context())
		require.NoError(t, err)
	})
}

// arrived logs 2000 lines and returns how many the stream receives.
func arrived(t *testing.T, r *rig, id string, stream *tunnellogs.Stream) int {
	t.Helper()
	n := 0
	for range 2000 {
		r.log(id, "x")
		synctest.Wait()
	read:
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
			_, err := stream.Next(ctx)
			cancel()
			if err != nil {
				break read
			}
			n++
		}
	}
	return n
}

func TestStreamSetFilter_ResetsSampling(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		stream := r.open(ids[0], tunnellogs.Filter{Sampling: 0.1})
		defer stream.Close()
		assert.InDelta(t, 220, arrived(t, r, ids[0], stream), 80)
		for _, none := range []float64{0, 1} {
			require.NoError(t, stream.SetFilter(t.Context(), tunnellogs.Filter{Sampling: none}))
			synctest.Wait()
			assert.Equal(t, 2000, arrived(t, r, ids[0], stream), "sampling %v", none)
		}
	})
}
