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

const verbs = "vsqxXdboOcUeEfFgGtp" // all but w, for errors, and T, for types

// printed returns a value printed in every way.
func printed(t *testing.T, value any) string {
	t.Helper()
	var b strings.Builder
	for _, verb := range verbs {
		if _, isPointer := value.(*tunnellogs.Entry); verb == 'p' && !isPointer {
			continue // fmt formats %p of other values itself
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

func TestEntry_PrintedWithoutSecrets(t *testing.T) {
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
		"nested": struct {
			E []holder
		}{[]holder{{entry, &entry}}},
	} {
		text := printed(t, value)
		assert.NotContains(t, text, "hidden", name)
		assert.Contains(t, text, "the-connector", name)
		assert.Contains(t, text, "kept", name)
	}
	assert.NotContains(t, entry.String(), "hidden")
	assert.NotContains(t, entry.LogValue().String(), "hidden")
	assert.NotPanics(t, func() { _ = printed(t, (*tunnellogs.Entry)(nil)) })
	assert.NotPanics(t, func() { _ = printed(t, tunnellogs.Entry{}) })
}

func TestEntryString_RedactsAccessToken(t *testing.T) {
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

func TestEntryString_EscapesControlCharacters(t *testing.T) {
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

// roundTripFunc is a function as an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestStreamError_HasNoToken(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(w http.ResponseWriter, r *http.Request){
		"text": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no access with "+r.URL.String(), http.StatusForbidden)
		},
		"JSON": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			apiError := map[string]any{"code": 1, "message": r.URL.String()}
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{apiError}})
		},
		"token without URL, cut off": func(w http.ResponseWriter, r *http.Request) {
			token := r.URL.Query().Get("access_token")
			http.Error(w, strings.Repeat("x", 1000)+token, http.StatusForbidden)
		},
		"parts of the token": func(w http.ResponseWriter, r *http.Request) {
			token := r.URL.Query().Get("access_token")
			http.Error(w, strings.ReplaceAll(token, ".", "\n"), http.StatusForbidden)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2/elsewhere?"+r.URL.RawQuery, http.StatusFound)
		},
		"invalid handshake": func(w http.ResponseWriter, r *http.Request) {
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
		"invalid HTTP": func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(conn, "%s\r\n\r\n", r.URL)
				_ = conn.Close()
			}
		},
		"cut connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				requireNoToken(t, func(r *rig) http.RoundTripper {
					return newNetwork(r.t, http.HandlerFunc(fail)).client.Transport
				})
			})
		})
	}
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"URL in a text": func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("cannot reach %s", r.URL) },
		"URL error": func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{URL: r.URL.String(), Err: errRefused}
		},
		"URL error, wrapped": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("proxy: %w", &url.Error{URL: r.URL.String(), Err: errRefused})
		},
		"joined": func(r *http.Request) (*http.Response, error) {
			return nil, errors.Join(errRefused, errors.New(r.URL.RawQuery))
		},
		"escaped":            func(r *http.Request) (*http.Response, error) { return nil, errors.New(url.QueryEscape(r.URL.String())) },
		"in a wrapped error": func(r *http.Request) (*http.Response, error) { return nil, hiddenError{errors.New(r.URL.String())} },
		"deadline": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%s: %w", r.URL, context.DeadlineExceeded)
		},
		"1 MiB": func(r *http.Request) (*http.Response, error) {
			return nil, errors.New(strings.Repeat("x", 1<<20) + r.URL.String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				transport := func(*rig) http.RoundTripper { return roundTripFunc(fail) }
				err := requireNoToken(t, transport)
				if name == "deadline" {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
				assert.Less(t, len(err.Error()), 4096)
			})
		})
	}
}

// hiddenError wraps an error without its text.
type hiddenError struct{ error }

func (hiddenError) Error() string   { return "hidden" }
func (e hiddenError) Unwrap() error { return e.error }

// requireNoToken opens a stream over a transport that fails. It checks that no error and no log
// record has the token, and returns the error of the stream.
func requireNoToken(t *testing.T, transport func(*rig) http.RoundTripper) error {
	t.Helper()
	r := newRig(t)
	id := r.connect()
	inner := transport(r)
	var mu sync.Mutex
	var tokens []string
	r.params.HTTPClient = &http.Client{
		Transport: roundTripFunc(func(request *http.Request) (*http.Response, error) {
			mu.Lock()
			tokens = append(tokens, request.URL.Query().Get("access_token"))
			mu.Unlock()
			return inner.RoundTrip(request)
		}),
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
				t.Errorf("%q has a part of the token", text)
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

// inspect passes an error, and each error in its chain, to check in every format.
func inspect(err error, check func(string)) {
	if err == nil {
		return
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		check(fmt.Sprintf(format, err))
	}
	check(fmt.Sprint(slog.AnyValue(err)))
	switch err := err.(type) { //nolint:errorlint // each error of the chain is checked
	case interface{ Unwrap() error }:
		inspect(err.Unwrap(), check)
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			inspect(inner, check)
		}
	}
}

func TestStreamError_KeepsCause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.connect()
	r.params.HTTPClient = &http.Client{
		Transport: roundTripFunc(func(*http.Request) (*http.Response, error) {
			return nil, errRefused
		}),
	}
	_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, id, r.params)
	require.ErrorIs(t, err, errRefused)
	ctx, cancel := context.WithCancel(t.Context())
	r.params.HTTPClient = &http.Client{
		Transport: roundTripFunc(func(request *http.Request) (*http.Response, error) {
			cancel()
			return nil, request.Context().Err()
		}),
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
			t.Errorf("%q has the token", text)
		}
	})
}
