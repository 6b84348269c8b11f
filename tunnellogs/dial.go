package tunnellogs

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// dialTimeout limits the time to open a stream.
const dialTimeout = 30 * time.Second

// dial opens the connection of a stream. It also returns a function that cuts the connection.
func dial(
	ctx context.Context,
	token managementToken,
	connectorID string,
	params Params,
) (*websocket.Conn, func(), *StreamError) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	query := url.Values{tokenParameter: {token.secret.Reveal()}, "connector_id": {connectorID}}
	client := *params.HTTPClient
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a redirect would get the token
	}
	handshake := &handshake{RoundTripper: client.Transport, ctx: ctx}
	if handshake.RoundTripper == nil {
		handshake.RoundTripper = http.DefaultTransport
	}
	client.Transport = handshake
	//nolint:bodyclose // Dial closes it
	conn, response, err := websocket.Dial(
		httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: handshake.gotConn}),
		cmp.Or(params.Endpoint, token.endpoint)+"?"+query.Encode(),
		&websocket.DialOptions{
			HTTPClient: &client,
			HTTPHeader: http.Header{"User-Agent": {"cftunnel-go/" + cftunnel.Version}},
		},
	)
	if err == nil && !handshake.stop() { // the context has just ended and closed the connection
		_ = conn.CloseNow()
		err, response = context.Cause(ctx), nil
	}
	if err != nil {
		safe := sanitizer{token: token.secret, proxy: handshake.proxySecrets()}
		return nil, nil, dialError(err, response, safe, connectorID)
	}
	// The stream has its own limit, after which it can still send stop_streaming.
	conn.SetReadLimit(-1)
	return conn, handshake.cut, nil
}

// handshake is a transport for one request. It cuts the connection when the context ends. Without
// it, Dial reads the body of a refusal for up to three seconds, even if its context has ended. The
// body of a response with status 101 is a connection.
type handshake struct {
	http.RoundTripper
	ctx     context.Context
	request *http.Request            // nil if none was sent
	conn    atomic.Pointer[net.Conn] // that the request was sent on; nil if it is not known
	stop    func() bool
	cut     func() // closes the connection at once
}

// gotConn records the connection. It is a hook of net/http.
func (h *handshake) gotConn(info httptrace.GotConnInfo) { h.conn.Store(&info.Conn) }

// RoundTrip sends the request.
func (h *handshake) RoundTrip(request *http.Request) (*http.Response, error) {
	h.request = request
	response, err := h.RoundTripper.RoundTrip(request)
	if err != nil {
		return response, err
	}
	body := response.Body // Dial replaces it in the response
	h.cut = func() { _ = body.Close() }
	// After any other status, the connection may already be used for another request.
	if used := h.conn.Load(); used != nil && response.StatusCode == http.StatusSwitchingProtocols {
		h.cut = func() {
			closeWithoutAlert(*used)
			_ = body.Close()
		}
	}
	h.stop = context.AfterFunc(h.ctx, h.cut)
	if conn, ok := body.(io.ReadWriteCloser); ok {
		response.Body = connection{conn}
	}
	return response, nil
}

// closeWithoutAlert closes the connection below TLS. The Close of TLS first sends an alert, for
// which it waits up to five seconds if the peer does not read.
func closeWithoutAlert(conn net.Conn) {
	for {
		encrypted, ok := conn.(*tls.Conn)
		if !ok {
			break
		}
		conn = encrypted.NetConn() // the connection to an HTTPS proxy has TLS too
	}
	_ = conn.Close()
}

// connection returns io.ErrUnexpectedEOF at its end. If it returned io.EOF inside a message,
// coder/websocket would return io.EOF too, as at the end of a complete message.
type connection struct{ io.ReadWriteCloser }

// Read reads from the connection.
func (c connection) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// proxySecrets returns a redactor of the credentials that the request may have sent to a proxy.
func (h *handshake) proxySecrets() *redact.Redactor {
	if h.request == nil {
		return nil
	}
	return proxySecrets(h.RoundTripper, h.request)
}

func dialError(
	err error,
	response *http.Response,
	safe sanitizer,
	connectorID string,
) *StreamError {
	if response == nil {
		return &StreamError{
			ConnectorID: connectorID,
			Reason:      "the connection failed",
			cause:       safe.cause(err),
			broken:      true,
		}
	}
	e := &StreamError{
		ConnectorID: connectorID,
		StatusCode:  response.StatusCode,
		Reason:      safe.text(refusal(response)),
	}
	switch response.StatusCode {
	case statusNoConnector:
		e.cause = ErrNoConnector
	case http.StatusSwitchingProtocols:
		e.cause = safe.cause(err) // the response itself does not say what is wrong
	}
	return e
}

// refusal returns the reason in a response. Dial has read its first kilobyte.
func refusal(response *http.Response) string {
	status := http.StatusText(response.StatusCode)
	if response.Body == nil {
		return status
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return status
	}
	var envelope struct {
		Errors []struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &envelope) == nil && len(envelope.Errors) > 0 {
		var texts []string
		for _, e := range envelope.Errors {
			texts = append(texts, fmt.Sprintf("%d %s", e.Code, e.Message))
		}
		return strings.Join(texts, "; ")
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if text := strings.TrimSpace(string(body)); kind == "text/plain" && text != "" {
		return text
	}
	return status
}
