package cftunnel_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
)

// Frame types, flags and error codes of HTTP/2.
const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway         = 0, 1, 3, 4, 7
	flagAck, flagEndStream, flagEndHeaders                                  = 1, 1, 4
	codeNone, codeProtocol, codeInternal, codeRefused, codeCancel, codeCalm = 0, 1, 2, 7, 8, 11
)

// http2Preface is what a client sends first.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// http2Frame encodes a frame.
func http2Frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	head := []byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// goAwayFrame encodes a GOAWAY frame. last is the last stream ID that the server may have
// processed.
func goAwayFrame(last, code uint32, debug string) []byte {
	payload := binary.BigEndian.AppendUint32(nil, last)
	payload = binary.BigEndian.AppendUint32(payload, code)
	return http2Frame(frameGoAway, 0, 0, append(payload, debug...)...)
}

// resetFrame encodes a RST_STREAM frame.
func resetFrame(stream, code uint32) []byte {
	return http2Frame(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code)...)
}

// responseFrames encodes a response with status 200.
func responseFrames(stream uint32, body string) []byte {
	head := http2Frame(frameHeaders, flagEndHeaders, stream, 0x88) // :status 200
	return append(head, http2Frame(frameData, flagEndStream, stream, []byte(body)...)...)
}

// payloadLength returns the length of the payload of the frame with this header.
func payloadLength(head []byte) int64 {
	return int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
}

// endsRequest reports whether the frame with this header is the last one of a request.
func endsRequest(head []byte) bool {
	kind, flags := head[3], head[4]
	return (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0
}

// http2Stream is a request that http2Server has read.
type http2Stream struct {
	conn   int    // the number of the connection, from 1
	n      int    // the number of the request over all connections, from 1
	stream uint32 // the stream ID
}

// http2Script returns the frames to send after a request. If close is set, the server then closes
// the connection.
type http2Script func(http2Stream) (frames []byte, close bool)

// http2Server runs a script on every connection of a client.
type http2Server struct {
	script http2Script
	greet  func(conn int) []byte // returns frames to send after SETTINGS; may be nil

	mu       sync.Mutex
	conns    []net.Conn
	requests int
}

// newHTTP2Client returns a server and a client of it. It must be called inside a bubble.
func newHTTP2Client(
	t *testing.T, script http2Script, opts ...cftunnel.Option,
) (*http2Server, *cftunnel.Client) {
	t.Helper()
	server := &http2Server{script: script}
	network := pipenet.ServeTLS(t, http.NotFoundHandler())
	transport := roundtrip.NewTransport()
	network.Lead(t, transport)
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		server.mu.Lock()
		server.conns = append(server.conns, far)
		n := len(server.conns)
		server.mu.Unlock()
		go server.serve(far, n)
		return near, nil
	}
	client, err := cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithBaseURL("https://localhost"), cftunnel.WithAPIToken(apiToken),
		cftunnel.WithAccountID(accountID), cftunnel.WithoutRateLimit(),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		synctest.Wait()
		for _, conn := range server.conns { // net/http keeps connections after GOAWAY
			_ = conn.Close()
		}
	})
	return server, client
}

// seen returns the number of requests and of connections so far.
func (s *http2Server) seen() (requests, conns int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, len(s.conns)
}

func (s *http2Server) serve(plain net.Conn, number int) {
	conn := pipenet.TLS(plain)
	defer plain.Close()
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2Preface))); err != nil {
		return
	}
	// A pipe has no buffer, so reading and writing must not wait for each other.
	writes := make(chan []byte, 100)
	defer close(writes)
	go func() {
		for frames := range writes {
			if frames == nil {
				_ = plain.Close()
				continue
			}
			_, _ = conn.Write(frames)
		}
	}()
	writes <- append(http2Frame(frameSettings, 0, 0), http2Frame(frameSettings, flagAck, 0)...)
	if s.greet != nil {
		if frames := s.greet(number); frames != nil {
			writes <- frames
		}
	}
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, conn, payloadLength(head))
		if !endsRequest(head) {
			continue
		}
		s.mu.Lock()
		s.requests++
		frames, end := s.script(http2Stream{number, s.requests, binary.BigEndian.Uint32(head[5:])})
		s.mu.Unlock()
		if frames != nil {
			writes <- frames
		}
		if end {
			writes <- nil
		}
	}
}

const tunnelResponse = `{"success":true,"errors":[],"messages":[],"result":{"id":"` + tunnelID +
	`","name":"n","token":"t"}}`

// http2Faults are ways in which a server ends a request without a response.
var http2Faults = map[string]struct {
	frames       func(stream uint32) []byte
	close        bool
	notProcessed bool // the server says that it has not processed the request
}{
	"GOAWAY of this stream, with debug text of net/http": {func(id uint32) []byte {
		return goAwayFrame(id, codeNone, "graceful shutdown GOAWAY")
	}, true, false},
	"GOAWAY of this stream, with a full error text of net/http": {func(id uint32) []byte {
		return goAwayFrame(id, codeNone, "http2: Transport received Server's graceful shutdown GOAWAY")
	}, true, false},
	"GOAWAY of this stream, with REFUSED_STREAM as debug text": {func(id uint32) []byte {
		return goAwayFrame(id, codeRefused, "stream error: stream ID 1; REFUSED_STREAM; received from peer")
	}, true, false},
	"GOAWAY of all streams": {func(uint32) []byte { return goAwayFrame(1<<31-1, codeNone, "") }, true, false},
	"GOAWAY of all streams, then of none": {func(uint32) []byte {
		return append(goAwayFrame(1<<31-1, codeNone, ""), goAwayFrame(0, codeNone, "")...)
	}, false, true},
	"GOAWAY of all streams, then of this one": {func(id uint32) []byte {
		return append(goAwayFrame(1<<31-1, codeNone, ""), goAwayFrame(id, codeNone, "")...)
	}, true, false},
	"GOAWAY of no stream": {func(uint32) []byte { return goAwayFrame(0, codeNone, "") }, false, true},
	"GOAWAY of no stream, with an error": {func(uint32) []byte {
		return goAwayFrame(0, codeCalm, "too many")
	}, false, true},
	"GOAWAY of no stream, with an unknown error": {func(uint32) []byte {
		return goAwayFrame(0, 0x42, "")
	}, false, true},
	"RST_STREAM REFUSED_STREAM":    {func(id uint32) []byte { return resetFrame(id, codeRefused) }, false, true},
	"RST_STREAM PROTOCOL_ERROR":    {func(id uint32) []byte { return resetFrame(id, codeProtocol) }, false, false},
	"RST_STREAM INTERNAL_ERROR":    {func(id uint32) []byte { return resetFrame(id, codeInternal) }, false, false},
	"RST_STREAM NO_ERROR":          {func(id uint32) []byte { return resetFrame(id, codeNone) }, false, false},
	"RST_STREAM CANCEL":            {func(id uint32) []byte { return resetFrame(id, codeCancel) }, false, false},
	"RST_STREAM ENHANCE_YOUR_CALM": {func(id uint32) []byte { return resetFrame(id, codeCalm) }, false, false},
	"interim status as the final one": {func(id uint32) []byte {
		status103 := []byte{0x08, 3, '1', '0', '3'} // :status 103
		return http2Frame(frameHeaders, flagEndHeaders|flagEndStream, id, status103...)
	}, false, false},
	"the connection ends": {func(uint32) []byte { return nil }, true, false},
	"headers, no body": {func(id uint32) []byte {
		return http2Frame(frameHeaders, flagEndHeaders, id, 0x88)
	}, true, false},
	"headers, then REFUSED_STREAM": {func(id uint32) []byte {
		return append(http2Frame(frameHeaders, flagEndHeaders, id, 0x88),
			resetFrame(id, codeRefused)...)
	}, false, false},
}

// http2Calls are calls with each method, with and without a body.
var http2Calls = map[string]struct {
	repeatable bool
	call       func(context.Context, *cftunnel.Client, ...cftunnel.CallOption) error
}{
	"GET": {true, func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		_, err := c.Tunnels.Get(ctx, tunnelID, opts...)
		return err
	}},
	"POST": {false, func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		_, err := c.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "n"}, opts...)
		return err
	}},
	"POST without a body": {false, func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		return c.Do(ctx, http.MethodPost, "x", nil, nil, opts...)
	}},
	"POST without a body, with an Idempotency-Key": {false, func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		opts = append(opts, cftunnel.AddHeader("Idempotency-Key", "k"))
		return c.Do(ctx, http.MethodPost, "x", nil, nil, opts...)
	}},
	"PATCH": {true, func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		_, err := c.Tunnels.Update(ctx, tunnelID, cftunnel.TunnelUpdateParams{Name: "n"}, opts...)
		return err
	}},
	"PUT without a body": {true, func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		return c.Do(ctx, http.MethodPut, "x", nil, nil, opts...)
	}},
	"DELETE": {true, func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		_, err := c.Tunnels.Delete(ctx, tunnelID, cftunnel.TunnelDeleteParams{}, opts...)
		return err
	}},
}

// A POST that may have been processed is not retried. A request that was not processed is.
func TestHTTP2_FirstRequestFails(t *testing.T) {
	t.Parallel()
	for name, fault := range http2Faults {
		for kind, call := range http2Calls {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server, client := newHTTP2Client(t, func(s http2Stream) ([]byte, bool) {
						if s.n == 1 {
							return fault.frames(s.stream), fault.close
						}
						return responseFrames(s.stream, tunnelResponse), false
					})
					var info cftunnel.ResponseInfo
					err := call.call(t.Context(), client, cftunnel.CaptureResponse(&info))
					requests, _ := server.seen()
					if call.repeatable || fault.notProcessed {
						require.NoError(t, err)
						assert.Equal(t, 2, requests)
						assert.Equal(t, 2, info.Attempts)
						return
					}
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
					assert.Equal(t, 1, requests, "the request is repeated")
					assert.Equal(t, 1, info.Attempts)
				})
			})
		}
	}
}

// A write with MaxAttempts(1) is sent once.
func TestHTTP2_EveryRequestFails(t *testing.T) {
	t.Parallel()
	for name, fault := range http2Faults {
		for kind, call := range http2Calls {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server, client := newHTTP2Client(t, func(s http2Stream) ([]byte, bool) {
						return fault.frames(s.stream), fault.close
					})
					err := call.call(t.Context(), client, cftunnel.MaxAttempts(1))
					require.Error(t, err)
					assert.Equal(t, kind != "GET" && !fault.notProcessed,
						isUncertain(err), "%v", err)
					maxRequests := 1
					if kind == "GET" {
						maxRequests = 2
					}
					requests, _ := server.seen()
					assert.LessOrEqual(t, requests, maxRequests)

					before, began := requests, time.Now()
					err = call.call(t.Context(), client)
					require.Error(t, err)
					requests, _ = server.seen()
					assert.LessOrEqual(t, requests-before, 4)
					if !call.repeatable && !fault.notProcessed {
						assert.Equal(t, 1, requests-before, "the request is repeated")
					}
					assert.Less(t, time.Since(began), 30*time.Second)
				})
			})
		}
	}
}

// If the server drains a connection, a call with MaxAttempts(1) succeeds on a new connection.
func TestHTTP2_NewConnectionAfterDraining(t *testing.T) {
	t.Parallel()
	for name, draining := range map[string]func(uint32) []byte{
		"GOAWAY of no stream": func(uint32) []byte { return goAwayFrame(0, codeNone, "") },
		"REFUSED_STREAM":      func(id uint32) []byte { return resetFrame(id, codeRefused) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server, client := newHTTP2Client(t, func(s http2Stream) ([]byte, bool) {
					if s.n == 1 {
						return draining(s.stream), false
					}
					return responseFrames(s.stream, tunnelResponse), false
				})
				var info cftunnel.ResponseInfo
				_, err := client.Tunnels.Get(t.Context(), tunnelID,
					cftunnel.MaxAttempts(1), cftunnel.CaptureResponse(&info))
				require.NoError(t, err)
				assert.Equal(t, 2, info.Attempts)
				requests, _ := server.seen()
				assert.Equal(t, 2, requests)
			})
		})
	}
}

// If the server drains every connection before it reads a request, a call opens only a few
// connections.
func TestHTTP2_DrainingFromStart(t *testing.T) {
	t.Parallel()
	for kind, call := range http2Calls {
		for _, healthy := range []int{2, 1 << 30} { // number of the first working connection
			t.Run(fmt.Sprint(kind, " ", healthy), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server, client := newHTTP2Client(t, func(s http2Stream) ([]byte, bool) {
						if s.conn >= healthy {
							return responseFrames(s.stream, tunnelResponse), false
						}
						return nil, false
					})
					server.greet = func(conn int) []byte {
						if conn >= healthy {
							return nil
						}
						return goAwayFrame(0, codeNone, "")
					}
					err := call.call(t.Context(), client, cftunnel.MaxAttempts(1))
					switch {
					case healthy > 2:
						assert.Error(t, err)
					case kind == "GET":
						assert.NoError(t, err)
					default:
						// A write may get the first connection before or after its GOAWAY.
					}
					assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
					// Without the refusal there would be more than 100. net/http can open a few more
					// connections after it, because it chooses at random whether it first looks at
					// the context or at the GOAWAY, but it sends no request on them.
					requests, conns := server.seen()
					assert.LessOrEqual(t, requests, 3)
					assert.LessOrEqual(t, conns, 10)

					err = call.call(t.Context(), client)
					assert.Equal(t, healthy == 2, err == nil, "%v", err)
					assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				})
			})
		}
	}
}
