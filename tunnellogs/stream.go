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

// closeTimeout limits how long Close waits for the connector.
const closeTimeout = 2 * time.Second

// Stream streams the log of one connector. [Open] returns it; close it after use. Its methods are
// safe for concurrent use.
type Stream struct {
	connectorID string
	conn        *websocket.Conn
	cut         func() // closes the connection at once
	maxBytes    int64
	token       cftunnel.Secret // for the sanitizer

	entries chan Entry    // unbuffered, so that a slow caller slows the reading
	closing chan struct{} // closed by the first Close
	closed  atomic.Bool   // whether Close was called
	ended   chan struct{} // closed when err is set
	err     *StreamError
	running sync.WaitGroup // the stream's goroutines

	readEnded chan struct{} // closed when the goroutine that reads has ended

	// live is the context of the connection. The contexts of calls are not used to read: if one
	// ended during a read, coder/websocket would close the connection.
	live   context.Context
	cancel context.CancelFunc

	// sending is a mutex that can be awaited with a context. It keeps a stop and the next start
	// together.
	sending chan struct{}
	sampled bool // whether an earlier start had a sampling
}

// Open opens a stream of one connector's log. The stream stays open until it is closed or breaks;
// ctx limits only the opening.
//
// The connector checks the filter, and whether it streams to another user, after the stream is
// open. If it then refuses the stream, Next returns [ErrInvalidFilter] or [ErrSessionLimit].
//
// Open returns an [*cftunnel.Error] if it cannot get a management token, and a [*StreamError] if it
// cannot open the stream. It wraps [ErrNoConnector] if Cloudflare cannot reach the connector.
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}
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
		return nil, invalid("ConnectorIDs", "is for Tail; Open streams from its connectorID")
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
	conn, cut, failure := dial(ctx, token, connectorID, params)
	if failure != nil {
		return nil, failure
	}
	s := &Stream{
		connectorID: connectorID, conn: conn, cut: cut, maxBytes: params.MaxEntryBytes,
		token: token.secret, entries: make(chan Entry), closing: make(chan struct{}),
		ended: make(chan struct{}), readEnded: make(chan struct{}),
		sending: make(chan struct{}, 1), sampled: params.samples(),
	}
	s.live, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(func() {
		defer close(s.readEnded)
		s.read()
	})
	if err := conn.Write(ctx, websocket.MessageText, params.startMessage(false)); err != nil {
		failure := s.failure(err)
		_ = s.Close()
		return nil, failure
	}
	return s, nil
}

// Next returns the next entry. If ctx ends first, it returns the error of ctx, and the stream stays
// open. Any other error is a [*StreamError], and the stream has ended:
//
//   - [ErrSessionLimit] if another user streams from this connector.
//   - [ErrReplaced] if a newer stream of the same user has replaced this one, and the connector
//     sent a close frame. Most connectors send none: the error then wraps io.EOF, as if the network
//     broke, and is not ErrReplaced.
//   - [ErrInvalidFilter], [ErrIdle] or [ErrEntryTooLarge].
//   - [net.ErrClosed] after Close.
func (s *Stream) Next(ctx context.Context) (Entry, error) {
	if err := s.check(ctx); err != nil {
		return Entry{}, err
	}
	return s.next(ctx, nil)
}

var (
	errNilContext = invalid("ctx", "is nil")
	errNoStream   = invalid("stream", "was not returned by Open")
)

// check returns an error if the stream or the context cannot be used.
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

// SetFilter replaces the whole filter: its level, events and sampling. Entries that matched the
// earlier filter may still follow. If ctx ends while SetFilter is sending, the stream ends too.
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
	// After a start without a stop, a connector would treat this stream as replaced.
	for _, message := range [][]byte{[]byte(stopMessage), filter.startMessage(s.sampled)} {
		if err := s.conn.Write(ctx, websocket.MessageText, message); err != nil {
			return s.failure(err)
		}
	}
	s.sampled = s.sampled || filter.samples()
	return nil
}

// Close ends the stream, so that the connector can stream to other users. It waits at most two
// seconds for the connector. If the stream has ended or was closed before, Close does nothing and
// returns nil.
//
// It returns an error if it cannot send the message that ends the stream. The connector then
// refuses other users until it tries to send its next line and notices that the stream has ended.
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
	case <-s.ended: // before Close
		return nil
	default:
	}
	if err != nil {
		return s.failure(err)
	}
	return nil
}

// shutdown sends stop_streaming, closes the connection and waits until the goroutine that reads has
// ended. It returns the error of sending.
//
// It cuts the connection after closeTimeout. Canceling s.live is not enough: coder/websocket does
// not use that context in Close, which waits for up to ten seconds, or without a limit if a large
// frame keeps arriving. CloseNow does nothing once Close was called.
func (s *Stream) shutdown() error {
	timer := time.AfterFunc(closeTimeout, func() {
		s.cancel()
		s.cut()
	})
	defer timer.Stop()
	select {
	case s.sending <- struct{}{}: // never released
	case <-s.live.Done():
	}
	err := s.conn.Write(s.live, websocket.MessageText, []byte(stopMessage))
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
	s.cancel()
	<-s.readEnded
	return err
}

// read sends entries to Next until the stream ends.
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
		for entry, failure := range s.decode(kind, data) {
			if failure != nil {
				s.end(failure)
				s.running.Go(func() { _ = s.shutdown() })
				s.discard(reader)
				return
			}
			select {
			case s.entries <- entry:
			case <-s.closing:
				s.discard(reader)
				return
			}
		}
	}
}

// discard reads until the connection ends, because closing waits for the connector's reply.
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

// end records why the stream ended, unless Close was called.
func (s *Stream) end(err *StreamError) {
	if s.closed.Load() {
		return
	}
	s.err = err
	close(s.ended)
}

// failure returns the StreamError for an error of the connection.
func (s *Stream) failure(err error) *StreamError {
	safe := sanitizer{token: s.token}
	e := &StreamError{ConnectorID: s.connectorID}
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		e.CloseCode, e.Reason = int(closed.Code), safe.text(closed.Reason)
		e.cause = sentinels[e.CloseCode]
		return e
	}
	e.Reason, e.broken = "the connection ended without a close frame", true
	if e.cause = safe.cause(err); errors.Is(err, io.ErrUnexpectedEOF) {
		e.cause = io.EOF // without the text of coder/websocket
	}
	return e
}

func (s *Stream) closedError() *StreamError {
	return &StreamError{
		ConnectorID: s.connectorID,
		Reason:      "the stream was closed by a call of Close",
		cause:       net.ErrClosed,
	}
}
