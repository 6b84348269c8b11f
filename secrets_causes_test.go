package cftunnel_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// innerError is an error whose text does not contain the text of the error that it wraps.
type innerError struct {
	text string
	err  error
}

func (e *innerError) Error() string { return e.text }
func (e *innerError) Unwrap() error { return e.err }

// fieldError is an error with a secret in a field. Its text does not contain the secret.
type fieldError struct{ Token string }

func (fieldError) Error() string { return "denied" }

// sentToken has no part in common with the account ID.
const sentToken = "cfut_Qz7WxE4rTy9UiOp2AsDf6GhJk8LzXcVb3NmQwErT"

var errSource = errors.New("the source is closed")

// errorsWithToken returns errors that contain a token and wrap errSource.
func errorsWithToken(token string) map[string]error {
	withToken := "https://example.com/?token=" + url.QueryEscape(token)
	return map[string]error{
		"in the text":               fmt.Errorf("token %s: %w", token, errSource),
		"in quotes":                 fmt.Errorf("token %q: %w", token, errSource),
		"in JSON":                   fmt.Errorf(`{"token":"%s"}: %w`, token, errSource),
		"in a URL":                  fmt.Errorf("get %s: %w", withToken, errSource),
		"in a *url.Error":           &url.Error{Op: "Get", URL: withToken, Err: errSource},
		"in HTML":                   fmt.Errorf("<pre>%s</pre>: %w", inPieces(token, 20, "<br>"), errSource),
		"at the end of a long text": fmt.Errorf("%s %s: %w", strings.Repeat("x", 495), token, errSource),
		"below a harmless error":    &innerError{"no token", fmt.Errorf("%s: %w", token, errSource)},
		"below two harmless errors": fmt.Errorf("a: %w", &innerError{"b", &innerError{"c", fmt.Errorf("%s: %w", token, errSource)}}),
		"in one of several":         errors.Join(io.EOF, errSource, errors.New(token)),
		"in one of several, below":  &innerError{"no token", errors.Join(errSource, errors.New(token))},
		"in an *InvalidArgumentError": errors.Join(errSource, &cftunnel.InvalidArgumentError{
			Name: "token", Reason: "is not valid: " + token,
		}),
	}
}

func TestCallerErrors_ShowNoToken(t *testing.T) {
	t.Parallel()
	tokens := map[string]string{"the API token": sentToken}
	maps.Copy(tokens, unknownTokens)
	for kind, token := range tokens {
		for place, leak := range errorsWithToken(token) {
			t.Run(kind+", "+place, func(t *testing.T) {
				t.Parallel()
				var calls atomic.Int32
				for name, opt := range map[string]cftunnel.Option{
					"token source": failingSource(leak),
					"token source that returns the token too": sourceWithError(token, leak),
					"token source that fails later": cftunnel.WithTokenSource(
						func(context.Context) (cftunnel.Secret, error) {
							if calls.Add(1)%2 == 1 {
								return cftunnel.NewSecret(sentToken), nil
							}
							return cftunnel.Secret{}, leak
						}),
					"limiter":   limiterWithError(leak),
					"transport": failingTransport(leak),
				} {
					client, d := wireClient(t, wireTransport(t, response("503 Busy", "{}")), opt)
					_, err := client.Tunnels.Get(t.Context(), tunnelID)
					require.ErrorIs(t, err, errSource, name)
					_, ok := errors.AsType[*cftunnel.Error](err)
					assert.True(t, ok, name)
					d.addError(err)
					d.assertHides(t, token)
				}
			})
		}
	}
}

// sourceWithError returns a token source that returns both a token and an error.
func sourceWithError(token string, err error) cftunnel.Option {
	return cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
		return cftunnel.NewSecret(token), err
	})
}

// limiterWithError returns a limiter that always fails with err.
func limiterWithError(err error) cftunnel.Option {
	return cftunnel.WithLimiter(limiterFunc(func(context.Context) error { return err }))
}

// failingTransport returns a transport that always fails with err.
func failingTransport(err error) cftunnel.Option {
	return cftunnel.WithTransport(func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })
	})
}

// A cause may have secrets in its fields. An *Error must not print them.
func TestCallerErrors_ShowNoFields(t *testing.T) {
	t.Parallel()
	for kind, leak := range map[string]error{
		"value": fieldError{sentToken}, "pointer": &fieldError{sentToken}, "list": errorList{sentToken},
		"wrapped": fmt.Errorf("a: %w", fieldError{sentToken}),
	} {
		for name, opt := range map[string]cftunnel.Option{
			"token source": sourceWithError(sentToken, leak),
			"limiter":      limiterWithError(leak),
			"transport":    failingTransport(leak),
		} {
			client, _ := wireClient(t, wireTransport(t), opt)
			_, err := client.Tunnels.Get(t.Context(), tunnelID)
			failure, ok := errors.AsType[*cftunnel.Error](err)
			require.True(t, ok)
			d := &recorder{}
			for _, value := range []any{
				err, *failure, []error{err}, struct{ Err error }{err}, cftunnel.AttemptInfo{Err: err},
			} {
				for _, verb := range []string{
					"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%c", "%U", "%e", "%p", "%T",
				} {
					fmt.Fprintf(&d.text, verb+"\n", value)
				}
			}
			d.assertHides(t, sentToken)
			assert.Contains(t, err.Error(), "denied", "%s, %s", kind, name)
		}
	}
}

// errorList is an error with secrets in a list. Its text does not contain them.
type errorList []string

func (errorList) Error() string { return "denied" }

// An error without a secret is in the chain unchanged.
func TestCallerErrors_KeptInChain(t *testing.T) {
	t.Parallel()
	harmless := &url.Error{
		Op: "Get", URL: "https://vault.example.com/v1/kv/tunnels/" + tunnelID,
		Err: &net.OpError{Op: "dial", Net: "tcp", Err: errSource},
	}
	for name, opt := range map[string]cftunnel.Option{
		"token source": failingSource(harmless),
		"limiter":      limiterWithError(harmless),
	} {
		client, _ := wireClient(t, wireTransport(t), opt)
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		require.ErrorContains(t, err, harmless.Error(), name)
		got, ok := errors.AsType[*url.Error](err)
		require.True(t, ok, name)
		assert.Equal(t, harmless, got)
	}
}

// connectProxy returns the address of a proxy that refuses CONNECT and repeats the credentials that
// it received. status is its status line, with a verb for the credentials.
func connectProxy(t *testing.T, status string) string {
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
				sent := request.Header.Get("Proxy-Authorization")
				format := status + "\r\nX-Sent: %s\r\nContent-Length: 0\r\n\r\n"
				_, _ = fmt.Fprintf(conn, format, sent, sent)
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

const proxyPassword = "horse battery staple 7"

func TestProxy_ShowsNoPassword(t *testing.T) {
	t.Parallel()
	basic := base64.StdEncoding.EncodeToString([]byte("operator:" + proxyPassword))
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
		proxyAuth, auth := r.Header.Get("Proxy-Authorization"), r.Header.Get("Authorization")
		_, _ = fmt.Fprintf(w, "<pre>%s and %s of %s, %s</pre>",
			proxyAuth, auth, r.URL, proxyPassword)
	}))
	t.Cleanup(plain.Close)
	for name, test := range map[string]struct{ proxy, baseURL string }{
		"CONNECT, 407":              {connectProxy(t, "HTTP/1.1 407 Denied %s"), "https://api.example.com"},
		"CONNECT, 403":              {connectProxy(t, "HTTP/1.1 403 %s"), "https://api.example.com"},
		"CONNECT, no status":        {connectProxy(t, "%s"), "https://api.example.com"},
		"CONNECT, malformed status": {connectProxy(t, "HTTP/1.1 40x %s"), "https://api.example.com"},
		"plain":                     {plain.Listener.Addr().String(), "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := url.UserPassword("operator", proxyPassword)
			address := &url.URL{Scheme: "http", Host: test.proxy, User: user}
			use := func(next http.RoundTripper) http.RoundTripper {
				next.(*http.Transport).Proxy = http.ProxyURL(address)
				return next
			}
			for transport, opts := range map[string][]cftunnel.Option{
				"own": {cftunnel.WithTransport(use)},
				"own, wrapped": {
					cftunnel.WithTransport(use),
					cftunnel.WithTransport(func(next http.RoundTripper) http.RoundTripper {
						return roundTripper(next.RoundTrip)
					}),
				},
				"caller": {cftunnel.WithHTTPClient(&http.Client{Transport: use(&http.Transport{})})},
			} {
				d := &recorder{}
				opts = append(append(d.options(), opts...), once,
					cftunnel.WithBaseURL(test.baseURL),
					cftunnel.WithAPIToken(sentToken), cftunnel.WithAccountID(accountID))
				client, err := cftunnel.NewClient(opts...)
				require.NoError(t, err)
				t.Cleanup(client.CloseIdleConnections)
				_, err = client.Tunnels.Get(t.Context(), tunnelID)
				require.Error(t, err, transport)
				d.addError(err)
				d.assertHides(t, sentToken)
				assert.NotContains(t, d.text.String(), proxyPassword, transport)
				assert.NotContains(t, d.text.String(), basic, transport)
				assert.NotContains(t, d.text.String(), "operator:", transport)
			}
		})
	}
}

func TestProxy_StatusOfConnectInError(t *testing.T) {
	t.Parallel()
	proxy := &url.URL{Scheme: "http", Host: connectProxy(t, "HTTP/1.1 407 Go away %s")}
	client, err := cftunnel.NewClient(
		once,
		cftunnel.WithAPIToken(sentToken),
		cftunnel.WithAccountID(accountID),
		cftunnel.WithTransport(func(next http.RoundTripper) http.RoundTripper {
			next.(*http.Transport).Proxy = http.ProxyURL(proxy)
			return next
		}),
	)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
	require.ErrorContains(t, err, "the proxy responded with the status 407 Proxy Authentication Required")
	assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
}

func TestDoAll_ErrorsShowNoQuery(t *testing.T) {
	t.Parallel()
	type item struct {
		ID string `json:"id"`
	}
	client, d := wireClient(t, wireTransport(t, response("200 OK", ok(`[{"id":{}}]`))))
	for _, err := range cftunnel.DoAll[item](t.Context(), client, "things?token="+planted, nil) {
		require.ErrorContains(t, err, "item 0")
		d.addError(err)
	}
	assert.NotContains(t, d.text.String(), planted)
}

// The log contains no response body, not even that of an earlier attempt.
func TestWithLogger_NoBodyOfEarlierAttempt(t *testing.T) {
	t.Parallel()
	attempts := 0
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if attempts++; attempts > 1 {
			return nil, io.ErrUnexpectedEOF
		}
		body := io.NopCloser(strings.NewReader("blocked by the proxy"))
		return &http.Response{StatusCode: 503, Header: http.Header{}, Body: body, Request: r}, nil
	})
	client, d := wireClient(t, transport)
	_, err := client.Tunnels.Get(t.Context(), tunnelID)
	require.ErrorContains(t, err, "blocked by the proxy", "the error contains the body")
	for line := range strings.Lines(d.text.String()) {
		if strings.Contains(line, `"msg":"cloudflare api request"`) {
			assert.NotContains(t, line, "blocked by the proxy")
		}
	}
}

// A token that consists of words does not look like a token. The client must know it to redact it,
// even before it is sent.
func TestCallerErrors_TokenOfWords(t *testing.T) {
	t.Parallel()
	leak := fmt.Errorf("%s: %w", planted, errSource)
	for name, opts := range map[string][]cftunnel.Option{
		"source":         {sourceWithError(planted, leak)},
		"limiter":        {cftunnel.WithAPIToken(planted), limiterWithError(leak)},
		"source's token": {sourceOf(planted), limiterWithError(leak)},
		"transport":      {cftunnel.WithAPIToken(planted), failingTransport(leak)},
		"API key":        {cftunnel.WithAPIKey("a@example.com", planted), limiterWithError(leak)},
	} {
		client, d := wireClient(t, wireTransport(t), opts...)
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		require.ErrorIs(t, err, errSource, name)
		d.addError(err)
		assert.NotContains(t, d.text.String(), planted, name)
	}
}
