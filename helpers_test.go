package cftunnel_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	accountID = "0123456789abcdef0123456789abcdef"
	tunnelID  = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
	apiToken  = "cfut_0123456789abcdefghijklmnopqrstuvwxyzABCD"
	planted   = "planted-secret-text" // a secret that must not be shown
)

var validSecret = cftunnel.NewSecret(
	base64.StdEncoding.EncodeToString([]byte("thirty-two bytes of a secret >?>")))

// Operations, in the form that tunneltest.Request and tunneltest.Fault use.
const (
	opCreate     = "POST /accounts/{account_id}/cfd_tunnel"
	opList       = "GET /accounts/{account_id}/cfd_tunnel"
	opGet        = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opUpdate     = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opDelete     = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opToken      = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token"
	opTunnels    = "GET /accounts/{account_id}/tunnels"
	opLogs       = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management"
	opManagement = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}"
)

// once turns retries off.
var once = cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1})

// harness is a fake server inside a synctest bubble. Its connections are pipes.
type harness struct {
	t       *testing.T
	srv     *tunneltest.Server
	network *pipenet.Network
}

// inBubble runs test with a harness inside a synctest bubble.
func inBubble(t *testing.T, test func(t *testing.T, h *harness), opts ...tunneltest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newHarness(t, pipenet.Serve, opts...)) })
}

// newHarness starts a fake. It must be called inside a bubble. serve is pipenet.Serve, or
// pipenet.ServeTLS for HTTP/2.
func newHarness(
	t *testing.T, serve func(testing.TB, http.Handler) *pipenet.Network, opts ...tunneltest.Option,
) *harness {
	t.Helper()
	srv := tunneltest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return &harness{t, srv, serve(t, srv.Handler())}
}

// newClient returns a client of the fake with the default rate limit and retries.
func (h *harness) newClient(opts ...cftunnel.Option) *cftunnel.Client {
	h.t.Helper()
	client, err := cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithBaseURL(h.network.URL() + "/client/v4"),
		cftunnel.WithAPIToken(h.srv.APIToken().Reveal()),
		cftunnel.WithAccountID(h.srv.AccountID()),
		cftunnel.WithHTTPClient(h.network.Client(h.t)),
	}, opts...)...)
	require.NoError(h.t, err)
	return client
}

// transport returns a transport to the fake that calls mayDial before it opens a connection. It
// opens one connection for each request.
func (h *harness) transport(mayDial func() error) *http.Transport {
	transport := h.network.Transport(h.t)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := mayDial(); err != nil {
			return nil, err
		}
		return dial(ctx, network, address)
	}
	transport.DisableKeepAlives = true
	return transport
}

// carriedOut counts the requests for an operation that the fake carried out.
func (h *harness) carriedOut(operation string) int { return carriedOut(h.srv, operation) }

// newFake returns a fake on a loopback port and a client of it.
func newFake(t *testing.T, opts ...cftunnel.Option) (*tunneltest.Server, *cftunnel.Client) {
	t.Helper()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	client, err := srv.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return srv, client
}

// carriedOut counts the requests for an operation that srv carried out.
func carriedOut(srv *tunneltest.Server, operation string) int {
	n := 0
	for _, r := range srv.Requests() {
		if r.Operation == operation && r.Done {
			n++
		}
	}
	return n
}

// operations returns the operations of all requests so far.
func operations(srv *tunneltest.Server) (list []string) {
	for _, r := range srv.Requests() {
		list = append(list, r.Operation)
	}
	return list
}

// clientOf returns a client of a server that runs handler instead of the fake.
func clientOf(t *testing.T, handler http.HandlerFunc, opts ...cftunnel.Option) *cftunnel.Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	client, err := cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithBaseURL(srv.URL),
		cftunnel.WithAPIToken(apiToken),
		cftunnel.WithAccountID(accountID),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// respond returns a handler that sends the same response to every request.
func respond(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cf-Ray", "8f2ab-FRA")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

// roundTripper is a function that implements http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// list sends a request that changes nothing.
func list(ctx context.Context, client *cftunnel.Client, opts ...cftunnel.CallOption) error {
	_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{}, opts...)
	return err
}

// countingLimiter counts its calls and never waits.
type countingLimiter struct{ waits, holds atomic.Int32 }

func (l *countingLimiter) Wait(context.Context) error { l.waits.Add(1); return nil }
func (l *countingLimiter) Hold(time.Time)             { l.holds.Add(1) }

func isUncertain(err error) bool { return errors.Is(err, cftunnel.ErrOutcomeUnknown) }

func isNotFound(err error) bool { return errors.Is(err, cftunnel.ErrNotFound) }

func isUnauthorized(err error) bool { return errors.Is(err, cftunnel.ErrUnauthorized) }
