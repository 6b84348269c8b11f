package otelcftunnel_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/otelcftunnel"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// A program sets the global providers once, and passes the options to each of its clients.
func Example() {
	spans := tracetest.NewInMemoryExporter() // stands for an exporter such as otlptracegrpc
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	fake := tunneltest.NewServer() // stands for the API
	defer fake.Close()

	telemetry, err := otelcftunnel.Options()
	if err != nil {
		panic(err)
	}
	client, err := fake.NewClient(telemetry...)
	if err != nil {
		panic(err)
	}
	_, err = client.Tunnels.List(context.Background(), cftunnel.TunnelListParams{})
	fmt.Println(spans.GetSpans()[0].Name, err)
	// Output: GET /accounts/{account_id}/cfd_tunnel <nil>
}
