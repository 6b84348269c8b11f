// Package traffic writes down what tests send and what the fake answers, for internal/conformance to judge by the published schema.
package traffic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// Variable names the directory that exchanges are written to. Where it is not set, nothing is written, and requests and handlers are left
// as they are.
const Variable = "CFTUNNEL_TRAFFIC"

// extension is that of the files, in which each line is an exchange as JSON.
const extension = ".jsonl"

// Exchange is a request and its answer.
type Exchange struct {
	Method string
	// Path and Query are as they were sent, escaped.
	Path, Query string
	// Header has no credentials.
	Header http.Header
	Body   []byte `json:",omitempty"`
	// Answer is nil where there was none, or one that is not the fake's own.
	Answer *Answer `json:",omitempty"`
}

// Answer is what a request was answered with.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Handler serves as next does, and writes every exchange down.
func Handler(next http.Handler) http.Handler {
	dir := os.Getenv(Variable)
	if dir == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, r := take(r)
		kept := &recorder{ResponseWriter: w}
		finished := false
		defer func() {
			if finished && !kept.disowned {
				e.Answer = &kept.answer
			}
			// The last of the answer goes out after this: whoever has the whole of it may end the process.
			e.appendTo(dir)
		}()
		next.ServeHTTP(kept, r)
		kept.begin(http.StatusOK) // where nothing was written, net/http answers so
		finished = true
	})
}

// Disown has the request alone written down, since something other than the fake had a hand in the answer: a fault that was injected.
func Disown(w http.ResponseWriter) {
	if kept, ok := w.(*recorder); ok {
		kept.disowned = true
	}
}

// Sent writes down a request that is not the fake's to answer, and returns one that reads the same.
func Sent(r *http.Request) *http.Request {
	dir := os.Getenv(Variable)
	if dir == "" {
		return r
	}
	e, r := take(r)
	e.appendTo(dir)
	return r
}

// take reads the whole of a request, and returns one that reads the same, an error in the middle of the body included.
func take(r *http.Request) (*Exchange, *http.Request) {
	e := &Exchange{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: r.Header.Clone()}
	for _, name := range []string{"Authorization", "X-Auth-Key", "X-Auth-User-Service-Key", "Proxy-Authorization", "Cookie"} {
		if e.Header.Get(name) != "" {
			e.Header.Set(name, "[REDACTED]")
		}
	}
	if r.Body == nil {
		return e, r
	}
	body, err := io.ReadAll(r.Body)
	e.Body = body
	again := *r
	again.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), ended{cmp.Or(err, io.EOF)}), r.Body}
	return e, &again
}

// ended is a reader that has come to its end, or to what broke it.
type ended struct{ err error }

func (e ended) Read([]byte) (int, error) { return 0, e.err }

// recorder keeps what is written through it.
type recorder struct {
	http.ResponseWriter
	answer   Answer
	disowned bool
}

// Unwrap lets an http.ResponseController at what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.begin(status)
	r.ResponseWriter.WriteHeader(status)
}

// begin keeps the status and the header that are sent, which are the first.
func (r *recorder) begin(status int) {
	if r.answer.Status == 0 {
		r.answer.Status, r.answer.Header = status, r.Header().Clone()
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.begin(http.StatusOK)
	r.answer.Body = append(r.answer.Body, p...)
	return r.ResponseWriter.Write(p)
}

// appendTo adds a line to this process's file, in one call, since other goroutines do the same. It panics where it cannot: what is not
// written down would pass unjudged.
func (e *Exchange) appendTo(dir string) {
	line, err := json.Marshal(e)
	if err == nil {
		err = appendLine(filepath.Join(dir, strconv.Itoa(os.Getpid())+extension), append(line, '\n'))
	}
	if err != nil {
		panic("traffic: " + err.Error())
	}
}

func appendLine(name string, line []byte) error {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(line)
	return errors.Join(err, file.Close())
}

// Read yields every exchange that was written to a directory.
func Read(dir string) iter.Seq2[*Exchange, error] {
	return func(yield func(*Exchange, error) bool) {
		files, err := os.ReadDir(dir)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, file := range files {
			if filepath.Ext(file.Name()) != extension {
				continue
			}
			for e, err := range readFile(filepath.Join(dir, file.Name())) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

func readFile(name string) iter.Seq2[*Exchange, error] {
	return func(yield func(*Exchange, error) bool) {
		file, err := os.Open(name)
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		for decoder := json.NewDecoder(file); ; {
			e := new(Exchange)
			switch err := decoder.Decode(e); {
			case err == io.EOF:
				return
			case err != nil:
				yield(nil, fmt.Errorf("%s: %w", name, err))
				return
			case !yield(e, nil):
				return
			}
		}
	}
}
