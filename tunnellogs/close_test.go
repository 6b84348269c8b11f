package tunnellogs_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

// longestClose is how long Close and Tail may wait for connectors.
const longestClose = 2 * time.Second

// route is a way to the connectors: with or without TLS, and over a proxy or not.
type route struct {
	tls      bool
	proxyURL string
}

var routes = map[string]route{
	"HTTP":                 {},
	"TLS":                  {tls: true},
	"TLS over HTTP proxy":  {tls: true, proxyURL: "http://localhost"},
	"TLS over HTTPS proxy": {tls: true, proxyURL: "https://localhost"},
}

// serve returns a pipe network with or without TLS.
func serve(t *testing.T, tls bool, handler http.HandlerFunc) *pipenet.Network {
	if tls {
		return pipenet.ServeTLS(t, handler)
	}
	return pipenet.Serve(t, handler)
}

// connector writes its own frames to a stream. It must return when the context ends.
type connector func(ctx context.Context, conn net.Conn, r *bufio.Reader)

// lead connects the streams of the rig to a connector until the test ends.
func (w route) lead(t *testing.T, r *rig, connector connector) {
	ctx := t.Context()
	origin := serve(t, w.tls, func(w http.ResponseWriter, request *http.Request) {
		sum := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") +
			"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
			"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		connector(ctx, conn, buffered.Reader)
	})
	transport := origin.Transport(t)
	r.params.HTTPClient, r.params.Endpoint = &http.Client{Transport: transport}, origin.URL()
	if w.proxyURL == "" {
		return
	}
	proxyURL, err := url.Parse(w.proxyURL)
	require.NoError(t, err)
	dial := transport.DialContext
	proxy := serve(t, proxyURL.Scheme == "https",
		func(w http.ResponseWriter, request *http.Request) {
			far, err := dial(request.Context(), "tcp", request.Host)
			if err != nil {
				return
			}
			defer far.Close()
			near, buffered, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer near.Close()
			_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
			go func() {
				_, _ = io.Copy(far, buffered)
				_ = far.Close()
			}()
			_, _ = io.Copy(near, far)
		})
	transport.Proxy = http.ProxyURL(proxyURL)
	transport.DialContext = proxy.Transport(t).DialContext
}

// readFrame reads a frame of a client and returns its opcode. The frame must be short.
func readFrame(r *bufio.Reader) (opcode byte, err error) {
	header := make([]byte, 6) // with the mask
	if _, err = io.ReadFull(r, header); err == nil {
		_, err = r.Discard(int(header[1] & 0x7f))
	}
	return header[0] & 0x0f, err
}

const (
	opcodeClose = 8
	logLine     = `{"type":"logs","logs":[{"message":"m"}]}`
)

// blanks are more than one read of a stream, so that the goroutine that closes the stream and the
// one that reads from it take turns.
var blanks = strings.Repeat(" ", 10<<10)

var logFrame = string([]byte{0x81, byte(len(logLine))}) + logLine

// floods returns a connector that sends first, and then next every 10ms. It reads what the client
// sends and does not reply.
func floods(first, next string) connector {
	return func(ctx context.Context, conn net.Conn, r *bufio.Reader) {
		go func() { _, _ = io.Copy(io.Discard, r) }()
		ctx, cancel := context.WithTimeout(ctx, time.Minute) // the end of a test that fails
		defer cancel()
		_, err := io.WriteString(conn, first)
		for err == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
				_, err = io.WriteString(conn, next)
			}
		}
	}
}

// stopsReading is a connector that reads nothing after the close frame. A client with TLS cannot
// send its last alert then.
func stopsReading(ctx context.Context, conn net.Conn, r *bufio.Reader) {
	go func() { _, _ = io.WriteString(conn, logFrame) }()
	for {
		if opcode, err := readFrame(r); err != nil || opcode == opcodeClose {
			break
		}
	}
	<-ctx.Done()
}

// closingConnectors do not reply to the close frame.
var closingConnectors = map[string]connector{
	"lines":          floods(logFrame, logFrame),
	"frame of 4 GiB": floods("\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00", blanks),
	"longest frame":  floods("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", blanks),
	"fragments":      floods("\x01\x0a          ", "\x00\x0a          "),
	"no reading":     stopsReading,
}

// eachClosing runs a test with each route and each connector that does not reply to the close
// frame. No goroutine may be left at its end.
func eachClosing(t *testing.T, test func(t *testing.T, r *rig, ids []string)) {
	for path, route := range routes {
		for name, connector := range closingConnectors {
			t.Run(path+"/"+name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, 2, func(t *testing.T, r *rig, ids []string) {
					route.lead(t, r, connector)
					r.params.MaxEntryBytes = 100
					test(t, r, ids)
				})
			})
		}
	}
}

func TestStreamClose_NoReplyToCloseFrame(t *testing.T) {
	t.Parallel()
	eachClosing(t, func(t *testing.T, r *rig, ids []string) {
		for _, pause := range []time.Duration{0, time.Second} {
			stream := r.open(ids[0], tunnellogs.Filter{})
			_, _ = stream.Next(t.Context()) // an entry or ErrEntryTooLarge
			time.Sleep(pause)
			began := time.Now()
			require.NoError(t, stream.Close())
			assert.LessOrEqual(t, time.Since(began), longestClose)
		}
	})
}

func TestTail_NoReplyToCloseFrame(t *testing.T) {
	t.Parallel()
	eachClosing(t, func(t *testing.T, r *rig, _ []string) {
		var ended time.Time
		for range tunnellogs.Tail(t.Context(), r.client, r.tunnel.ID, r.params) {
			synctest.Wait() // until each stream is open
			ended = time.Now()
			break
		}
		assert.LessOrEqual(t, time.Since(ended), longestClose, "after the loop")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		for range tunnellogs.Tail(ctx, r.client, r.tunnel.ID, r.params) {
		}
		assert.LessOrEqual(t, time.Since(began), time.Second+longestClose, "after the context")
	})
}

// A stream that ends itself must not keep its connection longer than a stream that is closed.
func TestStreamNext_NoReplyToCloseFrame(t *testing.T) {
	t.Parallel()
	for path, route := range routes {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				ended := make(chan struct{})
				connector := closingConnectors["frame of 4 GiB"]
				route.lead(t, r, func(ctx context.Context, conn net.Conn, buffered *bufio.Reader) {
					defer close(ended)
					connector(ctx, conn, buffered)
				})
				r.params.MaxEntryBytes = 100
				stream := r.open(ids[0], tunnellogs.Filter{})
				_, err := stream.Next(t.Context())
				require.ErrorIs(t, err, tunnellogs.ErrEntryTooLarge)
				began := time.Now()
				<-ended
				assert.LessOrEqual(t, time.Since(began), longestClose+10*time.Millisecond)
				require.NoError(t, stream.Close())
			})
		})
	}
}

func TestStreamClose_RepliedCloseFrame(t *testing.T) {
	t.Parallel()
	for path, route := range routes {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				var opcodes []byte
				end := make(chan error, 1)
				route.lead(t, r, func(_ context.Context, conn net.Conn, buffered *bufio.Reader) {
					for {
						opcode, err := readFrame(buffered)
						if err != nil {
							end <- err
							return
						}
						opcodes = append(opcodes, opcode)
						if opcode == opcodeClose {
							_, _ = conn.Write([]byte{0x80 | opcodeClose, 2, 1000 >> 8, 1000 & 0xff})
						}
					}
				})
				stream := r.open(ids[0], tunnellogs.Filter{})
				began := time.Now()
				require.NoError(t, stream.Close())
				assert.Zero(t, time.Since(began))
				// With TLS, io.EOF also means that the client sent its alert.
				assert.Equal(t, io.EOF, <-end)
				assert.Equal(t, []byte{1, 1, opcodeClose}, opcodes)
			})
		})
	}
}

// A connector that closes the stream itself, and then reads nothing, must not delay Close either.
func TestStreamClose_ConnectorClosesAndStopsReading(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		route{tls: true}.lead(t, r,
			func(ctx context.Context, conn net.Conn, buffered *bufio.Reader) {
				_, _ = conn.Write([]byte{0x80 | opcodeClose, 2, 1000 >> 8, 1000 & 0xff})
				stopsReading(ctx, conn, buffered)
			})
		stream := r.open(ids[0], tunnellogs.Filter{})
		began := time.Now()
		_ = stream.Close()
		assert.LessOrEqual(t, time.Since(began), longestClose)
	})
}

// The connection of a refused request belongs to the HTTP client again.
func TestOpen_RefusalKeepsConnection(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		network := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
		})
		r.params.HTTPClient, r.params.Endpoint = network.Client(t), network.URL()
		for range 3 {
			_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, ids[0], r.params)
			require.Error(t, err)
			synctest.Wait()
		}
		assert.Equal(t, 1, network.Dials())
	})
}
