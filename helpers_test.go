package cftunnel_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	accountID = "0123456789abcdef0123456789abcdef"
	tunnelID  = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
	apiToken  = "cfut_0123456789abcdefghijklmnopqrstuvwxyzABCD"
)

// once is for clients whose failures are to be seen at the first attempt.
var once = cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1})

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

// inBubble runs a test on synctest's clock, with a client of srv that keeps the defaults of pace and retry. srv may listen nowhere.
func inBubble(t *testing.T, opts []tunneltest.Option, test func(t *testing.T, srv *tunneltest.Server, dial func(...cftunnel.Option) *cftunnel.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := tunneltest.NewServer(opts...)
		t.Cleanup(srv.Close)
		network := pipenet.Serve(t, srv.Handler())
		test(t, srv, func(opts ...cftunnel.Option) *cftunnel.Client {
			t.Helper()
			client, err := cftunnel.NewClient(append([]cftunnel.Option{
				cftunnel.WithBaseURL("http://localhost/client/v4"),
				cftunnel.WithAPIToken(srv.APIToken().Reveal()),
				cftunnel.WithAccountID(srv.AccountID()),
				cftunnel.WithHTTPClient(network.Client(t)),
			}, opts...)...)
			require.NoError(t, err)
			return client
		})
	})
}

// handlerTransport returns a transport to the fake over pipes, whose every dial first asks.
func handlerTransport(t *testing.T, srv *tunneltest.Server, ask func() error) *http.Transport {
	t.Helper()
	transport := pipenet.Serve(t, srv.Handler()).Transport(t)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := ask(); err != nil {
			return nil, err
		}
		return dial(ctx, network, address)
	}
	transport.DisableKeepAlives = true
	return transport
}

// clientOf returns a client of a server that answers as handler does.
func clientOf(t *testing.T, handler http.HandlerFunc, opts ...cftunnel.Option) *cftunnel.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(w, r) }))
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

// answering always gives the same answer.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cf-Ray", "8f2ab-FRA")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

// roundTripper makes a function an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// carriedOut counts the requests for an operation that the fake did the work of.
func carriedOut(srv *tunneltest.Server, operation string) int {
	n := 0
	for _, r := range srv.Requests() {
		if r.Operation == operation && r.Done {
			n++
		}
	}
	return n
}

const (
	opCreate = "POST /accounts/{account_id}/cfd_tunnel"
	opList   = "GET /accounts/{account_id}/cfd_tunnel"
	opGet    = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opUpdate = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opDelete = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opToken  = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token"
)
