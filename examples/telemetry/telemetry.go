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

// instrument returns client options for OpenTelemetry: each attempt is a span, and calls, retries
// and waits are counted. The client logs to log. The limiter pace replaces the client's own rate
// limit, whose waits cannot be counted this way.
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
		calls:   counter("cftunnel.calls", "calls that were sent, each counted once"),
		retries: counter("cftunnel.retries", "attempts after the first attempt of a call"),
	})
	limiter := waits{pace, counter("cftunnel.waits", "attempts that the limiter delayed")}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 64 // all requests go to one host
	transport := otelhttp.NewTransport(templated{base},
		otelhttp.WithTracerProvider(tracers),
		otelhttp.WithMeterProvider(meters),
		// Do not send trace IDs to Cloudflare.
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()),
		otelhttp.WithSpanNameFormatter(func(_ string, req *http.Request) string {
			return req.Method + " " + template(req.Context())
		}),
	)
	return []cftunnel.Option{
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
		cftunnel.WithLogger(logger),
		cftunnel.WithLimiter(limiter),
	}, failed
}

// id matches the IDs in the paths of Client.Do, which have no template.
var id = regexp.MustCompile(`(?i)[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// template returns the path template of a call. It is a label with few values, because it has no
// IDs.
func template(ctx context.Context) string {
	_, path, _ := strings.Cut(cftunnel.Operation(ctx), " ") // the method is a separate label
	return id.ReplaceAllString(path, "{id}")
}

// templated sets the path template in spans and metrics. It also replaces the URL in spans, which
// contains the query and the IDs of the account and the tunnel.
type templated struct{ next *http.Transport }

// RoundTrip is called by otelhttp, after it has set the attributes of the span. Later values
// replace earlier ones.
func (t templated) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	path := semconv.URLTemplate(template(ctx))
	full := semconv.URLFull(req.URL.Scheme + "://" + req.URL.Host + template(ctx))
	trace.SpanFromContext(ctx).SetAttributes(path, full)
	if labels, ok := otelhttp.ClientLabelerFromContext(ctx); ok {
		labels.Add(path) // for the metrics
	}
	return t.next.RoundTrip(req)
}

// attempts counts attempts: the client writes one log record for each. It passes the records to the
// embedded handler.
type attempts struct {
	slog.Handler
	calls, retries metric.Int64Counter
}

// Enabled returns true for every level, so that all attempts are counted.
func (a attempts) Enabled(context.Context, slog.Level) bool { return true }

// Handle counts an attempt. It does not count records of waits.
func (a attempts) Handle(ctx context.Context, record slog.Record) error {
	var number int64 // 0 in the record of a wait
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "attempt" {
			number = attr.Value.Int64()
		}
		return true
	})
	method, _, _ := strings.Cut(cftunnel.Operation(ctx), " ")
	labels := metric.WithAttributes(
		semconv.HTTPRequestMethodKey.String(method), semconv.URLTemplate(template(ctx)))
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

// waits counts the calls of Wait that are delayed.
type waits struct {
	*rate.Limiter
	count metric.Int64Counter
}

// Wait implements cftunnel.Limiter.
func (w waits) Wait(ctx context.Context) error {
	if w.Allow() {
		return nil
	}
	w.count.Add(ctx, 1, metric.WithAttributes(semconv.URLTemplate(template(ctx))))
	return w.Limiter.Wait(ctx)
}
