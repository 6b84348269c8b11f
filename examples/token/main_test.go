package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opCreate = "POST /accounts/{account_id}/tokens"
	opRoll   = "PUT /accounts/{account_id}/tokens/{token_id}/value"
	zone     = "023e105f4ecef8ad9ca31a8372d0c353"
)

// onFake points the environment to a fake.
func onFake(t *testing.T, opts ...tunneltest.Option) *tunneltest.Server {
	t.Helper()
	fake := tunneltest.NewServer(opts...)
	t.Cleanup(fake.Close)
	t.Setenv("CLOUDFLARE_API_TOKEN", fake.APIToken().Reveal())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", fake.AccountID())
	t.Setenv("CLOUDFLARE_BASE_URL", fake.URL())
	t.Setenv("CLOUDFLARE_API_KEY", "")
	return fake
}

// token runs the program.
func token(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, report bytes.Buffer
	code = start(t.Context(), args, &out, &report)
	return code, out.String(), report.String()
}

func tokensOf(t *testing.T, fake *tunneltest.Server, secret string) []cftunnel.APIToken {
	t.Helper()
	client, err := fake.NewClient()
	require.NoError(t, err)
	found, err := client.AccountTokens.FindByName(t.Context(), "operator")
	require.NoError(t, err)
	if secret != "" {
		client, err = fake.NewClient(cftunnel.WithAPIToken(secret))
		require.NoError(t, err)
		_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err, "the secret works")
	}
	return found
}

//nolint:paralleltest // it sets the environment
func TestToken_Life(t *testing.T) {
	fake := onFake(t)
	file := filepath.Join(t.TempDir(), "secret")
	before := time.Now()
	code, stdout, stderr := token(t, "create", "-name", "operator", "-zone", zone, "-ttl", "30d", "-allow", "127.0.0.0/8", "-allow", "2001:db8::/32", "-out", file)
	require.Zero(t, code, stderr)
	assert.Empty(t, stdout)
	secret, err := os.ReadFile(file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	assert.NotContains(t, stderr, strings.TrimSpace(string(secret)))

	created := tokensOf(t, fake, strings.TrimSpace(string(secret)))[0]
	assert.WithinRange(t, created.ExpiresOn, before.Add(30*24*time.Hour-time.Second), time.Now().Add(30*24*time.Hour))
	assert.Len(t, created.Condition.AllowedIPs, 2)
	var groups []string
	for _, policy := range created.Policies {
		for resource := range policy.Resources {
			for _, group := range policy.PermissionGroups {
				groups = append(groups, group.Name+" on "+resource)
			}
		}
	}
	assert.ElementsMatch(t, []string{
		"Cloudflare Tunnel Write on com.cloudflare.api.account." + fake.AccountID(),
		"DNS Write on com.cloudflare.api.account.zone." + zone, "Zone Read on com.cloudflare.api.account.zone." + zone,
	}, groups)

	code, rolled, stderr := token(t, "roll", created.ID)
	require.Zero(t, code, stderr)
	assert.NotEqual(t, string(secret), rolled)
	tokensOf(t, fake, strings.TrimSpace(rolled))

	code, stdout, _ = token(t, "list")
	require.Zero(t, code)
	assert.Contains(t, stdout, created.ID)
	assert.Contains(t, stdout, "1 token\n")
	code, stdout, _ = token(t, "list", "-user")
	require.Zero(t, code)
	assert.NotContains(t, stdout, created.ID)

	code, stdout, _ = token(t, "verify")
	require.Zero(t, code)
	assert.Contains(t, stdout, "active")
	code, _, stderr = token(t, "revoke", created.ID)
	require.Zero(t, code, stderr)
	assert.Empty(t, tokensOf(t, fake, ""))
	code, _, stderr = token(t, "revoke", created.ID)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "404")
}

//nolint:paralleltest // it sets the environment
func TestToken_SecretAloneOnStdout(t *testing.T) {
	fake := onFake(t)
	code, stdout, stderr := token(t, "create", "-name", "operator")
	require.Zero(t, code, stderr)
	assert.Regexp(t, `^cfat_[0-9A-Za-z]+\n$`, stdout)
	assert.Contains(t, stderr, "is created")
	tokensOf(t, fake, strings.TrimSpace(stdout))
}

//nolint:paralleltest // it sets the environment
func TestToken_LostResponses(t *testing.T) {
	fake := onFake(t)
	fake.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutAfter})
	code, stdout, stderr := token(t, "create", "-name", "operator")
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	orphan := tokensOf(t, fake, "")[0]
	assert.Contains(t, stderr, orphan.ID)
	assert.Contains(t, stderr, "revoke")

	fake.Inject(tunneltest.Fault{Operation: opRoll, Cut: tunneltest.CutAfter})
	code, stdout, stderr = token(t, "roll", orphan.ID)
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "roll again")
}

//nolint:paralleltest // it sets the environment
func TestToken_UnwritableFile(t *testing.T) {
	var gone string // a directory that disappears while a token is created
	fake := onFake(t, tunneltest.WithMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if r.Method == http.MethodPost {
				assert.NoError(t, os.RemoveAll(gone))
			}
		})
	}))
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing", "secret")} {
		code, _, stderr := token(t, "create", "-name", "operator", "-out", path)
		assert.Equal(t, 1, code)
		assert.Contains(t, stderr, filepath.Dir(path))
		assert.Zero(t, created(fake), "nothing was created")
	}
	gone = filepath.Join(t.TempDir(), "gone")
	require.NoError(t, os.Mkdir(gone, 0o700))
	code, _, stderr := token(t, "create", "-name", "operator", "-out", filepath.Join(gone, "secret"))
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "is deleted again")
	assert.Equal(t, 1, created(fake))
	assert.Empty(t, tokensOf(t, fake, ""))
}

// created counts the tokens that were created.
func created(fake *tunneltest.Server) int {
	n := 0
	for _, r := range fake.Requests() {
		if r.Operation == opCreate && r.Done {
			n++
		}
	}
	return n
}

//nolint:paralleltest // it sets the environment
func TestToken_CommandLine(t *testing.T) {
	onFake(t)
	for _, test := range []struct {
		args []string
		said string
	}{
		{nil, "which command"},
		{[]string{"frob"}, `"frob" is not a command`},
		{[]string{"create"}, "-name"},
		{[]string{"create", "-name", "n", "-ttl", "soon"}, "30d"},
		{[]string{"create", "-name", "n", "-allow", "203.0.113.7"}, "203.0.113.7"},
		{[]string{"create", "-bogus"}, "-bogus"},
		{[]string{"roll"}, "which token"},
		{[]string{"list", "x"}, "too much"},
		{[]string{"verify", "-user"}, "-user"},
	} {
		code, stdout, stderr := token(t, test.args...)
		assert.Equal(t, 2, code, test.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, test.said)
	}
	code, _, stderr := token(t, "-h")
	assert.Zero(t, code)
	assert.Contains(t, stderr, "usage:")
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	code, _, stderr = token(t, "list")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "CLOUDFLARE_API_TOKEN is not set")
}

func TestToken_Demonstration(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	code, stdout, stderr := token(t)
	require.Zero(t, code, stderr)
	assert.NotContains(t, stdout, "cfat_")
	for _, said := range []string{
		"is created", "From 203.0.113.7 the token manages", "From 198.51.100.7 the token may not", "old secret the token may not",
		"new secret the token manages", "1 token\n", "revoked", "After that the token may not",
	} {
		assert.Contains(t, stdout, said)
	}
}

func TestParseTTL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "1s": time.Second, "0d1h": time.Hour,
	} {
		got, err := parseTTL(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
	for _, text := range []string{"", "d", "0d", "-1d", "1.5d", "1d-1h", "0s", "30", "x", "99999999999d", "1d1d"} {
		_, err := parseTTL(text)
		require.Error(t, err, text)
	}
}
