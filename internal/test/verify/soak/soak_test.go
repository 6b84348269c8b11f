package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// newTestRound returns a round whose workers have done nothing yet.
func newTestRound(t *testing.T, s settings) *round {
	t.Helper()
	stats := newStats()
	r, err := newRig(s, stats)
	require.NoError(t, err)
	t.Cleanup(r.close)
	return newRound(t.Context(), r, s, 1, stats)
}

func TestRound_NoProblems(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTestRound(t, settings{
				workers: 8, accounts: 3, steps: 40, seed: 1, faultRate: 0.25,
				timeout: 250 * time.Millisecond, http2: http2,
			})
			c.run(t.Context(), time.Now().Add(time.Hour))
			done, err := c.compare()
			require.NoError(t, err)
			assert.Empty(t, c.stats.problems)
			assert.Greater(t, done.tunnels, 20)
			assert.Greater(t, done.requests, 8*c.steps)
			assert.Positive(t, c.stats.retries)
			assert.Positive(t, c.stats.carriedOut)
			assert.Greater(t, len(c.stats.faults), len(c.faults)/2)
			assert.Greater(t, len(c.stats.methods), 10)
		})
	}
}

// newTestWorker returns a worker that has a tunnel with two connectors.
func newTestWorker(t *testing.T) (*worker, *tunnel) {
	t.Helper()
	s := settings{workers: 1, accounts: 1, seed: 1, timeout: time.Minute}
	w := newTestRound(t, s).workers[0]
	for w.pick(isLive) == nil { // some calls fail because their context ends
		require.NoError(t, w.create())
	}
	for range 2 {
		require.NoError(t, w.connect(w.tunnels[0]))
	}
	return w, w.tunnels[0]
}

func TestCompare_Problems(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	// sendAsOneCall sends several requests as one call.
	sendAsOneCall := func(w *worker, name string, requests ...callFunc) {
		_ = w.send(w.ctx, name, func(ctx context.Context, opts ...option) error {
			for _, request := range requests {
				_ = request(ctx, opts...)
			}
			return nil
		}, nil, nil)
	}
	create := func(w *worker, name string) func(context.Context, ...option) error {
		return func(ctx context.Context, opts ...option) error {
			params := cftunnel.TunnelCreateParams{Name: name}
			_, err := w.clients[0].Tunnels.Create(ctx, params, opts...)
			return err
		}
	}
	for name, test := range map[string]struct {
		tamper func(w *worker, one *tunnel)
		want   string
	}{
		"nothing":           {func(*worker, *tunnel) {}, ""},
		"name":              {func(_ *worker, one *tunnel) { one.Name = "other" }, "name is"},
		"version":           {func(_ *worker, one *tunnel) { one.Version++ }, "version is"},
		"config":            {func(_ *worker, one *tunnel) { one.Config = "other" }, "config is"},
		"token":             {func(_ *worker, one *tunnel) { one.Token = cftunnel.NewTunnelSecret() }, "token is"},
		"deleted":           {func(_ *worker, one *tunnel) { one.Deleted = true }, "deleted is"},
		"status":            {func(_ *worker, one *tunnel) { one.Status = cftunnel.TunnelStatusDown }, "status is"},
		"connector stopped": {func(w *worker, one *tunnel) { w.srv.Disconnect(w.connector(one)) }, "connectors is"},
		"missing":           {func(w *worker, _ *tunnel) { w.tunnels = append(w.tunnels, &tunnel{id: "none"}) }, "is missing"},
		"unexpected":        {func(w *worker, _ *tunnel) { w.tunnels = w.tunnels[1:] }, "is unexpected"},
		"unknown call": {func(w *worker, one *tunnel) {
			_, err := w.client(one).Tunnels.Get(w.ctx, one.id)
			must(err)
		}, "of an unknown call"},
		"created twice": {func(w *worker, _ *tunnel) {
			for range 2 {
				sendAsOneCall(w, "Create", create(w, "twice"))
				found, err := w.clients[0].Tunnels.FindByName(w.ctx, "twice")
				must(err)
				_, err = w.clients[0].Tunnels.Delete(w.ctx, found.ID, cftunnel.TunnelDeleteParams{})
				must(err)
			}
		}, "twice was created 2 times"},
		"POST repeated": {func(w *worker, _ *tunnel) {
			sendAsOneCall(w, "Ensure", create(w, "again"), create(w, "again"))
		}, "was sent 2 times, although it may have been carried out"},
		"attempt not counted": {func(w *worker, one *tunnel) {
			get := one.reads(w.client(one))[1].do
			read := func(ctx context.Context, opts ...option) error {
				return get(ctx, &state{}, opts...)
			}
			sendAsOneCall(w, "Token", read, read)
		}, "2 requests, but 1 attempts were counted"},
		"too many attempts": {func(w *worker, one *tunnel) {
			params := cftunnel.TunnelUpdateParams{Name: one.Name}
			rename := func(ctx context.Context, opts ...option) error {
				_, err := w.client(one).Tunnels.Update(ctx, one.id, params, opts...)
				return err
			}
			sendAsOneCall(w, "Update", rename, rename, rename, rename, rename)
			w.attempts[fmt.Sprintf("%s.%d", w.name, w.calls)] = 5
		}, "5 requests, the limit is 4"},
		"two creators": {func(w *worker, _ *tunnel) {
			must(w.ensure(w.ctx, 0, nil))
			w.common[0] = "other"
			must(w.ensure(w.ctx, 0, nil))
		}, "Ensure of common"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, one := newTestWorker(t)
			require.Empty(t, w.stats.problems)
			test.tamper(w, one)
			_, err := w.compare()
			require.NoError(t, err)
			found := strings.Join(w.stats.problems, "\n")
			if test.want == "" {
				assert.Empty(t, found)
			}
			assert.Contains(t, found, test.want)
		})
	}
}

func TestWorkerWrite_Outcomes(t *testing.T) {
	t.Parallel()
	unknown := fmt.Errorf("lost: %w", cftunnel.ErrOutcomeUnknown)
	for name, test := range map[string]struct {
		carriedOut bool
		err        error
		want       string
	}{
		"success":                      {true, nil, ""},
		"success, not carried out":     {false, nil, "name is"},
		"error, not carried out":       {false, io.ErrUnexpectedEOF, ""},
		"error, carried out":           {true, io.ErrUnexpectedEOF, "was carried out, but its error"},
		"unknown, not carried out":     {false, unknown, ""},
		"unknown, carried out":         {true, unknown, ""},
		"error that no fault explains": {false, cftunnel.ErrNotFound, "unexpected error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, one := newTestWorker(t)
			require.Empty(t, w.stats.problems)
			done, err := w.write("Update", one, func(ctx context.Context, _ ...option) error {
				if test.carriedOut {
					params := cftunnel.TunnelUpdateParams{Name: "new"}
					_, err := w.client(one).Tunnels.Update(ctx, one.id, params)
					require.NoError(t, err)
				}
				return test.err
			}, nil, func(want *state, _ state) { want.Name = "new" })
			require.NoError(t, err)
			assert.Equal(t, test.carriedOut || test.err == nil, done == 0)
			found := strings.Join(w.stats.problems, "\n")
			if test.want == "" {
				assert.Empty(t, found)
			}
			assert.Contains(t, found, test.want)
		})
	}
}

func TestIsExplained_Errors(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		context.Canceled:                 true,
		cftunnel.ErrOutcomeUnknown:       true,
		&cftunnel.Error{StatusCode: 503}: true,
		&cftunnel.Error{StatusCode: 302}: true,
		&cftunnel.Error{}:                true,
		&cftunnel.Error{StatusCode: 404}: false,
		&cftunnel.InvalidArgumentError{}: false,
		errors.Join(&cftunnel.Error{StatusCode: 409}, &cftunnel.Error{StatusCode: 408}): true,
		errors.Join(cftunnel.ErrConcurrentUpdate, context.Canceled):                     false,
	} {
		assert.Equal(t, want, isExplained(err), "%#v", err)
	}
}

func TestRigSettle_WaitsForCancelledRequest(t *testing.T) {
	t.Parallel()
	c := newTestRound(t, settings{workers: 1, accounts: 1, seed: 1, timeout: time.Minute})
	c.srv.Inject(tunneltest.Fault{Delay: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { cancel() },
	})
	var requests atomic.Int32
	_, err := c.clients[0].Tunnels.List(trace(ctx, &requests), cftunnel.TunnelListParams{},
		cftunnel.AddHeader(callHeader, "id"))
	require.ErrorIs(t, err, context.Canceled)
	c.settle("id", int(requests.Load()))
	require.Len(t, c.srv.Requests(), 1)
	assert.Equal(t, 200, c.srv.Requests()[0].Status, "the fake has responded")
}

func TestGrowth_Problems(t *testing.T) {
	t.Parallel()
	use := func(kib uint64, goroutines int) usage {
		return usage{heap: kib << 10, goroutines: goroutines}
	}
	for name, test := range map[string]struct {
		rounds []usage
		want   string
	}{
		"steady":       {[]usage{use(900, 4), use(950, 4)}, ""},
		"growing heap": {[]usage{use(900, 4), use(1200, 4)}, "after the last"},
		"goroutines":   {[]usage{use(900, 4), use(900, 5)}, "5 goroutines after round 2"},
	} {
		found := strings.Join(growth(settings{}, 4, test.rounds), "\n")
		assert.Contains(t, found, test.want, name)
		assert.Equal(t, test.want == "", found == "", name)
	}
}

func TestStart_CommandLine(t *testing.T) { //nolint:paralleltest // counts all goroutines
	for _, args := range []string{
		"-nonsense", "more", "-duration 0s", "-round -1s", "-workers 0", "-accounts 0",
		"-steps -1", "-faults NaN",
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, 2, start(t.Context(), strings.Fields(args), &out, &errs), args)
		assert.NotEmpty(t, errs.String(), args)
	}
	var out, errs bytes.Buffer
	args := strings.Fields("-steps 10 -workers 4 -accounts 2 -seed 7")
	code := start(t.Context(), args, &out, &errs)
	assert.Zero(t, code, "%s%s", out.String(), errs.String())
	assert.Contains(t, out.String(), "round 1: ")
}
