// Telemetry shows how to use a client with OpenTelemetry. It uses a fake of the API in this
// process, and makes some responses fail:
//
//	go run .
//
// It prints a span for each attempt, as one JSON object per line. The name of a span is the method
// and the path template of the operation. The spans of a failed attempt and of its retry have the
// same name and the same parent. At the end it prints the metrics: calls, retries, waits and the
// durations of attempts, by operation. The warnings of the client are on standard error. The
// output, shortened:
//
//	{"Name":"POST /accounts/{account_id}/cfd_tunnel",…"http.response.status_code",…"Value":200…
//	{"Name":"GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}",…503…
//	{"Name":"GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}",…503…
//	{"Name":"GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}",…200…
//	…
//	{"Resource":[…],"ScopeMetrics":[…"Name":"cftunnel.calls",…"Name":"cftunnel.retries",…
//
// Spans and metrics contain no tokens and no IDs of accounts or tunnels. Package otelcftunnel makes
// them. The exit code is 0 for success, 1 if something fails, and 2 for a bad command line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/otelcftunnel"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// start returns the exit code: 2 for a bad command line, 1 if anything else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("telemetry", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: telemetry\n\n"+
			"Calls a fake of the API in this process, and prints the spans and the metrics.\n"+
			"Logs are written to standard error.")
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		flags.Usage()
		return 2
	}
	fake := tunneltest.NewServer()
	defer fake.Close()
	if err := run(ctx, fake, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "telemetry:", err)
		return 1
	}
	return 0
}

// run prints telemetry to stdout and logs to stderr.
func run(ctx context.Context, fake *tunneltest.Server, stdout, stderr io.Writer) (err error) {
	tracers, meters, err := providers(stdout)
	if err != nil {
		return err
	}
	defer func() {
		// Print all spans and metrics, even if ctx has ended.
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, tracers.Shutdown(ctx), meters.Shutdown(ctx))
	}()
	telemetry, err := otelcftunnel.Options(
		otelcftunnel.WithTracerProvider(tracers), otelcftunnel.WithMeterProvider(meters))
	if err != nil {
		return err
	}
	log := slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})
	client, err := fake.NewClient(append(telemetry,
		cftunnel.WithLogger(slog.New(log)),
		cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 50 * time.Millisecond}),
		// This rate is so low that some calls wait. Cloudflare's limit is 1200 requests in five
		// minutes.
		cftunnel.WithRateLimit(50, 5*time.Second),
	)...)
	if err != nil {
		return err
	}
	ctx, span := tracers.Tracer("telemetry").Start(ctx, "publish a service")
	defer span.End()
	return publish(ctx, fake, client)
}

// providers returns providers that print to out: spans when they end, metrics at shutdown.
func providers(out io.Writer) (*trace.TracerProvider, *metric.MeterProvider, error) {
	spans, err := stdouttrace.New(stdouttrace.WithWriter(out))
	if err != nil {
		return nil, nil, err
	}
	metrics, err := stdoutmetric.New(stdoutmetric.WithWriter(out))
	if err != nil {
		return nil, nil, err
	}
	service := resource.NewSchemaless(semconv.ServiceName("telemetry"))
	tracers := trace.NewTracerProvider(trace.WithSyncer(spans), trace.WithResource(service))
	reader := metric.WithReader(metric.NewPeriodicReader(metrics))
	return tracers, metric.NewMeterProvider(reader, metric.WithResource(service)), nil
}

// publish makes five calls for a tunnel. Three of their attempts fail.
func publish(ctx context.Context, fake *tunneltest.Server, client *cftunnel.Client) error {
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		return err
	}
	config := cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{
		{Hostname: "blog.example.com", Service: "http://localhost:8080"},
		{Service: "http_status:404"},
	}}
	_, err = client.Tunnels.UpdateConfiguration(ctx, tunnel.ID, config)
	if err != nil {
		return err
	}
	fake.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable, Body: "busy", Times: 2})
	if _, err := client.Tunnels.Get(ctx, tunnel.ID); err != nil {
		return err
	}
	fake.Inject(tunneltest.Fault{Cut: tunneltest.CutInside})
	if _, err := client.Tunnels.Token(ctx, tunnel.ID); err != nil {
		return err
	}
	_, err = client.Tunnels.RotateSecret(ctx, tunnel.ID, cftunnel.RotateParams{})
	return err
}
