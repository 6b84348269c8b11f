package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// begin returns an epoch whose workers have done nothing yet.
func begin(t *testing.T, s settings) *epoch {
	t.Helper()
	tally := newTally()
	g, err := newGround(s, tally)
	require.NoError(t, err)
	t.Cleanup(g.close)
	return newEpoch(t.Context(), g, s, 1, tally, t.Logf)
}

func TestAShortSoakAgrees(t *testing.T) {
	t.Parallel()
	e := begin(t, settings{workers: 8, accounts: 3, steps: 60, seed: 1, faults: 0.25, timeout: 250 * time.Millisecond})
	e.work(t.Context(), time.Now().Add(time.Hour))
	c, err := e.check()
	require.NoError(t, err)
	assert.Empty(t, e.tally.findings)

	// It is not vacuous.
	assert.Positive(t, c.live)
	assert.Positive(t, c.deleted)
	assert.Greater(t, c.requests, e.workers[0].steps*8)
	assert.Positive(t, e.tally.retries)
	assert.Positive(t, e.tally.sum().unknown)
	assert.Positive(t, e.tally.sum().done)
	assert.Greater(t, len(e.tally.faults), len(kinds)/2)
	assert.Greater(t, len(e.tally.operations), 20)
	undone := 0
	for _, r := range e.srv.Requests() {
		if !r.Done {
			undone++
		}
	}
	assert.Positive(t, undone)
}

// furnished is an epoch with one worker, and one tunnel of each kind, which runs.
func furnished(t *testing.T) (w *worker, tunnel, warp *entry) {
	t.Helper()
	e := begin(t, settings{workers: 1, accounts: 1, seed: 1, timeout: time.Minute})
	w = e.workers[0]
	highlyAvailable := func(e *entry) bool { return e.isWARP() && e.ha }
	for w.anyLive(isTunnel) == nil || w.anyLive(highlyAvailable) == nil { // some calls have too little time
		require.NoError(t, w.create())
		require.NoError(t, w.createWARP())
	}
	tunnel, warp = w.anyLive(isTunnel), w.anyLive(highlyAvailable)
	for range 2 {
		require.NoError(t, w.connect(tunnel))
		require.NoError(t, w.connect(warp))
	}
	return w, tunnel, warp
}

func TestTheCheckCatches(t *testing.T) {
	t.Parallel()
	made := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	// together makes several requests under the name of one call.
	together := func(w *worker, name string, requests ...func(context.Context, options) error) {
		_, _ = send(w.ctx, w, name, func(ctx context.Context, o options) (struct{}, error) {
			for _, request := range requests {
				_ = request(ctx, o)
			}
			return struct{}{}, nil
		}, nil, nil)
	}
	create := func(w *worker, name string) func(context.Context, options) error {
		return func(ctx context.Context, o options) error {
			_, err := w.clients[0].Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: name}, o...)
			return err
		}
	}
	for name, test := range map[string]struct {
		tamper func(w *worker, tunnel, warp *entry)
		want   string
	}{
		"nothing":           {func(*worker, *entry, *entry) {}, ""},
		"another name":      {func(_ *worker, tunnel, _ *entry) { tunnel.name = "other" }, "name is"},
		"another kind":      {func(_ *worker, tunnel, _ *entry) { tunnel.kind = cftunnel.TunnelTypeWARP }, "kind is"},
		"another version":   {func(_ *worker, tunnel, _ *entry) { tunnel.version++ }, "its configuration is"},
		"another config":    {func(_ *worker, _, warp *entry) { warp.config = "{}" }, "its configuration is"},
		"an old token":      {func(_ *worker, _, warp *entry) { warp.token = cftunnel.NewTunnelSecret() }, "its token is not"},
		"booked as deleted": {func(_ *worker, tunnel, _ *entry) { tunnel.deleted = true }, "deleted is false"},
		"booked as stopped": {func(_ *worker, tunnel, _ *entry) { clear(tunnel.replicas) }, "status is healthy"},
		"another is active": {func(_ *worker, _, warp *entry) { warp.active = "other" }, `in the books "other" is the active one`},
		"a replica stopped": {func(w *worker, tunnel, _ *entry) { w.srv.Disconnect(w.replica(tunnel)) }, "does not run"},
		"a replica started": {func(w *worker, tunnel, _ *entry) {
			_, err := w.srv.Connect(tunnel.token)
			made(err)
		}, "runs, and is not in the books"},
		"booked and not made": {func(w *worker, _, _ *entry) { w.entries = append(w.entries, &entry{name: "dream"}) }, "and not there"},
		"made and not booked": {func(w *worker, _, _ *entry) { w.entries = w.entries[1:] }, "in no books"},
		"a token rotated behind": {func(w *worker, tunnel, _ *entry) {
			_, err := w.client(tunnel).Tunnels.RotateSecret(w.ctx, tunnel.id, cftunnel.RotateParams{})
			made(err)
		}, "its token is not"},
		"deleted behind": {func(w *worker, tunnel, _ *entry) {
			_, err := w.client(tunnel).Tunnels.Delete(w.ctx, tunnel.id, cftunnel.TunnelDeleteParams{Cascade: true})
			made(err)
		}, "deleted is true"},
		"created behind": {func(w *worker, _, _ *entry) { made(create(w, "behind")(w.ctx, nil)) }, "behind"},
		"a request of no call": {func(w *worker, tunnel, _ *entry) {
			_, err := w.client(tunnel).Tunnels.Get(w.ctx, tunnel.id)
			made(err)
		}, "of no call in the books"},
		"created twice": {func(w *worker, _, _ *entry) {
			for range 2 {
				together(w, "Create", create(w, "twice"))
				found, err := w.clients[0].Tunnels.FindByName(w.ctx, "twice")
				made(err)
				_, err = w.clients[0].Tunnels.Delete(w.ctx, found.ID, cftunnel.TunnelDeleteParams{})
				made(err)
			}
		}, "twice was created 2 times"},
		"a POST sent again": {func(w *worker, _, _ *entry) {
			together(w, "Ensure", create(w, "again"), create(w, "again"))
		}, "was sent 2 times, though it may have been carried out"},
		"a request not counted": {func(w *worker, tunnel, _ *entry) {
			get := func(ctx context.Context, o options) error {
				_, err := w.client(tunnel).Tunnels.Get(ctx, tunnel.id, o...)
				return err
			}
			together(w, "Get", get, get)
		}, "2 requests came, and 1 attempts were counted"},
		"too many attempts": {func(w *worker, tunnel, _ *entry) {
			rename := func(ctx context.Context, o options) error {
				_, err := w.client(tunnel).Tunnels.Update(ctx, tunnel.id, cftunnel.TunnelUpdateParams{Name: tunnel.name}, o...)
				return err
			}
			together(w, "Update", rename, rename, rename, rename, rename)
			w.attempts[w.id] = 5
		}, "5 requests came, and 4 are allowed"},
		"another common tunnel": {func(w *worker, tunnel, _ *entry) {
			w.enterCommon(0, ensured{&cftunnel.Tunnel{ID: "one"}, true})
			w.enterCommon(0, ensured{&cftunnel.Tunnel{ID: tunnel.id}, false})
		}, "and for others one"},
		"two makers": {func(w *worker, tunnel, _ *entry) {
			w.enterCommon(0, ensured{&cftunnel.Tunnel{ID: tunnel.id}, true})
			w.enterCommon(0, ensured{&cftunnel.Tunnel{ID: tunnel.id}, true})
		}, "2 calls say that they have made it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, tunnel, warp := furnished(t)
			require.Empty(t, w.tally.findings)
			test.tamper(w, tunnel, warp)
			_, err := w.check()
			require.NoError(t, err)
			found := strings.Join(w.tally.findings, "\n")
			if test.want == "" {
				assert.Empty(t, found)
			}
			assert.Contains(t, found, test.want)
		})
	}
}

func TestWorkersDoNotBelieveAnError(t *testing.T) {
	t.Parallel()
	w := begin(t, settings{workers: 1, accounts: 1, timeout: time.Minute}).workers[0]
	unknown := fmt.Errorf("lost: %w", cftunnel.ErrOutcomeUnknown)
	w.resolve("Update", unknown, true)
	w.resolve("Update", unknown, false)
	w.resolve("Update", io.EOF, false)
	assert.Empty(t, w.tally.findings)
	assert.Equal(t, 1, w.tally.operations["Update"].done)
	w.resolve("Update", io.EOF, true)
	require.Len(t, w.tally.findings, 1)
	assert.Contains(t, w.tally.findings[0], "does not say that it may have been")
}

func TestNotEveryErrorIsExplainedByAFault(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		context.Canceled:                                          true,
		cftunnel.ErrOutcomeUnknown:                                true,
		&cftunnel.Error{StatusCode: 503}:                          true,
		&cftunnel.Error{StatusCode: 429}:                          true,
		&cftunnel.Error{}:                                         true,
		&cftunnel.Error{StatusCode: 404}:                          false,
		&cftunnel.Error{StatusCode: 409}:                          false,
		cftunnel.ErrNotFound:                                      false,
		&cftunnel.InvalidArgumentError{}:                          false,
		fmt.Errorf("twice: %w", &cftunnel.Error{StatusCode: 409}): false,
		fmt.Errorf("%w; then %w", &cftunnel.Error{StatusCode: 409}, &cftunnel.Error{StatusCode: 408}): true,
		errors.Join(cftunnel.ErrConcurrentUpdate, context.Canceled):                                   false,
	} {
		assert.Equal(t, want, excusable(err), "%#v", err)
	}
}

func TestALinkIsGoneWhenTheServerHasLetGo(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	conn, err := newTransport().DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	server, err := listener.Accept()
	require.NoError(t, err)

	client := conn.(*link)
	_, err = client.Write([]byte("on its way"))
	require.NoError(t, err)
	require.NoError(t, client.Close())
	require.NoError(t, client.Close())
	sent, err := io.ReadAll(server) // up to the client's end
	require.NoError(t, err)
	assert.Equal(t, "on its way", string(sent))
	select {
	case <-client.gone:
		t.Fatal("it is gone while the server has it")
	default:
	}
	require.NoError(t, server.Close())
	<-client.gone
}

func TestSettleWaitsForWhatWasGivenUp(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
		done.Store(true)
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()

	var used links
	req, err := http.NewRequestWithContext(used.trace(ctx), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	_, err = newTransport().RoundTrip(req)
	require.ErrorIs(t, err, context.Canceled)
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	assert.True(t, used.settle())
	assert.True(t, done.Load())
}

func TestUsageMustComeBack(t *testing.T) {
	t.Parallel()
	use := func(kib uint64, goroutines int) usage { return usage{heap: kib << 10, goroutines: goroutines} }
	for name, test := range map[string]struct {
		usages
		want string
	}{
		"steady":            {usages{use(100, 3), use(110, 4), use(900, 3), []usage{use(900, 4), use(950, 4)}}, ""},
		"one epoch":         {usages{use(100, 3), use(110, 4), use(900, 3), []usage{use(900, 4)}}, ""},
		"growing heap":      {usages{use(100, 3), use(110, 4), use(900, 3), []usage{use(900, 4), use(1000, 4), use(1200, 4)}}, "after the last"},
		"large heap":        {usages{use(100, 3), use(110, 4), use(3000, 3), []usage{use(3000, 4)}}, "in the end the heap"},
		"goroutines":        {usages{use(100, 3), use(110, 4), use(900, 3), []usage{use(900, 4), use(900, 5)}}, "after epoch 2 there are 5"},
		"goroutines at end": {usages{use(100, 3), use(110, 4), use(900, 4), []usage{use(900, 4)}}, "in the end there are 4 goroutines"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := strings.Join(test.problems(), "\n")
			if test.want == "" {
				assert.Empty(t, found)
			}
			assert.Contains(t, found, test.want)
		})
	}
}

func TestEveryFindingIsListed(t *testing.T) {
	t.Parallel()
	tally := newTally()
	for i := range maxFindings + 2 {
		tally.find("finding %d", i)
	}
	var out bytes.Buffer
	tally.summary(&out)
	assert.Contains(t, out.String(), "DISAGREEMENT: finding 0\n")
	assert.Contains(t, out.String(), fmt.Sprintf("DISAGREEMENT: finding %d\n", maxFindings-1))
	assert.Contains(t, out.String(), "DISAGREEMENT: and 2 more\n")
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"-nonsense", "more", "-duration 0s", "-epoch -1s", "-timeout 0s", "-workers 0", "-accounts 0", "-steps -1", "-faults 2", "-faults NaN",
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, 2, start(t.Context(), strings.Fields(args), &out, &errs), args)
		assert.NotEmpty(t, errs.String(), args)
		assert.Empty(t, out.String(), args)
	}
	var out, errs bytes.Buffer
	assert.Zero(t, start(t.Context(), []string{"-h"}, &out, &errs))
	assert.Contains(t, errs.String(), "usage: soak")
	for _, name := range strings.Fields("duration epoch timeout workers accounts steps seed faults v") {
		assert.Contains(t, errs.String(), "  -"+name)
	}
}

func TestAWholeSoak(t *testing.T) { //nolint:paralleltest // it counts the goroutines of the process
	var out, errs bytes.Buffer
	code := start(t.Context(), strings.Fields("-steps 10 -workers 4 -accounts 2 -seed 7"), &out, &errs)
	assert.Zero(t, code, "%s%s", out.String(), errs.String())
	for _, text := range []string{"soak: seed 7, 4 workers", "epoch 1: ", "calls", "everything agrees"} {
		assert.Contains(t, out.String(), text)
	}
}
