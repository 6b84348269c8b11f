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

// request returns a GET request. The test fails if the transport sends it again.
func request(t *testing.T, target string) roundtrip.Request {
	t.Helper()
	return roundtrip.Request{
		Method: http.MethodGet, URL: target, Header: http.Header{},
		Timeout: timeout, MaxBytes: maxBytes,
		OnRetry: func(context.Context) error {
			assert.Fail(t, "the request was sent again")
			return nil
		},
	}
}

func post(t *testing.T, target, body string) roundtrip.Request {
	t.Helper()
	r := request(t, target)
	r.Method, r.Body = http.MethodPost, []byte(body)
	return r
}

// do sends a request with client's transport.
func do(ctx context.Context, client *http.Client, r roundtrip.Request) roundtrip.Response {
	transport := client.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	base, _ := transport.(*http.Transport)
	return roundtrip.NewClient(*client, transport, base).Do(ctx, r)
}

// roundTripper adapts a function to http.RoundTripper. It reports nothing to httptrace.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// clientOf returns a client that sends requests with f.
func clientOf(f roundTripper) *http.Client { return &http.Client{Transport: f} }

// failing returns a RoundTripper that returns err.
func failing(err error) roundTripper {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// dialing returns a transport that wraps each connection.
func dialing(wrap func(net.Conn) net.Conn) *http.Transport {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return wrap(conn), err
	}
	return &http.Transport{DialContext: dial}
}

// trusting returns a configuration that accepts the certificate of server.
func trusting(server *httptest.Server) *tls.Config {
	transport := server.Client().Transport.(*http.Transport)
	return &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs}
}

// inBubble runs test in a synctest bubble, with a client of handler. The bubble ends only if no
// goroutine is left.
func inBubble(t *testing.T, handler http.HandlerFunc, test func(*testing.T, *http.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, pipenet.Serve(t, handler).Client(t)) })
}

// listen accepts connections on a loopback address until the test ends. It passes each one to
// serve, with its number, and closes it when serve returns.
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

// readRequest reads one request and returns its method, or "" if there is none.
func readRequest(requests *bufio.Reader) string {
	req, err := http.ReadRequest(requests)
	if err != nil {
		return ""
	}
	_, _ = io.Copy(io.Discard, req.Body)
	return req.Method
}

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

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
				if body != "" { // the length of an empty body is hidden from net/http
					assert.Equal(t, int64(len(body)), r.ContentLength)
				}
				assert.Equal(t, "PUT /a%2Fb?c=d", r.Method+" "+r.RequestURI)
				assert.Equal(t, "Bearer abc", r.Header.Get("Authorization"))
				w.Header().Set("Cf-Ray", "123-FRA")
				w.WriteHeader(http.StatusTeapot)
				_, _ = io.WriteString(w, "response: "+string(got))
			}, func(t *testing.T, client *http.Client) {
				r := post(t, "http://example.com/a%2Fb?c=d", body)
				r.Method = http.MethodPut
				r.Header.Set("Authorization", "Bearer abc")
				resp := do(t.Context(), client, r)
				require.NoError(t, resp.Err)
				assert.Equal(t, http.StatusTeapot, resp.StatusCode)
				assert.Equal(t, "123-FRA", resp.Header.Get("Cf-Ray"))
				assert.Equal(t, "response: "+body, string(resp.Body))
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

	refused := syscall.ECONNREFUSED
	if runtime.GOOS == "windows" {
		refused = 10061 // WSAECONNREFUSED, which package syscall does not have
	}
	require.ErrorIs(t, resp.Err, refused)
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
		// net/http does not stop dialing when the request is canceled.
		over := make(chan struct{})
		defer close(over)
		dial := func(context.Context, string, string) (net.Conn, error) {
			<-over
			return nil, errors.New("the test is over")
		}
		transport := &http.Transport{DialContext: dial}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		resp := do(ctx, &http.Client{Transport: transport}, post(t, "http://example.com", "{}"))
		require.ErrorIs(t, resp.Err, context.Canceled)
		assert.False(t, resp.Sent)
	})
}

func TestClientDo_EndedContext(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the caller's own reason"))
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	t.Cleanup(cancelLate)
	var requests atomic.Int32
	counting := roundTripper(func(req *http.Request) (*http.Response, error) {
		requests.Add(1)
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
	})
	clients := map[string]*http.Client{
		"net/http":                   ownClient(t),
		"RoundTripper without trace": {Transport: counting},
	}
	for name, client := range clients {
		for _, c := range []struct {
			ctx  context.Context
			want error
		}{{canceled, context.Canceled}, {late, context.DeadlineExceeded}} {
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
	client := &http.Client{Transport: failing(broken)}

	resp := do(t.Context(), client, post(t, "http://example.com", "{}"))

	require.ErrorIs(t, resp.Err, broken)
	assert.True(t, resp.Sent)
}

func TestClientDo_ConnectionCutBeforeResponse(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			target := listen(t,
				func(_ int, _ net.Conn, requests *bufio.Reader) { readRequest(requests) })
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

// The caller adds the method and the path to the error text. A query may have secrets.
func TestClientDo_ErrorOmitsURL(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: failing(errors.New("broken"))}

	resp := do(t.Context(), client, request(t, "http://example.com/path?query"))

	assert.EqualError(t, resp.Err, "broken")
	var wrapper *url.Error
	assert.NotErrorAs(t, resp.Err, &wrapper)
}

// slow are handlers that never send a response, or only half of one.
var slow = map[string]struct {
	handler http.HandlerFunc
	status  int
}{
	"before the response": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0},
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
				assert.Nil(t, resp.Body, "the body is incomplete")
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
		"canceled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(after, cancel)
			return ctx, cancel
		}, context.Canceled},
		"canceled with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
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

// When the caller's context ends, a transport may return an error of its own.
func TestClientDo_ContextErrorInChain(t *testing.T) {
	t.Parallel()
	own := errors.New("i/o timeout")
	ctx, cancel := context.WithCancel(t.Context())
	client := clientOf(func(*http.Request) (*http.Response, error) {
		cancel()
		return nil, own
	})

	resp := do(ctx, client, request(t, "http://example.com"))

	require.ErrorIs(t, resp.Err, context.Canceled)
	assert.ErrorIs(t, resp.Err, own)
}

func TestClientDo_TransportReturnsContextError(t *testing.T) {
	t.Parallel()
	client := clientOf(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	t.Run("timeout of the attempt", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			resp := do(t.Context(), client, request(t, "http://example.com"))
			var late *roundtrip.TimeoutError
			require.ErrorAs(t, resp.Err, &late)
		})
	})
	t.Run("context of the caller", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errors.New("the caller's own reason")) })
			resp := do(ctx, client, request(t, "http://example.com"))
			require.ErrorIs(t, resp.Err, context.Canceled)
		})
	})
}

// bodies write a response of n bytes in different ways.
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
	// The large bodies are longer than maxGrow.
	cases := []struct {
		name     string
		length   int
		limit    int64
		tooLarge bool
	}{
		{"empty", 0, 1, false},
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
				handler := func(w http.ResponseWriter, _ *http.Request) { write(w, c.length) }
				inBubble(t, handler, func(t *testing.T, client *http.Client) {
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

// countingReader never ends. It counts the bytes that are read.
type countingReader struct{ n int64 }

func (r *countingReader) Read(p []byte) (int, error) {
	r.n += int64(len(p))
	return len(p), nil
}

func TestClientDo_EndlessBody(t *testing.T) {
	t.Parallel()
	endless := &countingReader{}
	client := clientOf(func(req *http.Request) (*http.Response, error) {
		// The limit ends the test if Do would read forever.
		body := io.NopCloser(io.LimitReader(endless, 100*maxBytes))
		return &http.Response{
			StatusCode: http.StatusOK, Body: body, ContentLength: -1, Request: req,
		}, nil
	})

	resp := do(t.Context(), client, request(t, "http://example.com"))

	var large *roundtrip.TooLargeError
	require.ErrorAs(t, resp.Err, &large)
	assert.LessOrEqual(t, endless.n, int64(2*maxBytes))
}

// A client must not allocate memory only because of the Content-Length.
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
		"gzip, half of it": {
			"Content-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(len(whole)/2),
			string(whole[:len(whole)/2]),
		},
		"gzip without its checksum": {
			"Content-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(len(whole)-8),
			string(whole[:len(whole)-8]),
		},
		"gzip without its last byte":    {"Content-Encoding: gzip", string(whole[:len(whole)-1])},
		"gzip, only part of its header": {"Content-Encoding: gzip\r\nContent-Length: 5", string(whole[:5])},
		"not gzip":                      {"Content-Encoding: gzip\r\nContent-Length: 20", "<html>not gzip</html"},
		"gzip with a wrong checksum":    {"Content-Encoding: gzip", string(whole[:len(whole)-8]) + "12345678"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := listen(t, func(_ int, conn net.Conn, requests *bufio.Reader) {
				readRequest(requests)
				_, _ = io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nCf-Ray: 123\r\n"+
					cut.header+"\r\n\r\n"+cut.body)
			})

			resp := do(t.Context(), ownClient(t), request(t, target))

			require.Error(t, resp.Err)
			assert.Equal(t, http.StatusNotFound, resp.StatusCode)
			assert.Equal(t, "123", resp.Header.Get("Cf-Ray"))
			assert.Nil(t, resp.Body, "the body is incomplete")
			assert.True(t, resp.Sent)
		})
	}
}

// serveDying responds to the first request of the first connection and closes that connection after
// it has read the second request, like a server that closes idle connections. It counts the
// requests.
func serveDying(t *testing.T, requests *atomic.Int32) string {
	t.Helper()
	return listen(t, func(number int, conn net.Conn, reader *bufio.Reader) {
		for n := 1; readRequest(reader) != ""; n++ {
			requests.Add(1)
			if number == 1 && n == 2 {
				return
			}
			_, _ = io.WriteString(conn, okResponse)
		}
	})
}

// openIdle sends a request, so that the client has an idle connection.
func openIdle(t *testing.T, client *http.Client, target string) {
	t.Helper()
	resp := do(t.Context(), client, request(t, target))
	require.NoError(t, resp.Err)
	require.Equal(t, "ok", string(resp.Body))
}

func TestClientDo_TransportRetryIsObserved(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	target, client := serveDying(t, &requests), ownClient(t)
	openIdle(t, client, target)
	asked, before := 0, int32(0)
	r := request(t, target)
	r.OnRetry = func(ctx context.Context) error {
		asked++
		before = requests.Load()
		_, limited := ctx.Deadline()
		assert.True(t, limited, "the context of the attempt")
		return nil
	}

	resp := do(t.Context(), client, r)

	require.NoError(t, resp.Err)
	assert.Equal(t, "ok", string(resp.Body))
	assert.Equal(t, 1, asked)
	assert.Equal(t, int32(2), before, "OnRetry is called before the retry")
	assert.Equal(t, int32(3), requests.Load())
	assert.True(t, resp.Sent)
}

func TestClientDo_RefusedRetryEndsAttempt(t *testing.T) {
	t.Parallel()
	target, client := listen(t, func(number int, conn net.Conn, reader *bufio.Reader) {
		readRequest(reader)
		if number == 1 {
			_, _ = io.WriteString(conn, okResponse)
		}
		readRequest(reader)
	}), ownClient(t)
	openIdle(t, client, target)
	refused := errors.New("no attempt is left")
	r := request(t, target)
	asked := 0
	r.OnRetry = func(context.Context) error {
		asked++
		return refused
	}

	began := time.Now()
	resp := do(t.Context(), client, r)

	require.ErrorIs(t, resp.Err, refused)
	assert.Less(t, time.Since(began), timeout, "Do does not wait for a response")
	require.NotErrorIs(t, resp.Err, context.Canceled, "the context is not canceled")
	assert.Zero(t, resp.StatusCode)
	assert.Equal(t, 1, asked)
	assert.True(t, resp.Sent)
}

// slowCloseConn lets other goroutines run before it closes, including those that are about to
// write.
type slowCloseConn struct{ net.Conn }

func (c slowCloseConn) Close() error {
	for range 100 {
		runtime.Gosched()
	}
	return c.Conn.Close()
}

// net/http checks the context and writes at the same time, in random order.
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
		_, _ = io.WriteString(conn, okResponse)
		readRequest(reader)
	})
	transport := dialing(func(conn net.Conn) net.Conn { return slowCloseConn{conn} })
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	refused := errors.New("no attempt is left")
	for round := range rounds {
		openIdle(t, client, target)
		r := request(t, target)
		r.OnRetry = func(context.Context) error { return refused }

		resp := do(t.Context(), client, r)

		require.Equal(t, roundtrip.Response{Sent: true, Err: refused}, resp)
		require.Empty(t, <-repeats, "round %d", round)
	}
}

func TestClientDo_RefusedRetryWithResponse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrap   func(net.Conn) net.Conn
		closed bool
	}{
		"HTTP/1":                    {func(conn net.Conn) net.Conn { return conn }, true},
		"HTTP/2, shared connection": {func(conn net.Conn) net.Conn { return http2Conn{conn} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			t.Cleanup(func() { _ = near.Close() })
			go func() { _, _ = io.Copy(io.Discard, far) }()
			repeating := clientOf(func(req *http.Request) (*http.Response, error) {
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
					StatusCode: http.StatusOK, Header: http.Header{"Cf-Ray": {"123"}},
					Body: io.NopCloser(strings.NewReader(okResponse)), Request: req,
				}, nil
			})
			refused := errors.New("no attempt is left")
			r := request(t, "http://example.com")
			r.OnRetry = func(context.Context) error { return refused }

			resp := do(t.Context(), repeating, r)

			assert.Equal(t, roundtrip.Response{Sent: true, Err: refused}, resp)
		})
	}
}

// frame returns an HTTP/2 frame for the stream with this number.
func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	head := []byte{0, 0, byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// refusingHTTP2 serves HTTP/2. It refuses the first stream of each connection, which net/http then
// repeats, and responds to the others. It counts streams and connections.
func refusingHTTP2(t *testing.T, streams, connections *atomic.Int32) (string, *http.Client) {
	t.Helper()
	const headers, reset, settings, endOfBoth = 1, 3, 4, 5
	certificates := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(certificates.Close)
	target := listen(t, func(_ int, plain net.Conn, _ *bufio.Reader) {
		connections.Add(1)
		conn := tls.Server(plain, &tls.Config{
			Certificates: certificates.TLS.Certificates, NextProtos: []string{"h2"},
		})
		const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		if _, err := io.CopyN(io.Discard, conn, int64(len(preface))); err != nil {
			return
		}
		_, _ = conn.Write(append(frame(settings, 0, 0), frame(settings, 1, 0)...))
		for n := 0; ; {
			head := make([]byte, 9)
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			_, _ = io.CopyN(io.Discard, conn, length)
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
	transport.TLSClientConfig = trusting(certificates)
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
		r.OnRetry = func(context.Context) error { return refused }

		resp := do(t.Context(), client, r)

		require.Equal(t, roundtrip.Response{Sent: true, Err: refused}, resp)
		// Another request shows that nothing else was sent and that the connection still works.
		resp = do(t.Context(), client, request(t, target))
		require.NoError(t, resp.Err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, int32(2), streams.Load())
		require.Equal(t, int32(1), connections.Load())
		client.CloseIdleConnections()
	}
}

// net/http does not know whether a write may be repeated.
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
				target, client := serveDying(t, &requests), ownClient(t)
				openIdle(t, client, target)
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

// failingWriteConn is a connection whose writes fail once closed is set.
type failingWriteConn struct {
	net.Conn
	closed *atomic.Bool
}

func (c failingWriteConn) Write(p []byte) (int, error) {
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
			_, _ = io.WriteString(conn, okResponse)
		}
	})
	var closed atomic.Bool
	transport := dialing(func(conn net.Conn) net.Conn { return failingWriteConn{conn, &closed} })
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	openIdle(t, client, target)
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

// trackedBody records whether it was closed.
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
		"complete":                 {strings.NewReader("ok"), 2},
		"empty":                    {strings.NewReader(""), 0},
		"broken":                   {brokenReader{}, -1},
		"too large":                {strings.NewReader(strings.Repeat("x", maxBytes+1)), -1},
		"Content-Length too large": {strings.NewReader("x"), maxBytes + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := &trackedBody{Reader: c.reader}
			client := clientOf(func(req *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: http.StatusOK, Body: body, ContentLength: c.length, Request: req,
				}, nil
			})
			do(t.Context(), client, request(t, "http://example.com"))
			assert.True(t, body.closed.Load())
		})
	}
}

func TestClientDo_CancelsItsContext(t *testing.T) {
	t.Parallel()
	var attempt context.Context
	client := clientOf(func(req *http.Request) (*http.Response, error) {
		attempt = req.Context()
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
	})

	resp := do(t.Context(), client, request(t, "http://example.com"))

	require.NoError(t, resp.Err)
	assert.Error(t, attempt.Err(), "otherwise its timer would stay until the timeout")
}

func TestClientDo_ReusesConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", maxBytes))
		}
		network := pipenet.Serve(t, http.HandlerFunc(handler))
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
	handler := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }
	server := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := roundtrip.NewTransport()
	transport.TLSClientConfig = trusting(server)
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
		long := strings.Repeat("x", 2<<20)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Long: "+long+"\r\n\r\n")
	})
	transport := roundtrip.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)

	resp := do(t.Context(), &http.Client{Transport: transport}, request(t, target))

	require.ErrorContains(t, resp.Err, "exceeded")
	assert.True(t, resp.Sent)
}

// http2Conn is a connection that reports HTTP/2 as its protocol.
type http2Conn struct{ net.Conn }

func (http2Conn) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: "h2"}
}

// failingBody fails with an error.
type failingBody struct{ err error }

func (r failingBody) Read([]byte) (int, error) { return 0, r.err }

func TestClientDo_HTTP2NotProcessed(t *testing.T) {
	t.Parallel()
	refused := errors.New("stream error: stream ID 3; REFUSED_STREAM; received from peer")
	for name, test := range map[string]struct {
		conn net.Conn
		body bool // whether reading the body returns the error
		err  error
		sent bool
	}{
		"too many streams":          {http2Conn{}, false, refused, false},
		"going away":                {http2Conn{}, false, errors.New("http2: Transport received Server's graceful shutdown GOAWAY"), false},
		"too many streams on one":   {http2Conn{}, false, errors.New("net/http: cannot rewind body after connection loss"), false},
		"not established":           {http2Conn{}, false, errors.New("http2: client conn could not be established"), false},
		"going away with an error":  {http2Conn{}, false, errors.New("http2: Transport received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM"), false},
		"an unknown error":          {http2Conn{}, false, errors.New("http2: Transport received GOAWAY from server ErrCode:unknown error code 0x42"), false},
		"closed after it went away": {http2Conn{}, false, errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug="graceful shutdown GOAWAY"`), true},
		"text chosen by the server": {http2Conn{}, false, errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug="http2: client conn not usable"`), true},
		"another stream error":      {http2Conn{}, false, errors.New("stream error: stream ID 3; PROTOCOL_ERROR; received from peer"), true},
		"same text over HTTP/1":     {nil, false, refused, true},
		"same text for a body":      {http2Conn{}, true, refused, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(func(r *http.Request) (*http.Response, error) {
				trace := httptrace.ContextClientTrace(r.Context())
				trace.GetConn("example.com:443")
				trace.GotConn(httptrace.GotConnInfo{Conn: test.conn})
				if test.body {
					return &http.Response{
						StatusCode: 200, Header: http.Header{},
						Body: io.NopCloser(failingBody{test.err}), ContentLength: -1,
					}, nil
				}
				return nil, test.err
			})
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
		// The server reads everything and never responds.
		network.Intercept(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
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

// droppingConn is a connection that delivers no more data once drop is set, like a network that
// drops packets.
type droppingConn struct {
	net.Conn
	drop atomic.Bool
	done chan struct{}
}

func (c *droppingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.drop.Load() {
		<-c.done
		return 0, net.ErrClosed
	}
	return n, err
}

func TestNewTransport_SilentConnectionLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "ok")
		})
		network := pipenet.ServeTLS(t, handler)
		dying := &droppingConn{done: make(chan struct{})}
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
		dying.drop.Store(true)
		t.Cleanup(func() { close(dying.done) })

		began := time.Now()
		require.Error(t, do(t.Context(), client, r).Err)
		assert.Less(t, time.Since(began), 30*time.Second)
		require.NoError(t, do(t.Context(), client, r).Err,
			"the next attempt opens a new connection")
		assert.Equal(t, 2, network.Dials())
	})
}
