package tunneltest

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

// logsPath is the path of log streams. On the real service it is on a separate host.
const logsPath = "/logs"

// opLogs is the operation of a log stream in Request and Fault.
const opLogs = http.MethodGet + " " + logsPath

// LogsURL returns the base URL of log streams, for the Endpoint field of [tunnellogs.Params].
// [Server.Handler] serves log streams too.
func (s *Server) LogsURL() string { return strings.TrimSuffix(s.URL(), basePath) }

// Log sends a log entry to the client that streams the logs of a connector.
//
// It does nothing if there is no such client, if the connector is not running, or if 30 entries
// already wait to be sent. An empty Level means debug, an empty Event means cloudflared, and a zero
// Time means the current time.
//
// The entry is sent as cloudflared sends it: times have whole seconds, numbers have six decimal
// places at most, an unknown Level becomes debug, an entry with the field "error" has the level
// error, and an Event that is neither empty nor known is sent as an empty text.
func (s *Server) Log(connectorID string, entry tunnellogs.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconnectDue()
	for _, a := range s.accounts {
		for _, t := range a.tunnels {
			for _, c := range t.connectors {
				if c.id == connectorID && c.logs.streaming != nil {
					c.logs.streaming.log(entry, s.now())
				}
			}
		}
	}
}

// serveLogs checks a request as Cloudflare's edge and the connector do, and streams the logs.
func (s *Server) serveLogs(w http.ResponseWriter, r *http.Request) {
	record, fault := s.receiveLogs(r)
	s.sleep(s.latency)
	if fault.Cut != CutNever || s.isClosed() {
		panic(http.ErrAbortHandler)
	}
	s.sleep(fault.Delay)
	var session *logSession
	refused := &response{status: cmp.Or(fault.Status, http.StatusOK), body: []byte(fault.Body)}
	if !fault.replaces() {
		session, refused = s.acceptLogs(r)
	}
	if refused != nil {
		s.mu.Lock()
		record.Status = refused.status
		s.mu.Unlock()
		refused.write(w, fault)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OriginPatterns:  []string{"*.cloudflare.com"},
		CompressionMode: websocket.CompressionNoContextTakeover,
	})
	if err != nil {
		session.finish()
		return // Accept has responded
	}
	s.mu.Lock()
	record.Status, record.Done = http.StatusSwitchingProtocols, true
	s.mu.Unlock()
	session.conn = conn
	session.serve() //nolint:contextcheck // the session has the context of the connection
}

// receiveLogs records the request without its token, and returns the fault that applies to it.
func (s *Server) receiveLogs(r *http.Request) (*Request, Fault) {
	record := &Request{
		Operation: opLogs,
		Method:    r.Method,
		Path:      r.URL.EscapedPath(),
		Query:     r.URL.Query(),
		Header:    r.Header.Clone(),
	}
	if record.Query.Has("access_token") {
		record.Query.Set("access_token", cftunnel.Secret{}.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	record.Time = s.now()
	s.recordRequest(record)
	return record, s.nextFault(opLogs)
}

// acceptLogs returns a session for the connector of the request, or an error response. The response
// of the real edge to an invalid token is not known.
func (s *Server) acceptLogs(r *http.Request) (*logSession, *response) {
	refuse := func(status, code int, text string) (*logSession, *response) {
		// The real response has no success field.
		errors := []apiError{{Code: code, Message: text}}
		return nil, marshal(status, map[string][]apiError{"errors": errors})
	}
	claims, validSignature, err := s.readManagementToken(r.URL.Query().Get("access_token"))
	now := s.now().Unix()
	switch {
	case err != nil:
		return refuse(http.StatusBadRequest, 1001, "missing access_token query parameter")
	case r.Method != http.MethodGet:
		return nil, &response{status: http.StatusMethodNotAllowed}
	case !validSignature || now >= claims.Expires:
		return refuse(http.StatusUnauthorized, 10000, "Authentication error")
	case !slices.Contains(claims.Resources, "logs"):
		return refuse(http.StatusForbidden, 10000, "Authentication error")
	case !offersKnownDeflate(r.Header):
		return nil, &response{status: http.StatusBadRequest}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconnectDue()
	t := s.account(claims.Tunnel.AccountTag).byID[claims.Tunnel.ID]
	if t == nil {
		return nil, &response{status: statusNoConnector}
	}
	id := r.URL.Query().Get("connector_id")
	for _, c := range t.connectors {
		if len(c.conns) > 0 && !t.isWARP() && (id == "" || strings.EqualFold(c.id, id)) {
			// The request's context does not apply after its connection was hijacked.
			ctx := context.WithoutCancel(r.Context())
			return newLogSession(ctx, s, c, claims.Actor.ID), nil
		}
	}
	return nil, &response{status: statusNoConnector}
}

// statusNoConnector is the edge's status if it cannot connect to the connector.
const statusNoConnector = 530

// offersKnownDeflate reports whether a client requests no compression, or compression with
// parameters that cloudflared accepts.
func offersKnownDeflate(header http.Header) bool {
	offers := strings.Join(header.Values("Sec-WebSocket-Extensions"), ",")
	for offer := range strings.SplitSeq(offers, ",") {
		parts := strings.Split(offer, ";")
		if strings.TrimSpace(parts[0]) != "permessage-deflate" {
			continue
		}
		for _, parameter := range parts[1:] {
			switch name, _, _ := strings.Cut(strings.TrimSpace(parameter), "="); name {
			case "client_no_context_takeover",
				"server_no_context_takeover",
				"client_max_window_bits":
			default:
				return false
			}
		}
	}
	return true
}
