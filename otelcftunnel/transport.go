package otelcftunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// transport makes a span of each attempt.
type transport struct {
	next      http.RoundTripper
	tracer    trace.Tracer
	durations metric.Float64Histogram
}

// CloseIdleConnections closes the idle connections of the wrapped transport.
func (t *transport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	a := t.start(req)
	resp, err := t.next.RoundTrip(req.WithContext(a.ctx))
	if resent := cftunnel.Attempt(a.ctx) - 1; resent > 0 {
		a.span.SetAttributes(semconv.HTTPRequestResendCount(resent))
	}
	if resp != nil {
		a.respond(resp)
	}
	if err != nil || resp == nil || resp.Body == nil {
		a.end(err)
		return resp, err
	}
	a.body, resp.Body = resp.Body, a
	return resp, nil
}

// requestAttributes is the number of attributes that a span and its metric have from the beginning.
const requestAttributes = 4

// attempt is an attempt with its span. It is also the body of the response, because the span ends
// with the body.
type attempt struct {
	transport *transport
	ctx       context.Context // has the span
	span      trace.Span
	began     time.Time
	shared    []attribute.KeyValue // of the span and the metric
	status    int                  // 0 if there was no response
	body      io.ReadCloser
	ended     sync.Once
}

func (t *transport) start(req *http.Request) *attempt {
	a := &attempt{transport: t, began: time.Now()}
	a.shared = append(make([]attribute.KeyValue, 0, requestAttributes+3),
		operationAttributes(cftunnel.Operation(req.Context()))...)
	a.shared = append(a.shared,
		semconv.ServerAddress(req.URL.Hostname()), semconv.ServerPort(port(req.URL)))
	name := a.shared[0].Value.AsString() + " " + a.shared[1].Value.AsString()
	full := req.URL.Scheme + "://" + req.URL.Host + withoutIDs(req.URL.EscapedPath())
	a.ctx, a.span = t.tracer.Start(req.Context(), name,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(a.shared...), trace.WithAttributes(semconv.URLFull(full)))
	return a
}

func port(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

func (a *attempt) respond(resp *http.Response) {
	version := strconv.Itoa(resp.ProtoMajor)
	if resp.ProtoMajor < 2 {
		version += "." + strconv.Itoa(resp.ProtoMinor)
	}
	a.status = resp.StatusCode
	a.shared = append(a.shared, semconv.NetworkProtocolVersion(version),
		semconv.HTTPResponseStatusCode(resp.StatusCode))
}

// end ends the span and records its duration. The error is that of the transport or of the body.
func (a *attempt) end(err error) {
	a.ended.Do(func() {
		if failure := a.errorType(err); failure != "" {
			a.shared = append(a.shared, semconv.ErrorTypeKey.String(failure))
			a.span.SetStatus(codes.Error, "") // the text of an error may quote a secret
		}
		a.span.SetAttributes(a.shared[requestAttributes:]...)
		a.span.End()
		a.transport.durations.Record(a.ctx, time.Since(a.began).Seconds(),
			metric.WithAttributes(a.shared...))
	})
}

// errorType returns the value of error.type, or an empty string if the attempt succeeded.
func (a *attempt) errorType(err error) string {
	if a.status >= http.StatusBadRequest {
		return strconv.Itoa(a.status)
	}
	if err == nil {
		return ""
	}
	if errors.Is(err, context.Canceled) {
		return "canceled"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "timeout"
	}
	return semconv.ErrorType(err).Value.AsString()
}

// Read implements io.Reader for the body of the response.
func (a *attempt) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		a.end(nil)
	case err != nil:
		a.end(err)
	}
	return n, err
}

// Close implements io.Closer for the body of the response.
func (a *attempt) Close() error {
	a.end(nil)
	return a.body.Close()
}
