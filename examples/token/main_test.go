package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/examples/internal/sample"
	"github.com/cftunnel/cftunnel-go/internal/test/filemode"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opCreate = "POST /accounts/{account_id}/tokens"
	opRoll   = "PUT /accounts/{account_id}/tokens/{token_id}/value"
	zone     = "023e105f4ecef8ad9ca31a8372d0c353"
)

// newFake returns a fake and sets the environment variables to use it.
func newFake(t *testing.T, opts ...tunneltest.Option) *tunneltest.Server {
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
	var out, notices bytes.Buffer
	code = start(t.Context(), args, &out, &notices)
	return code, out.String(), notices.String()
}

// operatorTokens returns the tokens with the name "operator".
func operatorTokens(t *testing.T, fake *tunneltest.Server) []cftunnel.APIToken {
	t.Helper()
	client, err := fake.NewClient()
	require.NoError(t, err)
	found, err := client.AccountTokens.FindByName(t.Context(), "operator")
	require.NoError(t, err)
	return found
}

// requireSecretWorks lists tunnels with a secret.
func requireSecretWorks(t *testing.T, fake *tunneltest.Server, secret string) {
	t.Helper()
	client, err := fake.NewClient(cftunnel.WithAPIToken(strings.TrimSpace(secret)))
	require.NoError(t, err)
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
}

//nolint:paralleltest // it sets the environment
func TestToken_LifeCycle(t *testing.T) {
	fake := newFake(t)
	file := filepath.Join(t.TempDir(), "secret")
	before := time.Now()
	code, stdout, stderr := token(t, "create", "-name", "operator", "-zone", zone, "-ttl", "30d",
		"-allow", "127.0.0.0/8", "-allow", "2001:db8::/32", "-out", file)
	require.Zero(t, code, stderr)
	assert.Empty(t, stdout)
	secret, err := os.ReadFile(file)
	require.NoError(t, err)
	filemode.AssertPrivate(t, file)
	assert.NotContains(t, stderr, strings.TrimSpace(string(secret)))

	requireSecretWorks(t, fake, string(secret))
	created := operatorTokens(t, fake)[0]
	const ttl = 30 * 24 * time.Hour
	assert.WithinRange(t, created.ExpiresOn, before.Add(ttl-time.Second), time.Now().Add(ttl))
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
	requireSecretWorks(t, fake, rolled)

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
	assert.Empty(t, operatorTokens(t, fake))
	code, _, stderr = token(t, "revoke", created.ID)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "404")
}

//nolint:paralleltest // it sets the environment
func TestToken_OnlySecretOnStdout(t *testing.T) {
	fake := newFake(t)
	code, stdout, stderr := token(t, "create", "-name", "operator")
	require.Zero(t, code, stderr)
	assert.Regexp(t, `^cfat_[0-9A-Za-z]+\n$`, stdout)
	assert.Contains(t, stderr, "is created")
	requireSecretWorks(t, fake, stdout)
}

//nolint:paralleltest // it sets the environment
func TestToken_LostResponses(t *testing.T) {
	fake := newFake(t)
	fake.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutAfter})
	code, stdout, stderr := token(t, "create", "-name", "operator")
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	orphan := operatorTokens(t, fake)[0]
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
	var removed string // a directory that is removed while a token is created
	fake := newFake(t, tunneltest.WithMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if r.Method == http.MethodPost {
				assert.NoError(t, os.RemoveAll(removed))
			}
		})
	}))
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing", "secret")} {
		code, _, stderr := token(t, "create", "-name", "operator", "-out", path)
		assert.Equal(t, 1, code)
		assert.Contains(t, stderr, filepath.Dir(path))
		assert.Zero(t, countCreates(fake))
	}
	removed = filepath.Join(t.TempDir(), "removed")
	require.NoError(t, os.Mkdir(removed, 0o700))
	file := filepath.Join(removed, "secret")
	code, _, stderr := token(t, "create", "-name", "operator", "-out", file)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "is deleted again")
	assert.Equal(t, 1, countCreates(fake))
	assert.Empty(t, operatorTokens(t, fake))
}

// countCreates returns the number of tokens that were created.
func countCreates(fake *tunneltest.Server) int {
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
	newFake(t)
	for _, test := range []struct {
		args []string
		text string
	}{
		{nil, "command is missing"},
		{[]string{"nonsense"}, `"nonsense" is not a command`},
		{[]string{"create"}, "-name"},
		{[]string{"create", "-name", "n", "-ttl", "soon"}, "30d"},
		{[]string{"create", "-name", "n", "-allow", "203.0.113.7"}, "203.0.113.7"},
		{[]string{"create", "-bogus"}, "-bogus"},
		{[]string{"roll"}, "ID of the token is missing"},
		{[]string{"list", "x"}, `unexpected argument "x"`},
		{[]string{"verify", "-user"}, "-user"},
	} {
		code, stdout, stderr := token(t, test.args...)
		assert.Equal(t, 2, code, test.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, test.text)
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
	for _, text := range []string{
		"is created", "From 203.0.113.7, the token can list", "From 198.51.100.7, the token cannot list",
		"old secret, the token cannot list", "new secret, the token can list",
		"1 token\n", "revoked", "After that, the token cannot list",
	} {
		assert.Contains(t, stdout, text)
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

//nolint:paralleltest // it sets the environment
func TestToken_UnwritableOutput(t *testing.T) {
	fake := newFake(t)
	reader, stdout := io.Pipe()
	require.NoError(t, reader.Close())
	var stderr bytes.Buffer
	for _, command := range []string{"list", "verify", "create -name operator"} {
		stderr.Reset()
		assert.Equal(t, 1, start(t.Context(), strings.Fields(command), stdout, &stderr), command)
		assert.Contains(t, stderr.String(), io.ErrClosedPipe.Error())
	}
	assert.Contains(t, stderr.String(), "is deleted again")
	assert.Empty(t, operatorTokens(t, fake))

	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	assert.Equal(t, 1, start(t.Context(), nil, stdout, &stderr))
}

//nolint:paralleltest // it sets the environment
func TestToken_Sample(t *testing.T) { sample.Check(t, "token", start) }
