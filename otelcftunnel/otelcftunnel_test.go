package otelcftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/otelcftunnel"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	listTunnels = "GET /accounts/{account_id}/cfd_tunnel"
	getTunnel   = listTunnels + "/{tunnel_id}"
)

// telemetry collects the spans and the metrics of clients.
type telemetry struct {
	t       *testing.T
	spans   *tracetest.InMemoryExporter
	tracers *trace.TracerProvider
	reader  *metric.ManualReader
	options []cftunnel.Option
}

func newTelemetry(t *testing.T, opts ...otelcftunnel.Option) *telemetry {
	t.Helper()
	tel := &telemetry{
		t: t, spans: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader(),
	}
	tel.tracers = trace.NewTracerProvider(trace.WithSyncer(tel.spans))
	meters := metric.NewMeterProvider(metric.WithReader(tel.reader))
	var err error
	tel.options, err = otelcftunnel.Options(append(opts,
		otelcftunnel.WithTracerProvider(tel.tracers), otelcftunnel.WithMeterProvider(meters))...)
	require.NoError(t, err)
	return tel
}

// newClient returns a client of a fake, with short pauses between attempts.
func (tel *telemetry) newClient(
	fake *tunneltest.Server, opts ...cftunnel.Option,
) *cftunnel.Client {
	tel.t.Helper()
	retry := cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 1})
	client, err := fake.NewClient(append(append([]cftunnel.Option{retry}, opts...),
		tel.options...)...)
	require.NoError(tel.t, err)
	tel.t.Cleanup(client.CloseIdleConnections)
	return client
}

func newFake(t *testing.T, opts ...tunneltest.Option) *tunneltest.Server {
	t.Helper()
	fake := tunneltest.NewServer(opts...)
	t.Cleanup(fake.Close)
	return fake
}

// attributes returns attributes by key.
func attributes(list []attribute.KeyValue) map[string]any {
	values := map[string]any{}
	for _, a := range list {
		values[string(a.Key)] = a.Value.AsInterface()
	}
	return values
}

// point is a value of a metric. The sum of a counter is its count.
type point struct {
	count uint64
	sum   float64
}

// points returns the values of a metric by the given attributes, separated by spaces.
func (tel *telemetry) points(name string, keys ...string) map[string]point {
	tel.t.Helper()
	found := map[string]point{}
	add := func(set attribute.Set, p point) {
		var values []string
		for _, key := range keys {
			value, _ := set.Value(attribute.Key(key))
			values = append(values, value.String())
		}
		found[strings.Join(values, " ")] = p
	}
	for _, m := range tel.metrics() {
		if m.Name != name {
			continue
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				add(p.Attributes, point{count: uint64(p.Value), sum: float64(p.Value)})
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				add(p.Attributes, point{count: p.Count, sum: p.Sum})
			}
		}
	}
	return found
}

func (tel *telemetry) metrics() (list []metricdata.Metrics) {
	tel.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(tel.t, tel.reader.Collect(context.Background(), &all))
	for _, scope := range all.ScopeMetrics {
		list = append(list, scope.Metrics...)
	}
	return list
}

func TestOptions_RetriedCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake, tel := newFake(t, tunneltest.InMemory()), newTelemetry(t)
		tunnel := fake.SeedTunnels(1)[0]
		fake.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable, Delay: 2 * time.Second})
		fake.Inject(tunneltest.Fault{Delay: 3 * time.Second})
		ctx, parent := tel.tracers.Tracer("test").Start(t.Context(), "parent")
		_, err := tel.newClient(fake).Tunnels.Get(ctx, tunnel.ID)
		require.NoError(t, err)

		spans := tel.spans.GetSpans()
		require.Len(t, spans, 2)
		_, template, _ := strings.Cut(getTunnel, " ")
		for i, span := range spans {
			assert.Equal(t, getTunnel, span.Name)
			assert.Equal(t, api.SpanKindClient, span.SpanKind)
			assert.Equal(t, parent.SpanContext().SpanID(), span.Parent.SpanID())
			assert.Equal(t, parent.SpanContext().TraceID(), span.SpanContext.TraceID())
			assert.Equal(t, time.Duration(i+2)*time.Second, span.EndTime.Sub(span.StartTime))
		}
		shared := map[string]any{
			"http.request.method":      "GET",
			"network.protocol.version": "1.1",
			"server.address":           "127.0.0.1",
			"server.port":              int64(80),
			"url.full":                 fake.URL() + "/accounts/{id}/cfd_tunnel/{id}",
			"url.template":             template,
		}
		with := func(more map[string]any) map[string]any {
			maps.Copy(more, shared)
			return more
		}
		assert.Equal(t, codes.Error, spans[0].Status.Code)
		assert.Equal(t, with(map[string]any{
			"http.response.status_code": int64(503), "error.type": "503",
		}), attributes(spans[0].Attributes))
		assert.Equal(t, codes.Unset, spans[1].Status.Code)
		assert.Equal(t, with(map[string]any{
			"http.response.status_code": int64(200), "http.request.resend_count": int64(1),
		}), attributes(spans[1].Attributes))

		one, keys := point{1, 1}, []string{"http.request.method", "url.template"}
		assert.Equal(t, map[string]point{getTunnel: one}, tel.points("cftunnel.calls", keys...))
		assert.Equal(t, map[string]point{getTunnel: one}, tel.points("cftunnel.retries", keys...))
		keys = append(keys, "server.port", "http.response.status_code", "error.type")
		assert.Equal(t, map[string]point{
			getTunnel + " 80 503 503": {1, 2}, getTunnel + " 80 200 ": {1, 3},
		}, tel.points("http.client.request.duration", keys...))
		for _, request := range fake.Requests() {
			assert.Empty(t, request.Header["Traceparent"])
		}
	})
}

func TestOptions_RetryByNetHTTP(t *testing.T) {
	t.Parallel()
	fake, tel := newFake(t), newTelemetry(t)
	client := tel.newClient(fake)
	for range 2 {
		_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)
		fake.Inject(tunneltest.Fault{Cut: tunneltest.CutBefore})
	}
	spans := tel.spans.GetSpans()
	require.Len(t, spans, 2)
	found := attributes(spans[1].Attributes)
	assert.EqualValues(t, 1, found["http.request.resend_count"])
	port := fmt.Sprintf(":%v/", found["server.port"])
	assert.Contains(t, fake.URL(), port)
	assert.EqualValues(t, 2, tel.points("cftunnel.calls")[""].count)
	assert.EqualValues(t, 1, tel.points("cftunnel.retries")[""].count)
}

func TestOptions_Waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := newFake(t, tunneltest.InMemory())
		attempts, waits := 0, 0
		tel := newTelemetry(t, otelcftunnel.WithHooks(cftunnel.Hooks{
			Attempt: func(context.Context, cftunnel.AttemptInfo) { attempts++ },
			Wait:    func(context.Context, cftunnel.WaitInfo) { waits++ },
		}))
		client := tel.newClient(fake, cftunnel.WithRateLimit(10, 10*time.Second))
		list := func() {
			_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
			require.NoError(t, err)
		}
		list()
		list() // after a pace
		fake.Inject(tunneltest.Fault{
			Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"20"}},
		})
		list() // after a pace, and again after a hold
		fake.Inject(tunneltest.Fault{
			Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"7"}},
		})
		time.Sleep(time.Minute)
		list() // at once, and again after a pause

		found := tel.points("cftunnel.wait.duration",
			"cftunnel.wait.reason", "http.request.method", "url.template")
		assert.Len(t, found, 3)
		assert.Equal(t, point{1, 20}, found["hold "+listTunnels])
		assert.Equal(t, point{1, 7}, found["retry "+listTunnels])
		assert.EqualValues(t, 2, found["pace "+listTunnels].count)
		assert.Equal(t, 6, attempts, "of the hook of the program")
		assert.Equal(t, 4, waits, "of the hook of the program")
		assert.EqualValues(t, 4, tel.points("cftunnel.calls")[""].count)
		assert.EqualValues(t, 2, tel.points("cftunnel.retries")[""].count)
	})
}

func TestOptions_FailedAttempts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		fault     tunneltest.Fault
		status    any
		errorType string
	}{
		{"not found", tunneltest.Fault{Status: 404}, int64(404), "404"},
		{"no response", tunneltest.Fault{Cut: tunneltest.CutAfter}, nil, "*errors.errorString"},
		{"broken body", tunneltest.Fault{Cut: tunneltest.CutInside}, int64(200),
			"*errors.errorString"},
		{"timeout", tunneltest.Fault{Delay: time.Hour}, nil, "timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake, tel := newFake(t, tunneltest.InMemory()), newTelemetry(t)
				fake.Inject(test.fault)
				client := tel.newClient(fake)
				params := cftunnel.TunnelListParams{}
				_, err := client.Tunnels.List(t.Context(), params, cftunnel.MaxAttempts(1))
				require.Error(t, err)
				tel.requireFailure(test.status, test.errorType)
			})
		})
	}
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			fake, tel := newFake(t, tunneltest.InMemory()), newTelemetry(t)
			fake.Inject(tunneltest.Fault{Delay: time.Hour})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := tel.newClient(fake).Tunnels.List(ctx, cftunnel.TunnelListParams{})
			require.ErrorIs(t, err, context.Canceled)
			synctest.Wait()
			tel.requireFailure(nil, "canceled")
		})
	})
}

// requireFailure checks the only span and the only duration.
func (tel *telemetry) requireFailure(status any, errorType string) {
	tel.t.Helper()
	spans := tel.spans.GetSpans()
	require.Len(tel.t, spans, 1)
	assert.Equal(tel.t, trace.Status{Code: codes.Error}, spans[0].Status)
	found := attributes(spans[0].Attributes)
	assert.Equal(tel.t, status, found["http.response.status_code"])
	assert.Equal(tel.t, errorType, found["error.type"])
	durations := tel.points("http.client.request.duration", "error.type")
	assert.EqualValues(tel.t, 1, durations[errorType].count, durations)
}

// roundTripper is a function that sends requests.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestOptions_NoSecretsAndIDs(t *testing.T) {
	t.Parallel()
	fake, tel := newFake(t), newTelemetry(t)
	client := tel.newClient(fake)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "A-Name"})
	require.NoError(t, err)
	token, err := client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	credentials, err := cftunnel.ParseTunnelToken(token)
	require.NoError(t, err)
	path := "accounts/" + fake.AccountID() + "/cfd_tunnel/" + tunnel.ID
	query := cftunnel.AddQuery("access_token", "query-secret")
	require.NoError(t, client.Do(t.Context(), "GET", path+"?key=path-secret", nil, nil, query))
	letters := strings.Repeat("a", 32) // an ID can be without digits
	for _, path := range []string{
		"zones/www.example.com", "kv/Path-Name", "kv/" + letters, "kv/{Path-Name}",
	} {
		require.Error(t, client.Do(t.Context(), "GET", path, nil, nil))
	}
	header := cftunnel.AddHeader("X-Key", "header-secret")
	_, err = client.Tunnels.Get(t.Context(), tunnel.ID, header)
	require.NoError(t, err)
	// An error that quotes the request.
	broken := cftunnel.WithTransport(func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s has %v", req.URL, req.Header)
		})
	})
	_, err = tel.newClient(fake, broken).Tunnels.Get(t.Context(), tunnel.ID, query)
	require.Error(t, err)

	var names []string
	text := fmt.Sprintf("%+v", tel.metrics())
	for _, span := range tel.spans.GetSpans() {
		names = append(names, span.Name)
		text += fmt.Sprintf("\n%s %+v %+v %+v", span.Name, span.Status, span.Events,
			attributes(span.Attributes))
	}
	assert.Equal(t, []string{
		"POST /accounts/{account_id}/cfd_tunnel",
		getTunnel + "/token",
		"GET /accounts/{id}/cfd_tunnel/{id}",
		"GET /zones/{id}",
		"GET /kv/{id}",
		"GET /kv/{id}",
		"GET /kv/{id}",
	}, names[:7])
	for _, hidden := range []string{
		fake.APIToken().Reveal(), token.Reveal(), credentials.Secret.Reveal(), "-secret",
		fake.AccountID(), tunnel.ID, "A-Name", "www.example.com", "Path-Name", letters,
	} {
		assert.NotContains(t, text, hidden)
	}
}

func TestOptions_AsOperationNamesDo(t *testing.T) {
	t.Parallel()
	for _, template := range []string{
		"/accounts/{account_id}/cfd_tunnel",
		"/accounts/{account_id}/access/CA",
		"/ai/run/@cf/{model}",
		"/zones/{zone_id}/" + strings.Repeat("long_name_", 4),
		"/x/prefix-{id}/V1.0",
	} {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			fake, tel := newFake(t), newTelemetry(t)
			fake.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable})
			path := "accounts/" + fake.AccountID() + "/cfd_tunnel"
			require.NoError(t, tel.newClient(fake).Do(t.Context(), "GET", path, nil, nil,
				cftunnel.AsOperation(template)))
			for _, span := range tel.spans.GetSpans() {
				assert.Equal(t, "GET "+template, span.Name)
				found := attributes(span.Attributes)
				assert.Equal(t, template, found["url.template"])
				assert.Equal(t, fake.URL()+"/accounts/{id}/cfd_tunnel", found["url.full"])
			}
			for _, name := range []string{
				"cftunnel.calls", "cftunnel.retries", "http.client.request.duration",
			} {
				found := tel.points(name, "url.template")
				assert.Equal(t, []string{template}, slices.Collect(maps.Keys(found)), name)
			}
		})
	}
}

// closer is a transport that can close its idle connections.
type closer struct {
	roundTripper
	closed bool
}

func (c *closer) CloseIdleConnections() { c.closed = true }

func TestOptions_WrappedTransport(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	var inner api.SpanContext
	next := &closer{roundTripper: func(req *http.Request) (*http.Response, error) {
		inner = api.SpanContextFromContext(req.Context())
		return nil, errors.New("not sent")
	}}
	client, err := cftunnel.NewClient(append(tel.options,
		cftunnel.WithHTTPClient(&http.Client{Transport: next}),
		cftunnel.WithAPIToken("token"),
		cftunnel.WithAccountID(strings.Repeat("0", 32)))...)
	require.NoError(t, err)
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{}, cftunnel.MaxAttempts(1))
	require.Error(t, err)
	span := tel.spans.GetSpans()[0]
	assert.Equal(t, span.SpanContext.SpanID(), inner.SpanID(), "the transport can add spans below")
	assert.Equal(t, int64(443), attributes(span.Attributes)["server.port"])
	client.CloseIdleConnections()
	assert.True(t, next.closed)
}

func TestOptions_NilOption(t *testing.T) {
	t.Parallel()
	_, err := otelcftunnel.Options(otelcftunnel.WithMeterProvider(nil), nil)
	var refused *cftunnel.InvalidArgumentError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "opts[1]", refused.Name)
}
