package otelcftunnel

import (
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/trace"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// scope is the name of the tracer and the meter.
const scope = "github.com/cftunnel/cftunnel-go/otelcftunnel"

// Option configures [Options]. If two options set the same value, the last one applies.
type Option func(*config)

type config struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
	hooks   cftunnel.Hooks
}

// WithTracerProvider sets the provider of the tracer. The default, also if provider is nil, is the
// global provider.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(c *config) { c.tracers = provider }
}

// WithMeterProvider sets the provider of the meter. The default, also if provider is nil, is the
// global provider.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(c *config) { c.meters = provider }
}

// WithHooks sets functions that are called after each attempt and each wait. This package updates
// its metrics first. Use it instead of [cftunnel.WithHooks], which replaces the hooks of this
// package.
func WithHooks(hooks cftunnel.Hooks) Option {
	return func(c *config) { c.hooks = hooks }
}

// Options returns options for [cftunnel.NewClient] that add spans and metrics to a client. They use
// [cftunnel.WithTransport] and [cftunnel.WithHooks]. Several clients can use the same options.
//
// It returns a [*cftunnel.InvalidArgumentError] if an option is nil, and an error if the meter cannot
// create an instrument.
func Options(opts ...Option) ([]cftunnel.Option, error) {
	var c config
	for i, opt := range opts {
		if opt == nil {
			name := fmt.Sprintf("opts[%d]", i)
			return nil, &cftunnel.InvalidArgumentError{Name: name, Reason: "is nil"}
		}
		opt(&c)
	}
	if c.tracers == nil {
		c.tracers = otel.GetTracerProvider()
	}
	if c.meters == nil {
		c.meters = otel.GetMeterProvider()
	}
	meter := c.meters.Meter(scope,
		metric.WithInstrumentationVersion(cftunnel.Version),
		metric.WithSchemaURL(semconv.SchemaURL))
	recorder, err := newRecorder(meter, c.hooks)
	if err != nil {
		return nil, err
	}
	durations, err := httpconv.NewClientRequestDuration(meter)
	if err != nil {
		return nil, err
	}
	tracer := c.tracers.Tracer(scope,
		trace.WithInstrumentationVersion(cftunnel.Version),
		trace.WithSchemaURL(semconv.SchemaURL))
	return []cftunnel.Option{
		cftunnel.WithTransport(func(next http.RoundTripper) http.RoundTripper {
			return &transport{next: next, tracer: tracer, durations: durations.Inst()}
		}),
		cftunnel.WithHooks(cftunnel.Hooks{Attempt: recorder.attempt, Wait: recorder.wait}),
	}, nil
}
