// Telemetry shows a client under OpenTelemetry, on a fake of the API in this process some of whose answers fail:
//
//	go run .
//
// It prints a span for each attempt, one JSON object a line, named by the method and the operation's path template, and at the end the
// metrics: counters of calls, retries and waits by operation, beside what otelhttp measures. An attempt that failed is a span of the same
// name and parent as the one that followed it. The client's warnings are on stderr. Shortened:
//
//	{"Name":"POST /accounts/{account_id}/cfd_tunnel",…"http.response.status_code",…"Value":200…
//	{"Name":"GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}",…503…
//	{"Name":"GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}",…503…
//	{"Name":"GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}",…200…
//	…
//	{"Resource":[…],"ScopeMetrics":[…"Name":"cftunnel.calls",…"Name":"cftunnel.retries",…"Name":"cftunnel.waits",…
//
// No span and no metric has a token, or the id of an account or a tunnel. What an application takes along is in telemetry.go. The exit code
// is 0 where all went well, 1 where something failed, 2 for a bad command line.
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
	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// start returns the exit code: 2 for a bad command line, 1 for whatever else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("telemetry", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: telemetry\n\n"+
			"Calls a fake of the API in this process, and prints the spans and metrics of that. Logs go to stderr.")
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
		// Whatever was gathered is printed, also where the context has ended.
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, tracers.Shutdown(ctx), meters.Shutdown(ctx))
	}()
	// Few and slow, so that some have to wait. Cloudflare's own limit is 1200 in five minutes.
	pace := rate.NewLimiter(rate.Every(100*time.Millisecond), 5)
	log := slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})
	opts, err := instrument(tracers, meters, log, pace)
	if err != nil {
		return err
	}
	client, err := fake.NewClient(append(opts, cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 50 * time.Millisecond}))...)
	if err != nil {
		return err
	}
	ctx, span := tracers.Tracer("telemetry").Start(ctx, "publish a service")
	defer span.End()
	return publish(ctx, fake, client)
}

// providers print to out: spans as they end, metrics at shutdown.
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
	return trace.NewTracerProvider(trace.WithSyncer(spans), trace.WithResource(service)),
		metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(metrics)), metric.WithResource(service)), nil
}

// publish is some work with a tunnel, in which three attempts fail.
func publish(ctx context.Context, fake *tunneltest.Server, client *cftunnel.Client) error {
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare})
	if err != nil {
		return err
	}
	_, err = client.Tunnels.UpdateConfiguration(ctx, tunnel.ID, cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{
		{Hostname: "blog.example.com", Service: "http://localhost:8080"}, {Service: "http_status:404"},
	}})
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
