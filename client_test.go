package cftunnel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestClient_RequestHeaders(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	capture := func(w http.ResponseWriter, r *http.Request) {
		seen = r.Clone(r.Context())
		respond(200, `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`)(w, r)
	}
	client := clientOf(t, capture, cftunnel.WithUserAgent("operator/1.2"))

	_, err := client.Tunnels.Get(t.Context(), tunnelID)
	require.NoError(t, err)
	assert.Equal(t, "/accounts/"+accountID+"/cfd_tunnel/"+tunnelID, seen.URL.Path)
	assert.Equal(t, "Bearer "+apiToken, seen.Header.Get("Authorization"))
	assert.Equal(t, "application/json", seen.Header.Get("Accept"))
	assert.Regexp(t, `^operator/1\.2 cftunnel-go/\d+\.\d+\.\d+$`, seen.Header.Get("User-Agent"))
	assert.Empty(t, seen.Header.Get("Content-Type"))
	assert.Zero(t, seen.ContentLength)

	_, err = client.Tunnels.Update(t.Context(), tunnelID, cftunnel.TunnelUpdateParams{Name: "n"})
	require.NoError(t, err)
	assert.Equal(t, "application/json", seen.Header.Get("Content-Type"))
	assert.Positive(t, seen.ContentLength, "no chunked encoding")

	_, err = client.Tunnels.Delete(t.Context(), tunnelID, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	assert.Empty(t, seen.Header.Get("Content-Type"))
	assert.Empty(t, seen.URL.RawQuery)
}

func TestWithAPIKey_Authenticates(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	client, err := srv.NewClient(cftunnel.WithAPIKey("a@example.com", srv.APIToken().Reveal()))
	require.NoError(t, err)
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
}

func TestTunnels_InvalidTunnelIDs(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	for _, id := range []string{
		"", " ", ".", "..", "../../zones/1?x=", "x", tunnelID + "/token", tunnelID + "?a=b", tunnelID + "#", " " + tunnelID,
		"{" + tunnelID + "}", "urn:uuid:" + tunnelID, strings.ReplaceAll(tunnelID, "-", ""), strings.ReplaceAll(tunnelID, "-", "_"),
		strings.Replace(tunnelID, "f", "g", 1), tunnelID[:35] + "\n", planted,
	} {
		for name, call := range map[string]func() error{
			"Get": func() error { _, err := client.Tunnels.Get(ctx, id); return err },
			"Update": func() error {
				_, err := client.Tunnels.Update(ctx, id, cftunnel.TunnelUpdateParams{Name: "n"})
				return err
			},
			"Delete": func() error {
				_, err := client.Tunnels.Delete(ctx, id, cftunnel.TunnelDeleteParams{})
				return err
			},
			"Token": func() error { _, err := client.Tunnels.Token(ctx, id); return err },
		} {
			err := call()
			invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%s of %q: %v", name, id, err)
			assert.Equal(t, "tunnelID", invalid.Name)
			assert.NotContains(t, err.Error(), planted)
		}
	}
	assert.Empty(t, srv.Requests())
}

func TestClient_MissingAccountID(t *testing.T) {
	t.Parallel()
	client, err := cftunnel.NewClient(cftunnel.WithAPIToken(apiToken))
	require.NoError(t, err)
	assert.Empty(t, client.AccountID())
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "accountID", invalid.Name)
}

func TestClientForAccount(t *testing.T) {
	t.Parallel()
	srv, parent := newFake(t)
	other := strings.Repeat("a", 32)
	child, err := parent.ForAccount(other)
	require.NoError(t, err)
	assert.Equal(t, other, child.AccountID())
	assert.Equal(t, srv.AccountID(), parent.AccountID())

	_, err = child.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
	require.NoError(t, err)
	_, err = parent.Tunnels.FindByName(t.Context(), "n")
	require.ErrorIs(t, err, cftunnel.ErrNotFound)

	for _, id := range []string{"", "x", "../" + other[:29]} {
		_, err = parent.ForAccount(id)
		invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%q", id)
		assert.Equal(t, "accountID", invalid.Name)
	}
}

func TestClient_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var followed atomic.Int32
			target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				followed.Add(1)
			}))
			t.Cleanup(target.Close)
			follow := func(*http.Request, []*http.Request) error { return nil }
			var seen atomic.Int32
			location := target.URL
			client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				seen.Add(1)
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			}, cftunnel.WithHTTPClient(&http.Client{CheckRedirect: follow}))
			var info cftunnel.ResponseInfo
			capture := cftunnel.CaptureResponse(&info)
			require.Error(t, client.Do(t.Context(), http.MethodGet, "a", nil, nil, capture))
			assert.Equal(t, target.URL, info.Header.Get("Location"))

			for _, location = range []string{target.URL, "http://[bad", ""} {
				_, err := client.Tunnels.Get(t.Context(), tunnelID)
				failure, ok := errors.AsType[*cftunnel.Error](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, status, failure.StatusCode)
				assert.Equal(t, 1, failure.Attempts)
			}
			location = target.URL
			_, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
			require.Error(t, err)
			assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.Zero(t, followed.Load())
			requests := seen.Load()
			params := cftunnel.TunnelUpdateParams{Name: "n"}
			_, err = client.Tunnels.Update(t.Context(), tunnelID, params)
			require.Error(t, err)
			assert.Equal(t, requests+1, seen.Load(), "a redirect of a request with a body")
		})
	}
}

func TestClient_UnsuccessfulResponses(t *testing.T) {
	t.Parallel()
	const secretText = "eyJhIjoic2VjcmV0In0"
	for name, test := range map[string]struct {
		status  int
		body    string
		code    int  // that the error must contain; 0 if none
		unknown bool // whether a write may have been carried out
	}{
		"success false":              {200, `{"success":false,"errors":[{"code":1013,"message":"m"}],"result":{}}`, 1013, false},
		"success false, no reason":   {200, `{"success":false,"errors":null,"result":null}`, 0, false},
		"success false, result text": {200, `{"success":false,"errors":[{"code":"1013","message":"m"}],"result":"x"}`, 1013, false},
		"success missing":            {200, `{"errors":[],"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","token":"` + secretText + `"}}`, 0, true},
		"success as text":            {200, `{"success":"true","result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`, 0, true},
		"success null":               {200, `{"success":null,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`, 0, true},
		"result missing":             {200, `{"success":true,"errors":[]}`, 0, true},
		"result null":                {200, `{"success":true,"errors":[],"result":null}`, 0, true},
		"result without an id":       {200, `{"success":true,"errors":[],"result":{}}`, 0, true},
		"result of another type":     {200, `{"success":true,"errors":[],"result":["` + secretText + `"]}`, 0, true},
		"truncated":                  {200, `{"success":true,"errors":[],"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","token":"` + secretText, 0, true},
		"empty":                      {200, ``, 0, true},
		"null":                       {200, `null`, 0, true},
		"array":                      {200, `[]`, 0, true},
		"HTML":                       {200, `<html>welcome</html>`, 0, true},
		"success true, error status": {400, `{"success":true,"errors":[],"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`, 0, false},
		"server error in HTML":       {502, `<html>bad gateway</html>`, 0, true},
		"server error, empty":        {503, ``, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, respond(test.status, test.body), once)
			var read, write *cftunnel.Error
			tunnel, err := client.Tunnels.Get(t.Context(), tunnelID)
			require.ErrorAs(t, err, &read)
			assert.Nil(t, tunnel)
			assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown, "a read changes nothing")

			tunnel, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
			require.ErrorAs(t, err, &write)
			assert.Nil(t, tunnel)
			assert.Equal(t, test.unknown, errors.Is(err, cftunnel.ErrOutcomeUnknown))

			for _, failure := range []*cftunnel.Error{read, write} {
				assert.Equal(t, test.status, failure.StatusCode)
				assert.Equal(t, "8f2ab-FRA", failure.RayID)
				assert.Contains(t, failure.Error(), "8f2ab-FRA")
				assert.NotContains(t, fmt.Sprintf("%s %+v", failure, *failure), secretText)
				if test.code != 0 {
					assert.True(t, cftunnel.HasCode(failure, test.code))
				}
			}
		})
	}
}

func TestTunnelsGet_UnusualResponses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"without errors and messages": `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`,
		"with messages of any kind":   `{"success":true,"errors":null,"messages":{"code":"1","message":null},"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`,
		"with nulls":                  `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","created_at":null,"deleted_at":null,"connections":null,"metadata":null}}`,
		"with unknown fields":         `{"success":true,"more":1,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","more":{"a":[1]}}}`,
		"with unknown enum values":    `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","tun_type":"quantum","status":"superposed"}}`,
		"with result_info as text":    `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"},"result_info":"none"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, respond(200, body))
			tunnel, err := client.Tunnels.Get(t.Context(), tunnelID)
			require.NoError(t, err)
			assert.Equal(t, tunnelID, tunnel.ID)
			assert.False(t, tunnel.IsDeleted())
		})
	}
}

func TestWithMaxResponseBytes_LargeResponse(t *testing.T) {
	t.Parallel()
	body := `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","name":"` + strings.Repeat("n", 1000) + `"}}`
	get := func(limit int64) error {
		client := clientOf(t, respond(200, body), cftunnel.WithMaxResponseBytes(limit))
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		return err
	}
	require.NoError(t, get(int64(len(body))))
	err := get(int64(len(body)) - 1)
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 1, failure.Attempts, "a retry would get the same response")
	assert.Contains(t, err.Error(), "larger than the limit")
}

func TestClientDo(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	base := "accounts/" + srv.AccountID() + "/cfd_tunnel"

	var created struct{ ID, Token string }
	require.NoError(t, client.Do(ctx, http.MethodPost, base, map[string]any{"name": "n"}, &created))
	assert.NotEmpty(t, created.Token)

	var list []cftunnel.Tunnel
	live := cftunnel.AddQuery("is_deleted", "false")
	require.NoError(t, client.Do(ctx, http.MethodGet, "/"+base+"?name=n", nil, &list, live))
	require.Len(t, list, 1)
	assert.Equal(t, created.ID, list[0].ID)
	assert.Equal(t, "n", srv.Requests()[1].Query.Get("name"))
	assert.Equal(t, "false", srv.Requests()[1].Query.Get("is_deleted"))

	require.NoError(t, client.Do(ctx, http.MethodDelete, base+"/"+created.ID, nil, nil))
	assert.Equal(t, 1, carriedOut(srv, opDelete))

	err := client.Do(ctx, http.MethodPatch, base+"/"+tunnelID, json.RawMessage(`{"name":"m"}`), nil)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.Contains(t, err.Error(), "PATCH /"+base+"/"+tunnelID)
}

func TestClientDo_ErrorKeepsResult(t *testing.T) {
	t.Parallel()
	type thing struct {
		ID   string `json:"id"`
		Size int    `json:"size"`
	}
	for name, test := range map[string]struct {
		status int
		body   string
		limit  int64
	}{
		"success false":            {200, `{"success":false,"errors":[{"code":1013}],"result":{"id":"new","size":2}}`, 1 << 10},
		"success missing":          {200, `{"errors":[],"result":{"id":"new","size":2}}`, 1 << 10},
		"success after the result": {200, `{"result":{"id":"new","size":2},"success":false}`, 1 << 10},
		"field of the wrong type":  {200, `{"success":true,"result":{"id":"new","size":"two"}}`, 1 << 10},
		"an error status":          {404, `{"success":true,"result":{"id":"new","size":2}}`, 1 << 10},
		"truncated":                {200, `{"success":true,"result":{"id":"new","size":2}`, 1 << 10},
		"too large":                {200, `{"success":true,"result":{"id":"new","size":2}}`, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := cftunnel.WithMaxResponseBytes(test.limit)
			client := clientOf(t, respond(test.status, test.body), once, limit)
			result := thing{ID: "old", Size: 1}
			require.Error(t, client.Do(t.Context(), http.MethodGet, "a", nil, &result))
			assert.Equal(t, thing{ID: "old", Size: 1}, result)
		})
	}
}

func TestClientDo_NullResult(t *testing.T) {
	t.Parallel()
	var raw json.RawMessage
	client := clientOf(t, respond(200, `{"success":true,"result":null}`))
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "user/tokens/verify", nil, &raw))
	assert.Nil(t, raw)
}

// Some endpoints respond to a write with 204. Those of tunnels do not.
func TestClientDo_NoContent(t *testing.T) {
	t.Parallel()
	client := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	result := "before"
	for _, method := range []string{http.MethodDelete, http.MethodPost, http.MethodPut} {
		require.NoError(t, client.Do(t.Context(), method, "zones/x/rulesets/y", nil, nil))
		require.NoError(t, client.Do(t.Context(), method, "zones/x/rulesets/y", nil, &result))
		assert.Empty(t, result)
	}
	_, err := client.Tunnels.Update(t.Context(), tunnelID, cftunnel.TunnelUpdateParams{Name: "n"})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
}

func TestClientDo_RequestBodyIsNeverNil(t *testing.T) {
	t.Parallel()
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Empty(t, body)
		return http.DefaultTransport.RoundTrip(r)
	})
	client := clientOf(t, respond(200, `{"success":true,"result":null}`),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	tunnel := "accounts/" + accountID + "/cfd_tunnel/" + tunnelID
	for path, method := range map[string]string{
		tunnel: http.MethodGet, tunnel + "/management/logs": http.MethodPost, tunnel + "/connections": http.MethodDelete,
	} {
		require.NoError(t, client.Do(t.Context(), method, path, nil, nil))
	}
}

func TestTunnelsGet_RemoteConfig(t *testing.T) {
	t.Parallel()
	get := func(remote string) (*cftunnel.Tunnel, error) {
		return clientOf(t, respond(200, `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","remote_config":`+remote+`}}`)).Tunnels.Get(t.Context(), tunnelID)
	}
	for remote, want := range map[string]cftunnel.ConfigSource{
		"true": cftunnel.ConfigSourceCloudflare, "false": cftunnel.ConfigSourceLocal, "null": "", `true,"remote_config":null`: "",
	} {
		tunnel, err := get(remote)
		require.NoError(t, err)
		assert.Equal(t, want, tunnel.ConfigSource)
	}
	_, err := get("1")
	require.ErrorContains(t, err, "is of the wrong type, number")
}

func TestClientDo_JSONBodies(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	path := "accounts/" + srv.AccountID() + "/cfd_tunnel"
	for i, body := range []any{
		[]byte(`{"name":"a"}`), json.RawMessage(`{"name":"b"}`), map[string]string{"name": "c"},
	} {
		require.NoError(t, client.Do(t.Context(), http.MethodPost, path, body, nil))
		want := fmt.Sprintf(`{"name":%q}`, string(rune('a'+i)))
		assert.JSONEq(t, want, srv.Requests()[i].Body.Reveal())
	}
}

func TestClientDo_InvalidArguments(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	for name, test := range map[string]struct {
		method, path string
		body, result any
		argument     string
	}{
		"empty method":         {"", "a", nil, nil, "method"},
		"method in lower case": {"get", "a", nil, nil, "method"},
		"CONNECT":              {"CONNECT", "a", nil, nil, "method"},
		"empty path":           {"GET", "", nil, nil, "path"},
		"slash":                {"GET", "/", nil, nil, "path"},
		"absolute URL":         {"GET", "https://evil.example.com/a", nil, nil, "path"},
		"another host":         {"GET", "//evil.example.com/a", nil, nil, "path"},
		"dots":                 {"GET", "accounts/../user", nil, nil, "path"},
		"escaped dots":         {"GET", "accounts/%2e%2E/user", nil, nil, "path"},
		"dots after a slash":   {"GET", "accounts/a%2f../user", nil, nil, "path"},
		"missing ID":           {"GET", "accounts//cfd_tunnel", nil, nil, "path"},
		"missing last ID":      {"DELETE", "accounts/a/cfd_tunnel/", nil, nil, "path"},
		"fragment":             {"GET", "accounts#a", nil, nil, "path"},
		"line break":           {"GET", "accounts\n", nil, nil, "path"},
		"body not JSON":        {"POST", "a", func() {}, nil, "body"},
		"body with a Secret":   {"POST", "a", map[string]any{"s": cftunnel.NewSecret(planted)}, nil, "body"},
		"body a reader":        {"POST", "a", strings.NewReader("{}"), nil, "body"},
		"body invalid JSON":    {"POST", "a", []byte("{"), nil, "body"},
		"result by value":      {"GET", "a", nil, struct{}{}, "result"},
		"result nil pointer":   {"GET", "a", nil, (*string)(nil), "result"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := client.Do(t.Context(), test.method, test.path, test.body, test.result)
			invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, test.argument, invalid.Name)
			assert.NotContains(t, err.Error(), planted)
		})
	}
	t.Cleanup(func() { assert.Empty(t, srv.Requests()) })
}

func TestOperation_InRoundTripper(t *testing.T) {
	t.Parallel()
	var templates []string
	client := clientOf(t, respond(200, `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`), cftunnel.WithHTTPClient(&http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			templates = append(templates, cftunnel.Operation(r.Context()))
			return http.DefaultTransport.RoundTrip(r)
		}),
	}))
	_, err := client.Tunnels.Get(t.Context(), tunnelID)
	require.NoError(t, err)
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "user/tokens/verify", nil, nil))
	assert.Equal(t, []string{"GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}", "GET /user/tokens/verify"}, templates)
	assert.Empty(t, cftunnel.Operation(t.Context()))
}

func TestWithLogger_Attempts(t *testing.T) {
	t.Parallel()
	inBubble(t, testWithLoggerAttempts)
}

func testWithLoggerAttempts(t *testing.T, h *harness) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client := h.newClient(cftunnel.WithLogger(logger), quick)
	h.srv.Inject(tunneltest.Fault{Status: 503, Body: "try later", Delay: time.Second})
	_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	params := cftunnel.TunnelCreateParams{Name: "n", Secret: validSecret}
	tunnel, err := client.Tunnels.Create(t.Context(), params)
	require.NoError(t, err)

	var records []map[string]any
	for line := range strings.Lines(log.String()) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		assert.NotEmpty(t, record["ray_id"])
		records = append(records, record)
	}
	require.Len(t, records, 3)
	for i, want := range []map[string]any{
		{"level": "WARN", "call": "Tunnels.List", "operation": "GET /accounts/{account_id}/cfd_tunnel", "status": 503.0, "attempt": 1.0, "duration": 1e9},
		{"level": "DEBUG", "call": "Tunnels.List", "operation": "GET /accounts/{account_id}/cfd_tunnel", "status": 200.0, "attempt": 2.0},
		{"level": "DEBUG", "call": "Tunnels.Create", "operation": "POST /accounts/{account_id}/cfd_tunnel", "status": 200.0, "attempt": 1.0},
	} {
		for key, value := range want {
			assert.Equal(t, value, records[i][key], "%d %s", i, key)
		}
	}
	assert.Contains(t, records[0]["error"], "503")
	assert.NotContains(t, log.String(), "try later", "no bodies")
	for _, secret := range []string{h.srv.APIToken().Reveal(), validSecret.Reveal(), tunnel.Token.Reveal()} {
		assert.NotContains(t, log.String(), secret)
	}
}

func TestClient_ConcurrentUse(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	var group sync.WaitGroup
	for i := range 32 {
		group.Go(func() {
			params := cftunnel.TunnelCreateParams{Name: fmt.Sprint("n", i)}
			tunnel, err := client.Tunnels.Create(t.Context(), params)
			if !assert.NoError(t, err) {
				return
			}
			_, err = client.Tunnels.Delete(t.Context(), tunnel.ID, cftunnel.TunnelDeleteParams{})
			assert.NoError(t, err)
		})
	}
	group.Wait()
	assert.Equal(t, 32, carriedOut(srv, opCreate))
	assert.Equal(t, 32, carriedOut(srv, opDelete))
}

func TestWithLogger_Levels(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		roundTrip func() (*http.Response, error)
		want      string
	}{
		"no connection":  {func() (*http.Response, error) { return nil, net.ErrClosed }, "WARN"},
		"unreadable":     {cannedResponse(200, "<html>"), "WARN"},
		"server error":   {cannedResponse(503, ""), "WARN"},
		"a bad request":  {cannedResponse(400, ""), "DEBUG"},
		"a good request": {cannedResponse(200, `{"success":true,"result":[]}`), "DEBUG"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			logger := slog.New(
				slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			transport := roundTripper(func(*http.Request) (*http.Response, error) {
				return test.roundTrip()
			})
			_, client := newFake(t, once, cftunnel.WithLogger(logger),
				cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
			_ = list(t.Context(), client)
			assert.Equal(t, 1, strings.Count(log.String(), "\n"))
			assert.Contains(t, log.String(), "level="+test.want)
		})
	}
}

func TestClientDo_InvalidMethods(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	for _, method := range []string{"", "get", "HEAD", "OPTIONS", "TRACE", "CONNECT"} {
		err := client.Do(t.Context(), method, "accounts", nil, nil)
		argument, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%s: %v", method, err)
		assert.Equal(t, "method", argument.Name)
	}
	assert.Empty(t, srv.Requests())
}

// cannedResponse returns a function that returns a response of this status and body.
func cannedResponse(status int, body string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}
