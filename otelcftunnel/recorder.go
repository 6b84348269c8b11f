package otelcftunnel

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// recorder counts what the hooks of a client report.
type recorder struct {
	calls, retries metric.Int64Counter
	waits          metric.Float64Histogram
	hooks          cftunnel.Hooks // of the program
}

func newRecorder(meter metric.Meter, hooks cftunnel.Hooks) (*recorder, error) {
	calls, callsErr := meter.Int64Counter("cftunnel.calls", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that were sent."))
	retries, retriesErr := meter.Int64Counter("cftunnel.retries", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts after the first attempt of a call."))
	waits, waitsErr := meter.Float64Histogram("cftunnel.wait.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of waits before an attempt."),
		metric.WithExplicitBucketBoundaries(.01, .05, .1, .5, 1, 5, 10, 30, 60, 120, 300))
	r := &recorder{calls: calls, retries: retries, waits: waits, hooks: hooks}
	return r, errors.Join(callsErr, retriesErr, waitsErr)
}

// attempt implements the hook of the same name.
func (r *recorder) attempt(ctx context.Context, info cftunnel.AttemptInfo) {
	counter := r.calls
	if info.Attempt > 1 {
		counter = r.retries
	}
	counter.Add(ctx, 1, metric.WithAttributes(operationAttributes(info.Operation)...))
	if r.hooks.Attempt != nil {
		r.hooks.Attempt(ctx, info)
	}
}

// wait implements the hook of the same name.
func (r *recorder) wait(ctx context.Context, info cftunnel.WaitInfo) {
	reason := attribute.String("cftunnel.wait.reason", string(info.Reason))
	attributes := append(operationAttributes(info.Operation), reason)
	r.waits.Record(ctx, info.Duration.Seconds(), metric.WithAttributes(attributes...))
	if r.hooks.Wait != nil {
		r.hooks.Wait(ctx, info)
	}
}

func operationAttributes(operation string) []attribute.KeyValue {
	method, template, _ := strings.Cut(operation, " ")
	// The path of a call without a template is escaped: it has no brace.
	if !strings.Contains(template, "{") {
		template = withoutIDs(template)
	}
	return []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(method), semconv.URLTemplate(template),
	}
}

// withoutIDs replaces each segment of a path by {id}, unless it is a word.
func withoutIDs(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if segment != "" && !isWord(segment) {
			segments[i] = "{id}"
		}
	}
	return strings.Join(segments, "/")
}

// isWord reports whether a segment of a path is a word of the API, such as "cfd_tunnel". IDs have
// 32 characters or more.
func isWord(segment string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return len(segment) < 32 && strings.IndexByte(letters, segment[0]) >= 0 &&
		strings.Trim(segment, letters+"0123456789_-") == ""
}
