package tunneltest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Handle adds an endpoint that the server does not have, or replaces one that it has.
//
// The pattern has the syntax of [http.ServeMux], with a path below the base URL, such as
// "GET /accounts/{account_id}/access/apps". It is also the operation of the endpoint in [Fault] and
// [Request].
//
// Before the server calls the handler, it checks the credentials and the account ID, and counts the
// request against the quota. The account ID is the value of the pattern's wildcard {account_id}.
// The handler may call methods of the server. The response is sent when the handler returns. The
// default Content-Type is application/json.
//
// Handle panics if the pattern is invalid or conflicts with an earlier pattern, or if the handler
// is nil.
func (s *Server) Handle(pattern string, handler http.Handler) {
	before, below, found := strings.Cut(pattern, "/")
	if !found {
		panic(fmt.Sprintf("tunneltest: Handle: the pattern %q has no path", pattern))
	}
	if f, ok := handler.(http.HandlerFunc); handler == nil || ok && f == nil {
		panic("tunneltest: Handle: the handler is nil")
	}
	template := strings.TrimPrefix("/"+below, basePath)
	s.addPattern(before+basePath+template, handler)
	s.mu.Lock()
	defer s.mu.Unlock()
	custom := route{method: strings.TrimSpace(before), template: template}
	s.customRoutes = append(s.customRoutes, custom)
}

// addPattern adds a pattern and its handler to the ServeMux.
func (s *Server) addPattern(pattern string, handler http.Handler) {
	defer func() {
		if reason := recover(); reason != nil { // of net/http
			panic(fmt.Sprintf("tunneltest: Handle: the pattern cannot be added: %v", reason))
		}
	}()
	s.customMux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if match, ok := w.(*customMatch); ok {
			match.handler, match.request = handler, r
		}
	})
}

// customMatch receives the handler of Handle that matches a request, and the request with the
// values of the pattern's wildcards. The server checks these values before it calls the handler.
type customMatch struct {
	responseRecorder // for the responses of the ServeMux itself, which are not sent
	handler          http.Handler
	request          *http.Request
}

// findCustom returns the endpoint of Handle that matches a request, and the IDs of the account and
// the zone in its path.
func (s *Server) findCustom(r *http.Request) (*route, map[string]string) {
	match := &customMatch{responseRecorder: newRecorder()}
	again := *r // because a ServeMux sets fields of the request
	s.customMux.ServeHTTP(match, &again)
	if match.handler == nil {
		return nil, nil
	}
	values := map[string]string{}
	for _, name := range []string{"account_id", "zone_id"} {
		if value := match.request.PathValue(name); value != "" {
			values[name] = value
		}
	}
	pattern := match.request.Pattern
	_, template, _ := strings.Cut(pattern, basePath)
	method, _, hasMethod := strings.Cut(pattern, " ")
	if !hasMethod {
		method = r.Method
	}
	return &route{method: method, template: template, handle: func(s *Server, c *call) *response {
		s.mu.Unlock() // the handler may call methods of the server
		defer s.mu.Lock()
		match.request.Body = io.NopCloser(bytes.NewReader(c.body))
		w := newRecorder()
		match.handler.ServeHTTP(&w, match.request)
		w.WriteHeader(http.StatusOK) // if the handler wrote nothing
		return &response{w.status, w.header, w.body}
	}}, values
}

// responseRecorder records the response that a handler writes.
type responseRecorder struct{ response }

func newRecorder() responseRecorder { return responseRecorder{response{header: http.Header{}}} }

// Header returns the header of the response.
func (w *responseRecorder) Header() http.Header { return w.header }

// WriteHeader records the first final status.
func (w *responseRecorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.header = status, w.header.Clone()
	}
}

// Write appends to the body.
func (w *responseRecorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}
