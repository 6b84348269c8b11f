package tunnellogs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

const verbs = "vsqxXdboOcUeEfFgGtp" // w is for errors, T for types

// shown has every form in which a value may be printed.
func shown(t *testing.T, value any) string {
	t.Helper()
	var b strings.Builder
	for _, verb := range verbs {
		if _, isPointer := value.(*tunnellogs.Entry); verb == 'p' && !isPointer {
			continue // fmt prints what is no pointer by itself
		}
		for _, flags := range []string{"", "+", "#", "-20", "08.3", " "} {
			fmt.Fprintf(&b, "%"+flags+string(verb)+"\n", value)
		}
	}
	fmt.Fprintln(&b, value)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		if _, isEntry := value.(tunnellogs.Entry); isEntry {
			slog.New(handler).Info("m", "entry", value)
			slog.New(handler).With("entry", value).WithGroup("g").Info("m", "entry", value)
		}
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "value", value)
	return b.String()
}

func TestEntry_PrintsLeaveSecretsOut(t *testing.T) {
	t.Parallel()
	entry := tunnellogs.Entry{
		ConnectorID: "the-connector",
		Time:        time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC),
		Level:       "debug",
		Event:       "http",
		Message:     "GET https://management.argotunnel.com/logs?access_token=hidden-token&connector_id=kept HTTP/1.1",
		Fields:      map[string]any{"hidden-key": map[string]any{"Cookie": []any{"hidden-cookie"}}},
	}
	type holder struct {
		Entry   tunnellogs.Entry
		Pointer *tunnellogs.Entry
	}
	for name, value := range map[string]any{
		"value":     entry,
		"pointer":   &entry,
		"slice":     []tunnellogs.Entry{entry},
		"pointers":  []*tunnellogs.Entry{&entry},
		"array":     [1]tunnellogs.Entry{entry},
		"map":       map[string]tunnellogs.Entry{"a": entry},
		"struct":    holder{entry, &entry},
		"interface": []any{entry},
		"channel of": struct {
			E []holder
		}{[]holder{{entry, &entry}}},
	} {
		text := shown(t, value)
		assert.NotContains(t, text, "hidden", name)
		assert.Contains(t, text, "the-connector", name)
		assert.Contains(t, text, "kept", name)
	}
	assert.NotContains(t, entry.String(), "hidden")
	assert.NotContains(t, entry.LogValue().String(), "hidden")
	assert.NotPanics(t, func() { _ = shown(t, (*tunnellogs.Entry)(nil)) })
	assert.NotPanics(t, func() { _ = shown(t, tunnellogs.Entry{}) })
}

func TestEntry_AccessTokenForms(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		"access_token=hidden",
		"?access_token=hidden",
		"GET /logs?a=1&access_token=hidden&b=kept HTTP/1.1",
		"/logs?access_token=hidden#fragment",
		"ACCESS_TOKEN=hidden&Access_Token=hidden",
		"access%5Ftoken=hidden and access%5ftoken=hidden",
		"%61ccess_token=hidden",
		"next=%2Flogs%3Faccess_token%3Dhidden%26b%3Dkept",
		"next=%252Flogs%253Faccess_token%253Dhidden%2526b",
		`{"access_token":"hidden","b":"kept"}`,
		`{"access_token": "hidden"}`,
		`{\"access_token\":\"hidden\"}`,
		"access_token: hidden",
		"access_token = hidden",
		"access_token=hidden\naccess_token=hidden",
		"é access_token=hidden Ⱥ",
		"access_token=hi%64den", "access_token=h%69dden", "access_token=hid%20den", "access_token=hid%26den&b=kept",
		"access_token=hid,hid;hid)hid'den b=kept", `access_token="hid den" kept`, `{"access_token":"hid\"den","b":"kept"}`,
		`{"access_token":"hid den,den"}`, "next=%2Flogs%3Faccess_token%3Dhid%2526den%26b%3Dkept", "access_token=hid\nkept",
		"100% access_token=hidden %",
	} {
		text := tunnellogs.Entry{Message: message}.String()
		assert.NotContains(t, text, "hid", message)
		assert.NotContains(t, text, "den", message)
		assert.Contains(t, text, "[REDACTED]", message)
		if strings.Contains(message, "kept") {
			assert.Contains(t, text, "kept", message)
		}
	}
	for _, message := range []string{"", "access_token", "no access_token was given", "100%", "%41%zz%", "a=b&token=kept", "access_token= b"} {
		assert.Equal(t, message, tunnellogs.Entry{Message: message}.String())
	}
}

func TestEntry_PrintsCannotDriveATerminal(t *testing.T) {
	t.Parallel()
	text := tunnellogs.Entry{
		Level:   "info\x1b[2J",
		Message: "a\x1b]0;title\x07\r\nb\u202e\xff é 世界",
	}.String()
	for _, c := range []string{"\x1b", "\x07", "\r", "\n", "\u202e"} {
		assert.NotContains(t, text, c)
	}
	assert.Contains(t, text, "é 世界")
}

// echo is a transport that fails with everything it knows.
type echo struct {
	wrap func(*http.Request) (*http.Response, error)
}

func (e echo) RoundTrip(r *http.Request) (*http.Response, error) { return e.wrap(r) }

func TestErrors_HoldNoToken(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(w http.ResponseWriter, r *http.Request){
		"text": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no access with "+r.URL.String(), http.StatusForbidden)
		},
		"JSON": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{"code": 1, "message": r.URL.String()}}})
		},
		"token alone, cut": func(w http.ResponseWriter, r *http.Request) {
			token := r.URL.Query().Get("access_token")
			http.Error(w, strings.Repeat("x", 1000)+token, http.StatusForbidden)
		},
		"pieces": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, strings.Join(strings.Split(r.URL.Query().Get("access_token"), "."), "\n"), http.StatusForbidden)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2/elsewhere?"+r.URL.RawQuery, http.StatusFound)
		},
		"false handshake": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", r.URL.String())
			w.WriteHeader(http.StatusSwitchingProtocols)
		},
		"close reason": func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			_, _, _ = conn.Read(r.Context())
			_ = conn.Close(4000, r.URL.Query().Get("access_token")[:120])
		},
		"broken HTTP": func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(conn, "%s\r\n\r\n", r.URL)
				_ = conn.Close()
			}
		},
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				holdsNoToken(t, func(r *rig) http.RoundTripper {
					return newNetwork(r.t, http.HandlerFunc(fail)).client.Transport
				})
			})
		})
	}
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"URL in a text": func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("no way to %s", r.URL) },
		"URL error": func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{URL: r.URL.String(), Err: errRefused}
		},
		"URL error, wrapped": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("proxy: %w", &url.Error{URL: r.URL.String(), Err: errRefused})
		},
		"joined": func(r *http.Request) (*http.Response, error) {
			return nil, errors.Join(errRefused, errors.New(r.URL.RawQuery))
		},
		"escaped":             func(r *http.Request) (*http.Response, error) { return nil, errors.New(url.QueryEscape(r.URL.String())) },
		"hidden in the chain": func(r *http.Request) (*http.Response, error) { return nil, quiet{errors.New(r.URL.String())} },
		"deadline": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s: %w", r.URL, context.DeadlineExceeded)
		},
		"a megabyte": func(r *http.Request) (*http.Response, error) {
			return nil, errors.New(strings.Repeat("x", 1<<20) + r.URL.String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				err := holdsNoToken(t, func(*rig) http.RoundTripper { return echo{fail} })
				if name == "deadline" {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
				assert.Less(t, len(err.Error()), 4096)
			})
		})
	}
}

// quiet hides the text of an error, but not the error.
type quiet struct{ error }

func (quiet) Error() string   { return "quiet" }
func (q quiet) Unwrap() error { return q.error }

// holdsNoToken opens a stream over a transport that fails, and looks for the token in whatever
// comes of it.
func holdsNoToken(t *testing.T, transport func(*rig) http.RoundTripper) error {
	t.Helper()
	r := newRig(t)
	id := r.connect()
	inner := transport(r)
	var mu sync.Mutex
	var tokens []string
	r.params.HTTPClient = &http.Client{
		Transport: echo{func(request *http.Request) (*http.Response, error) {
			mu.Lock()
			tokens = append(tokens, request.URL.Query().Get("access_token"))
			mu.Unlock()
			return inner.RoundTrip(request)
		}},
	}
	var logged bytes.Buffer
	r.params.Logger = slog.New(
		slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}),
	)

	stream, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, id, r.params)
	if err == nil {
		_, err = stream.Next(t.Context())
		require.NoError(t, stream.Close())
	}
	require.Error(t, err)
	assert.Len(t, tokens, 1, "redirects are not followed")
	check := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		token := tokens[len(tokens)-1]
		for at := 0; at+12 <= len(token); at++ {
			if strings.Contains(text, token[at:at+12]) {
				t.Errorf("a part of the token is in %q", text)
				return
			}
		}
	}
	inspect(err, check)
	var withURL *url.Error
	assert.NotErrorAs(t, err, &withURL)
	var failure *tunnellogs.StreamError
	require.ErrorAs(t, err, &failure)
	assert.Equal(t, id, failure.ConnectorID)
	encoded, jsonErr := json.Marshal(failure)
	require.NoError(t, jsonErr)
	check(string(encoded))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, err := range tunnellogs.Tail(ctx, r.client, r.tunnel.ID, r.params) {
		inspect(err, check)
	}
	assert.NotEmpty(t, logged.String())
	check(logged.String())
	return err
}

// inspect shows an error, and those in its chain, in every form.
func inspect(err error, check func(string)) {
	if err == nil {
		return
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		check(fmt.Sprintf(format, err))
	}
	check(fmt.Sprint(slog.AnyValue(err)))
	switch err := err.(type) { //nolint:errorlint // every error of the chain is looked at
	case interface{ Unwrap() error }:
		inspect(err.Unwrap(), check)
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			inspect(inner, check)
		}
	}
}

func TestErrors_KeepTheirCause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.connect()
	r.params.HTTPClient = &http.Client{
		Transport: echo{func(*http.Request) (*http.Response, error) { return nil, errRefused }},
	}
	_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, id, r.params)
	require.ErrorIs(t, err, errRefused)
	ctx, cancel := context.WithCancel(t.Context())
	r.params.HTTPClient = &http.Client{
		Transport: echo{func(request *http.Request) (*http.Response, error) {
			cancel()
			return nil, request.Context().Err()
		}},
	}
	_, err = tunnellogs.Open(ctx, r.client, r.tunnel.ID, id, r.params)
	require.ErrorIs(t, err, context.Canceled)

}

func FuzzEntry_AccessToken(f *testing.F) {
	f.Add("GET /logs?", " HTTP/1.1")
	f.Add(`{"access_token":"`, `"}`)
	f.Add("%25access_token%3d", "%26")
	f.Fuzz(func(t *testing.T, before, after string) {
		const token = "KtKtKtKtKt"
		text := tunnellogs.Entry{Message: before + "&access_token=" + token + "&" + after}.String()
		if strings.Count(text, token) > strings.Count(before+after, token) {
			t.Errorf("%q shows the token", text)
		}
	})
}
