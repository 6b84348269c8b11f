package tunneltest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
)

// Handle adds an endpoint that the server does not have, or replaces one that it has.
//
// The pattern has the syntax of [http.ServeMux], with a path below the base URL, such as
// "GET /accounts/{account_id}/access/apps". It is also the operation of the endpoint in [Fault] and
// [Request].
//
// Before the server calls the handler, it checks the credentials and the account ID, and counts the
// request against the quota. The handler may call methods of the server. The response is sent when
// the handler returns. The default Content-Type is application/json.
//
// Handle panics if the pattern is invalid or conflicts with an earlier pattern.
func (s *Server) Handle(pattern string, handler http.Handler) {
	before, below, found := strings.Cut(pattern, "/")
	if !found {
		panic(fmt.Sprintf("tunneltest: Handle: the pattern %q has no path", pattern))
	}
	template := strings.TrimPrefix("/"+below, basePath)
	s.customMux.Handle(before+basePath+template, handler)
	s.mu.Lock()
	defer s.mu.Unlock()
	custom := route{method: strings.TrimSpace(before), template: template}
	s.customRoutes = append(s.customRoutes, custom)
}

// findCustom returns the endpoint of Handle that matches a request, and the values of its
// wildcards.
func (s *Server) findCustom(r *http.Request) (*route, map[string]string) {
	if path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/") {
		return nil, nil // a ServeMux would redirect the request
	}
	_, pattern := s.customMux.Handler(r)
	_, template, found := strings.Cut(pattern, basePath)
	if !found {
		return nil, nil
	}
	below := strings.TrimPrefix(r.URL.EscapedPath(), basePath)
	values, _ := matchTemplate(template, strings.Split(below, "/"))
	method, _, hasMethod := strings.Cut(pattern, " ")
	if !hasMethod {
		method = r.Method
	}
	return &route{method: method, template: template, handle: func(s *Server, c *call) *response {
		s.mu.Unlock() // the handler may call methods of the server
		defer s.mu.Lock()
		again := *r
		again.Body = io.NopCloser(bytes.NewReader(c.body))
		w := &responseRecorder{response{header: http.Header{}}}
		s.customMux.ServeHTTP(w, &again)
		w.WriteHeader(http.StatusOK) // if the handler wrote nothing
		return &response{w.status, w.header, w.body}
	}}, values
}

// responseRecorder records the response that a handler writes.
type responseRecorder struct{ response }

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
