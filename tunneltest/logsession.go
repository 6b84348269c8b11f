package tunneltest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/coder/websocket"
)

// Numbers of the real service.
const (
	logBacklog     = 30
	logPing        = 15 * time.Second
	logIdle        = 5 * time.Minute
	maxCloseReason = 123 // bytes
)

// How the real service closes a log stream.
const (
	closeInvalidFilter websocket.StatusCode = 4001
	closeSessionLimit  websocket.StatusCode = 4002
	closeIdle          websocket.StatusCode = 4003
)

// connectorLogs is who is connected to a connector's logs.
type connectorLogs struct {
	sessions  []*logSession
	streaming *logSession // the one that gets the lines
}

// end cuts every connection, as the end of the connector does.
func (l *connectorLogs) end() {
	for _, session := range l.sessions {
		session.cut()
	}
	l.streaming = nil
}

// logSession is one connection to a connector's logs.
type logSession struct {
	server *Server
	logs   *connectorLogs
	actor  string
	conn   *websocket.Conn
	queue  chan []byte     // lines to send
	live   context.Context // its end cuts the connection without a close frame
	cut    context.CancelFunc

	// Guarded by the server's mutex.
	filters logFilters
	left    bool          // whether the client has left; the real service notices at the next line
	stop    chan struct{} // closed to end the sending of lines
}

// newLogSession returns a session that does not stream yet. The caller holds s.mu.
func newLogSession(ctx context.Context, s *Server, c *connector, actor string) *logSession {
	l := &logSession{
		server:  s,
		logs:    &c.logs,
		actor:   actor,
		queue:   make(chan []byte, logBacklog),
		filters: logFilters{percent: every},
	}
	l.live, l.cut = context.WithCancel(ctx)
	c.logs.sessions = append(c.logs.sessions, l)
	return l
}

// finish forgets the session. One whose client left while it was streaming still counts.
func (l *logSession) finish() {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.cut()
	l.logs.sessions = slices.DeleteFunc(
		l.logs.sessions,
		func(other *logSession) bool { return other == l },
	)
	if l.logs.streaming == l && !l.left {
		l.logs.streaming = nil
	}
}

// command is a message from the client, or the error that ended the reading.
type command struct {
	kind websocket.MessageType
	data []byte
	err  error
}

func (l *logSession) read(commands chan<- command) {
	for {
		kind, data, err := l.conn.Read(l.live)
		select {
		case commands <- command{kind, data, err}:
		case <-l.live.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// serve does what the client asks for until one of them ends the connection.
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
		case <-l.live.Done():
			return
		case <-l.server.closing:
			return
		case <-ping.C:
			go l.ping()
		case <-idle.C:
			_ = l.conn.Close(closeIdle, "session was idle for too long")
			return
		case c := <-commands:
			kind, err := c.kindOf()
			switch {
			case c.err != nil:
				l.leave()
				return
			case err != nil:
				l.leave()
				l.close(websocket.StatusUnsupportedData, err.Error())
				return
			case kind == "stop_streaming":
				idle.Reset(logIdle)
				l.stopStreaming()
				continue
			}
			idle.Stop()
			filters, ok := l.filters.next(c.data)
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

// kindOf returns the type of a command, or what the real service says if it is none.
func (c command) kindOf() (string, error) {
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

// ping does not mind if there is no pong.
func (l *logSession) ping() {
	ctx, cancel := context.WithTimeout(l.live, logPing)
	defer cancel()
	_ = l.conn.Ping(ctx)
}

// startStreaming makes the session the one that gets the lines, unless another user has it. An
// earlier one of the same user is cut, also if it is this one.
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

// leave notes that the client has left.
func (l *logSession) leave() {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.left = true
}

// send sends the lines until stop is closed.
func (l *logSession) send(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-l.live.Done():
			return
		case line := <-l.queue:
			if l.conn.Write(l.live, websocket.MessageText, line) != nil {
				l.stopStreaming()
				return
			}
		}
	}
}
