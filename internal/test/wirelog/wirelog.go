// Package wirelog records the requests to a server and its responses.
package wirelog

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// Exchange is a request and its response.
type Exchange struct {
	Method string
	// Path and Query are escaped, as they were sent.
	Path, Query string
	// Header is the request's header. Credentials are redacted.
	Header http.Header
	// Body is the part of the request's body that the handler read.
	Body []byte
	// Response is nil if the handler aborted the connection.
	Response *Response
}

// Response is a response as the handler wrote it.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Log records exchanges. The zero value is ready to use. It is safe for concurrent use.
type Log struct {
	mu        sync.Mutex
	exchanges []*Exchange
}

// Exchanges returns the recorded exchanges, in the order in which the handler returned.
func (l *Log) Exchanges() []*Exchange {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Exchange(nil), l.exchanges...)
}

// Middleware returns a handler that calls next and records every exchange.
func (l *Log) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &Exchange{
			Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
			Header: withoutCredentials(r.Header),
		}
		var body bytes.Buffer
		if r.Body != nil {
			watched := *r
			watched.Body = struct {
				io.Reader
				io.Closer
			}{io.TeeReader(r.Body, &body), r.Body}
			r = &watched
		}
		recorder := &recorder{ResponseWriter: w}
		returned := false
		defer func() {
			e.Body = body.Bytes()
			if returned {
				recorder.begin(http.StatusOK) // the status if the handler wrote nothing
				e.Response = &recorder.response
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.exchanges = append(l.exchanges, e)
		}()
		next.ServeHTTP(recorder, r)
		returned = true
	})
}

func withoutCredentials(header http.Header) http.Header {
	header = header.Clone()
	for _, name := range []string{"Authorization", "X-Auth-Key", "Proxy-Authorization", "Cookie"} {
		if header.Get(name) != "" {
			header.Set(name, "[REDACTED]")
		}
	}
	return header
}

// recorder records a response.
type recorder struct {
	http.ResponseWriter
	response Response
}

// Unwrap is called by http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.begin(status)
	r.ResponseWriter.WriteHeader(status)
}

// begin records the first status and the header that is sent with it.
func (r *recorder) begin(status int) {
	if r.response.Status == 0 {
		r.response.Status, r.response.Header = status, r.Header().Clone()
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.begin(http.StatusOK)
	r.response.Body = append(r.response.Body, p...)
	return r.ResponseWriter.Write(p)
}
