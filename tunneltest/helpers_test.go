package tunneltest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Operations of Request and Fault.
const (
	opCreate   = "POST /accounts/{account_id}/cfd_tunnel"
	opList     = "GET /accounts/{account_id}/cfd_tunnel"
	opGet      = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opUpdate   = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opDelete   = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opToken    = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token"
	opAllTypes = "GET /accounts/{account_id}/tunnels"
)

// unknownID is an ID that no tunnel has.
const unknownID = "00000000-0000-4000-8000-000000000000"

// fake is a server with an HTTP client for it.
type fake struct {
	*tunneltest.Server
	t    testing.TB
	base string
	http *http.Client
}

// start starts a server on the loopback interface. Connections are not reused, because net/http
// retries a GET itself if a reused connection breaks.
func start(t testing.TB, opts ...tunneltest.Option) *fake {
	t.Helper()
	srv := tunneltest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return &fake{srv, t, srv.URL(),
		&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// startInBubble starts an in-memory server, for tests in a synctest bubble.
func startInBubble(t testing.TB, opts ...tunneltest.Option) *fake {
	t.Helper()
	srv := tunneltest.NewServer(opts...)
	transport := pipenet.Serve(t, srv.Handler()).Transport(t)
	transport.DisableKeepAlives = true
	return &fake{srv, t, "http://127.0.0.1/client/v4", &http.Client{Transport: transport}}
}

// client returns a client without retries and without a rate limit.
func (f *fake) client(opts ...cftunnel.Option) *cftunnel.Client {
	f.t.Helper()
	client, err := cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithBaseURL(f.base),
		cftunnel.WithHTTPClient(f.http),
		cftunnel.WithAPIToken(f.APIToken().Reveal()),
		cftunnel.WithAccountID(f.AccountID()),
		cftunnel.WithoutRateLimit(),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}),
	}, opts...)...)
	require.NoError(f.t, err)
	return client
}

// accountPath returns a path below the account of the server.
func (f *fake) accountPath(path string) string { return "/accounts/" + f.AccountID() + path }

// send sends a request with the API token. The path is below the base URL.
func (f *fake) send(method, path, body string) response {
	f.t.Helper()
	r, err := f.try(method, path, body)
	require.NoError(f.t, err)
	return r
}

// fetch sends a GET request with the API token. The path is below the base URL.
func (f *fake) fetch(path string) response {
	f.t.Helper()
	return f.send(http.MethodGet, path, "")
}

// try is like send, but returns an error if there is no response.
func (f *fake) try(method, path, body string) (response, error) {
	f.t.Helper()
	return f.tryWith(method, path, body,
		http.Header{"Authorization": {"Bearer " + f.APIToken().Reveal()}})
}

func (f *fake) tryWith(method, path, body string, header http.Header) (response, error) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.base+path,
		strings.NewReader(body))
	require.NoError(f.t, err)
	req.Header = header
	resp, err := f.http.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return response{f.t, resp.StatusCode, resp.Header, read}, err
}

// create creates a tunnel and returns its ID and token.
func (f *fake) create(name string) (id string, token cftunnel.Secret) {
	f.t.Helper()
	tunnel, err := f.client().Tunnels.Create(f.t.Context(), cftunnel.TunnelCreateParams{Name: name})
	require.NoError(f.t, err)
	return tunnel.ID, tunnel.Token
}

func (f *fake) get(id string) *cftunnel.Tunnel {
	f.t.Helper()
	tunnel, err := f.client().Tunnels.Get(f.t.Context(), id)
	require.NoError(f.t, err)
	return tunnel
}

func (f *fake) delete(id string) {
	f.t.Helper()
	_, err := f.client().Tunnels.Delete(f.t.Context(), id, cftunnel.TunnelDeleteParams{})
	require.NoError(f.t, err)
}

// connect starts a connector and returns its ID.
func (f *fake) connect(token cftunnel.Secret) string {
	f.t.Helper()
	id, err := f.Connect(token)
	require.NoError(f.t, err)
	return id
}

// lastRequest returns the last recorded request.
func (f *fake) lastRequest() tunneltest.Request {
	f.t.Helper()
	requests := f.Requests()
	require.NotEmpty(f.t, requests)
	return requests[len(requests)-1]
}

// response is an HTTP response with its body.
type response struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// envelope has the undecoded members of a response.
type envelope struct {
	Success    json.RawMessage `json:"success"`
	Errors     json.RawMessage `json:"errors"`
	Messages   json.RawMessage `json:"messages"`
	Result     json.RawMessage `json:"result"`
	ResultInfo json.RawMessage `json:"result_info"`
}

func (r response) envelope() envelope {
	r.t.Helper()
	var e envelope
	require.NoError(r.t, json.Unmarshal(r.body, &e), "%s", r.body)
	return e
}

// result returns the undecoded result of a successful response.
func (r response) result() json.RawMessage {
	r.t.Helper()
	require.Equal(r.t, http.StatusOK, r.status, "%s", r.body)
	e := r.envelope()
	require.Equal(r.t, "true", string(e.Success))
	return e.Result
}

// fields returns the undecoded members of a result that is an object.
func (r response) fields() map[string]json.RawMessage {
	r.t.Helper()
	var fields map[string]json.RawMessage
	require.NoError(r.t, json.Unmarshal(r.result(), &fields))
	return fields
}

// stringField returns a member of the result that is a string.
func (r response) stringField(name string) string {
	r.t.Helper()
	var text string
	require.NoError(r.t, json.Unmarshal(r.fields()[name], &text), "%s", name)
	return text
}

// assertError checks the status, code and envelope of an error response.
func (r response) assertError(status, code int) {
	r.t.Helper()
	assert.Equal(r.t, status, r.status, "%s", r.body)
	e := r.envelope()
	var errors []struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	require.NoError(r.t, json.Unmarshal(e.Errors, &errors))
	require.Len(r.t, errors, 1)
	assert.Equal(r.t, code, errors[0].Code, "%s", r.body)
	assert.NotEmpty(r.t, errors[0].Message)
	assert.Equal(r.t, "false", string(e.Success))
	assert.Equal(r.t, "[]", string(e.Messages))
	assert.Equal(r.t, "null", string(e.Result))
}

// keysOf returns the names of an object's members in their order.
func keysOf(t testing.TB, object json.RawMessage) []string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(object))
	open, err := decoder.Token()
	require.NoError(t, err)
	require.Equal(t, json.Delim('{'), open)
	var keys []string
	for decoder.More() {
		key, err := decoder.Token()
		require.NoError(t, err)
		keys = append(keys, key.(string))
		var value json.RawMessage
		require.NoError(t, decoder.Decode(&value))
	}
	return keys
}

func asJSON(t testing.TB, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	require.NoError(t, err)
	return string(encoded)
}

// secretOf returns a tunnel secret of n bytes.
func secretOf(n int, b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, n))
}

// withoutPath returns the server's URL without the base path.
func (f *fake) withoutPath() string {
	f.t.Helper()
	u, err := url.Parse(f.base)
	require.NoError(f.t, err)
	u.Path = ""
	return u.String()
}

// clock is a clock that tests advance.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock(at time.Time) *clock { return &clock{now: at} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

var noon = time.Date(2026, time.October, 5, 12, 0, 0, 0, time.UTC)
