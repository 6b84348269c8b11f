package tunneltest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
)

// Handle adds an endpoint of the test's own, for what the fake does not have. The pattern is one of
// http.ServeMux, with a path below the base URL, as in [Request]: "GET /accounts/{account_id}/x".
// The fake checks the credentials and the account first and counts the request against the quota.
// The endpoint's faults and requests have the pattern as their operation. An endpoint takes
// precedence over the fake's own.
//
// What the handler writes is sent when it returns. It may call the server's methods. Its response
// is JSON unless it sets another Content-Type. Handle panics if the pattern is invalid or conflicts
// with an earlier one.
func (s *Server) Handle(pattern string, handler http.Handler) {
	before, below, found := strings.Cut(pattern, "/")
	if !found {
		panic(fmt.Sprintf("tunneltest: an endpoint without a path, %q", pattern))
	}
	template := strings.TrimPrefix("/"+below, basePath)
	s.own.Handle(before+basePath+template, handler)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ownRoutes = append(s.ownRoutes, route{method: strings.TrimSpace(before), template: template})
}

// findOwn finds the endpoint of Handle for a request, and the values of the path's variables.
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

// ownResponse keeps what a handler writes.
type ownResponse struct{ answer }

// Header returns the header that the handler sets.
func (w *ownResponse) Header() http.Header { return w.header }

// WriteHeader keeps the first status.
func (w *ownResponse) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.header = status, w.header.Clone()
	}
}

// Write keeps a part of the body.
func (w *ownResponse) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}
