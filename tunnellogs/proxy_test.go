package tunnellogs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

const (
	proxyUser     = "operator"
	proxyPassword = `horse/bat@ter"y staple+7`
)

// quotingProxy returns the address of a proxy that refuses every request and repeats the
// credentials that it received, in several forms. response is what it sends, with a verb for the
// credentials.
func quotingProxy(t *testing.T, response string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			request, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				_, _ = fmt.Fprintf(conn, response, quoted(request.Header))
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// quoted returns the credentials in a header, in several forms.
func quoted(header http.Header) string {
	sent := header.Get("Proxy-Authorization")
	decoded := http.Request{Header: http.Header{"Authorization": {sent}}}
	user, password, _ := decoded.BasicAuth()
	both := user + ":" + password
	return strings.Join([]string{
		sent, both, password, url.QueryEscape(password), url.PathEscape(password),
		url.UserPassword(user, password).String(),
		base64.URLEncoding.EncodeToString([]byte(both)), header.Get("X-Proxy-Token"),
	}, " ")
}

// assertHidesProxy opens streams over a proxy that refuses them and checks that no error and no log
// record has its credentials.
func assertHidesProxy(t *testing.T, params tunnellogs.Params) error {
	t.Helper()
	r := newRig(t)
	id := r.connect()
	var logged bytes.Buffer
	params.Logger = slog.New(slog.NewJSONHandler(&logged, nil))
	both := []byte(proxyUser + ":" + proxyPassword)
	check := func(text string) {
		for _, secret := range []string{
			proxyPassword, url.QueryEscape(proxyPassword), url.PathEscape(proxyPassword),
			url.UserPassword(proxyUser, proxyPassword).String(), "horse", "staple",
			base64.RawStdEncoding.EncodeToString(both),
			base64.RawURLEncoding.EncodeToString(both),
			proxyToken, shortToken, "op:~?>", "b3A6fj8+", "b3A6fj8-",
		} {
			assert.NotContains(t, text, secret)
		}
	}
	_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, id, params)
	require.Error(t, err)
	inspect(err, check)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range tunnellogs.Tail(ctx, r.client, r.tunnel.ID, params) {
		inspect(err, check)
		cancel()
	}
	assert.NotEmpty(t, logged.String())
	check(logged.String())
	return err
}

const (
	httpsEndpoint = "https://management.example.com"
	proxyToken    = "the-token-of-the-proxy-4711"
	shortToken    = "swordfish"
)

func TestProxy_ShowsNoCredentials(t *testing.T) {
	t.Parallel()
	basic := base64.StdEncoding.EncodeToString([]byte(proxyUser + ":" + proxyPassword))
	connectHeader := http.Header{
		"Proxy-Authorization": {"Basic " + basic}, "X-Proxy-Token": {proxyToken},
	}
	transports := map[string]func(*url.URL) *http.Transport{
		"URL": func(proxy *url.URL) *http.Transport {
			proxy.User = url.UserPassword(proxyUser, proxyPassword)
			return &http.Transport{Proxy: http.ProxyURL(proxy)}
		},
		"header": func(proxy *url.URL) *http.Transport {
			return &http.Transport{Proxy: http.ProxyURL(proxy), ProxyConnectHeader: connectHeader}
		},
		"header function": func(proxy *url.URL) *http.Transport {
			get := func(_ context.Context, got *url.URL, target string) (http.Header, error) {
				if got != proxy || target != "management.example.com:443" {
					return nil, fmt.Errorf("%s, %s", got, target)
				}
				return connectHeader, nil
			}
			return &http.Transport{Proxy: http.ProxyURL(proxy), GetProxyConnectHeader: get}
		},
	}
	for name, response := range map[string]string{
		"407":       "HTTP/1.1 407 Denied %s\r\nContent-Length: 0\r\n\r\n",
		"403":       "HTTP/1.1 403 %s\r\nContent-Length: 0\r\n\r\n",
		"no status": "%s\r\n\r\n",
		"cut off":   "HTTP/1.1 407 " + strings.Repeat("x", 1018) + proxyPassword + "%s\r\n\r\n",
	} {
		for kind, transport := range transports {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				proxy := &url.URL{Scheme: "http", Host: quotingProxy(t, response)}
				err := assertHidesProxy(t, tunnellogs.Params{
					Endpoint: httpsEndpoint, HTTPClient: &http.Client{Transport: transport(proxy)},
				})
				if name == "407" {
					assert.ErrorContains(t, err, "Denied")
				}
			})
		}
	}
}

// Without TLS there is no CONNECT: the response of the proxy is that of the stream.
func TestProxy_ShowsNoCredentialsWithoutTLS(t *testing.T) {
	t.Parallel()
	const response = "HTTP/1.1 407 Denied\r\nContent-Type: text/plain\r\n\r\n%s"
	proxy := &url.URL{
		Scheme: "http", Host: quotingProxy(t, response),
		User: url.UserPassword(proxyUser, proxyPassword),
	}
	err := assertHidesProxy(t, tunnellogs.Params{
		Endpoint:   "http://127.0.0.1:1",
		HTTPClient: &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}},
	})
	failure, ok := errors.AsType[*tunnellogs.StreamError](err)
	require.True(t, ok)
	assert.Equal(t, http.StatusProxyAuthRequired, failure.StatusCode)
	assert.Contains(t, failure.Reason, "[REDACTED]")
}

// The error of an invalid URL quotes the part of the password that looks like a port.
func TestProxy_InvalidURL(t *testing.T) {
	t.Parallel()
	invalid := "http://" + proxyUser + ":horse-battery-7/x@127.0.0.1:1"
	find := func(*http.Request) (*url.URL, error) { return url.Parse(invalid) }
	err := assertHidesProxy(t, tunnellogs.Params{
		Endpoint:   httpsEndpoint,
		HTTPClient: &http.Client{Transport: &http.Transport{Proxy: find}},
	})
	assert.ErrorContains(t, err, "invalid port")
}

// A user name without a password may be a token.
func TestProxy_TokenAsUser(t *testing.T) {
	t.Parallel()
	proxy := &url.URL{
		Scheme: "http", Host: quotingProxy(t, "HTTP/1.1 407 %s "+shortToken+"\r\n\r\n"),
		User: url.User(shortToken),
	}
	_ = assertHidesProxy(t, tunnellogs.Params{
		Endpoint:   httpsEndpoint,
		HTTPClient: &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}},
	})
}

// Base64 in both alphabets, too short to look like a token.
func TestProxy_ShortPassword(t *testing.T) {
	t.Parallel()
	proxy := &url.URL{
		Scheme: "http", Host: quotingProxy(t, "HTTP/1.1 407 %s\r\n\r\n"),
		User: url.UserPassword("op", "~?>"),
	}
	_ = assertHidesProxy(t, tunnellogs.Params{
		Endpoint:   httpsEndpoint,
		HTTPClient: &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}},
	})
}

// The function is called again for an error, but not after the context has ended.
func TestProxy_SlowHeaderFunction(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		transport := r.logs.client.Transport.(*http.Transport)
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1"})
		transport.GetProxyConnectHeader = func(
			context.Context, *url.URL, string,
		) (http.Header, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}
		r.params.Endpoint = httpsEndpoint
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := tunnellogs.Open(ctx, r.client, r.tunnel.ID, ids[0], r.params)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.LessOrEqual(t, time.Since(began), time.Minute)
		time.Sleep(2 * time.Hour) // until the first call returns
	})
}

// The environment is read once in a process, so this test runs in processes of its own.
func TestProxy_OfEnvironment(t *testing.T) {
	t.Parallel()
	const variable = "TUNNELLOGS_TEST_PROXY_CLIENT"
	clients := map[string]*http.Client{
		"default": nil,
		"zero":    {},
		"wrapped": {Transport: roundTripFunc(http.DefaultTransport.RoundTrip)},
	}
	if name := os.Getenv(variable); name != "" {
		params := tunnellogs.Params{Endpoint: httpsEndpoint, HTTPClient: clients[name]}
		err := assertHidesProxy(t, params)
		if name == "default" {
			assert.ErrorContains(t, err,
				"the proxy responded with the status 407 Proxy Authentication Required")
		}
		return
	}
	program, err := os.Executable()
	require.NoError(t, err)
	for name := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := quotingProxy(t, "HTTP/1.1 407 Denied %s\r\nContent-Length: 0\r\n\r\n")
			user := url.UserPassword(proxyUser, proxyPassword)
			proxy := url.URL{Scheme: "http", Host: address, User: user}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, program, "-test.run=^TestProxy_OfEnvironment$")
			command.Env = append(os.Environ(), variable+"="+name,
				"HTTPS_PROXY="+proxy.String(), "NO_PROXY=")
			output, err := command.CombinedOutput()
			require.NoError(t, err, "%s", output)
		})
	}
}
