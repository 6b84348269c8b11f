package main

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// instrument returns the options that put a client under OpenTelemetry: each attempt is a span, and calls, retries and waits are counted.
// The client logs to log, and is paced by pace in place of its own quota, whose waits nobody sees.
func instrument(
	tracers trace.TracerProvider, meters metric.MeterProvider, log slog.Handler, pace *rate.Limiter,
) ([]cftunnel.Option, error) {
	meter := meters.Meter("github.com/cftunnel/cftunnel-go/examples/telemetry")
	var failed error
	counter := func(name, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithDescription(description))
		if err != nil {
			failed = err
		}
		return c
	}
	logger := slog.New(attempts{
		Handler: log,
		calls:   counter("cftunnel.calls", "calls that were sent, each once"),
		retries: counter("cftunnel.retries", "attempts after the first of a call"),
	})
	limiter := waits{pace, counter("cftunnel.waits", "attempts that had to wait for their turn")}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 64 // all go to one host
	transport := otelhttp.NewTransport(templated{base},
		otelhttp.WithTracerProvider(tracers),
		otelhttp.WithMeterProvider(meters),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()), // Cloudflare has no use for the ids of our traces
		otelhttp.WithSpanNameFormatter(func(_ string, req *http.Request) string { return req.Method + " " + template(req.Context()) }),
	)
	return []cftunnel.Option{
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
		cftunnel.WithLogger(logger),
		cftunnel.WithLimiter(limiter),
	}, failed
}

// id is what the paths of Client.Do hold, which has no template.
var id = regexp.MustCompile(`(?i)[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// template is the label of a call: the path without the ids that would make each its own.
func template(ctx context.Context) string {
	_, path, _ := strings.Cut(cftunnel.Operation(ctx), " ") // the method is a label of its own
	return id.ReplaceAllString(path, "{id}")
}

// templated puts the template where otelhttp has nothing, or the URL, which has the ids of account and tunnel and the query.
type templated struct{ next *http.Transport }

// RoundTrip is called by otelhttp, whose span has its attributes already. The last value of one counts.
func (t templated) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	path := semconv.URLTemplate(template(ctx))
	trace.SpanFromContext(ctx).SetAttributes(path, semconv.URLFull(req.URL.Scheme+"://"+req.URL.Host+template(ctx)))
	if labels, ok := otelhttp.ClientLabelerFromContext(ctx); ok {
		labels.Add(path) // to the metrics
	}
	return t.next.RoundTrip(req)
}

// attempts counts the attempts by the client's log records, one for each. It passes them on to the handler that the program logs with.
type attempts struct {
	slog.Handler
	calls, retries metric.Int64Counter
}

// Enabled lets every record through, also those that nobody wants to read.
func (a attempts) Enabled(context.Context, slog.Level) bool { return true }

// Handle counts one attempt. The client's record of a wait is passed on only.
func (a attempts) Handle(ctx context.Context, record slog.Record) error {
	var number int64 // 0 in the record of a wait
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "attempt" {
			number = attr.Value.Int64()
		}
		return true
	})
	method, _, _ := strings.Cut(cftunnel.Operation(ctx), " ")
	labels := metric.WithAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.URLTemplate(template(ctx)))
	switch {
	case number == 1:
		a.calls.Add(ctx, 1, labels)
	case number > 1:
		a.retries.Add(ctx, 1, labels)
	}
	if !a.Handler.Enabled(ctx, record.Level) {
		return nil
	}
	return a.Handler.Handle(ctx, record)
}

// waits counts those who have to wait for their turn. That Burst shows through tells the client that an error of Wait may mean the
// deadline.
type waits struct {
	*rate.Limiter
	count metric.Int64Counter
}

// Wait makes waits a cftunnel.Limiter.
func (w waits) Wait(ctx context.Context) error {
	if w.Allow() {
		return nil
	}
	w.count.Add(ctx, 1, metric.WithAttributes(semconv.URLTemplate(template(ctx))))
	return w.Limiter.Wait(ctx)
}
