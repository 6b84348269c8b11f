package tunnellogs_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// network is an HTTP server and its clients, connected by pipes. Connections can be cut and
// refused.
type network struct {
	client *http.Client

	mu       sync.Mutex
	conns    []net.Conn
	dials    []time.Time
	refusing bool
}

var errRefused = errors.New("connection refused")

func newNetwork(t testing.TB, handler http.Handler) *network {
	t.Helper()
	transport := pipenet.Serve(t, handler).Transport(t)
	transport.DisableKeepAlives = true
	n := &network{client: &http.Client{Transport: transport}}
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.dials = append(n.dials, time.Now())
		if n.refusing {
			return nil, errRefused
		}
		conn, err := dial(ctx, network, addr)
		if err == nil {
			n.conns = append(n.conns, conn)
		}
		return conn, err
	}
	return n
}

// cut closes every connection, without a close frame.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.conns {
		_ = conn.Close()
	}
	n.conns = nil
}

func (n *network) refuse(refusing bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refusing = refusing
}

// gaps returns the times between the dials since the last call.
func (n *network) gaps() []time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	var gaps []time.Duration
	for i := 1; i < len(n.dials); i++ {
		gaps = append(gaps, n.dials[i].Sub(n.dials[i-1]))
	}
	n.dials = nil
	return gaps
}

// rig is a fake with one tunnel, a client, and a separate network for the streams.
type rig struct {
	*tunneltest.Server
	t      testing.TB
	client *cftunnel.Client
	logs   *network
	tunnel *cftunnel.Tunnel
	params tunnellogs.Params
}

// inBubble runs a test in a synctest bubble, which ends when its goroutines have ended.
func inBubble(t *testing.T, connectors int, test func(t *testing.T, r *rig, ids []string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var ids []string
		for range connectors {
			ids = append(ids, r.connect())
		}
		test(t, r, ids)
	})
}

func newRig(t testing.TB, opts ...tunneltest.Option) *rig {
	t.Helper()
	srv := tunneltest.NewServer(append(opts, tunneltest.InMemory())...)
	t.Cleanup(srv.Close)
	r := &rig{Server: srv, t: t, logs: newNetwork(t, srv.Handler())}
	r.client = r.clientOf(srv.APIToken())
	r.params = tunnellogs.Params{Endpoint: srv.LogsURL(), HTTPClient: r.logs.client}
	var err error
	r.tunnel, err = r.client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
	require.NoError(t, err)
	return r
}

// clientOf returns a client with another API token, as another user has.
func (r *rig) clientOf(token cftunnel.Secret) *cftunnel.Client {
	r.t.Helper()
	noRetry := cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1})
	client, err := r.NewClient(cftunnel.WithAPIToken(token.Reveal()), noRetry)
	require.NoError(r.t, err)
	return client
}

func (r *rig) connect() string {
	r.t.Helper()
	id, err := r.Connect(r.tunnel.Token)
	require.NoError(r.t, err)
	return id
}

func (r *rig) open(id string, filter tunnellogs.Filter) *tunnellogs.Stream {
	r.t.Helper()
	params := r.params
	params.Filter = filter
	stream, err := tunnellogs.Open(r.t.Context(), r.client, r.tunnel.ID, id, params)
	require.NoError(r.t, err)
	synctest.Wait() // until the fake has read the start
	return stream
}

func (r *rig) log(id string, messages ...string) {
	for _, message := range messages {
		r.Log(id, tunnellogs.Entry{Level: tunnellogs.LevelInfo, Message: message})
	}
}

// reconnect drops the connections of one connector, or of all for "", and lets it connect again.
func (r *rig) reconnect(id string) {
	r.t.Helper()
	params := cftunnel.CleanupParams{ConnectorID: id}
	require.NoError(r.t, r.client.Connectors.Cleanup(r.t.Context(), r.tunnel.ID, params))
	time.Sleep(2 * time.Second)
	// Connectors of the fake reconnect at the next request.
	_, err := r.client.Connectors.List(r.t.Context(), r.tunnel.ID)
	require.NoError(r.t, err)
}

// count returns the number of requests of an operation.
func (r *rig) count(operation string) int {
	n := 0
	for _, request := range r.Requests() {
		if request.Operation == operation {
			n++
		}
	}
	return n
}

const (
	opToken = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management"
	opList  = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections"
	opLogs  = "GET /logs"
)

// collector runs Tail in a goroutine and collects what it yields.
type collector struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	messages []string
	errs     []error
}

func (r *rig) tail(client *cftunnel.Client, params tunnellogs.Params) *collector {
	ctx, cancel := context.WithCancel(r.t.Context())
	return collect(r.t, cancel, tunnellogs.Tail(ctx, client, r.tunnel.ID, params))
}

func collect(
	t testing.TB,
	cancel context.CancelFunc,
	entries iter.Seq2[tunnellogs.Entry, error],
) *collector {
	c := &collector{t: t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for entry, err := range entries {
			c.mu.Lock()
			if err != nil {
				c.errs = append(c.errs, err)
			} else {
				c.messages = append(c.messages, entry.Message)
			}
			c.mu.Unlock()
		}
	}()
	synctest.Wait()
	return c
}

// lines returns the messages since the last call.
func (c *collector) lines() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	messages := c.messages
	c.messages = nil
	return messages
}

// errors returns the errors since the last call.
func (c *collector) errors() []error {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := c.errs
	c.errs = nil
	return errs
}

// end cancels the context and checks that Tail yields its error and no other.
func (c *collector) end() {
	c.t.Helper()
	c.cancel()
	<-c.done
	assert.Equal(c.t, []error{context.Canceled}, c.errors())
}

// oneError returns the only error since the last call, which must be about this connector.
func (c *collector) oneError(id string) *tunnellogs.StreamError {
	c.t.Helper()
	errs := c.errors()
	require.Len(c.t, errs, 1)
	failure, ok := errors.AsType[*tunnellogs.StreamError](errs[0])
	require.True(c.t, ok, "%v", errs[0])
	assert.Equal(c.t, id, failure.ConnectorID)
	return failure
}
