package otelcftunnel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/otelcftunnel"
)

// BenchmarkGet measures calls over the loopback interface: without telemetry, with the providers of
// a program that does not use OpenTelemetry, and with an SDK that records everything and exports it
// to nowhere. The clients take turns, so that a change of the machine's load affects all of them.
// The times are medians, and the allocations include those of the server.
func BenchmarkGet(b *testing.B) {
	const id = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"success":true,"errors":[],"messages":[],`+
			`"result":{"id":"`+id+`","name":"blog","status":"healthy"}}`)
	}))
	b.Cleanup(server.Close)
	tracers := trace.NewTracerProvider(trace.WithBatcher(tracetest.NewNoopExporter()))
	b.Cleanup(func() { _ = tracers.Shutdown(context.Background()) })
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))

	none, err := otelcftunnel.Options(
		otelcftunnel.WithTracerProvider(tracenoop.NewTracerProvider()),
		otelcftunnel.WithMeterProvider(metricnoop.NewMeterProvider()))
	require.NoError(b, err)
	sdk, err := otelcftunnel.Options(
		otelcftunnel.WithTracerProvider(tracers), otelcftunnel.WithMeterProvider(meters))
	require.NoError(b, err)
	names := []string{"without", "no-op", "SDK"}
	var calls []func()
	for _, telemetry := range [][]cftunnel.Option{nil, none, sdk} {
		client, err := cftunnel.NewClient(append(telemetry,
			cftunnel.WithBaseURL(server.URL+"/client/v4"),
			cftunnel.WithAPIToken("token"),
			cftunnel.WithAccountID("023e105f4ecef8ad9ca31a8372d0c353"),
			cftunnel.WithoutRateLimit())...)
		require.NoError(b, err)
		b.Cleanup(client.CloseIdleConnections)
		calls = append(calls, func() {
			_, err := client.Tunnels.Get(b.Context(), id)
			require.NoError(b, err)
		})
	}

	took := make([][]float64, len(calls))
	for b.Loop() {
		for i, call := range calls {
			began := time.Now()
			call()
			took[i] = append(took[i], float64(time.Since(began)))
		}
	}
	b.ReportMetric(0, "ns/op") // of all calls together
	for i, name := range names {
		slices.Sort(took[i])
		b.ReportMetric(took[i][len(took[i])/2], name+"-ns/op")
		b.ReportMetric(testing.AllocsPerRun(100, calls[i]), name+"-allocs/op")
	}
}
