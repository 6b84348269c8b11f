package tunnellogs_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

// hijacker keeps the connection of a WebSocket, so that a test can send a part of a message.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := h.ResponseWriter.(http.Hijacker).Hijack()
	h.conn = conn
	return conn, buffers, err
}

// serveCut connects the streams of the rig to a service that sends one line. The first streams end
// without a close frame after the bytes in parts, one for each stream.
func (r *rig) serveCut(parts ...string) {
	next := make(chan string, len(parts))
	for _, part := range parts {
		next <- part
	}
	close(next)
	r.logs = newNetwork(r.t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		h := &hijacker{ResponseWriter: w}
		conn, err := websocket.Accept(h, request, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		ctx := context.WithoutCancel(request.Context())
		_, _, err = conn.Read(ctx) // the start message
		sends(`{"type":"logs","logs":[{"message":"whole"}]}`)(ctx, conn)
		if part, ok := <-next; ok {
			_, _ = io.WriteString(h.conn, part)
			return
		}
		for err == nil {
			_, _, err = conn.Read(ctx)
		}
	}))
	r.params.HTTPClient = r.logs.client
}

func TestStream_NetworkBreaksInsideMessage(t *testing.T) {
	t.Parallel()
	const (
		message = `{"type":"logs","logs":[{"message":"part"}]}`
		length  = string(rune(len(message)))
	)
	for name, part := range map[string]string{
		"between messages":               "",
		"inside a header":                "\x81",
		"before a payload":               "\x81" + length,
		"inside a payload":               "\x81" + length + message[:9],
		"after a payload's first read":   "\x81\x7e\x04\x00" + strings.Repeat(" ", 512),
		"between fragments":              "\x01\x09" + message[:9],
		"between fragments, valid JSON":  "\x01" + length + message,
		"before a fragment's payload":    "\x01\x09" + message[:9] + "\x80\x09",
		"after a pong between fragments": "\x01\x09" + message[:9] + "\x8a\x00",
		"inside a ping":                  "\x01\x09" + message[:9] + "\x89\x04",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
				r.serveCut(part, part)
				stream := r.open(ids[0], tunnellogs.Filter{})
				defer stream.Close()
				entry, err := stream.Next(t.Context())
				require.NoError(t, err)
				assert.Equal(t, "whole", entry.Message)
				_, err = stream.Next(t.Context())
				var failure *tunnellogs.StreamError
				require.ErrorAs(t, err, &failure)
				assert.Equal(t, "the connection ended without a close frame", failure.Reason)
				assert.Equal(t, io.EOF, failure.Unwrap())

				tail := r.tail(r.client, r.params)
				assert.Equal(t, []string{"whole"}, tail.lines())
				time.Sleep(2 * time.Second)
				assert.Equal(t, []string{"whole"}, tail.lines(), "of the second stream")
				tail.end()
			})
		})
	}
}
