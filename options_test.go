package cftunnel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestNewClient_InvalidOptions(t *testing.T) {
	t.Parallel()
	tunnelToken := "eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYiLCJ0IjoiZjcwZmY5ODUtYTRlZi00NjQzLWJiYmMtNGEwZWQ0ZmM4NDE1IiwicyI6IkFRSURCQVVHIn0="
	withToken := cftunnel.WithAPIToken(apiToken)
	for name, test := range map[string]struct {
		opts             []cftunnel.Option
		argument, reason string
	}{
		"no credentials":               {nil, "credentials", "missing"},
		"empty token":                  {[]cftunnel.Option{cftunnel.WithAPIToken("")}, "apiToken", "empty"},
		"token with a line break":      {[]cftunnel.Option{cftunnel.WithAPIToken(planted + "\n")}, "apiToken", "white space"},
		"token with a space":           {[]cftunnel.Option{cftunnel.WithAPIToken("Bearer " + planted)}, "apiToken", "white space"},
		"token not in ASCII":           {[]cftunnel.Option{cftunnel.WithAPIToken(planted + "é")}, "apiToken", "header"},
		"tunnel token":                 {[]cftunnel.Option{cftunnel.WithAPIToken(tunnelToken)}, "apiToken", "tunnel token"},
		"example of a tunnel token":    {[]cftunnel.Option{cftunnel.WithAPIToken("eyJhIjoiNWFiNGU5Z...")}, "apiToken", "tunnel token"},
		"key without email":            {[]cftunnel.Option{cftunnel.WithAPIKey("", planted)}, "email", "empty"},
		"email without key":            {[]cftunnel.Option{cftunnel.WithAPIKey("a@example.com", "")}, "key", "empty"},
		"key with a line break":        {[]cftunnel.Option{cftunnel.WithAPIKey("a@example.com", planted+"\r\nX: y")}, "key", "header"},
		"nil token source":             {[]cftunnel.Option{cftunnel.WithTokenSource(nil)}, "source", "nil"},
		"short account":                {[]cftunnel.Option{withToken, cftunnel.WithAccountID("0123")}, "accountID", "32"},
		"account not hexadecimal":      {[]cftunnel.Option{withToken, cftunnel.WithAccountID(strings.Repeat("z", 32))}, "accountID", "hexadecimal"},
		"empty account":                {[]cftunnel.Option{withToken, cftunnel.WithAccountID("")}, "accountID", "missing"},
		"plain http":                   {[]cftunnel.Option{withToken, cftunnel.WithBaseURL("http://api.example.com")}, "baseURL", "plain http"},
		"plain http to a similar name": {[]cftunnel.Option{withToken, cftunnel.WithBaseURL("http://localhost.example.com")}, "baseURL", "plain http"},
		"relative base URL":            {[]cftunnel.Option{withToken, cftunnel.WithBaseURL("/client/v4")}, "baseURL", "absolute"},
		"base URL without a host":      {[]cftunnel.Option{withToken, cftunnel.WithBaseURL("https://:443/")}, "baseURL", "absolute"},
		"base URL of another scheme":   {[]cftunnel.Option{withToken, cftunnel.WithBaseURL("ftp://localhost")}, "baseURL", "neither"},
		"base URL with a password":     {[]cftunnel.Option{withToken, cftunnel.WithBaseURL("https://u:" + planted + "@example.com")}, "baseURL", "password"},
		"base URL with a query":        {[]cftunnel.Option{withToken, cftunnel.WithBaseURL("https://example.com?a=b")}, "baseURL", "query"},
		"malformed base URL":           {[]cftunnel.Option{withToken, cftunnel.WithBaseURL("https://exa mple.com:" + planted)}, "baseURL", "absolute"},
		"nil HTTP client":              {[]cftunnel.Option{withToken, cftunnel.WithHTTPClient(nil)}, "httpClient", "nil"},
		"user agent with a line break": {[]cftunnel.Option{withToken, cftunnel.WithUserAgent("a\r\nb")}, "userAgent", "header"},
		"zero requests":                {[]cftunnel.Option{withToken, cftunnel.WithRateLimit(0, time.Minute)}, "requests", "is 0"},
		"negative requests":            {[]cftunnel.Option{withToken, cftunnel.WithRateLimit(-1, time.Minute)}, "requests", "is -1"},
		"zero window":                  {[]cftunnel.Option{withToken, cftunnel.WithRateLimit(1, 0)}, "window", "is 0s"},
		"negative attempts":            {[]cftunnel.Option{withToken, cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: -1})}, "MaxAttempts", "negative"},
		"negative delay":               {[]cftunnel.Option{withToken, cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: -1})}, "BaseDelay", "negative"},
		"negative MaxDelay":            {[]cftunnel.Option{withToken, cftunnel.WithRetry(cftunnel.RetryPolicy{MaxDelay: -1})}, "MaxDelay", "negative"},
		"BaseDelay above MaxDelay":     {[]cftunnel.Option{withToken, cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 2, MaxDelay: 1})}, "BaseDelay", "more than MaxDelay"},
		"zero timeout":                 {[]cftunnel.Option{withToken, cftunnel.WithTimeout(0)}, "timeout", "positive"},
		"zero maximum of bytes":        {[]cftunnel.Option{withToken, cftunnel.WithMaxResponseBytes(0)}, "maxResponseBytes", "positive"},
		"typed nil limiter":            {[]cftunnel.Option{withToken, cftunnel.WithLimiter((*rate.Limiter)(nil))}, "limiter", "nil"},
		"nil option":                   {[]cftunnel.Option{withToken, nil}, "opts", "nil"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := cftunnel.NewClient(test.opts...)
			assert.Nil(t, client)
			refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, test.argument, refused.Name)
			assert.Contains(t, refused.Reason, test.reason)
			assert.Contains(t, err.Error(), test.argument)
			assert.NotContains(t, err.Error(), planted)
			assert.NotContains(t, err.Error(), tunnelToken)
		})
	}
}

func TestNewClient_ValidOptions(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]cftunnel.Option{
		"an old token that begins like base64 of JSON": cftunnel.WithAPIToken("eyJ" + strings.Repeat("q", 37)),
		"http to localhost":                            cftunnel.WithBaseURL("http://localhost:8787/client/v4"),
		"http to 127.0.0.0/8":                          cftunnel.WithBaseURL("http://127.1.2.3"),
		"http to ::1":                                  cftunnel.WithBaseURL("http://[::1]:80/"),
		"https":                                        cftunnel.WithBaseURL("https://api.example.com/client/v4/"),
		"one request in 1000 hours":                    cftunnel.WithRateLimit(1, 1000*time.Hour),
		"BaseDelay above the default MaxDelay":         cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: time.Minute}),
		"MaxDelay below the default BaseDelay":         cftunnel.WithRetry(cftunnel.RetryPolicy{MaxDelay: time.Millisecond}),
		"nil logger":                                   cftunnel.WithLogger(nil),
		"upper case account":                           cftunnel.WithAccountID(strings.ToUpper(accountID)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := cftunnel.NewClient(cftunnel.WithAPIToken(apiToken), opt)
			require.NoError(t, err)
		})
	}
}

func TestWithHTTPClient_NotModified(t *testing.T) {
	t.Parallel()
	own := &http.Client{Timeout: time.Minute}
	_, err := cftunnel.NewClient(cftunnel.WithAPIToken(apiToken), cftunnel.WithHTTPClient(own))
	require.NoError(t, err)
	assert.Nil(t, own.CheckRedirect)
	assert.Nil(t, own.Transport)
}

// probeVariable names the environment variable that makes this test binary run a probe. A probe is
// a process of its own, so that each test has its own environment.
const probeVariable = "CFTUNNEL_TEST_PROBE"

// probeResult is what a probe prints: the error of its call, or what the call sent.
type probeResult struct{ Error, URL, Authorization, Email, Key string }

func TestMain(m *testing.M) {
	if scenario := os.Getenv(probeVariable); scenario != "" {
		_ = json.NewEncoder(os.Stdout).Encode(probe(scenario))
		return
	}
	os.Exit(m.Run())
}

// probe makes a call with the options that the scenario names and those of the environment.
func probe(scenario string) (seen probeResult) {
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		seen.URL, seen.Authorization = r.URL.String(), r.Header.Get("Authorization")
		seen.Email, seen.Key = r.Header.Get("X-Auth-Email"), r.Header.Get("X-Auth-Key")
		return nil, errors.New("no network here")
	})
	if scenario == "panic" {
		transport = func(*http.Request) (*http.Response, error) { panic("during a call") }
	}
	httpClient := &http.Client{Transport: transport}
	opts := []cftunnel.Option{cftunnel.WithHTTPClient(httpClient), cftunnel.WithEnvironment(), once}
	switch scenario {
	case "explicit token":
		opts = append(opts, cftunnel.WithAPIToken("explicit"))
	case "explicit key":
		opts = append(opts, cftunnel.WithAPIKey("explicit@example.com", "explicit"))
	case "explicit before":
		opts = append([]cftunnel.Option{
			cftunnel.WithBaseURL("https://explicit.example.com"),
			cftunnel.WithAccountID(strings.Repeat("e", 32)),
		}, opts...)
	}
	client, err := cftunnel.NewClient(opts...)
	if err != nil {
		seen.Error = err.Error()
		return seen
	}
	if scenario == "panic" {
		params := cftunnel.RotateParams{Secret: validSecret}
		_, _ = client.Tunnels.RotateSecret(context.Background(), tunnelID, params)
	}
	_, err = client.Tunnels.Get(context.Background(), tunnelID)
	if _, ok := errors.AsType[*cftunnel.InvalidArgumentError](err); ok {
		seen.Error = err.Error()
	}
	return seen
}

func TestWithEnvironment(t *testing.T) {
	t.Parallel()
	const tunnelPath = "/accounts/" + accountID + "/cfd_tunnel/" + tunnelID
	const cloudflare = "https://api.cloudflare.com/client/v4"
	account := "CLOUDFLARE_ACCOUNT_ID=" + accountID
	for name, test := range map[string]struct {
		scenario string
		env      []string
		want     probeResult
	}{
		"token": {"plain", []string{account, "CLOUDFLARE_API_TOKEN=tok"},
			probeResult{URL: cloudflare + tunnelPath, Authorization: "Bearer tok"}},
		"key": {"plain", []string{account, "CLOUDFLARE_API_KEY=k", "CLOUDFLARE_EMAIL=a@example.com"},
			probeResult{URL: cloudflare + tunnelPath, Email: "a@example.com", Key: "k"}},
		"token before key": {"plain", []string{account, "CLOUDFLARE_API_TOKEN=tok", "CLOUDFLARE_API_KEY=k", "CLOUDFLARE_EMAIL=a@example.com"},
			probeResult{URL: cloudflare + tunnelPath, Authorization: "Bearer tok"}},
		"base URL": {"plain", []string{account, "CLOUDFLARE_API_TOKEN=tok", "CLOUDFLARE_BASE_URL=http://127.0.0.1:1/client/v4/"},
			probeResult{URL: "http://127.0.0.1:1/client/v4" + tunnelPath, Authorization: "Bearer tok"}},
		"explicit token wins": {"explicit token", []string{account, "CLOUDFLARE_API_TOKEN=bad token", "CLOUDFLARE_API_KEY=k"},
			probeResult{URL: cloudflare + tunnelPath, Authorization: "Bearer explicit"}},
		"explicit key wins": {"explicit key", []string{account, "CLOUDFLARE_API_TOKEN=tok"},
			probeResult{
				URL: cloudflare + tunnelPath, Email: "explicit@example.com", Key: "explicit",
			}},
		"explicit options before WithEnvironment win": {"explicit before", []string{"CLOUDFLARE_ACCOUNT_ID=bad", "CLOUDFLARE_BASE_URL=bad", "CLOUDFLARE_API_TOKEN=tok"},
			probeResult{URL: "https://explicit.example.com" + strings.Replace(tunnelPath, accountID, strings.Repeat("e", 32), 1), Authorization: "Bearer tok"}},
		"nothing set": {"plain", []string{account},
			probeResult{Error: "cftunnel: credentials are missing: use WithAPIToken, WithAPIKey or WithTokenSource, or WithEnvironment with CLOUDFLARE_API_TOKEN set"}},
		"empty is not set": {"plain", []string{account, "CLOUDFLARE_API_TOKEN=", "CLOUDFLARE_API_KEY=k", "CLOUDFLARE_EMAIL=a@example.com"},
			probeResult{URL: cloudflare + tunnelPath, Email: "a@example.com", Key: "k"}},
		"key without email": {"plain", []string{account, "CLOUDFLARE_API_KEY=k"},
			probeResult{Error: "cftunnel: CLOUDFLARE_EMAIL is empty"}},
		"bad token": {"plain", []string{account, "CLOUDFLARE_API_TOKEN=a b"},
			probeResult{Error: "cftunnel: CLOUDFLARE_API_TOKEN has white space or other characters that a header cannot contain"}},
		"bad account": {"plain", []string{"CLOUDFLARE_ACCOUNT_ID=x", "CLOUDFLARE_API_TOKEN=tok"},
			probeResult{Error: "cftunnel: CLOUDFLARE_ACCOUNT_ID is not 32 hexadecimal digits but 1 bytes long"}},
		"bad base URL": {"plain", []string{account, "CLOUDFLARE_API_TOKEN=tok", "CLOUDFLARE_BASE_URL=x"},
			probeResult{Error: "cftunnel: CLOUDFLARE_BASE_URL is not an absolute URL"}},
		"no account": {"plain", []string{"CLOUDFLARE_API_TOKEN=tok"},
			probeResult{Error: "cftunnel: accountID is missing: use WithAccountID, ForAccount, or WithEnvironment with CLOUDFLARE_ACCOUNT_ID set"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = append([]string{probeVariable + "=" + test.scenario}, test.env...)
			out, err := cmd.Output()
			require.NoError(t, err)
			var seen probeResult
			require.NoError(t, json.Unmarshal(out, &seen), "%s", out)
			assert.Equal(t, test.want, seen)
		})
	}
}

func TestClient_PanicShowsNoSecret(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{
		probeVariable + "=panic", "GOTRACEBACK=all",
		"CLOUDFLARE_ACCOUNT_ID=" + accountID, "CLOUDFLARE_API_TOKEN=" + planted,
	}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "during a call")
	assert.Contains(t, string(out), "RotateSecret")
	assert.NotContains(t, string(out), planted)
	assert.NotContains(t, string(out), validSecret.Reveal())
}

func TestCallOption_Invalid(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	for name, test := range map[string]struct {
		opt      cftunnel.CallOption
		argument string
	}{
		"nil":                     {nil, "opts"},
		"capture into nil":        {cftunnel.CaptureResponse(nil), "info"},
		"header without a name":   {cftunnel.AddHeader("", "v"), "key"},
		"header name with space":  {cftunnel.AddHeader("a b", "v"), "key"},
		"header value with break": {cftunnel.AddHeader("X-A", planted+"\r\nX-B: c"), "value"},
		"Authorization header":    {cftunnel.AddHeader("authorization", "Bearer "+planted), "key"},
		"Host header":             {cftunnel.AddHeader("host", "example.com"), "key"},
		"Content-Length header":   {cftunnel.AddHeader("Content-Length", "1"), "key"},
		"X-Auth-Key header":       {cftunnel.AddHeader("x-auth-key", planted), "key"},
		"query without a name":    {cftunnel.AddQuery("", "v"), "key"},
		"zero attempts":           {cftunnel.MaxAttempts(0), "maxAttempts"},
		"negative attempts":       {cftunnel.MaxAttempts(-3), "maxAttempts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.Tunnels.Get(t.Context(), tunnelID, test.opt)
			refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, test.argument, refused.Name)
			assert.NotContains(t, err.Error(), planted)
		})
	}
	t.Cleanup(func() { assert.Empty(t, srv.Requests()) })
}

func TestCallOption_SentWithRequest(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{Name: "n"},
		cftunnel.AddHeader("X-Trace", "1"), cftunnel.AddHeader("X-Trace", "2"),
		cftunnel.AddQuery("name_prefix", "a&b"), cftunnel.AddQuery("name", "m"))
	require.NoError(t, err)
	request := srv.Requests()[0]
	assert.Equal(t, []string{"1", "2"}, request.Header.Values("X-Trace"))
	assert.Equal(t, []string{"a&b"}, request.Query["name_prefix"])
	assert.Equal(t, []string{"n", "m"}, request.Query["name"])
}

func TestCaptureResponse(t *testing.T) {
	t.Parallel()
	t.Run("success with messages", func(t *testing.T) {
		t.Parallel()
		client := clientOf(t, respond(200, `{"success":true,"errors":[],"messages":[{"code":10000,"message":"all is well"},"plain"],"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`))
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.CaptureResponse(&info))
		require.NoError(t, err)
		assert.Equal(t, 200, info.StatusCode)
		assert.Equal(t, 1, info.Attempts)
		assert.Equal(t, "8f2ab-FRA", info.RayID)
		assert.Equal(t, "8f2ab-FRA", info.Header.Get("Cf-Ray"))
		assert.Equal(t, []cftunnel.Message{{Code: 10000, Message: "all is well"}, {Message: "plain"}}, info.Messages)
	})
	t.Run("not sent", func(t *testing.T) {
		t.Parallel()
		_, client := newFake(t)
		info := cftunnel.ResponseInfo{StatusCode: 200}
		_, err := client.Tunnels.Get(t.Context(), "bad", cftunnel.CaptureResponse(&info))
		require.Error(t, err)
		assert.Zero(t, info)
	})
	t.Run("API error", func(t *testing.T) {
		t.Parallel()
		_, client := newFake(t)
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.CaptureResponse(&info))
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
		assert.Equal(t, 404, info.StatusCode)
		assert.NotEmpty(t, info.RayID)
	})
	t.Run("rate limit headers", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client := h.newClient(once, cftunnel.WithRateLimit(1_000_000, time.Second))
			var params cftunnel.TunnelListParams
			var info cftunnel.ResponseInfo
			capture := cftunnel.CaptureResponse(&info)
			_, err := client.Tunnels.List(t.Context(), params, capture)
			require.NoError(t, err)
			assert.Equal(t, `"default";q=1;w=300`, info.Header.Get("Ratelimit-Policy"))
			assert.Zero(t, info.RetryAfter)

			// The header says that the quota is used up. The client still sends the next call at
			// once: only a 429 holds it back.
			began := time.Now()
			_, err = client.Tunnels.List(t.Context(), params, capture)
			require.ErrorIs(t, err, cftunnel.ErrRateLimited)
			assert.Less(t, time.Since(began), time.Second)
			assert.Len(t, h.srv.Requests(), 2)
			assert.Equal(t, 5*time.Minute, info.RetryAfter)
		}, tunneltest.WithQuota(1, 5*time.Minute))
	})
	t.Run("Retry-After as a date", func(t *testing.T) {
		t.Parallel()
		client := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
			now := time.Now()
			w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			w.Header().Set("Retry-After", now.Add(90*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}, once)
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.CaptureResponse(&info))
		require.Error(t, err)
		assert.Equal(t, 90*time.Second, info.RetryAfter)
	})
	t.Run("last response", func(t *testing.T) {
		t.Parallel()
		policy := cftunnel.RetryPolicy{MaxAttempts: 2, BaseDelay: 1, MaxDelay: 1}
		srv, client := newFake(t, cftunnel.WithRetry(policy))
		srv.Inject(tunneltest.Fault{Status: 503})
		srv.Inject(tunneltest.Fault{Cut: tunneltest.CutBefore, Times: tunneltest.Always})
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{})
		require.Error(t, err)
		_, err = client.Tunnels.Get(t.Context(), tunnelID, cftunnel.CaptureResponse(&info))
		require.Error(t, err)
		assert.Equal(t, 503, info.StatusCode)
		assert.NotEmpty(t, info.RayID)
		assert.GreaterOrEqual(t, info.Attempts, 2)
	})
	t.Run("no response", func(t *testing.T) {
		t.Parallel()
		transport := roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, io.ErrUnexpectedEOF
		})
		_, client := newFake(t, cftunnel.WithHTTPClient(&http.Client{Transport: transport}), once)
		info := cftunnel.ResponseInfo{StatusCode: 200, RayID: "old"}
		_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.CaptureResponse(&info))
		require.Error(t, err)
		assert.Equal(t, cftunnel.ResponseInfo{Attempts: 1}, info)
	})
}

// sourceOf returns a token source that always returns this token.
func sourceOf(token string) cftunnel.Option {
	return cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
		return cftunnel.NewSecret(token), nil
	})
}

// failingSource returns a token source that always fails with err.
func failingSource(err error) cftunnel.Option {
	return cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
		return cftunnel.Secret{}, err
	})
}

func TestWithTokenSource(t *testing.T) {
	t.Parallel()
	t.Run("called before every attempt", func(t *testing.T) {
		t.Parallel()
		var seen []string
		tokens := 0
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, r.Header.Get("Authorization"))
			respond(503, "")(w, r)
		}, cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 2, BaseDelay: 1, MaxDelay: 1}),
			cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
				tokens++
				return cftunnel.NewSecret(fmt.Sprintf("token-%d", tokens)), nil
			}))
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		require.ErrorIs(t, err, cftunnel.ErrServer)
		assert.Equal(t, []string{"Bearer token-1", "Bearer token-2"}, seen)
	})
	t.Run("error", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("vault is sealed")
		srv, client := newFake(t, failingSource(broken))
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		require.ErrorIs(t, err, broken)
		assert.Contains(t, err.Error(), "not sent")
		assert.Empty(t, srv.Requests())
	})
	t.Run("invalid token", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, sourceOf(planted+"\n"))
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		assert.True(t, ok, "%v", err)
		assert.NotContains(t, err.Error(), planted)
		assert.Empty(t, srv.Requests())
	})
}

// The write was sent, so its error must not look like one of an argument.
func TestWithTokenSource_InvalidAfterLostResponse(t *testing.T) {
	t.Parallel()
	calls := 0
	srv, client := newFake(t, quick, cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
		if calls++; calls > 1 {
			return cftunnel.Secret{}, nil
		}
		return cftunnel.NewSecret(planted), nil
	}))
	id := srv.SeedTunnels(1)[0].ID
	srv.Inject(tunneltest.Fault{Cut: tunneltest.CutAfter})
	_, err := client.Tunnels.Update(t.Context(), id, cftunnel.TunnelUpdateParams{Name: "n"})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.False(t, ok, "%v", err)
	assert.ErrorContains(t, err, "is empty")
}

func TestWithTokenSource_CancelledContext(t *testing.T) {
	t.Parallel()
	called := false
	source := func(context.Context) (cftunnel.Secret, error) {
		called = true
		return cftunnel.NewSecret(apiToken), nil
	}
	srv, client := newFake(t, cftunnel.WithTokenSource(source))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, list(ctx, client), context.Canceled)
	assert.False(t, called)
	assert.Empty(t, srv.Requests())
}

func TestWithTokenSource_TunnelToken(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, sourceOf("eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZiJ9"))
	err := list(t.Context(), client)
	_, isArgument := errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.True(t, isArgument, "%v", err)
	_, isCall := errors.AsType[*cftunnel.Error](err)
	assert.False(t, isCall, "no request was sent")
	assert.Empty(t, srv.Requests())
}

func TestWithRetry_DefaultDelays(t *testing.T) {
	t.Parallel()
	t.Run("BaseDelay above the default MaxDelay", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client := h.newClient(cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: time.Minute}))
			h.srv.Inject(tunneltest.Fault{Status: 503, Header: http.Header{"Retry-After": {"60"}}})
			began := time.Now()
			require.NoError(t, list(t.Context(), client))
			assert.Equal(t, time.Minute, time.Since(began))
		})
	})
	t.Run("MaxDelay below the default BaseDelay", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			policy := cftunnel.RetryPolicy{MaxDelay: time.Millisecond}
			client := h.newClient(cftunnel.WithoutRateLimit(), cftunnel.WithRetry(policy))
			h.srv.Inject(tunneltest.Fault{Status: 503, Times: tunneltest.Always})
			for range 20 {
				began := time.Now()
				require.ErrorIs(t, list(t.Context(), client), cftunnel.ErrServer)
				assert.LessOrEqual(t, time.Since(began), 3*time.Millisecond)
			}
		})
	})
}

func TestWithBaseURL(t *testing.T) {
	t.Parallel()
	for baseURL, valid := range map[string]bool{
		"https://example.com":        true,
		"http://LOCALHOST:8787":      true,
		"https://example.com?":       false,
		"https://example.com?a=b":    false,
		"https://example.com#part":   false,
		"http://localhost.example":   false,
		"https://:443":               false,
		"ftp://localhost/client/v4":  false,
		"https://user@example.com/":  false,
		"//api.example.com/client/4": false,
	} {
		_, err := cftunnel.NewClient(cftunnel.WithAPIToken(apiToken), cftunnel.WithBaseURL(baseURL))
		assert.Equal(t, valid, err == nil, "%s: %v", baseURL, err)
	}
}
