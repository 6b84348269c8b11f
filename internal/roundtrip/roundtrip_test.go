package roundtrip_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
)

const (
	timeout  = 10 * time.Second
	maxBytes = 1 << 20
)

// request is a GET that nothing is to repeat.
func request(t *testing.T, target string) roundtrip.Request {
	t.Helper()
	return roundtrip.Request{
		Method: http.MethodGet, URL: target, Header: http.Header{}, Timeout: timeout, MaxBytes: maxBytes,
		Retries: onRetry(func(context.Context) error {
			assert.Fail(t, "the request was sent again")
			return nil
		}),
	}
}

func post(t *testing.T, target, body string) roundtrip.Request {
	t.Helper()
	r := request(t, target)
	r.Method, r.Body = http.MethodPost, []byte(body)
	return r
}

// do sends a request through client's transport.
func do(ctx context.Context, client *http.Client, r roundtrip.Request) roundtrip.Response {
	transport := client.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	return roundtrip.NewClient(*client, transport).Do(ctx, r)
}

// onRetry is a function as a roundtrip.RetryObserver.
type onRetry func(context.Context) error

func (f onRetry) OnRetry(ctx context.Context) error { return f(ctx) }

// roundTripper is one that reports nothing to httptrace.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// inBubble runs body with a client of handler, on synctest's clock. That the bubble ends proves that no goroutine is left.
func inBubble(t *testing.T, handler http.HandlerFunc, body func(t *testing.T, client *http.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { body(t, pipenet.Serve(t, handler).Client(t)) })
}

// listen serves each connection to a loopback address with serve, which is told its number and closes it by returning. The address
// can be dialled until the test ends.
func listen(t *testing.T, serve func(number int, conn net.Conn, requests *bufio.Reader)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(number, conn, bufio.NewReader(conn))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}

// readRequest reads one request and returns its method, or "" where there is none.
func readRequest(requests *bufio.Reader) string {
	req, err := http.ReadRequest(requests)
	if err != nil {
		return ""
	}
	_, _ = io.Copy(io.Discard, req.Body)
	return req.Method
}

const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func ownClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestClientDo_RequestAndResponse(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 300_000)
	for _, body := range []string{"", `{"name":"a"}`, large} {
		t.Run(strconv.Itoa(len(body))+" bytes", func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				assert.Equal(t, body, string(got))
				if body != "" { // net/http must not know that there is none
					assert.Equal(t, int64(len(body)), r.ContentLength)
				}
				assert.Equal(t, "PUT /a%2Fb?c=d", r.Method+" "+r.RequestURI)
				assert.Equal(t, "Bearer abc", r.Header.Get("Authorization"))
				w.Header().Set("Cf-Ray", "123-FRA")
				w.WriteHeader(http.StatusTeapot)
				_, _ = io.WriteString(w, "resp: "+string(got))
			}, func(t *testing.T, client *http.Client) {
				r := post(t, "http://example.com/a%2Fb?c=d", body)
				r.Method = http.MethodPut
				r.Header.Set("Authorization", "Bearer abc")
				resp := do(t.Context(), client, r)
				require.NoError(t, resp.Err)
				assert.Equal(t, http.StatusTeapot, resp.StatusCode)
				assert.Equal(t, "123-FRA", resp.Header.Get("Cf-Ray"))
				assert.Equal(t, "resp: "+body, string(resp.Body))
				assert.True(t, resp.Sent)
			})
		})
	}
}

func TestClientDo_ConnectionRefused(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())

	resp := do(t.Context(), ownClient(t), post(t, "http://"+listener.Addr().String(), "{}"))

	require.ErrorIs(t, resp.Err, syscall.ECONNREFUSED)
	assert.False(t, resp.Sent)
	assert.Zero(t, resp.StatusCode)
}

func TestClientDo_TLSHandshakeFails(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	resp := do(t.Context(), ownClient(t), post(t, server.URL, "{}"))

	var certificate *tls.CertificateVerificationError
	require.ErrorAs(t, resp.Err, &certificate)
	assert.False(t, resp.Sent)
}

func TestClientDo_CanceledWhileDialing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// net/http lets a dial go on when its request has gone.
		over := make(chan struct{})
		defer close(over)
		dialling := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-over
			return nil, errors.New("nobody waits for it any more")
		}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		resp := do(ctx, &http.Client{Transport: dialling}, post(t, "http://example.com", "{}"))
		require.ErrorIs(t, resp.Err, context.Canceled)
		assert.False(t, resp.Sent)
	})
}

func TestClientDo_EndedContext(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the caller's own reason"))
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	t.Cleanup(cancelLate)
	var requests atomic.Int32
	clients := map[string]*http.Client{
		"net/http": ownClient(t),
		"a RoundTripper that reports nothing": {Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			requests.Add(1)
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
		})},
	}
	for name, client := range clients {
		for _, c := range []struct {
			ctx  context.Context
			want error
		}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
			resp := do(c.ctx, client, post(t, "http://127.0.0.1:1", "{}"))
			require.ErrorIs(t, resp.Err, c.want, name)
			assert.False(t, resp.Sent, name)
			assert.Zero(t, resp.StatusCode, name)
		}
	}
	assert.Zero(t, requests.Load())
}

func TestClientDo_RoundTripperWithoutTrace(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, broken })}

	resp := do(t.Context(), client, post(t, "http://example.com", "{}"))

	require.ErrorIs(t, resp.Err, broken)
	assert.True(t, resp.Sent)
}

func TestClientDo_ConnectionCutBeforeResponse(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			target := listen(t, func(_ int, _ net.Conn, requests *bufio.Reader) { readRequest(requests) })
			r := post(t, target, "{}")
			r.Method = method

			resp := do(t.Context(), ownClient(t), r)

			require.ErrorIs(t, resp.Err, io.EOF)
			assert.True(t, resp.Sent)
			assert.Zero(t, resp.StatusCode)
		})
	}
}

func TestClientDo_InvalidRequest(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*roundtrip.Request){
		"URL": func(r *roundtrip.Request) { r.URL = "http://[" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(t, "http://example.com")
			spoil(&r)
			resp := do(t.Context(), ownClient(t), r)
			require.Error(t, resp.Err)
			assert.False(t, resp.Sent)
		})
	}
}

// The caller names method and path itself, and a query can hold what no error text should.
func TestClientDo_ErrorOmitsURL(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") })}

	resp := do(t.Context(), client, request(t, "http://example.com/path?query"))

	assert.EqualError(t, resp.Err, "broken")
	var wrapper *url.Error
	assert.NotErrorAs(t, resp.Err, &wrapper)
}

// An resp that never comes, and one that stops halfway.
var slow = map[string]struct {
	handler http.HandlerFunc
	status  int
}{
	"before the resp": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0},
	"within the body": {func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half of")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, http.StatusOK},
}

func TestClientDo_Timeout(t *testing.T) {
	t.Parallel()
	for name, c := range slow {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, c.handler, func(t *testing.T, client *http.Client) {
				ctx, cancel := context.WithTimeout(t.Context(), timeout+1)
				defer cancel()
				began := time.Now()
				resp := do(ctx, client, request(t, "http://example.com"))

				assert.Equal(t, timeout, time.Since(began))
				var late *roundtrip.TimeoutError
				require.ErrorAs(t, resp.Err, &late)
				assert.Equal(t, timeout, late.After)
				require.ErrorIs(t, resp.Err, context.DeadlineExceeded)
				require.NotErrorIs(t, resp.Err, context.Canceled)
				assert.ErrorContains(t, resp.Err, "10s")
				var asNetwork interface{ Timeout() bool }
				require.ErrorAs(t, resp.Err, &asNetwork)
				assert.True(t, asNetwork.Timeout())
				assert.True(t, resp.Sent)
				assert.Equal(t, c.status, resp.StatusCode)
				assert.Nil(t, resp.Body, "half an resp is none")
			})
		})
	}
}

func TestClientDo_ContextEnds(t *testing.T) {
	t.Parallel()
	reason := errors.New("the caller's own reason")
	const after = 3 * time.Second
	ends := map[string]struct {
		context func(context.Context) (context.Context, context.CancelFunc)
		want    error
	}{
		"cancel": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(after, cancel)
			return ctx, cancel
		}, context.Canceled},
		"cancel with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(after, func() { cancel(reason) })
			return ctx, func() { cancel(nil) }
		}, context.Canceled},
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, after)
		}, context.DeadlineExceeded},
		"deadline with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, after, reason)
		}, context.DeadlineExceeded},
	}
	for place, c := range slow {
		for end, e := range ends {
			t.Run(end+" "+place, func(t *testing.T) {
				t.Parallel()
				inBubble(t, c.handler, func(t *testing.T, client *http.Client) {
					ctx, cancel := e.context(t.Context())
					defer cancel()
					began := time.Now()
					resp := do(ctx, client, request(t, "http://example.com"))

					assert.Equal(t, after, time.Since(began))
					require.ErrorIs(t, resp.Err, e.want)
					var late *roundtrip.TimeoutError
					require.NotErrorAs(t, resp.Err, &late, "the attempt had time left")
					assert.True(t, resp.Sent)
					assert.Equal(t, c.status, resp.StatusCode)
				})
			})
		}
	}
}

// A transport can report the end of its caller's context as an error of its own.
func TestClientDo_ContextErrorInChain(t *testing.T) {
	t.Parallel()
	own := errors.New("i/o timeout")
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		cancel()
		return nil, own
	})}

	resp := do(ctx, client, request(t, "http://example.com"))

	require.ErrorIs(t, resp.Err, context.Canceled)
	assert.ErrorIs(t, resp.Err, own)
}

func TestClientDo_TransportReturnsContextError(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	})}
	t.Run("the attempt's", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			resp := do(t.Context(), client, request(t, "http://example.com"))
			var late *roundtrip.TimeoutError
			require.ErrorAs(t, resp.Err, &late)
		})
	})
	t.Run("the caller's", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errors.New("the caller's own reason")) })
			resp := do(ctx, client, request(t, "http://example.com"))
			require.ErrorIs(t, resp.Err, context.Canceled)
		})
	})
}

// bodies are the ways in which an resp of n bytes comes.
var bodies = map[string]func(w http.ResponseWriter, n int){
	"with Content-Length": func(w http.ResponseWriter, n int) {
		w.Header().Set("Content-Length", strconv.Itoa(n))
		_, _ = io.WriteString(w, strings.Repeat("x", n))
	},
	"without Content-Length": func(w http.ResponseWriter, n int) {
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, strings.Repeat("x", n))
	},
	"compressed": func(w http.ResponseWriter, n int) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(compressed(strings.Repeat("x", n)))
	},
}

func compressed(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.Bytes()
}

func TestClientDo_MaxBytes(t *testing.T) {
	t.Parallel()
	// The larger ones are longer than the buffer that a Content-Length is trusted to ask for.
	cases := []struct {
		name     string
		length   int
		limit    int64
		tooLarge bool
	}{
		{"empty, no limit worth the name", 0, 1, false},
		{"exactly the limit", 1000, 1000, false},
		{"one byte more", 1001, 1000, true},
		{"one byte less", 999, 1000, false},
		{"large, exactly the limit", 3 << 20, 3 << 20, false},
		{"large, one byte more", 3<<20 + 1, 3 << 20, true},
		{"no limit", 1000, math.MaxInt64, false},
		{"nearly no limit", 1000, math.MaxInt64 - 1, false},
	}
	for kind, write := range bodies {
		for _, c := range cases {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(w http.ResponseWriter, _ *http.Request) { write(w, c.length) }, func(t *testing.T, client *http.Client) {
					r := request(t, "http://example.com")
					r.MaxBytes = c.limit
					resp := do(t.Context(), client, r)

					assert.Equal(t, http.StatusOK, resp.StatusCode)
					if !c.tooLarge {
						require.NoError(t, resp.Err)
						assert.Len(t, resp.Body, c.length)
						return
					}
					var large *roundtrip.TooLargeError
					require.ErrorAs(t, resp.Err, &large)
					assert.Equal(t, c.limit, large.Limit)
					assert.ErrorContains(t, resp.Err, strconv.FormatInt(c.limit, 10))
					assert.Nil(t, resp.Body)
				})
			})
		}
	}
}

func TestClientDo_ContentLengthTooLarge(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(maxBytes+1))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(t *testing.T, client *http.Client) {
		began := time.Now()
		resp := do(t.Context(), client, request(t, "http://example.com"))
		var large *roundtrip.TooLargeError
		require.ErrorAs(t, resp.Err, &large)
		assert.Zero(t, time.Since(began))
	})
}

// countingReader counts what is read of it, which never ends.
type countingReader struct{ n int64 }

func (r *countingReader) Read(p []byte) (int, error) {
	r.n += int64(len(p))
	return len(p), nil
}

func TestClientDo_EndlessBody(t *testing.T) {
	t.Parallel()
	endless := &countingReader{}
	client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		// Its end is there for an exchange that would read for ever.
		body := io.NopCloser(io.LimitReader(endless, 100*maxBytes))
		return &http.Response{StatusCode: http.StatusOK, Body: body, ContentLength: -1, Request: req}, nil
	})}

	resp := do(t.Context(), client, request(t, "http://example.com"))

	var large *roundtrip.TooLargeError
	require.ErrorAs(t, resp.Err, &large)
	assert.LessOrEqual(t, endless.n, int64(2*maxBytes))
}

// A server must not make us allocate what it only announces.
func TestClientDo_ContentLengthIsNotAllocated(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.FormatInt(math.MaxInt64, 10))
		_, _ = io.WriteString(w, "short")
	}, func(t *testing.T, client *http.Client) {
		r := request(t, "http://example.com")
		r.MaxBytes = math.MaxInt64
		resp := do(t.Context(), client, r)
		assert.ErrorIs(t, resp.Err, io.ErrUnexpectedEOF)
	})
}

func TestClientDo_CutBody(t *testing.T) {
	t.Parallel()
	whole := compressed(strings.Repeat("a text that compresses ", 100))
	for name, cut := range map[string]struct{ header, body string }{
		"Content-Length": {"Content-Length: 100", "half of it"},
		"chunked":        {"Transfer-Encoding: chunked", "5\r\nhalf \r\n"},
		"gzip, cut in its middle": {
			"Content-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(len(whole)/2), string(whole[:len(whole)/2]),
		},
		"gzip without its checksum": {
			"Content-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(len(whole)-8), string(whole[:len(whole)-8]),
		},
		"gzip without a byte":    {"Content-Encoding: gzip", string(whole[:len(whole)-1])},
		"gzip without its head":  {"Content-Encoding: gzip\r\nContent-Length: 5", string(whole[:5])},
		"gzip that is no such":   {"Content-Encoding: gzip\r\nContent-Length: 20", "<html>not gzip</html"},
		"gzip with a wrong byte": {"Content-Encoding: gzip", string(whole[:len(whole)-8]) + "12345678"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := listen(t, func(_ int, conn net.Conn, requests *bufio.Reader) {
				readRequest(requests)
				_, _ = io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nCf-Ray: 123\r\n"+cut.header+"\r\n\r\n"+cut.body)
			})

			resp := do(t.Context(), ownClient(t), request(t, target))

			require.Error(t, resp.Err)
			assert.Equal(t, http.StatusNotFound, resp.StatusCode)
			assert.Equal(t, "123", resp.Header.Get("Cf-Ray"))
			assert.Nil(t, resp.Body, "half an resp is none")
			assert.True(t, resp.Sent)
		})
	}
}

// dying serves a connection's first request and dies on its second, as a server does that closes idle connections just then. It counts
// the requests that it read.
func dying(t *testing.T, requests *atomic.Int32) string {
	t.Helper()
	return listen(t, func(number int, conn net.Conn, reader *bufio.Reader) {
		for n := 1; readRequest(reader) != ""; n++ {
			requests.Add(1)
			if number == 1 && n == 2 {
				return
			}
			_, _ = io.WriteString(conn, okay)
		}
	})
}

// warm leaves an idle connection behind.
func warm(t *testing.T, client *http.Client, target string) {
	t.Helper()
	resp := do(t.Context(), client, request(t, target))
	require.NoError(t, resp.Err)
	require.Equal(t, "ok", string(resp.Body))
}

func TestClientDo_TransportRetryIsObserved(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	target, client := dying(t, &requests), ownClient(t)
	warm(t, client, target)
	asked, before := 0, int32(0)
	r := request(t, target)
	r.Retries = onRetry(func(ctx context.Context) error {
		asked++
		before = requests.Load()
		_, limited := ctx.Deadline()
		assert.True(t, limited, "the attempt's own context")
		return nil
	})

	resp := do(t.Context(), client, r)

	require.NoError(t, resp.Err)
	assert.Equal(t, "ok", string(resp.Body))
	assert.Equal(t, 1, asked)
	assert.Equal(t, int32(2), before, "asked before, and not after")
	assert.Equal(t, int32(3), requests.Load())
	assert.True(t, resp.Sent)
}

func TestClientDo_RefusedRetryEndsAttempt(t *testing.T) {
	t.Parallel()
	target, client := listen(t, func(number int, conn net.Conn, reader *bufio.Reader) {
		readRequest(reader)
		if number == 1 {
			_, _ = io.WriteString(conn, okay)
		}
		readRequest(reader)
	}), ownClient(t)
	warm(t, client, target)
	refused := errors.New("no attempt is left")
	r := request(t, target)
	asked := 0
	r.Retries = onRetry(func(context.Context) error {
		asked++
		return refused
	})

	began := time.Now()
	resp := do(t.Context(), client, r)

	require.ErrorIs(t, resp.Err, refused)
	assert.Less(t, time.Since(began), timeout, "it waits for a response")
	require.NotErrorIs(t, resp.Err, context.Canceled, "nobody cancelled")
	assert.Zero(t, resp.StatusCode)
	assert.Equal(t, 1, asked)
	assert.True(t, resp.Sent)
}

// reluctant is a connection that lets others run before it closes, those who are about to write to it too.
type reluctant struct{ net.Conn }

func (c reluctant) Close() error {
	for range 100 {
		runtime.Gosched()
	}
	return c.Conn.Close()
}

// net/http looks at the context and writes at the same time, so that it is chance which comes first.
func TestClientDo_RefusedRetryIsNotWritten(t *testing.T) {
	t.Parallel()
	const rounds = 50
	repeats := make(chan string, rounds)
	target := listen(t, func(number int, conn net.Conn, reader *bufio.Reader) {
		if number%2 == 0 {
			repeats <- readRequest(reader)
			return
		}
		readRequest(reader)
		_, _ = io.WriteString(conn, okay)
		readRequest(reader)
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return reluctant{conn}, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	refused := errors.New("no attempt is left")
	for round := range rounds {
		warm(t, client, target)
		r := request(t, target)
		r.Retries = onRetry(func(context.Context) error { return refused })

		resp := do(t.Context(), client, r)

		require.Equal(t, roundtrip.Response{Sent: true, Err: refused}, resp)
		require.Empty(t, <-repeats, "round %d", round)
	}
}

// shared is a connection that speaks HTTP/2.
type shared struct{ net.Conn }

func (shared) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: "h2"}
}

func TestClientDo_RefusedRetryWithResponse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrap   func(net.Conn) net.Conn
		closed bool
	}{
		"HTTP/1":                           {func(conn net.Conn) net.Conn { return conn }, true},
		"HTTP/2, which others use as well": {func(conn net.Conn) net.Conn { return shared{conn} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			t.Cleanup(func() { _ = near.Close() })
			go func() { _, _ = io.Copy(io.Discard, far) }()
			repeating := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				trace := httptrace.ContextClientTrace(req.Context())
				trace.GetConn("example.com:80")
				trace.GotConn(httptrace.GotConnInfo{Conn: c.wrap(near)})
				_, err := near.Write([]byte("first"))
				assert.NoError(t, err)
				trace.GotConn(httptrace.GotConnInfo{Conn: c.wrap(near)})
				_, err = near.Write([]byte("second"))
				assert.Equal(t, c.closed, err != nil, "%v", err)
				assert.Error(t, req.Context().Err())
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{"Cf-Ray": {"123"}}, Body: io.NopCloser(strings.NewReader(okay)), Request: req,
				}, nil
			})}
			refused := errors.New("no attempt is left")
			r := request(t, "http://example.com")
			r.Retries = onRetry(func(context.Context) error { return refused })

			resp := do(t.Context(), repeating, r)

			assert.Equal(t, roundtrip.Response{Sent: true, Err: refused}, resp)
		})
	}
}

// frame is one of HTTP/2, on the stream with this number.
func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	head := []byte{0, 0, byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// refusingHTTP2 serves HTTP/2, refuses the first stream of each connection, which net/http then repeats, and answers the others. It
// counts streams and connections.
func refusingHTTP2(t *testing.T, streams, connections *atomic.Int32) (string, *http.Client) {
	t.Helper()
	const headers, reset, settings, endOfBoth = 1, 3, 4, 5
	certificates := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(certificates.Close)
	target := listen(t, func(_ int, plain net.Conn, _ *bufio.Reader) {
		connections.Add(1)
		conn := tls.Server(plain, &tls.Config{Certificates: certificates.TLS.Certificates, NextProtos: []string{"h2"}})
		if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		_, _ = conn.Write(append(frame(settings, 0, 0), frame(settings, 1, 0)...))
		for n := 0; ; {
			head := make([]byte, 9)
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
			if head[3] != headers {
				continue
			}
			n++
			streams.Add(1)
			stream := binary.BigEndian.Uint32(head[5:])
			if n == 1 {
				_, _ = conn.Write(frame(reset, 0, stream, 0, 0, 0, 7)) // REFUSED_STREAM
			} else {
				_, _ = conn.Write(frame(headers, endOfBoth, stream, 0x88)) // :status 200
			}
		}
	})
	transport := roundtrip.NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: certificates.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	t.Cleanup(transport.CloseIdleConnections)
	return strings.Replace(target, "http://", "https://", 1), &http.Client{Transport: transport}
}

func TestClientDo_HTTP2RefusedRetry(t *testing.T) {
	t.Parallel()
	for range 20 {
		var streams, connections atomic.Int32
		target, client := refusingHTTP2(t, &streams, &connections)
		refused := errors.New("no attempt is left")
		r := request(t, target)
		r.Retries = onRetry(func(context.Context) error { return refused })

		resp := do(t.Context(), client, r)

		require.Equal(t, roundtrip.Response{Sent: true, Err: refused}, resp)
		// What the connection carries next shows that nothing else went out, and that it is as it was.
		resp = do(t.Context(), client, request(t, target))
		require.NoError(t, resp.Err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, int32(2), streams.Load())
		require.Equal(t, int32(1), connections.Load())
		client.CloseIdleConnections()
	}
}

// net/http cannot know whether a write may be repeated.
func TestClientDo_HTTP2WriteIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		for _, body := range []string{"", "{}"} {
			t.Run(method+" "+body, func(t *testing.T) {
				t.Parallel()
				var streams, connections atomic.Int32
				target, client := refusingHTTP2(t, &streams, &connections)
				r := post(t, target, body)
				r.Method = method

				resp := do(t.Context(), client, r)

				require.ErrorContains(t, resp.Err, "REFUSED_STREAM")
				assert.False(t, resp.Sent, "the server has not processed it")
				assert.Equal(t, int32(1), streams.Load())
			})
		}
	}
}

func TestClientDo_PostIsNotRepeated(t *testing.T) {
	t.Parallel()
	headers := map[string]http.Header{
		"no header":         {},
		"Idempotency-Key":   {"Idempotency-Key": {"abc"}},
		"X-Idempotency-Key": {"X-Idempotency-Key": {"abc"}},
	}
	for name, header := range headers {
		for _, body := range []string{"", "{}", strings.Repeat("x", 100_000)} {
			t.Run(name+", "+strconv.Itoa(len(body))+" bytes", func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int32
				target, client := dying(t, &requests), ownClient(t)
				warm(t, client, target)
				r := post(t, target, body)
				r.Header = header

				resp := do(t.Context(), client, r)

				require.Error(t, resp.Err)
				assert.True(t, resp.Sent)
				assert.Equal(t, int32(2), requests.Load())
			})
		}
	}
}

// dumb is a connection that takes no more once it is told so.
type dumb struct {
	net.Conn
	closed *atomic.Bool
}

func (c dumb) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}

func TestClientDo_FailedWriteCountsAsSent(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	target := listen(t, func(_ int, conn net.Conn, reader *bufio.Reader) {
		for readRequest(reader) != "" {
			requests.Add(1)
			_, _ = io.WriteString(conn, okay)
		}
	})
	var closed atomic.Bool
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return dumb{conn, &closed}, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	warm(t, client, target)
	closed.Store(true)

	resp := do(t.Context(), client, post(t, target, "{}"))

	require.Error(t, resp.Err)
	assert.True(t, resp.Sent)
	assert.Equal(t, int32(1), requests.Load())
}

func TestClientDo_IdempotencyKey(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				assert.Empty(t, body)
				assert.Equal(t, method+" abc", r.Method+" "+r.Header.Get("Idempotency-Key"))
			}, func(t *testing.T, client *http.Client) {
				r := request(t, "http://example.com")
				r.Method = method
				r.Header.Set("Idempotency-Key", "abc")
				resp := do(t.Context(), client, r)
				require.NoError(t, resp.Err)
				assert.Equal(t, http.StatusOK, resp.StatusCode)
			})
		})
	}
}

// trackedBody tells whether it was closed.
type trackedBody struct {
	io.Reader
	closed atomic.Bool
}

func (b *trackedBody) Close() error {
	b.closed.Store(true)
	return nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestClientDo_ClosesBody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reader io.Reader
		length int64
	}{
		"read whole":     {strings.NewReader("ok"), 2},
		"empty":          {strings.NewReader(""), 0},
		"broken":         {brokenReader{}, -1},
		"too large":      {strings.NewReader(strings.Repeat("x", maxBytes+1)), -1},
		"said too large": {strings.NewReader("x"), maxBytes + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := &trackedBody{Reader: c.reader}
			client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: body, ContentLength: c.length, Request: req}, nil
			})}
			do(t.Context(), client, request(t, "http://example.com"))
			assert.True(t, body.closed.Load())
		})
	}
}

func TestClientDo_CancelsItsContext(t *testing.T) {
	t.Parallel()
	var attempt context.Context
	client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		attempt = req.Context()
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
	})}

	resp := do(t.Context(), client, request(t, "http://example.com"))

	require.NoError(t, resp.Err)
	assert.Error(t, attempt.Err(), "a timer would be left until the time-out")
}

func TestClientDo_ReusesConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := pipenet.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", maxBytes))
		}))
		client := network.Client(t)
		for range 5 {
			require.NoError(t, do(t.Context(), client, request(t, "http://example.com")).Err)
			synctest.Wait()
		}
		assert.Equal(t, 1, network.Dials())
	})
}

func TestNewTransport_HTTP2(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := roundtrip.NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}

	for range 2 {
		resp := do(t.Context(), client, post(t, server.URL, "{}"))
		require.NoError(t, resp.Err)
		assert.Equal(t, "HTTP/2.0", string(resp.Body))
		assert.True(t, resp.Sent)
	}
}

func TestNewTransport_NotShared(t *testing.T) {
	t.Parallel()
	first, second := roundtrip.NewTransport(), roundtrip.NewTransport()
	assert.NotSame(t, first, second)
	assert.NotSame(t, http.DefaultTransport, roundtrip.NewTransport())
}

func TestNewTransport_EndlessHeaders(t *testing.T) {
	t.Parallel()
	target := listen(t, func(_ int, conn net.Conn, requests *bufio.Reader) {
		readRequest(requests)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", 2<<20)+"\r\n\r\n")
	})
	transport := roundtrip.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)

	resp := do(t.Context(), &http.Client{Transport: transport}, request(t, target))

	require.ErrorContains(t, resp.Err, "exceeded")
	assert.True(t, resp.Sent)
}

// overHTTP2 is a connection that says it speaks HTTP/2.
type overHTTP2 struct{ net.Conn }

func (overHTTP2) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: "h2"}
}

// failingBody fails as HTTP/2's bodies do.
type failingBody struct{ err error }

func (r failingBody) Read([]byte) (int, error) { return 0, r.err }

func TestClientDo_HTTP2NotProcessed(t *testing.T) {
	t.Parallel()
	refused := errors.New("stream error: stream ID 3; REFUSED_STREAM; received from peer")
	for name, test := range map[string]struct {
		conn net.Conn
		resp bool // the error comes in the body of an resp
		err  error
		sent bool
	}{
		"too many streams":           {overHTTP2{}, false, refused, false},
		"going away":                 {overHTTP2{}, false, errors.New("http2: Transport received Server's graceful shutdown GOAWAY"), false},
		"no connection with room":    {overHTTP2{}, false, errors.New("net/http: cannot rewind body after connection loss"), false},
		"not established":            {overHTTP2{}, false, errors.New("http2: client conn could not be established"), false},
		"going away with an error":   {overHTTP2{}, false, errors.New("http2: Transport received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM"), false},
		"an unknown error":           {overHTTP2{}, false, errors.New("http2: Transport received GOAWAY from server ErrCode:unknown error code 0x42"), false},
		"closed after it went away":  {overHTTP2{}, false, errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug="graceful shutdown GOAWAY"`), true},
		"words of the server":        {overHTTP2{}, false, errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug="http2: client conn not usable"`), true},
		"another stream error":       {overHTTP2{}, false, errors.New("stream error: stream ID 3; PROTOCOL_ERROR; received from peer"), true},
		"the same words over HTTP/1": {nil, false, refused, true},
		"the same words in an resp":  {overHTTP2{}, true, refused, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				trace := httptrace.ContextClientTrace(r.Context())
				trace.GetConn("example.com:443")
				trace.GotConn(httptrace.GotConnInfo{Conn: test.conn})
				if test.resp {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(failingBody{test.err}), ContentLength: -1}, nil
				}
				return nil, test.err
			})}
			resp := do(t.Context(), client, post(t, "https://example.com", "{}"))
			require.ErrorIs(t, resp.Err, test.err)
			assert.Equal(t, test.sent, resp.Sent)
		})
	}
}

func TestNewTransport_HandshakeTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := pipenet.ServeTLS(t, http.NotFoundHandler())
		network.Intercept(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }) // and never says a word
		transport := roundtrip.NewTransport()
		network.Lead(t, transport)
		began := time.Now()
		r := post(t, "https://localhost", "{}")
		r.Timeout = time.Hour

		resp := do(t.Context(), &http.Client{Transport: transport}, r)

		require.Error(t, resp.Err)
		assert.False(t, resp.Sent)
		assert.LessOrEqual(t, time.Since(began), 10*time.Second)
		assert.Zero(t, network.Open())
	})
}

// valve is a connection from which nothing comes any more once it is shut, as where a network drops packets without a word.
type valve struct {
	net.Conn
	shut atomic.Bool
	done chan struct{}
}

func (v *valve) Read(p []byte) (int, error) {
	n, err := v.Conn.Read(p)
	if v.shut.Load() {
		<-v.done
		return 0, net.ErrClosed
	}
	return n, err
}

func TestNewTransport_SilentConnectionLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		network := pipenet.ServeTLS(t, handler)
		dying := &valve{done: make(chan struct{})}
		network.Intercept(func(conn net.Conn) {
			dying.Conn = conn
			pipenet.ServeConn(pipenet.TLS(dying), handler)
		})
		transport := roundtrip.NewTransport()
		network.Lead(t, transport)
		client := &http.Client{Transport: transport}
		r := request(t, "https://localhost")
		r.Timeout = time.Hour
		require.NoError(t, do(t.Context(), client, r).Err)
		dying.shut.Store(true)
		t.Cleanup(func() { close(dying.done) })

		began := time.Now()
		require.Error(t, do(t.Context(), client, r).Err)
		assert.Less(t, time.Since(began), 30*time.Second)
		require.NoError(t, do(t.Context(), client, r).Err, "the next attempt takes another connection")
		assert.Equal(t, 2, network.Dials())
	})
}
