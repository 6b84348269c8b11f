// Package wirelog records what a server is sent and what it responds.
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
	// Path and Query are as they were sent, escaped.
	Path, Query string
	// Header has no credentials.
	Header http.Header
	// Body is what the handler read of the request's body.
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

// Log keeps exchanges. The zero value is ready to use. It is safe for concurrent use.
type Log struct {
	mu        sync.Mutex
	exchanges []*Exchange
}

// Exchanges returns what was recorded so far, in the order in which the handler returned.
func (l *Log) Exchanges() []*Exchange {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Exchange(nil), l.exchanges...)
}

// Middleware serves as next does, and records every exchange.
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
				recorder.begin(http.StatusOK) // what net/http sends if the handler wrote nothing
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

// recorder keeps what is written through it.
type recorder struct {
	http.ResponseWriter
	response Response
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.begin(status)
	r.ResponseWriter.WriteHeader(status)
}

// begin keeps the first status and the header that is sent with it.
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
