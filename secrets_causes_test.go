package cftunnel_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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

// innerError hides a text behind a harmless one.
type innerError struct {
	text string
	err  error
}

func (e *innerError) Error() string { return e.text }
func (e *innerError) Unwrap() error { return e.err }

// fieldError has a secret that its text does not show.
type fieldError struct{ Token string }

func (fieldError) Error() string { return "denied" }

// sentToken has no piece in common with the account's id.
const sentToken = "cfut_Qz7WxE4rTy9UiOp2AsDf6GhJk8LzXcVb3NmQwErT"

var errSource = errors.New("the source is closed")

// errorsWithToken are errors with a token, of which errSource is the cause.
func errorsWithToken(token string) map[string]error {
	return map[string]error{
		"in the text":               fmt.Errorf("token %s: %w", token, errSource),
		"in quotes":                 fmt.Errorf("token %q: %w", token, errSource),
		"in JSON":                   fmt.Errorf(`{"token":"%s"}: %w`, token, errSource),
		"in a URL":                  fmt.Errorf("get https://example.com/?token=%s: %w", url.QueryEscape(token), errSource),
		"in a *url.Error":           &url.Error{Op: "Get", URL: "https://example.com/?token=" + url.QueryEscape(token), Err: errSource},
		"in HTML":                   fmt.Errorf("<pre>%s</pre>: %w", inPieces(token, 20, "<br>"), errSource),
		"at the end of a long text": fmt.Errorf("%s %s: %w", strings.Repeat("x", 495), token, errSource),
		"behind a harmless text":    &innerError{"no token", fmt.Errorf("%s: %w", token, errSource)},
		"behind two harmless texts": fmt.Errorf("a: %w", &innerError{"b", &innerError{"c", fmt.Errorf("%s: %w", token, errSource)}}),
		"in one of several":         errors.Join(io.EOF, errSource, errors.New(token)),
		"in one of several, hidden": &innerError{"no token", errors.Join(errSource, errors.New(token))},
		"in an *InvalidArgumentError": errors.Join(errSource, &cftunnel.InvalidArgumentError{
			Name: "token", Reason: "is not valid: " + token,
		}),
	}
}

func TestCallerErrors_ShowNoToken(t *testing.T) {
	t.Parallel()
	tokens := map[string]string{"the API token": sentToken}
	for kind, token := range unknownTokens {
		tokens[kind] = token
	}
	for kind, token := range tokens {
		for place, leak := range errorsWithToken(token) {
			t.Run(kind+", "+place, func(t *testing.T) {
				t.Parallel()
				var calls atomic.Int32
				for name, opt := range map[string]cftunnel.Option{
					"token source": cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
						return cftunnel.Secret{}, leak
					}),
					"token source that returns the token too": cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
						return cftunnel.NewSecret(token), leak
					}),
					"token source that fails later": cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
						if calls.Add(1)%2 == 1 {
							return cftunnel.NewSecret(sentToken), nil
						}
						return cftunnel.Secret{}, leak
					}),
					"limiter":   cftunnel.WithLimiter(limiterFunc(func(context.Context) error { return leak })),
					"transport": cftunnel.WithTransport(failingTransport(leak)),
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

func failingTransport(err error) func(http.RoundTripper) http.RoundTripper {
	return func(http.RoundTripper) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })
	}
}

// The fields of a cause are its own matter, but an *Error must not print them.
func TestCallerErrors_ShowNoFields(t *testing.T) {
	t.Parallel()
	for kind, leak := range map[string]error{
		"value": fieldError{sentToken}, "pointer": &fieldError{sentToken}, "list": leakyList{sentToken},
		"wrapped": fmt.Errorf("a: %w", fieldError{sentToken}),
	} {
		for name, opt := range map[string]cftunnel.Option{
			"token source": cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
				return cftunnel.NewSecret(sentToken), leak
			}),
			"limiter":   cftunnel.WithLimiter(limiterFunc(func(context.Context) error { return leak })),
			"transport": cftunnel.WithTransport(failingTransport(leak)),
		} {
			client, _ := wireClient(t, wireTransport(t), opt)
			_, err := client.Tunnels.Get(t.Context(), tunnelID)
			failure, ok := errors.AsType[*cftunnel.Error](err)
			require.True(t, ok)
			d := &recorder{}
			for _, value := range []any{err, *failure, []error{err}, struct{ Err error }{err}, cftunnel.AttemptInfo{Err: err}} {
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%c", "%U", "%e", "%p", "%T"} {
					fmt.Fprintf(&d.text, verb+"\n", value)
				}
			}
			d.assertHides(t, sentToken)
			assert.Contains(t, err.Error(), "denied", "%s, %s", kind, name)
		}
	}
}

type leakyList []string

func (leakyList) Error() string { return "denied" }

// What has no secret is in the chain as it is.
func TestCallerErrors_KeptInChain(t *testing.T) {
	t.Parallel()
	harmless := &url.Error{
		Op: "Get", URL: "https://vault.example.com/v1/kv/tunnels/" + tunnelID,
		Err: &net.OpError{Op: "dial", Net: "tcp", Err: errSource},
	}
	for name, opt := range map[string]cftunnel.Option{
		"token source": cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) { return cftunnel.Secret{}, harmless }),
		"limiter":      cftunnel.WithLimiter(limiterFunc(func(context.Context) error { return harmless })),
	} {
		client, _ := wireClient(t, wireTransport(t), opt)
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		require.ErrorContains(t, err, harmless.Error(), name)
		got, ok := errors.AsType[*url.Error](err)
		require.True(t, ok, name)
		assert.Equal(t, harmless, got)
	}
}

// connectProxy responds to CONNECT with what it was sent.
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
				_, _ = fmt.Fprintf(conn, status+"\r\nX-Sent: %s\r\nContent-Length: 0\r\n\r\n", sent, sent)
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
		_, _ = fmt.Fprintf(w, "<pre>%s and %s of %s, %s</pre>", r.Header.Get("Proxy-Authorization"), r.Header.Get("Authorization"), r.URL, proxyPassword)
	}))
	t.Cleanup(plain.Close)
	for name, test := range map[string]struct{ proxy, baseURL string }{
		"CONNECT, 407":              {connectProxy(t, "HTTP/1.1 407 Denied %s"), "https://api.example.com"},
		"CONNECT, 403":              {connectProxy(t, "HTTP/1.1 403 %s"), "https://api.example.com"},
		"CONNECT, no status":        {connectProxy(t, "%s"), "https://api.example.com"},
		"CONNECT, a status in text": {connectProxy(t, "HTTP/1.1 40x %s"), "https://api.example.com"},
		"plain":                     {plain.Listener.Addr().String(), "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := &url.URL{Scheme: "http", Host: test.proxy, User: url.UserPassword("operator", proxyPassword)}
			use := func(next http.RoundTripper) http.RoundTripper {
				next.(*http.Transport).Proxy = http.ProxyURL(address)
				return next
			}
			for transport, opts := range map[string][]cftunnel.Option{
				"own":        {cftunnel.WithTransport(use)},
				"the caller": {cftunnel.WithHTTPClient(&http.Client{Transport: use(&http.Transport{})})},
			} {
				d := &recorder{}
				client, err := cftunnel.NewClient(append(append(d.options(), opts...), once, cftunnel.WithBaseURL(test.baseURL),
					cftunnel.WithAPIToken(sentToken), cftunnel.WithAccountID(accountID))...)
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
	client, err := cftunnel.NewClient(once, cftunnel.WithAPIToken(sentToken), cftunnel.WithAccountID(accountID),
		cftunnel.WithTransport(func(next http.RoundTripper) http.RoundTripper {
			next.(*http.Transport).Proxy = http.ProxyURL(proxy)
			return next
		}))
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
	require.ErrorContains(t, err, "the proxy responded with the status 407 Proxy Authentication Required")
	assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
}

func TestDoAll_ErrorsShowNoQuery(t *testing.T) {
	t.Parallel()
	client, d := wireClient(t, wireTransport(t, response("200 OK", `{"success":true,"result":[{"id":{}}]}`)))
	for _, err := range cftunnel.DoAll[struct {
		ID string `json:"id"`
	}](t.Context(), client, "things?token=planted-secret-text", nil) {
		require.ErrorContains(t, err, "item 0")
		d.addError(err)
	}
	assert.NotContains(t, d.text.String(), planted)
}

// The log has no bodies, also of an earlier attempt.
func TestWithLogger_NoBodyOfEarlierAttempt(t *testing.T) {
	t.Parallel()
	attempts := 0
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if attempts++; attempts > 1 {
			return nil, io.ErrUnexpectedEOF
		}
		return &http.Response{StatusCode: 503, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("the words of a proxy")), Request: r}, nil
	})
	client, d := wireClient(t, transport)
	_, err := client.Tunnels.Get(t.Context(), tunnelID)
	require.ErrorContains(t, err, "the words of a proxy", "the error has it")
	for line := range strings.Lines(d.text.String()) {
		if strings.Contains(line, `"msg":"cloudflare api request"`) {
			assert.NotContains(t, line, "the words of a proxy")
		}
	}
}

// A token of words does not look like one, so it must be known before it is sent.
func TestCallerErrors_TokenOfWords(t *testing.T) {
	t.Parallel()
	leak := fmt.Errorf("%s: %w", planted, errSource)
	source := func(err error) cftunnel.Option {
		return cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) { return cftunnel.NewSecret(planted), err })
	}
	for name, opts := range map[string][]cftunnel.Option{
		"source":         {source(leak)},
		"limiter":        {cftunnel.WithAPIToken(planted), cftunnel.WithLimiter(limiterFunc(func(context.Context) error { return leak }))},
		"source's token": {source(nil), cftunnel.WithLimiter(limiterFunc(func(context.Context) error { return leak }))},
		"transport":      {cftunnel.WithAPIToken(planted), cftunnel.WithTransport(failingTransport(leak))},
		"API key": {
			cftunnel.WithAPIKey("a@example.com", planted), cftunnel.WithLimiter(limiterFunc(func(context.Context) error { return leak })),
		},
	} {
		client, d := wireClient(t, wireTransport(t), opts...)
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		require.ErrorIs(t, err, errSource, name)
		d.addError(err)
		assert.NotContains(t, d.text.String(), planted, name)
	}
}
