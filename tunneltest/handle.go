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
	s.own.Handle(before+basePath+template, handler)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ownRoutes = append(s.ownRoutes, route{method: strings.TrimSpace(before), template: template})
}

// findOwn returns the endpoint of Handle that matches a request, and the values of its wildcards.
func (s *Server) findOwn(r *http.Request) (*route, map[string]string) {
	if path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/") {
		return nil, nil // a ServeMux would redirect it
	}
	_, pattern := s.own.Handler(r)
	_, template, found := strings.Cut(pattern, basePath)
	if !found {
		return nil, nil
	}
	below := strings.TrimPrefix(r.URL.EscapedPath(), basePath)
	values, _ := fit(template, strings.Split(below, "/"))
	method, _, hasMethod := strings.Cut(pattern, " ")
	if !hasMethod {
		method = r.Method
	}
	return &route{method: method, template: template, handle: func(s *Server, c *call) answer {
		s.mu.Unlock() // so that the handler may call the server's methods
		defer s.mu.Lock()
		again := *r
		again.Body = io.NopCloser(bytes.NewReader(c.body))
		w := &ownResponse{answer{header: http.Header{}}}
		s.own.ServeHTTP(w, &again)
		w.WriteHeader(http.StatusOK) // if the handler wrote nothing
		return w.answer
	}}, values
}

// ownResponse records the response that a handler writes.
type ownResponse struct{ answer }

// Header returns the header of the response.
func (w *ownResponse) Header() http.Header { return w.header }

// WriteHeader records the first final status.
func (w *ownResponse) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.header = status, w.header.Clone()
	}
}

// Write appends to the body.
func (w *ownResponse) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}
