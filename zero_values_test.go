package cftunnel_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
)

// requireInvalid requires an *InvalidArgumentError about one of these arguments.
func requireInvalid(t *testing.T, err error, names ...string) {
	t.Helper()
	refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	require.True(t, ok, "%#v", err)
	assert.Contains(t, names, refused.Name)
}

// zeroClients are clients and services that NewClient did not create.
var zeroClients = map[string]*cftunnel.Client{
	"zero client": {},
	"client with zero services": {
		Tunnels: &cftunnel.TunnelsService{}, Connectors: &cftunnel.ConnectorsService{},
		WARPConnectors: &cftunnel.WARPConnectorsService{}, Tokens: &cftunnel.TokensService{},
		Routes: &cftunnel.RoutesService{}, VirtualNetworks: &cftunnel.VirtualNetworksService{},
		HostnameRoutes: &cftunnel.HostnameRoutesService{},
	},
}

func TestZeroClient_EveryMethod(t *testing.T) {
	t.Parallel()
	for kind, client := range zeroClients {
		for name, method := range cases.Methods {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				err := method.Call(t.Context(), client, cases.UnknownIDs())
				requireInvalid(t, err, "client", "service")
			})
		}
	}
}

func TestZeroClient_OwnMethods(t *testing.T) {
	t.Parallel()
	for _, client := range []*cftunnel.Client{nil, {}} {
		requireInvalid(t, client.Do(t.Context(), http.MethodGet, "x", nil, nil), "client")
		_, err := client.ForAccount(accountID)
		requireInvalid(t, err, "client")
		n := 0
		for _, err := range cftunnel.DoAll[any](t.Context(), client, "x", nil) {
			requireInvalid(t, err, "client")
			n++
		}
		assert.Equal(t, 1, n)
		assert.Empty(t, client.AccountID())
		client.CloseIdleConnections()
	}
}

func TestQuotaLimiter_Zero(t *testing.T) {
	t.Parallel()
	for _, limiter := range []*cftunnel.QuotaLimiter{nil, {}} {
		requireInvalid(t, limiter.Wait(t.Context()), "limiter")
		limiter.Hold(time.Now().Add(time.Hour))
		_, err := cftunnel.NewClient(cftunnel.WithAPIToken(apiToken), cftunnel.WithLimiter(limiter))
		requireInvalid(t, err, "limiter")
	}
	for _, limiter := range []cftunnel.Limiter{nil, (*holdingLimiter)(nil), limiterFunc(nil)} {
		_, err := cftunnel.NewClient(cftunnel.WithAPIToken(apiToken), cftunnel.WithLimiter(limiter))
		requireInvalid(t, err, "limiter")
	}
	limiter, err := cftunnel.NewLimiter(1, time.Second)
	require.NoError(t, err)
	requireInvalid(t, limiter.Wait(nilContext), "ctx")
	for _, quota := range []struct {
		requests int
		window   time.Duration
	}{{0, time.Second}, {-1, time.Second}, {1, 0}, {1, -1}} {
		_, err := cftunnel.NewLimiter(quota.requests, quota.window)
		requireInvalid(t, err, "requests", "window")
	}
}

var nilContext context.Context

func TestNilContext_EveryMethod(t *testing.T) {
	t.Parallel()
	client := canned(t, func(*http.Request) (int, string) {
		t.Error("a request was sent")
		return 200, ok(`null`)
	})
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireInvalid(t, method.Call(nilContext, client, cases.UnknownIDs()), "ctx")
		})
	}
	requireInvalid(t, client.Do(nilContext, http.MethodGet, "x", nil, nil), "ctx")
	for _, err := range cftunnel.DoAll[any](nilContext, client, "x", nil) {
		requireInvalid(t, err, "ctx")
	}
	assert.Empty(t, cftunnel.Operation(nilContext))
	assert.Zero(t, cftunnel.Attempt(nilContext))
}

// With a cancelled context nothing is sent, so the outcome is certain.
func TestCancelledContext_EveryMethod(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client := canned(t, func(*http.Request) (int, string) {
		t.Error("a request was sent")
		return 200, ok(`null`)
	})
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := method.Call(ctx, client, cases.UnknownIDs())
			require.ErrorIs(t, err, context.Canceled)
			assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			failure, ok := errors.AsType[*cftunnel.Error](err)
			require.True(t, ok, "%#v", err)
			assert.Zero(t, failure.Attempts)
		})
	}
}
