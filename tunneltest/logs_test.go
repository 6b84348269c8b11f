package tunneltest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// logsClient is a client of log streams that does not use package tunnellogs.
type logsClient struct {
	*fake
	tunnel, connector string
	token             cftunnel.Secret // of the tunnel
}

// streamLogs runs a test in a bubble, with a tunnel and one connector.
func streamLogs(t *testing.T, test func(t *testing.T, l *logsClient), opts ...tunneltest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &logsClient{fake: startInBubble(t, opts...)}
		l.tunnel, l.token = l.create("web")
		l.connector = l.connect(l.token)
		test(t, l)
	})
}

// management returns a management token of the tunnel, for a client with this API token.
func (l *logsClient) management(apiToken cftunnel.Secret) string {
	l.t.Helper()
	path := l.accountPath("/cfd_tunnel/" + l.tunnel + "/management/logs")
	r, err := l.tryWith(http.MethodPost, path, "",
		http.Header{"Authorization": {"Bearer " + apiToken.Reveal()}})
	require.NoError(l.t, err)
	var token string
	require.NoError(l.t, json.Unmarshal(r.result(), &token))
	return token
}

func (l *logsClient) url(query url.Values) string {
	return l.withoutPath() + "/logs?" + query.Encode()
}

// dial opens a connection without starting to stream.
func (l *logsClient) dial(token string, opts ...func(*websocket.DialOptions)) (*logsConn, int) {
	l.t.Helper()
	options := &websocket.DialOptions{HTTPClient: l.http}
	c := &logsConn{t: l.t}
	options.OnPingReceived = func(_ context.Context, payload []byte) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pings = append(c.pings, string(payload))
		return true
	}
	for _, opt := range opts {
		opt(options)
	}
	conn, response, err := websocket.Dial(l.t.Context(),
		l.url(url.Values{"access_token": {token}, "connector_id": {l.connector}}), options)
	if err != nil {
		require.NotNil(l.t, response, "%v", err)
		return nil, response.StatusCode
	}
	conn.SetReadLimit(-1)
	c.conn, c.ended = conn, make(chan struct{})
	go c.read()
	return c, response.StatusCode
}

// start opens a connection and starts streaming.
func (l *logsClient) start(token string) *logsConn {
	l.t.Helper()
	c, _ := l.dial(token)
	c.send(`{"type":"start_streaming"}`)
	return c
}

func (l *logsClient) logLine(message string) {
	l.Log(l.connector, tunnellogs.Entry{Level: tunnellogs.LevelInfo, Message: message})
}

// logsConn is a log stream whose frames are read in the background.
type logsConn struct {
	t     testing.TB
	conn  *websocket.Conn
	ended chan struct{}

	mu     sync.Mutex
	frames []string
	pings  []string
	err    error
}

func (c *logsConn) read() {
	defer close(c.ended)
	for {
		_, data, err := c.conn.Read(context.Background())
		c.mu.Lock()
		if err != nil {
			c.err = err
			c.mu.Unlock()
			_ = c.conn.CloseNow()
			return
		}
		c.frames = append(c.frames, string(data))
		c.mu.Unlock()
	}
}

func (c *logsConn) send(frame string) {
	c.t.Helper()
	require.NoError(c.t, c.conn.Write(c.t.Context(), websocket.MessageText, []byte(frame)))
	synctest.Wait()
}

// got returns the frames that were received since the last call.
func (c *logsConn) got() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := c.frames
	c.frames = nil
	return frames
}

func (c *logsConn) pinged() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pings
}

// closedWith waits for the end of the connection and returns its close code and reason. The code is
// -1 if there was no close frame.
func (c *logsConn) closedWith() (websocket.StatusCode, string) {
	c.t.Helper()
	<-c.ended
	var closed websocket.CloseError
	if websocket.CloseStatus(c.err) == -1 {
		require.ErrorIs(c.t, c.err, io.EOF)
		return -1, ""
	}
	require.ErrorAs(c.t, c.err, &closed)
	return closed.Code, closed.Reason
}

// disconnect closes the connection without stopping the stream.
func (c *logsConn) disconnect() {
	_ = c.conn.Close(websocket.StatusNormalClosure, "")
	<-c.ended
	synctest.Wait()
}

func TestLogs_Entries(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		c := l.start(l.management(l.APIToken()))
		defer c.disconnect()
		at := time.Date(2026, 10, 5, 14, 0, 0, 999, time.FixedZone("", 7200))
		for _, test := range []struct {
			entry tunnellogs.Entry
			want  string
		}{
			{tunnellogs.Entry{Time: at}, `{"time":"2026-10-05T12:00:00Z"}`},
			{tunnellogs.Entry{}, `{"time":"2000-01-01T00:00:00Z"}`},
			{tunnellogs.Entry{Time: at, Level: "debug", Event: "cloudflared"}, `{"time":"2026-10-05T12:00:00Z"}`},
			{tunnellogs.Entry{Time: at, Level: "warn", Event: "http", Message: "<a&b>"},
				`{"time":"2026-10-05T12:00:00Z","level":"warn","message":"<a&b>","event":"http"}`},
			{tunnellogs.Entry{Time: at, Level: "trace", Event: "quic"}, `{"time":"2026-10-05T12:00:00Z","event":""}`},
			{tunnellogs.Entry{Time: at, Level: "info", Fields: map[string]any{"error": nil}},
				`{"time":"2026-10-05T12:00:00Z","level":"error","fields":{"error":null}}`},
			{tunnellogs.Entry{Time: at, Fields: map[string]any{"a": []int{1}, "b": int64(1)<<53 + 1, "c": 1.23456789, "d": 1e20}},
				`{"time":"2026-10-05T12:00:00Z","fields":{"a":[1],"b":9007199254740992,"c":1.234568,"d":100000000000000000000}}`},
		} {
			l.Log(l.connector, test.entry)
			assert.Equal(t, []string{`{"type":"logs","logs":[` + test.want + `]}`}, c.got())
		}
		l.Log("another", tunnellogs.Entry{})
		assert.Empty(t, c.got())
		assert.Panics(t,
			func() { l.Log(l.connector, tunnellogs.Entry{Fields: map[string]any{"a": func() {}}}) })
	}, tunneltest.WithClock(func() time.Time {
		return time.Date(2000, 1, 1, 0, 0, 0, 0,
			time.UTC)
	}))
}

func TestLogs_Filters(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		token := l.management(l.APIToken())
		c, _ := l.dial(token)
		for filters, want := range map[string]int{
			``: 16, `"filters":null,`: 16, `"filters":{},`: 16, `"filters":{"more":1,"level":null,"events":null},`: 16,
			`"filters":{"events":[]},`: 16, `"filters":{"level":"debug"},`: 16, `"filters":{"level":"warn"},`: 8,
			`"filters":{"level":"error","events":["http"]},`: 1, `"filters":{"events":["http","udp"]},`: 8,
			`"filters":{"sampling":0},`: 16, `"filters":{"sampling":1},`: 16, `"filters":{"sampling":7},`: 16,
			`"filters":{"sampling":-1},`: 16, `"filters":{"sampling":0.995},`: 16,
		} {
			c.send(`{` + filters + `"type":"start_streaming"}`)
			for _, level := range []tunnellogs.Level{"debug", "info", "warn", "error"} {
				for _, event := range []tunnellogs.EventType{"cloudflared", "http", "tcp", "udp"} {
					l.Log(l.connector, tunnellogs.Entry{Level: level, Event: event})
				}
			}
			assert.Len(t, c.got(), want, filters)
			c.send(`{"type":"stop_streaming"}`)
		}
		c.disconnect()
		for _, filters := range []string{
			`{"level":"trace"}`, `{"level":"INFO"}`, `{"level":""}`, `{"level":1}`, `{"level":"fatal"}`, `{"events":["all"]}`,
			`{"events":[""]}`, `{"events":"http"}`, `{"sampling":"1"}`, `[]`, `7`,
		} {
			c, _ := l.dial(token)
			c.send(`{"type":"start_streaming","filters":` + filters + `}`)
			code, reason := c.closedWith()
			assert.Equal(t, websocket.StatusCode(4001), code, filters)
			assert.Equal(t, "expected start streaming as first event", reason)
		}
	})
}

func TestLogs_SamplingPersists(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		c, _ := l.dial(l.management(l.APIToken()))
		defer c.disconnect()
		for _, step := range []struct {
			filters string
			share   float64
		}{{`{"sampling":0.2}`, 0.21}, {`{}`, 0.21}, {`{"sampling":1}`, 0.21}, {`{"sampling":0.5}`, 0.51}, {`null`, 0.51}, {`{"sampling":0.99}`, 1}} {
			c.send(`{"type":"start_streaming","filters":` + step.filters + `}`)
			n := 0
			for range 1000 {
				l.logLine("x")
				n += len(c.got())
			}
			assert.InDelta(t, 1000*step.share, n, 100*(1-step.share), step.filters)
			c.send(`{"type":"stop_streaming"}`)
		}
	})
}

func TestLogs_Sessions(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		mine, theirs := l.management(l.APIToken()), l.management(l.AddToken(tunneltest.Token{}))
		limited := func() bool {
			c := l.start(theirs)
			l.logLine("x")
			if len(c.got()) > 0 {
				c.send(`{"type":"stop_streaming"}`)
				c.disconnect()
				return false
			}
			code, reason := c.closedWith()
			assert.Equal(t, websocket.StatusCode(4002), code)
			assert.Equal(t, "limit exceeded for streaming sessions", reason)
			return true
		}
		waiting, _ := l.dial(mine)
		assert.False(t, limited(), "a connection that does not stream does not count")
		waiting.disconnect()

		c := l.start(mine)
		assert.True(t, limited())
		assert.Len(t, c.got(), 1, "the earlier session still streams")
		c.send(`{"type":"stop_streaming"}`)
		assert.False(t, limited(), "a session that has stopped does not count")
		assert.Empty(t, c.got())
		c.send(`{"type":"start_streaming"}`)

		again := l.start(l.management(l.APIToken()))
		code, _ := c.closedWith()
		assert.Equal(t, websocket.StatusCode(-1), code, "replaced without a close frame")
		l.logLine("x")
		assert.Len(t, again.got(), 1)
		again.send(`{"type":"start_streaming"}`)
		code, _ = again.closedWith()
		assert.Equal(t, websocket.StatusCode(-1), code, "replaced by itself")
		assert.False(t, limited())

		l.start(mine).disconnect()
		first := l.start(theirs)
		code, _ = first.closedWith()
		assert.Equal(t, websocket.StatusCode(4002), code,
			"a client that disconnected without a stop counts")
		l.logLine("cannot be sent")
		assert.False(t, limited(), "until a line cannot be sent")
		l.start(mine).disconnect()
		c = l.start(mine)
		l.logLine("x")
		assert.Len(t, c.got(), 1, "the same user replaces it")
		c.disconnect()
	})
}

func TestLogs_Commands(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		token := l.management(l.APIToken())
		for _, test := range []struct {
			frame  string
			code   websocket.StatusCode
			reason string
		}{
			{`{"type":"other"}`, 1003, "invalid client message type was provided: other"},
			{`{}`, 1003, "invalid message type was provided"},
			{`{"type":7}`, 1003, "json"},
			{`{`, 1003, "JSON"},
			{`{"type":"` + strings.Repeat("x", 200) + `"}`, 1011, ""},
			{`{"type":"` + strings.Repeat("x", 33<<10) + `"}`, 1009, ""},
		} {
			c, _ := l.dial(token)
			_ = c.conn.Write(t.Context(), websocket.MessageText, []byte(test.frame))
			code, reason := c.closedWith()
			assert.Equal(t, test.code, code, "%.40s", test.frame)
			if test.code == 1003 {
				assert.Contains(t, reason, test.reason)
			}
		}
		c, _ := l.dial(token)
		require.NoError(t,
			c.conn.Write(t.Context(), websocket.MessageBinary,
				[]byte(`{"type":"start_streaming"}`)))
		code, reason := c.closedWith()
		assert.Equal(t, websocket.StatusCode(1003), code)
		assert.Equal(t, "invalid message type was provided", reason)
	})
}

func TestLogs_Timers(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		token := l.management(l.APIToken())
		idle := func(c *logsConn) time.Duration {
			began := time.Now()
			code, reason := c.closedWith()
			assert.Equal(t, websocket.StatusCode(4003), code)
			assert.Equal(t, "session was idle for too long", reason)
			return time.Since(began)
		}
		c, _ := l.dial(token)
		assert.Equal(t, 5*time.Minute, idle(c))
		c, _ = l.dial(token)
		time.Sleep(20 * time.Second)
		assert.Equal(t, []string{"1"}, c.pinged())
		c.send(`{"type":"stop_streaming"}`)
		assert.Equal(t, 5*time.Minute, idle(c), "a stop restarts the timer")
		c = l.start(token)
		time.Sleep(time.Hour)
		assert.Len(t, c.pinged(), 240)
		c.send(`{"type":"stop_streaming"}`)
		assert.Equal(t, 5*time.Minute, idle(c))
	})
}

func TestLogs_Backlog(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		c := l.start(l.management(l.APIToken()))
		for range 20000 {
			l.logLine("x")
		}
		n := len(c.got())
		assert.GreaterOrEqual(t, n, 30)
		assert.Less(t, n, 20000)
		c.disconnect()
	})
}

func TestLogs_ConnectorStops(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		token := l.management(l.APIToken())
		for name, end := range map[string]func(){
			"stopped":        func() { l.Disconnect(l.connector) },
			"no connections": func() { l.SetConnections(l.connector, 0) },
			"cleaned up": func() {
				path := l.accountPath("/cfd_tunnel/" + l.tunnel + "/connections")
				assert.Equal(t, http.StatusOK, l.send(http.MethodDelete, path, "").status)
			},
		} {
			started := l.start(token)
			waiting, _ := l.dial(token)
			end()
			for _, c := range []*logsConn{started, waiting} {
				code, _ := c.closedWith()
				assert.Equal(t, websocket.StatusCode(-1), code, name)
			}
			_, status := l.dial(token)
			assert.Equal(t, 530, status, name)
			l.logLine("no client")
			l.connector = l.connect(l.token)
		}
		c := l.start(token)
		l.Close()
		code, _ := c.closedWith()
		assert.Equal(t, websocket.StatusCode(-1), code)
	})
}

func TestLogs_InvalidRequests(t *testing.T) {
	t.Parallel()
	now := newClock(noon)
	streamLogs(t, func(t *testing.T, l *logsClient) {
		token := l.management(l.APIToken())
		get := func(method string, query url.Values, header http.Header) (int, string) {
			request, err := http.NewRequestWithContext(t.Context(), method, l.url(query), nil)
			require.NoError(t, err)
			request.Header = header
			response, err := l.http.Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return response.StatusCode, string(body)
		}
		upgrade := func(more ...string) http.Header {
			header := http.Header{
				"Connection":            {"Upgrade"},
				"Upgrade":               {"websocket"},
				"Sec-Websocket-Version": {"13"},
				"Sec-Websocket-Key":     {"AAAAAAAAAAAAAAAAAAAAAA=="},
			}
			for i := 0; i < len(more); i += 2 {
				header.Set(more[i], more[i+1])
			}
			return header
		}
		const missing = `{"errors":[{"code":1001,"message":"missing access_token query parameter"}]}`
		parts := strings.Split(token, ".")
		for name, unreadable := range map[string]string{
			"none": "", "text": "token", "two parts": parts[0] + "." + parts[1], "not base64": "!." + parts[1] + "." + parts[2],
			"another algorithm": "eyJhbGciOiJIUzI1NiJ9." + parts[1] + "." + parts[2],
			"no claims":         parts[0] + ".e30." + parts[2],
		} {
			status, body := get(http.MethodGet, url.Values{"access_token": {unreadable}}, upgrade())
			assert.Equal(t, http.StatusBadRequest, status, name)
			assert.Equal(t, missing, body, name)
		}
		header := upgrade("Authorization", "Bearer "+token)
		status, body := get(http.MethodGet, nil, header)
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Equal(t, missing, body)

		good := url.Values{"access_token": {token}, "connector_id": {l.connector}}
		status, _ = get(http.MethodGet, good, nil)
		assert.Equal(t, http.StatusUpgradeRequired, status)
		status, _ = get(http.MethodPost, good, nil)
		assert.Equal(t, http.StatusMethodNotAllowed, status)
		status, _ = get(http.MethodGet, good, upgrade("Origin", "https://example.com"))
		assert.Equal(t, http.StatusForbidden, status)
		status, _ = get(http.MethodGet, good,
			upgrade("Sec-Websocket-Extensions", "permessage-deflate; server_max_window_bits=15"))
		assert.Equal(t, http.StatusBadRequest, status)

		forged := parts[0] + "." + parts[1] + "." + parts[2][:10] + "AAAA" + parts[2][14:]
		_, status = l.dial(forged)
		assert.Equal(t, http.StatusUnauthorized, status)
		var admin string
		path := l.accountPath("/cfd_tunnel/" + l.tunnel + "/management/admin")
		require.NoError(t, json.Unmarshal(l.send(http.MethodPost, path, "").result(), &admin))
		_, status = l.dial(admin)
		assert.Equal(t, http.StatusForbidden, status)

		connector := l.connector
		l.connector = "00000000-0000-4000-8000-000000000000"
		_, status = l.dial(token)
		assert.Equal(t, 530, status)
		_, otherToken := l.create("other")
		l.connector = l.connect(otherToken)
		_, status = l.dial(token)
		assert.Equal(t, 530, status, "the connector of another tunnel")
		l.connector = ""
		c, status := l.dial(token)
		assert.Equal(t, http.StatusSwitchingProtocols, status, "the edge picks a connector")
		c.disconnect()

		l.connector = connector
		now.advance(time.Hour - time.Second)
		c, status = l.dial(token)
		assert.Equal(t, http.StatusSwitchingProtocols, status)
		now.advance(time.Second)
		_, status = l.dial(token)
		assert.Equal(t, http.StatusUnauthorized, status, "expired by the server's clock")
		c.send(`{"type":"start_streaming"}`)
		l.logLine("x")
		assert.Len(t, c.got(), 1, "expiry does not end the connection")
		c.disconnect()
	}, tunneltest.WithClock(now.Now))
}

func TestLogs_Compression(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		for offer, want := range map[string]string{
			"permessage-deflate":                         "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
			"permessage-deflate; client_max_window_bits": "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
			"": "",
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
				l.url(url.Values{"access_token": {l.management(l.APIToken())}}), nil)
			require.NoError(t, err)
			request.Header = http.Header{
				"Connection":               {"Upgrade"},
				"Upgrade":                  {"websocket"},
				"Sec-Websocket-Version":    {"13"},
				"Sec-Websocket-Key":        {"AAAAAAAAAAAAAAAAAAAAAA=="},
				"Sec-Websocket-Extensions": {offer},
				"Origin":                   {"https://dash.cloudflare.com"},
			}
			response, err := l.http.Do(request)
			require.NoError(t, err)
			assert.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
			assert.Equal(t, want, response.Header.Get("Sec-Websocket-Extensions"))
			_ = response.Body.Close()
		}
		c, _ := l.dial(l.management(l.APIToken()), func(o *websocket.DialOptions) {
			o.CompressionMode = websocket.CompressionContextTakeover
		})
		c.send(`{"type":"start_streaming"}`)
		l.logLine(strings.Repeat("x", 1<<20))
		frames := c.got()
		require.Len(t, frames, 1)
		assert.Greater(t, len(frames[0]), 1<<20)
		c.disconnect()
	})
}

func TestLogs_RecordAndFaults(t *testing.T) {
	t.Parallel()
	streamLogs(t, func(t *testing.T, l *logsClient) {
		token := l.management(l.APIToken())
		l.Inject(tunneltest.Fault{Operation: "GET /logs", Status: http.StatusBadGateway})
		_, status := l.dial(token)
		assert.Equal(t, http.StatusBadGateway, status)
		request := l.lastRequest()
		assert.Equal(t, "GET /logs", request.Operation)
		assert.False(t, request.Done)
		assert.Equal(t, http.StatusBadGateway, request.Status)
		l.start(token).disconnect()
		request = l.lastRequest()
		assert.True(t, request.Done)
		assert.Equal(t, http.StatusSwitchingProtocols, request.Status)
		assert.Equal(t, l.connector, request.Query.Get("connector_id"))
		assert.NotContains(t, fmt.Sprintf("%+v", request), token)

		l.Inject(tunneltest.Fault{Operation: "GET /logs", Cut: tunneltest.CutBefore})
		_, _, err := websocket.Dial(t.Context(), l.url(url.Values{"access_token": {token}}),
			&websocket.DialOptions{HTTPClient: l.http})
		require.Error(t, err)
		assert.False(t, l.lastRequest().Done)
	})
}

func TestLogsURL(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, srv.LogsURL())
}
