package tunneltest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestRequests_Fields(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	assert.Empty(t, f.Requests())
	body := `{"name":"web", "tunnel_secret":"` + secretOf(32, 1) + `"}`
	path := f.accountPath("/cfd_tunnel?a=1&a=2&b=%26")
	_, err := f.tryWith(http.MethodPost, path, body, http.Header{
		"Authorization": {"Bearer " + f.APIToken().Reveal()}, "X-Test": {"one", "two"},
	})
	require.NoError(t, err)
	c.advance(time.Minute)
	f.send(http.MethodDelete, f.accountPath("/cfd_tunnel/a%2Fb"), "")
	f.fetch("/ips?x")

	requests := f.Requests()
	require.Len(t, requests, 3)
	first := requests[0]
	assert.Equal(t, noon, first.Time)
	assert.Equal(t, opCreate, first.Operation)
	assert.Equal(t, http.MethodPost, first.Method)
	assert.Equal(t, f.accountPath("/cfd_tunnel"), first.Path)
	assert.Equal(t, url.Values{"a": {"1", "2"}, "b": {"&"}}, first.Query)
	assert.Equal(t, []string{"one", "two"}, first.Header["X-Test"])
	assert.Equal(t, body, first.Body.Reveal())
	assert.True(t, first.Done)
	assert.Equal(t, http.StatusOK, first.Status)

	second := requests[1]
	assert.Equal(t, noon.Add(time.Minute), second.Time)
	assert.Equal(t, opDelete, second.Operation)
	assert.Equal(t, f.accountPath("/cfd_tunnel/a%2Fb"), second.Path)
	assert.Empty(t, second.Query)
	assert.True(t, second.Body.IsZero())
	assert.False(t, second.Done)
	assert.Equal(t, http.StatusNotFound, second.Status)

	third := requests[2]
	assert.Empty(t, third.Operation)
	assert.Equal(t, "/ips", third.Path)
	assert.False(t, third.Done)
}

func TestRequests_DoneForReads(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.fetch(f.accountPath("/cfd_tunnel")).result()
	assert.True(t, f.lastRequest().Done)
}

// Tests compare the bodies of retries.
func TestRequests_EqualBodies(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, name := range []string{"web", "web", "other"} {
		_, err := f.post(name)
		require.NoError(t, err)
	}
	requests := f.Requests()
	assert.True(t, requests[0].Body == requests[1].Body)
	assert.False(t, requests[0].Body == requests[2].Body)
}

func TestRequests_NoCredentials(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.APIToken().Reveal()
	for _, header := range []http.Header{
		{"Authorization": {"Bearer " + token}},
		{"X-Auth-Email": {"me@example.com"}, "X-Auth-Key": {token}},
		{"Authorization": {"Bearer unknown-but-secret"}, "X-Auth-Key": {"unknown-but-secret"}},
		{},
	} {
		_, err := f.tryWith(http.MethodGet, f.accountPath("/cfd_tunnel"), "", header.Clone())
		require.NoError(t, err)
		kept := f.lastRequest().Header
		for _, name := range []string{"Authorization", "X-Auth-Key"} {
			if _, sent := header[name]; sent {
				assert.Equal(t, []string{"[REDACTED]"}, kept[name], "the header shows that there was one")
			} else {
				assert.NotContains(t, kept, name)
			}
		}
		assert.NotContains(t, fmt.Sprint(kept), token)
		assert.NotContains(t, fmt.Sprint(kept), "unknown-but-secret")
	}
}

func TestRequests_PrintedWithoutSecrets(t *testing.T) {
	t.Parallel()
	f := start(t)
	secret := secretOf(32, 7)
	body := `{"name":"web","tunnel_secret":"` + secret + `"}`
	_, err := f.tryWith(http.MethodPost, f.accountPath("/cfd_tunnel"), body, http.Header{
		"Authorization": {"Bearer " + f.APIToken().Reveal()}, "X-Auth-Key": {f.APIToken().Reveal()},
	})
	require.NoError(t, err)
	requests := f.Requests()
	require.Contains(t, requests[0].Body.Reveal(), secret)

	var printed bytes.Buffer
	for _, value := range []any{requests, requests[0], &requests[0], struct{ hidden tunneltest.Request }{requests[0]}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			_, _ = fmt.Fprintf(&printed, verb, value)
		}
		slog.New(slog.NewTextHandler(&printed, nil)).Info("request", "request", value)
		slog.New(slog.NewJSONHandler(&printed, nil)).Info("request", "request", value)
	}
	encoded, err := json.Marshal(requests)
	require.NoError(t, err)
	printed.Write(encoded)
	text := printed.String()
	require.Contains(t, text, "cfd_tunnel")
	for _, hidden := range []string{secret, f.APIToken().Reveal()} {
		assert.NotContains(t, text, hidden)
		assert.NotContains(t, text, fmt.Sprintf("%x", hidden))
	}
}

func TestRequests_Copies(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.fetch(f.accountPath("/cfd_tunnel?a=1"))
	mine := f.Requests()
	before := fmt.Sprint(mine)
	mine[0].Header.Set("Authorization", "changed")
	mine[0].Header["Accept-Encoding"][0] = "changed"
	mine[0].Query.Set("b", "2")
	mine[0].Query["a"][0] = "changed"
	mine[0].Path, mine[0].Status = "changed", 1
	_ = append(mine[:0], tunneltest.Request{})
	assert.Equal(t, before, fmt.Sprint(f.Requests()))
}

// When the client has the response, the record is complete.
func TestRequests_CompleteAfterResponse(t *testing.T) {
	t.Parallel()
	f := start(t)
	for i := range 20 {
		_, err := f.client().Tunnels.Create(t.Context(),
			cftunnel.TunnelCreateParams{Name: fmt.Sprint("web-", i)})
		require.NoError(t, err)
		require.Len(t, f.Requests(), i+1)
		assert.True(t, f.lastRequest().Done)
		assert.Equal(t, http.StatusOK, f.lastRequest().Status)
	}
}
