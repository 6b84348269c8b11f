package cftunnel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

var sentinels = []error{
	cftunnel.ErrBadRequest, cftunnel.ErrUnauthorized, cftunnel.ErrForbidden, cftunnel.ErrNotFound, cftunnel.ErrConflict,
	cftunnel.ErrRateLimited, cftunnel.ErrServer, cftunnel.ErrTunnelNameTaken, cftunnel.ErrActiveConnections, cftunnel.ErrOutcomeUnknown,
}

func TestError_Sentinels(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status, code int
		want         []error
	}{
		{400, 0, []error{cftunnel.ErrBadRequest}},
		{400, 1022, []error{cftunnel.ErrBadRequest, cftunnel.ErrActiveConnections}},
		{401, 1000, []error{cftunnel.ErrUnauthorized}},
		{403, 10000, []error{cftunnel.ErrForbidden}},
		{404, 1003, []error{cftunnel.ErrNotFound}},
		{404, 7003, nil},
		{404, 7000, nil},
		{400, 6003, []error{cftunnel.ErrBadRequest, cftunnel.ErrUnauthorized}},
		{400, 9106, []error{cftunnel.ErrBadRequest, cftunnel.ErrUnauthorized}},
		{405, 10000, nil},
		{409, 1013, []error{cftunnel.ErrConflict, cftunnel.ErrTunnelNameTaken}},
		{429, 10429, []error{cftunnel.ErrRateLimited}},
		{500, 0, []error{cftunnel.ErrServer}},
		{530, 0, []error{cftunnel.ErrServer}},
		{200, 1013, []error{cftunnel.ErrTunnelNameTaken}},
	} {
		t.Run(fmt.Sprint(test.status, test.code), func(t *testing.T) {
			t.Parallel()
			body := fmt.Sprintf(`{"success":false,"errors":[{"code":%d,"message":"m"}],"result":null}`, test.code)
			client := clientOf(t, respond(test.status, body), once)
			_, err := client.Tunnels.Get(t.Context(), tunnelID)
			for _, sentinel := range sentinels {
				wanted := false
				for _, want := range test.want {
					wanted = wanted || errors.Is(want, sentinel)
				}
				assert.Equal(t, wanted, errors.Is(err, sentinel), "%v", sentinel)
			}
		})
	}
}

func TestError_Fields(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(403, `{"success":false,"messages":[],"result":null,"errors":[
		{"code":10000,"message":"Authentication error","documentation_url":"https://d.example.com","source":{"pointer":"/name"},
		 "error_chain":[{"code":"9109","message":"Unauthorized to access requested resource"},"text alone"]},
		{"code":7003,"message":"second\nline"}]}`))
	_, err := client.Tunnels.Token(t.Context(), tunnelID)
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok)
	assert.Equal(t, http.StatusForbidden, failure.StatusCode)
	assert.Equal(t, http.MethodGet, failure.Method)
	assert.Equal(t, "/accounts/"+accountID+"/cfd_tunnel/"+tunnelID+"/token", failure.Path)
	assert.Equal(t, "8f2ab-FRA", failure.RayID)
	assert.Equal(t, 1, failure.Attempts)
	assert.Equal(t, []cftunnel.ErrorDetail{
		{
			Code: 10000, Message: "Authentication error", DocumentationURL: "https://d.example.com", Pointer: "/name",
			Chain: []cftunnel.ErrorDetail{{Code: 9109, Message: "Unauthorized to access requested resource"}, {Message: "text alone"}},
		},
		{Code: 7003, Message: "second\nline"},
	}, failure.Errors)

	assert.Equal(t,
		`cftunnel: GET /accounts/`+accountID+`/cfd_tunnel/`+tunnelID+`/token: 403 Forbidden; `+
			`10000: Authentication error at /name [9109: Unauthorized to access requested resource, text alone]; 7003: second line; `+
			`the credentials need one of the permissions "Cloudflare One Connectors Write", "Cloudflare One Connector: cloudflared Write" `+
			`or "Cloudflare Tunnel Write" (ray 8f2ab-FRA)`, err.Error())

	assert.True(t, cftunnel.HasCode(err, 10000))
	assert.True(t, cftunnel.HasCode(err, 1, 9109), "in the chain")
	assert.True(t, cftunnel.HasCode(fmt.Errorf("outer: %w", errors.Join(io.EOF, err)), 7003),
		"inside other errors")
	assert.False(t, cftunnel.HasCode(err, 1013))
	assert.False(t, cftunnel.HasCode(nil, 1013))
	assert.False(t, cftunnel.HasCode(io.EOF, 1013))
}

// The API has no route below a base URL without its path.
func TestError_BaseURLWithoutPath(t *testing.T) {
	t.Parallel()
	const hint = "; the cause may be that the base URL does not end with /client/v4"
	srv, client := newFake(t)
	err := client.Do(t.Context(), http.MethodGet, "/nowhere", nil, nil)
	require.ErrorContains(t, err, "7000: ")
	assert.NotContains(t, err.Error(), hint)
	root := strings.TrimSuffix(srv.URL(), "/client/v4")
	client, err = srv.NewClient(cftunnel.WithBaseURL(root))
	require.NoError(t, err)
	_, err = client.Tunnels.Get(t.Context(), tunnelID)
	require.ErrorContains(t, err, "7000: ")
	assert.ErrorContains(t, err, hint)
	for status, body := range map[int]string{404: refusalBody(1002), 400: refusalBody(7003)} {
		_, err = clientOf(t, respond(status, body)).Tunnels.Get(t.Context(), tunnelID)
		assert.NotContains(t, err.Error(), hint)
	}
}

// A code with several causes gets a hint only if the message is about that cause.
func TestError_PossibleCauses(t *testing.T) {
	t.Parallel()
	const address = "the token's condition may forbid the client's address"
	for message, want := range map[string]bool{
		"Cannot use the access token from location: 192.0.2.1": true,
		"Unauthorized to access requested resource":            false,
		"Valid user-level authentication not found":            false,
		"Invalid access token":                                 false,
		"":                                                     false,
	} {
		for _, form := range []string{
			`{"code":9109,"message":%q}`,
			`{"code":10000,"message":"m","error_chain":[{"code":9109,"message":%q}]}`,
		} {
			body := `{"success":false,"errors":[` + fmt.Sprintf(form, message) + `]}`
			_, err := clientOf(t, respond(403, body)).Tunnels.Get(t.Context(), tunnelID)
			require.ErrorIs(t, err, cftunnel.ErrForbidden)
			assert.Equal(t, want, strings.Contains(err.Error(), address), "%v", err)
			assert.Equal(t, !want, strings.Contains(err.Error(), "the credentials need"), "%v", err)
		}
	}
}

func TestError_BodyExcerpt(t *testing.T) {
	t.Parallel()
	get := func(status int, body string) *cftunnel.Error {
		client := clientOf(t, respond(status, body), once)
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		failure, ok := errors.AsType[*cftunnel.Error](err)
		require.True(t, ok, "%v", err)
		return failure
	}
	failure := get(502, "<html>\n  <title>Bad gateway</title>\xff"+strings.Repeat("é", 5000))
	assert.Equal(t, 502, failure.StatusCode)
	start := "<html> <title>Bad gateway</title>"
	assert.True(t, strings.HasPrefix(failure.Body, start), failure.Body)
	assert.Less(t, len(failure.Body), 600)
	assert.Contains(t, failure.Error(), "Bad gateway")

	assert.Equal(t, "upstream connect error", get(503, "upstream connect error").Body)
	assert.Equal(t, "<html>a captive portal</html>", get(200, "<html>a captive portal</html>").Body)
	assert.Empty(t, get(503, "").Body)
	assert.Empty(t, get(503, `{"success":false,"errors":[{"code":1,"message":"m"}]}`).Body)
	assert.Empty(t, get(200, `{"success":true,"result":{"token":"`+planted).Body,
		"a truncated response may contain a secret")
}

func TestError_NoExcerptOfSecretResponse(t *testing.T) {
	t.Parallel()
	body := func(status int, text string) string {
		client := clientOf(t, respond(status, text), once)
		_, err := client.Tunnels.Token(t.Context(), tunnelID)
		failure, ok := errors.AsType[*cftunnel.Error](err)
		require.True(t, ok, "%v", err)
		return failure.Body
	}
	assert.Empty(t, body(503, "upstream connect error"))
	assert.Empty(t, body(502, "<pre>"+planted+"</pre>"))
	assert.Empty(t, body(500, "the token is "+strings.Repeat("x", 40)))
	assert.Empty(t, body(200, "x"))
	client := clientOf(t, respond(200, planted), once)
	_, err := client.Tunnels.Token(t.Context(), tunnelID)
	require.Error(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), planted)
	var token string
	err = client.Do(t.Context(), http.MethodGet, "token", nil, &token)
	require.Error(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), planted)
}

// show returns every printed form of an error and of its causes.
func show(err error) string {
	var all strings.Builder
	for e := err; e != nil; e = errors.Unwrap(e) {
		encoded, _ := json.Marshal(e)
		fmt.Fprintf(&all, "%v %+v %#v %q %s\n", e, e, e, e, encoded)
	}
	if failure, ok := errors.AsType[*cftunnel.Error](err); ok {
		fmt.Fprintf(&all, "%+v %#v", *failure, *failure)
	}
	slog.New(slog.NewTextHandler(&all, nil)).Error("text", "err", err)
	slog.New(slog.NewJSONHandler(&all, nil)).Error("json", "err", err)
	return all.String()
}

func TestError_RedactsEchoedSecrets(t *testing.T) {
	t.Parallel()
	// Contains every character of base64 that an encoding escapes.
	tunnelSecret := cftunnel.NewSecret("Pz8/Pj4+PDw8" + strings.Repeat("+/", 16))
	token := apiToken
	// Contains characters that are valid in a header and not in an API token.
	header := planted + "~!&<'\"%"
	echo := func(write func(w http.ResponseWriter, secret string)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var sent struct {
				Secret string `json:"tunnel_secret"`
			}
			_ = json.Unmarshal(body, &sent)
			write(w, strings.Join([]string{
				r.Header.Get("Authorization"), r.Header.Get("X-Auth-Key"), sent.Secret,
				r.Header.Get("X-Service-Token"),
			}, " "))
		}
	}
	detail := func(format string) http.HandlerFunc {
		return echo(func(w http.ResponseWriter, secret string) {
			quoted, _ := json.Marshal(strings.Repeat("x", 1000) + secret)
			w.WriteHeader(400)
			_, _ = fmt.Fprintf(w, format, quoted)
		})
	}
	text := func(status int, encode func(string) string) http.HandlerFunc {
		return echo(func(w http.ResponseWriter, secret string) {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, "you sent ", encode(secret))
		})
	}
	for name, handler := range map[string]http.HandlerFunc{
		"in a message":          detail(`{"success":false,"errors":[{"code":1,"message":%s}]}`),
		"in a plain message":    detail(`{"success":false,"errors":[%s]}`),
		"in a chain":            detail(`{"success":false,"errors":[{"code":1,"error_chain":[{"message":%s}]}]}`),
		"in a pointer":          detail(`{"success":false,"errors":[{"code":1,"source":{"pointer":%s}}]}`),
		"in a link":             detail(`{"success":false,"errors":[{"code":1,"documentation_url":%s}]}`),
		"in text":               text(502, func(s string) string { return s }),
		"in text, query form":   text(502, url.QueryEscape),
		"in text, path form":    text(502, url.PathEscape),
		"in HTML":               text(502, html.EscapeString),
		"in a JSON string":      text(502, func(s string) string { q, _ := json.Marshal(s); return string(q) }),
		"without its beginning": text(400, func(s string) string { return "bad " + s[24:] }),
		"where text is cut":     text(502, func(s string) string { return strings.Repeat("x", 480) + s }),
		"in the ray id":         echo(func(w http.ResponseWriter, s string) { w.Header().Set("Cf-Ray", s); w.WriteHeader(500) }),
		"in status 200":         text(200, func(s string) string { return s }),
		"in a redirect": echo(func(w http.ResponseWriter, s string) {
			w.Header().Set("Location", "https://e.example.com/"+s)
			w.WriteHeader(302)
		}),
		"in a result of the wrong type": echo(func(w http.ResponseWriter, s string) {
			_ = json.NewEncoder(w).Encode(m{"success": true, "result": s})
		}),
		"in an invalid time": echo(func(w http.ResponseWriter, s string) {
			_ = json.NewEncoder(w).Encode(
				m{"success": true, "result": m{"id": "x", "created_at": s}})
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, credentials := range []cftunnel.Option{
				cftunnel.WithAPIToken(token), cftunnel.WithAPIKey("a@example.com", token),
			} {
				var info cftunnel.ResponseInfo
				var log strings.Builder
				logger := slog.New(
					slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				client := clientOf(t, handler, once, credentials, cftunnel.WithLogger(logger))
				params := cftunnel.TunnelUpdateParams{Secret: tunnelSecret}
				_, err := client.Tunnels.Update(t.Context(), tunnelID, params,
					cftunnel.CaptureResponse(&info), cftunnel.AddHeader("X-Service-Token", header))
				require.Error(t, err)
				shown := show(err) + log.String() + info.RayID + fmt.Sprint(info.Messages)
				for _, secret := range []string{token, tunnelSecret.Reveal(), header} {
					for _, form := range []string{
						secret, url.QueryEscape(secret), url.PathEscape(secret),
						html.EscapeString(secret),
					} {
						assert.NotContains(t, shown, form)
					}
					assert.NotContains(t, shown, secret[:12], "part of a secret")
				}
				for at := 10; at+12 <= len(apiToken); at++ {
					assert.NotContains(t, shown, apiToken[at:at+12], "part of a secret")
				}
			}
		})
	}
}

func TestError_RedactsTransportError(t *testing.T) {
	t.Parallel()
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("dump %v: %w", r.Header, io.ErrClosedPipe)
	})
	_, client := newFake(t, once, cftunnel.WithAPIToken(apiToken),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	_, err := client.Tunnels.Get(t.Context(), tunnelID)
	require.ErrorIs(t, err, io.ErrClosedPipe, "the chain contains the cause")
	assert.NotContains(t, show(err), apiToken)
}

func TestError_HasNoURLError(t *testing.T) {
	t.Parallel()
	transport := roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, io.ErrClosedPipe
	})
	_, client := newFake(t, once, cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	_, err := client.Tunnels.Get(t.Context(), tunnelID)
	wrapper, ok := errors.AsType[*url.Error](err)
	assert.False(t, ok, "%v", wrapper)
}

func TestError_CanceledBeforeSending(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "n"})
	require.ErrorIs(t, err, context.Canceled)
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok)
	assert.Zero(t, failure.Attempts)
	assert.Zero(t, failure.StatusCode)
	assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Contains(t, err.Error(), "not sent")
	assert.Empty(t, srv.Requests())
}

// textError is an error whose text %#v prints, also if another error contains it.
type textError string

func (e textError) Error() string { return string(e) }

func TestError_HidesRedactedCause(t *testing.T) {
	t.Parallel()
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, textError(r.Header.Get("Authorization"))
	})
	_, client := newFake(t, once, cftunnel.WithAPIToken(apiToken),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	_, err := client.Tunnels.Get(t.Context(), tunnelID)
	assert.NotContains(t, show(err), apiToken[10:])
}

func TestError_BrokenBody(t *testing.T) {
	t.Parallel()
	transport := roundTripper(func(*http.Request) (*http.Response, error) {
		body := io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
		return &http.Response{StatusCode: 400, Body: body}, nil
	})
	_, client := newFake(t, cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	err := list(t.Context(), client)
	require.ErrorIs(t, err, cftunnel.ErrBadRequest)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestError_ExcerptOfInvalidBody(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"invalid UTF-8":                {"<h1>\xff\xfe</h1>", "<h1>\uFFFD</h1>"},
		"JSON after a byte order mark": {"\ufeff{\"result\":\"cut", ""},
		"a JSON string":                {`"eyJhIjoi`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, respond(400, test.body))
			failure, ok := errors.AsType[*cftunnel.Error](list(t.Context(), client))
			require.True(t, ok)
			assert.Equal(t, test.want, failure.Body)
		})
	}
}

func TestError_TruncatesRayID(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	for sent, want := range map[string]string{long: long, long + "b": long + "…", "8f2ab\tFRA": "8f2ab FRA"} {
		client := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cf-Ray", sent)
			w.WriteHeader(400)
		})
		failure, ok := errors.AsType[*cftunnel.Error](list(t.Context(), client))
		require.True(t, ok)
		assert.Equal(t, want, failure.RayID)
	}
}

func TestError_RedactsAddedQuery(t *testing.T) {
	t.Parallel()
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		_, _ = fmt.Fprintf(w, `{"success":false,"errors":[{"code":1,"message":"bad: %s"}]}`, r.URL.Query().Get("token"))
	})
	_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.AddQuery("token", "query-secret"))
	require.ErrorIs(t, err, cftunnel.ErrBadRequest)
	assert.Contains(t, err.Error(), "bad: [REDACTED]")
}

func TestError_TruncatesDetails(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 1024)
	for sent, want := range map[string]string{long: long, long + "b": long + "…"} {
		client := clientOf(t, respond(400, fmt.Sprintf(
			`{"success":false,"errors":[{"code":1,"message":%[1]q,"documentation_url":%[1]q,"source":{"pointer":%[1]q}}]}`, sent)))
		failure, ok := errors.AsType[*cftunnel.Error](list(t.Context(), client))
		require.True(t, ok)
		require.Len(t, failure.Errors, 1)
		assert.Equal(t, want, failure.Errors[0].Message)
		assert.Equal(t, want, failure.Errors[0].DocumentationURL)
		assert.Equal(t, want, failure.Errors[0].Pointer)
	}
	detail := cftunnel.ErrorDetail{Code: 1, Message: "a\x1b[31m\u200eb", Pointer: "/c\r\nd\x00e"}
	assert.Equal(t, "1: a [31m b at /c d e", detail.String())
}

func TestError_PermissionHint(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404} {
		err := list(t.Context(), clientOf(t, respond(status, "{}")))
		require.Error(t, err)
		assert.Equal(t, status == 403, strings.Contains(err.Error(), "permissions"), "%v", err)
	}
}

func TestError_RedactsBeforeTruncating(t *testing.T) {
	t.Parallel()
	before := strings.Repeat("x", 1020)
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		token := r.Header.Get("Authorization")[len("Bearer "):]
		_, _ = fmt.Fprintf(w, `{"success":false,"errors":[{"code":1,"message":"%s%s"}]}`,
			before, token)
	})
	failure, ok := errors.AsType[*cftunnel.Error](list(t.Context(), client))
	require.True(t, ok)
	require.Len(t, failure.Errors, 1)
	assert.Equal(t, before+"[RED…", failure.Errors[0].Message)
}
