package tunneltest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/coder/websocket"
)

// Limits and intervals of the real service.
const (
	logBacklog     = 30
	logPing        = 15 * time.Second
	logIdle        = 5 * time.Minute
	maxCloseReason = 123 // bytes
)

// Close codes of the real service.
const (
	closeInvalidFilter websocket.StatusCode = 4001
	closeSessionLimit  websocket.StatusCode = 4002
	closeIdle          websocket.StatusCode = 4003
)

// connectorLogs are the sessions for the logs of a connector.
type connectorLogs struct {
	sessions  []*logSession
	streaming *logSession // the session that receives the lines
}

// end cuts all sessions. It is called when the connector stops.
func (l *connectorLogs) end() {
	for _, session := range l.sessions {
		session.cut()
	}
	l.streaming = nil
}

// logSession is a connection of a client to the logs of a connector.
type logSession struct {
	server *Server
	logs   *connectorLogs
	actor  string
	conn   *websocket.Conn
	queue  chan []byte     // lines to send
	ctx    context.Context // if it ends, the connection is cut without a close frame
	cut    context.CancelFunc

	// Guarded by the server's mutex.
	filters    logFilters
	clientLeft bool          // the client disconnected; the real service notices at the next line
	stop       chan struct{} // closed to stop sending lines
}

// newLogSession returns a session that does not stream yet. The caller holds s.mu.
func newLogSession(ctx context.Context, s *Server, c *connector, actor string) *logSession {
	l := &logSession{
		server:  s,
		logs:    &c.logs,
		actor:   actor,
		queue:   make(chan []byte, logBacklog),
		filters: logFilters{percent: allLines},
	}
	l.ctx, l.cut = context.WithCancel(ctx)
	c.logs.sessions = append(c.logs.sessions, l)
	return l
}

// finish removes the session. If the client disconnected while it was streaming, the session stays
// the streaming one until the next line.
func (l *logSession) finish() {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.cut()
	isThis := func(other *logSession) bool { return other == l }
	l.logs.sessions = slices.DeleteFunc(l.logs.sessions, isThis)
	if l.logs.streaming == l && !l.clientLeft {
		l.logs.streaming = nil
	}
}

// command is a message from the client, or a read error.
type command struct {
	kind websocket.MessageType
	data []byte
	err  error
}

func (l *logSession) read(commands chan<- command) {
	for {
		kind, data, err := l.conn.Read(l.ctx)
		select {
		case commands <- command{kind, data, err}:
		case <-l.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// serve carries out the commands of the client until the connection ends.
func (l *logSession) serve() {
	defer func() { _ = l.conn.CloseNow() }()
	defer l.finish()
	commands := make(chan command)
	go l.read(commands)
	ping := time.NewTicker(logPing)
	defer ping.Stop()
	idle := time.NewTimer(logIdle)
	defer idle.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.server.closing:
			return
		case <-ping.C:
			go l.ping()
		case <-idle.C:
			_ = l.conn.Close(closeIdle, "session was idle for too long")
			return
		case c := <-commands:
			kind, err := c.messageType()
			switch {
			case c.err != nil:
				l.setClientLeft()
				return
			case err != nil:
				l.setClientLeft()
				l.close(websocket.StatusUnsupportedData, err.Error())
				return
			case kind == "stop_streaming":
				idle.Reset(logIdle)
				l.stopStreaming()
				continue
			}
			idle.Stop()
			filters, ok := l.filters.updated(c.data)
			if !ok {
				l.close(closeInvalidFilter, "expected start streaming as first event")
				return
			}
			if !l.startStreaming(filters) {
				l.close(closeSessionLimit, "limit exceeded for streaming sessions")
				return
			}
		}
	}
}

// messageType returns the type of a command. Its errors have the texts of the real service.
func (c command) messageType() (string, error) {
	if c.kind != websocket.MessageText {
		return "", errors.New("invalid message type was provided")
	}
	var message struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(c.data, &message); err != nil {
		return "", err
	}
	switch message.Type {
	case "start_streaming", "stop_streaming":
		return message.Type, nil
	case "":
		return "", errors.New("invalid message type was provided")
	}
	return "", errors.New("invalid client message type was provided: " + message.Type)
}

func (l *logSession) close(code websocket.StatusCode, reason string) {
	if len(reason) > maxCloseReason {
		code, reason = websocket.StatusInternalError, ""
	}
	_ = l.conn.Close(code, reason)
}

// ping sends a ping. It ignores a missing pong.
func (l *logSession) ping() {
	ctx, cancel := context.WithTimeout(l.ctx, logPing)
	defer cancel()
	_ = l.conn.Ping(ctx)
}

// startStreaming makes the session the one that receives the lines. It returns false if a session
// of another user receives them. It cuts an earlier session of the same user, even if that is this
// session.
func (l *logSession) startStreaming(filters logFilters) bool {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	if before := l.logs.streaming; before != nil {
		if before.actor != l.actor {
			return false
		}
		before.cut()
	}
	l.filters, l.stop = filters, make(chan struct{})
	l.logs.streaming = l
	go l.send(l.stop)
	return true
}

func (l *logSession) stopStreaming() {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	if l.logs.streaming == l {
		close(l.stop)
		l.logs.streaming = nil
	}
}

// setClientLeft records that the client disconnected.
func (l *logSession) setClientLeft() {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.clientLeft = true
}

// send sends the lines until stop is closed.
func (l *logSession) send(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-l.ctx.Done():
			return
		case line := <-l.queue:
			if l.conn.Write(l.ctx, websocket.MessageText, line) != nil {
				l.stopStreaming()
				return
			}
		}
	}
}
