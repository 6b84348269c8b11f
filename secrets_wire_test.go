package cftunnel_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// unknownTokens are secrets that the client did not send, so it cannot redact them by comparing.
var unknownTokens = map[string]string{
	"tunnel token": base64.StdEncoding.EncodeToString(
		[]byte(`{"a":"` + accountID + `","t":"` + tunnelID +
			`","s":"` + validSecret.Reveal() + `"}`)),
	"token of unknown form": "Zq8-xR2_vN7kLm4PwYt6HbCd9EfGjK1sUaXoWi3Q5Zr0TyBnVcMhLpDeFgJkRsTu",
	"hexadecimal key":       "c2547eb745079dac9320b638f5e225cf483cc5cfdda41",
}

// recorder records everything that a client shows about its calls: log records and hooks.
type recorder struct{ text bytes.Buffer }

// options returns the options that make a client write to the recorder.
func (r *recorder) options() []cftunnel.Option {
	handler := slog.NewJSONHandler(&r.text, &slog.HandlerOptions{Level: slog.LevelDebug})
	attempt := func(_ context.Context, info cftunnel.AttemptInfo) {
		r.add(info)
		r.addError(info.Err)
	}
	return []cftunnel.Option{
		cftunnel.WithLogger(slog.New(handler)),
		cftunnel.WithHooks(cftunnel.Hooks{Attempt: attempt}),
	}
}

// add adds a value, printed in several ways.
func (r *recorder) add(value any) {
	fmt.Fprintf(&r.text, "%v %+v %#v\n", value, value, value)
}

// addError adds an error and the errors in its chain, printed in every way.
func (r *recorder) addError(err error) {
	if v := reflect.ValueOf(err); err == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&r.text, verb+"\n", err)
	}
	slog.New(slog.NewTextHandler(&r.text, nil)).Error("text", "err", err)
	slog.New(slog.NewJSONHandler(&r.text, nil)).Error("json", "err", err)
	_ = json.NewEncoder(&r.text).Encode(err)
	if failure, ok := errors.AsType[*cftunnel.Error](err); ok {
		r.add(*failure)
		_ = json.NewEncoder(&r.text).Encode(*failure)
	}
	switch err := err.(type) { //nolint:errorlint // the chain is walked here
	case interface{ Unwrap() error }:
		r.addError(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			r.addError(err)
		}
	}
}

// assertHides fails if ten successive letters and digits of the secret were recorded in this order,
// even with other characters between them.
func (r *recorder) assertHides(t *testing.T, secret string) {
	t.Helper()
	shown, wanted := lettersAndDigits(r.text.String()), lettersAndDigits(secret)
	const length = 10
	for at := 0; at+length <= len(wanted); at++ {
		piece := wanted[at : at+length]
		if strings.Contains(shown, piece) || strings.Contains(shown, fmt.Sprintf("%x", piece)) {
			assert.Fail(t, "a part of the secret is shown",
				"%s of %s\n%s", piece, secret, r.text.String())
			return
		}
	}
}

// lettersAndDigits returns s without all other characters.
func lettersAndDigits(s string) string {
	return strings.Map(func(c rune) rune {
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			return c
		}
		return -1
	}, s)
}

// wireTransport returns a transport to a server that sends these responses as they are. Each
// connection gets the first response for its first request, and so on. After the last response it
// is closed.
func wireTransport(t *testing.T, responses ...string) *http.Transport {
	t.Helper()
	dial := func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			requests := bufio.NewReader(server)
			for _, response := range responses {
				request, err := http.ReadRequest(requests)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				if _, err := io.WriteString(server, response); err != nil {
					return
				}
			}
		}()
		return client, nil
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// wireClient returns a client with this transport, and a recorder of what it shows.
func wireClient(
	t *testing.T, transport http.RoundTripper, opts ...cftunnel.Option,
) (*cftunnel.Client, *recorder) {
	t.Helper()
	r := &recorder{}
	client, err := cftunnel.NewClient(append(append(r.options(),
		cftunnel.WithBaseURL("http://localhost"),
		cftunnel.WithAPIToken(sentToken),
		cftunnel.WithAccountID(accountID),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
		cftunnel.WithoutRateLimit(),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 2, BaseDelay: 1}),
	), opts...)...)
	require.NoError(t, err)
	return client, r
}

type secretCall = func(context.Context, *cftunnel.Client, ...cftunnel.CallOption) error

// secretCalls are the calls whose response contains a secret.
var secretCalls = map[string]secretCall{
	"Token": func(ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption) error {
		_, err := c.Tunnels.Token(ctx, tunnelID, opts...)
		return err
	},
	"ManagementToken": func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		_, err := c.Tunnels.ManagementToken(ctx, tunnelID, cftunnel.ManagementResourceLogs, opts...)
		return err
	},
	"Create": func(ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption) error {
		_, err := c.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "n"}, opts...)
		return err
	},
	"Update": func(ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption) error {
		_, err := c.Tunnels.Update(ctx, tunnelID, cftunnel.TunnelUpdateParams{Name: "n"}, opts...)
		return err
	},
	"RotateSecret": func(
		ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption,
	) error {
		_, err := c.Tunnels.RotateSecret(ctx, tunnelID, cftunnel.RotateParams{})
		return err
	},
	"WARP Token": func(ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption) error {
		_, err := c.WARPConnectors.Token(ctx, tunnelID, opts...)
		return err
	},
	"Do": func(ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption) error {
		var token string
		return c.Do(ctx, http.MethodGet, "token", nil, &token, opts...)
	},
	"DoAll": func(ctx context.Context, c *cftunnel.Client, opts ...cftunnel.CallOption) error {
		for _, err := range cftunnel.DoAll[string](ctx, c, "tokens", nil, opts...) {
			return err
		}
		return nil
	},
}

// response returns the text of an HTTP response.
func response(status, body string) string {
	const format = "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
	return fmt.Sprintf(format, status, len(body), body)
}

// brokenResponses returns invalid responses that contain a token, by what is wrong with them.
func brokenResponses(token string) map[string]string {
	envelope := `{"success":true,"errors":[],"messages":[],"result":"` + token + `"}`
	return map[string]string{
		"JSON without a status line":     envelope,
		"JSON as the status line":        envelope + "\r\n\r\n",
		"JSON as a header line":          "HTTP/1.1 200 OK\r\n" + envelope + "\r\n\r\n",
		"token as a header line":         "HTTP/1.1 200 OK\r\n" + token + "\r\n\r\n",
		"token as the name of a header":  "HTTP/1.1 200 OK\r\n" + token + " : x\r\nContent-Length: 0\r\n\r\n",
		"token as a continued header":    "HTTP/1.1 200 OK\r\nX: y\r\n " + token + "\r\n" + token + "\r\n\r\n",
		"control character in a header":  "HTTP/1.1 200 OK\r\nX: " + token + "\x01\r\nContent-Length: 0\r\n\r\n",
		"token as the status":            "HTTP/1.1 " + token + "\r\n\r\n",
		"token after the status":         "HTTP/1.1 200" + token + " OK\r\n\r\n",
		"token as the protocol":          token + "/1.1 200 OK\r\n\r\n",
		"token as the version":           "HTTP/" + token + " 200 OK\r\n\r\n",
		"token as the reason":            "HTTP/1.1 400 " + token + "\r\nContent-Length: 0\r\n\r\n",
		"JSON instead of a chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + envelope + "\r\n",
		"JSON after a chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}" + envelope + "\r\n0\r\n\r\n",
		"JSON as a trailer":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + envelope + "\r\n\r\n",
		"token as the name of a trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Trailer, " + token + "\r\n\r\n0\r\n\r\n",
		"token as the transfer encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + token + "\r\n\r\n" + envelope,
		"two transfer encodings":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + token + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"token as the length":            "HTTP/1.1 200 OK\r\nContent-Length: " + token + "\r\n\r\n" + envelope,
		"two lengths":                    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: " + token + "\r\n\r\n" + envelope,
		"too long a length":              "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + envelope,
		"JSON instead of gzip":           "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n" + envelope,
		"interim response":               "HTTP/1.1 103 " + token + "\r\nX: " + token + "\r\n\r\n" + response("200 OK", "{}"),
		"another protocol":               "HTTP/1.1 101 " + token + "\r\nConnection: upgrade\r\nUpgrade: " + token + "\r\n\r\n",
		"redirect":                       "HTTP/1.1 302 Found\r\nLocation: https://example.com/" + token + "?t=" + token + "#" + token + "\r\nContent-Length: 0\r\n\r\n",
		"redirect to a host":             "HTTP/1.1 302 Found\r\nLocation: https://" + lettersAndDigits(token) + ".example.com/\r\nContent-Length: 0\r\n\r\n",
		"redirect with a password":       "HTTP/1.1 302 Found\r\nLocation: https://a:" + lettersAndDigits(token) + "@example.com/\r\nContent-Length: 0\r\n\r\n",
		"redirect to an invalid URL":     "HTTP/1.1 302 Found\r\nLocation: https://exa mple:" + token + "/%zz\r\nContent-Length: 0\r\n\r\n",
		"ray id":                         "HTTP/1.1 400 Bad\r\nCf-Ray: " + token + "\r\nContent-Length: 0\r\n\r\n",
		"HTML":                           response("200 OK", "<html><pre>"+token+"</pre></html>"),
		"HTML of a failure":              response("502 Bad Gateway", "<html><pre>"+token+"</pre></html>"),
		"HTML in pieces":                 response("502 Bad Gateway", "<html><pre>"+inPieces(token, 20, "<br>\n")+"</pre></html>"),
		"text":                           response("200 OK", "token "+token),
		"text of a failure":              response("403 Forbidden", "token "+token),
		"JSON string":                    response("200 OK", `"`+token+`"`),
		"JSON list":                      response("200 OK", `["`+token+`"]`),
		"JSON of another form":           response("200 OK", `{"token":"`+token+`"}`),
		"truncated JSON":                 response("200 OK", envelope[:len(envelope)-10]),
		"JSON twice":                     response("200 OK", envelope+envelope),
		"JSON error":                     response("500 Oh", `{"error":"`+token+`"}`),
		"JSON error object":              response("500 Oh", `{"error":{"code":1,"message":"token `+token+`"}}`),
		"JSON of RFC 9457":               response("403 No", `{"type":"about:blank","title":"Forbidden","detail":"`+token+`"}`),
		"name of a result's member":      response("200 OK", `{"success":true,"result":{"`+token+`":1}}`),
		"result in a list":               response("200 OK", `{"success":true,"result":[["`+token+`"]]}`),
		"result of a failure":            response("200 OK", `{"success":false,"errors":[],"result":"`+token+`"}`),
		"result without success":         response("200 OK", `{"errors":[],"result":"`+token+`"}`),
		"message of an error":            response("400 No", `{"success":false,"errors":[{"code":1,"message":"bad token `+token+`"}]}`),
		"message in pieces":              response("400 No", `{"success":false,"errors":[{"code":1,"message":"`+inPieces(token, 20, `\n`)+`"}]}`),
		"chain of an error":              response("400 No", `{"success":false,"errors":[{"code":1,"error_chain":[{"message":"`+token+`"}]}]}`),
		"page of an error":               response("400 No", `{"success":false,"errors":[{"code":1,"documentation_url":"https://example.com/`+token+`"}]}`),
		"pointer of an error":            response("400 No", `{"success":false,"errors":[{"code":1,"source":{"pointer":"/`+token+`"}}]}`),
		"message of a success":           response("200 OK", `{"success":true,"messages":["`+token+`",{"code":1,"message":"`+token+`"}],"result":"x"}`),
	}
}

// inPieces returns s with a separator after each length bytes.
func inPieces(s string, length int, separator string) string {
	var pieces []string
	for ; len(s) > length; s = s[length:] {
		pieces = append(pieces, s[:length])
	}
	return strings.Join(append(pieces, s), separator)
}

func TestBrokenResponses_ShowNoToken(t *testing.T) {
	t.Parallel()
	for kind, token := range unknownTokens {
		for broken, raw := range brokenResponses(token) {
			t.Run(kind+", "+broken, func(t *testing.T) {
				t.Parallel()
				for name, call := range secretCalls {
					client, recorder := wireClient(t, wireTransport(t, raw))
					var info cftunnel.ResponseInfo
					recorder.addError(call(t.Context(), client, cftunnel.CaptureResponse(&info)))
					info.Header = nil // the headers of the server are not redacted
					recorder.add(info)
					recorder.assertHides(t, token)
					require.NotEmpty(t, recorder.text.String(), name)
				}
			})
		}
	}
}

// If the response to a call for a token is too long and the connection is not closed, the rest is
// read as the beginning of the next response. That may be the response to a call without a secret.
func TestBrokenResponses_ShowNoTokenInNextCall(t *testing.T) {
	t.Parallel()
	for kind, token := range unknownTokens {
		first := response("200 OK", `{"success":true,"errors":[],"result":"first"}`)
		for rest, raw := range brokenResponses(token) {
			t.Run(kind+", "+rest, func(t *testing.T) {
				t.Parallel()
				for _, next := range []string{raw, raw[len(raw)/2:], "\r\n" + raw, "x" + raw} {
					client, recorder := wireClient(t, wireTransport(t, first, next), once)
					_, err := client.Tunnels.Token(t.Context(), tunnelID)
					require.NoError(t, err)
					_, err = client.Tunnels.Get(t.Context(), tunnelID)
					require.Error(t, err)
					recorder.addError(err)
					recorder.assertHides(t, token)
				}
			})
		}
	}
}

// net/http prints what arrives on an idle connection to the standard log.
//
//nolint:paralleltest // the standard log belongs to all tests
func TestBrokenResponses_ShowNoTokenInStandardLog(t *testing.T) {
	var printed bytes.Buffer
	log.SetOutput(&printed)
	defer log.SetOutput(os.Stderr)
	const token = "cfat_0123456789abcdef0123456789abcdef01234567"
	first := response("200 OK", `{"success":true,"errors":[],"result":"first"}`)
	for name, call := range secretCalls {
		synctest.Test(t, func(t *testing.T) {
			dial := wireTransport(t, first+token).DialContext
			client, err := cftunnel.NewClient(
				cftunnel.WithBaseURL("http://localhost"), cftunnel.WithAPIToken(sentToken),
				cftunnel.WithAccountID(accountID), once,
				cftunnel.WithTransport(func(t http.RoundTripper) http.RoundTripper {
					t.(*http.Transport).DialContext = dial
					return t
				}))
			require.NoError(t, err)
			_ = call(t.Context(), client)
			synctest.Wait()
			assert.Empty(t, printed.String(), name)
		})
	}
}
