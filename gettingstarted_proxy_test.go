package cftunnel_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// newProxyClient returns a client that uses a proxy, and trusts only the CAs in a PEM file.
func newProxyClient(proxy *url.URL, caFile string) (*cftunnel.Client, error) {
	certificates, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool() // x509.SystemCertPool() also trusts the CAs of the system
	if !roots.AppendCertsFromPEM(certificates) {
		return nil, fmt.Errorf("%s has no certificate", caFile)
	}
	setProxy := func(base http.RoundTripper) http.RoundTripper {
		transport := base.(*http.Transport) // the default transport of the client
		transport.Proxy = http.ProxyURL(proxy)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		return transport
	}
	return cftunnel.NewClient(cftunnel.WithEnvironment(), cftunnel.WithTransport(setProxy))
}

// TestDocs_ProxyClient sets the environment, so it is not parallel.
func TestDocs_ProxyClient(t *testing.T) {
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	api := httptest.NewUnstartedServer(srv.Handler())
	api.Config.ErrorLog = log.New(io.Discard, "", 0) // it would log the failed handshake
	api.StartTLS()
	t.Cleanup(api.Close)
	setFakeEnvironment(t, srv)
	t.Setenv("CLOUDFLARE_BASE_URL", api.URL+"/client/v4")

	var tunneled atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tunneled.Add(1)
		connectTo(t, w, r)
	}))
	t.Cleanup(proxy.Close)
	proxyURL, err := url.Parse(proxy.URL)
	require.NoError(t, err)

	file := filepath.Join(t.TempDir(), "ca.pem")
	_, err = newProxyClient(proxyURL, file)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = newProxyClient(proxyURL, file)
	require.ErrorContains(t, err, "no certificate")

	block := pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&block), 0o600))
	client, err := newProxyClient(proxyURL, file)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	require.NoError(t, list(t.Context(), client))
	assert.Equal(t, int32(1), tunneled.Load())

	client, err = cftunnel.NewClient(cftunnel.WithEnvironment())
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, list(t.Context(), client), &unknown)
}

// connectTo responds to a CONNECT request: it copies bytes between client and host.
func connectTo(t *testing.T, w http.ResponseWriter, r *http.Request) {
	t.Helper()
	server, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if !assert.NoError(t, err) {
		return
	}
	defer server.Close()
	client, _, err := http.NewResponseController(w).Hijack()
	if !assert.NoError(t, err) {
		return
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}
