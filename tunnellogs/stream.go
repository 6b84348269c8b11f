package tunnellogs

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// closeTimeout bounds how long closing a stream waits for the other side.
const closeTimeout = 2 * time.Second

// Stream is the log of one connector. Its methods may be called at the same time. Make it with
// [Open], and close it.
type Stream struct {
	connectorID string
	conn        *websocket.Conn
	maxBytes    int64
	token       cftunnel.Secret // for the sanitizer

	entries chan Entry    // unbuffered: a slow caller slows the reading
	closing chan struct{} // closed by the first Close
	closed  atomic.Bool   // whether there was one
	ended   chan struct{} // closed when err is set
	err     *StreamError
	running sync.WaitGroup // the stream's goroutines

	// live is the connection's context. Those of calls must not end a Read: coder/websocket would
	// close the connection.
	live   context.Context
	cancel context.CancelFunc

	// sending is a mutex whose waiters can give up: a stop and a start are sent with nothing
	// between them.
	sending chan struct{}
	sampled bool // an earlier start had a sampling
}

// Open opens a stream of one connector's log, for as long as nothing ends it. ctx bounds the
// opening alone. A connector accepts or refuses the filter and the session only afterwards, so Next
// returns [ErrInvalidFilter] and [ErrSessionLimit].
//
// It returns an [*cftunnel.Error] if there is no management token to be had, and a [*StreamError]
// if the stream cannot be opened: [ErrNoConnector] if Cloudflare cannot reach the connector.
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/management/methods/create/
func Open(
	ctx context.Context,
	client *cftunnel.Client,
	tunnelID, connectorID string,
	params Params,
) (*Stream, error) {
	switch {
	case ctx == nil:
		return nil, errNilContext
	case client == nil:
		return nil, invalid("client", "is nil")
	}
	if err := checkConnectorID("connectorID", connectorID); err != nil {
		return nil, err
	}
	if len(params.ConnectorIDs) > 0 {
		return nil, invalid(
			"ConnectorIDs",
			"is for Tail; Open streams the connector of its argument",
		)
	}
	params, err := params.withDefaults()
	if err != nil {
		return nil, err
	}
	token, err := newTokenSource(client, tunnelID).get(ctx, cftunnel.Secret{})
	if err != nil {
		return nil, err
	}
	s, failure := open(ctx, token, connectorID, params)
	if failure != nil {
		return nil, failure
	}
	return s, nil
}

// open opens a stream with a token and checked parameters.
func open(
	ctx context.Context,
	token managementToken,
	connectorID string,
	params Params,
) (*Stream, *StreamError) {
	conn, failure := dial(ctx, token, connectorID, params)
	if failure != nil {
		return nil, failure
	}
	s := &Stream{
		connectorID: connectorID, conn: conn, maxBytes: params.MaxEntryBytes, token: token.secret,
		entries: make(chan Entry), closing: make(chan struct{}), ended: make(chan struct{}),
		sending: make(chan struct{}, 1), sampled: params.samples(),
	}
	s.live, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(s.read)
	if err := conn.Write(ctx, websocket.MessageText, params.startMessage(false)); err != nil {
		failure := s.failure(err)
		_ = s.Close()
		return nil, failure
	}
	return s, nil
}

// Next returns the next entry. If ctx ends first, it returns the error of ctx, and the stream stays
// open. Any other error is a [*StreamError] and final:
//
//   - [ErrSessionLimit]: another user streams from this connector.
//   - [ErrReplaced]: a newer stream of the same user took the place of this one. Connectors mostly
//     end the connection without saying so: the cause is then io.EOF, as of a network that broke.
//   - [ErrInvalidFilter], [ErrIdle], [ErrEntryTooLarge].
//   - [net.ErrClosed] after Close.
func (s *Stream) Next(ctx context.Context) (Entry, error) {
	if err := s.check(ctx); err != nil {
		return Entry{}, err
	}
	return s.next(ctx, nil)
}

var (
	errNilContext = invalid("ctx", "is nil")
	errNoStream   = invalid("stream", "is not one that Open returned")
)

// check refuses what no method can work with.
func (s *Stream) check(ctx context.Context) error {
	switch {
	case s == nil || s.conn == nil:
		return errNoStream
	case ctx == nil:
		return errNilContext
	}
	return nil
}

// errTokenReplaced is what next returns when replaced is closed.
var errTokenReplaced = errors.New("there is a new token")

func (s *Stream) next(ctx context.Context, replaced <-chan struct{}) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	if s.closed.Load() {
		return Entry{}, s.closedError()
	}
	select {
	case entry := <-s.entries:
		return entry, nil
	case <-s.ended:
		return Entry{}, s.err
	case <-s.closing:
		return Entry{}, s.closedError()
	case <-replaced:
		return Entry{}, errTokenReplaced
	case <-ctx.Done():
		return Entry{}, ctx.Err()
	}
}

// SetFilter replaces the filter, an earlier sampling included. Entries that passed the earlier
// filter may still follow. If ctx ends while the filter is being sent, the stream ends too.
func (s *Stream) SetFilter(ctx context.Context, filter Filter) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := filter.check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.sending <- struct{}{}:
		defer func() { <-s.sending }()
	case <-s.ended:
		return s.err
	case <-s.closing:
		return s.closedError()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-s.ended:
		return s.err
	case <-s.closing:
		return s.closedError()
	default:
	}
	// A connector takes a start without a stop for another stream, which replaces this one.
	for _, message := range [][]byte{[]byte(stopMessage), filter.startMessage(s.sampled)} {
		if err := s.conn.Write(ctx, websocket.MessageText, message); err != nil {
			return s.failure(err)
		}
	}
	s.sampled = s.sampled || filter.samples()
	return nil
}

// Close ends the stream and frees the connector's session. It waits at most two seconds for the
// connector. Closing again, or after the stream has ended, does nothing. The error says that the
// connector may not know that the stream has ended: it then refuses other users until it has a line
// to send.
func (s *Stream) Close() error {
	if s == nil || s.conn == nil {
		return errNoStream
	}
	if s.closed.Swap(true) {
		s.running.Wait()
		return nil
	}
	close(s.closing)
	err := s.shutdown()
	s.running.Wait()
	select {
	case <-s.ended: // before
		return nil
	default:
	}
	if err != nil {
		return s.failure(err)
	}
	return nil
}

// shutdown sends stop_streaming and closes the connection. The error is that of stop_streaming.
// coder/websocket would wait for up to ten seconds; it stops when the context ends that the
// connection is being read with.
func (s *Stream) shutdown() error {
	defer s.cancel()
	timer := time.AfterFunc(closeTimeout, s.cancel)
	defer timer.Stop()
	select {
	case s.sending <- struct{}{}: // for good
	case <-s.live.Done():
	}
	err := s.conn.Write(s.live, websocket.MessageText, []byte(stopMessage))
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
	return err
}

// read hands on entries until the stream ends.
func (s *Stream) read() {
	for {
		kind, reader, err := s.conn.Reader(s.live)
		var data []byte
		if err == nil {
			data, err = io.ReadAll(io.LimitReader(reader, s.maxBytes+1))
		}
		if err != nil {
			_ = s.conn.CloseNow()
			s.end(s.failure(err))
			s.cancel()
			return
		}
		entries, failure := s.decode(kind, data)
		if failure != nil {
			s.end(failure)
			s.running.Go(func() { _ = s.shutdown() })
			s.discard(reader)
			return
		}
		for _, entry := range entries {
			select {
			case s.entries <- entry:
			case <-s.closing:
				s.discard(reader)
				return
			}
		}
	}
}

// discard reads on for the sake of the closing, which waits for the connector's reply.
func (s *Stream) discard(reader io.Reader) {
	for {
		if _, err := io.Copy(io.Discard, reader); err != nil {
			return
		}
		var err error
		if _, reader, err = s.conn.Reader(s.live); err != nil {
			return
		}
	}
}

// end keeps why the stream ended by itself.
func (s *Stream) end(err *StreamError) {
	if s.closed.Load() {
		return
	}
	s.err = err
	close(s.ended)
}

// failure says what an error of the connection means.
func (s *Stream) failure(err error) *StreamError {
	safe := sanitizer{s.token}
	e := &StreamError{ConnectorID: s.connectorID}
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		e.CloseCode, e.Reason = int(closed.Code), safe.text(closed.Reason)
		e.cause = sentinels[e.CloseCode]
		return e
	}
	e.Reason, e.broken = "the connection ended without a close frame", true
	if e.cause = safe.cause(err); errors.Is(err, io.EOF) {
		e.cause = io.EOF // without how coder/websocket got there
	}
	return e
}

func (s *Stream) closedError() *StreamError {
	return &StreamError{
		ConnectorID: s.connectorID,
		Reason:      "it was closed by its user",
		cause:       net.ErrClosed,
	}
}
