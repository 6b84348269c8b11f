package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// callHeader is the header with the ID of the call that a request belongs to. It is used to check
// the fake's request log.
const callHeader = "Soak-Call"

// multiRequest has the methods that send different requests. ResponseInfo.Attempts is only for the
// last of them.
var multiRequest = []string{
	"All", "Ensure", "ModifyConfiguration", "RotateSecret", "CleanupAndDelete",
	"Routes.All", "Routes.Ensure", "Routes.Update",
	"Publish", "Unpublish", "Hostnames",
	"FindByName", "AccountTokens.Modify",
}

type (
	option = cftunnel.CallOption
	// callFunc makes one call with the given options.
	callFunc = func(ctx context.Context, opts ...option) error
)

// worker does steps, one after another.
type worker struct {
	*round
	name string // the prefix of the names of its tunnels and of the IDs of its calls
	rng  *rand.Rand
	model
	site
	calls, names int
}

// call makes one call of the client. The call may meet a fault, or its context may end early. When
// call returns, no request of the call is still being served. It reports an error that is neither
// explained by a fault or the context nor one of those expected.
func (w *worker) call(name string, do callFunc, expected ...error) error {
	limit := 30 * time.Second
	if w.rng.IntN(20) == 0 {
		limit = time.Duration(w.rng.Int64N(int64(20 * time.Millisecond)))
	}
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	if w.rng.IntN(20) == 0 {
		timer := time.AfterFunc(time.Duration(w.rng.Int64N(int64(10*time.Millisecond))), cancel)
		defer timer.Stop()
	}
	var opts []option
	if w.rng.IntN(20) == 0 {
		opts = append(opts, cftunnel.MaxAttempts(1+w.rng.IntN(maxAttempts)))
	}
	return w.send(ctx, name, do, opts, expected)
}

func (w *worker) send(
	ctx context.Context, name string, do callFunc,
	opts []option, expected []error,
) error {
	w.injectFault(w.rng)
	w.calls++
	id := fmt.Sprintf("%s.%d", w.name, w.calls)
	var info cftunnel.ResponseInfo
	var requests atomic.Int32
	opts = append(opts, cftunnel.AddHeader(callHeader, id), cftunnel.CaptureResponse(&info))
	err := do(trace(ctx, &requests), opts...)
	w.settle(id, int(requests.Load()))
	w.attempts[id] = info.Attempts
	if slices.Contains(multiRequest, name) {
		w.attempts[id] = 0
	}
	w.stats.call(name, err)
	isExpected := func(e error) bool { return errors.Is(err, e) }
	if err != nil && !isExplained(err) && !slices.ContainsFunc(expected, isExpected) {
		w.report("%s: unexpected error: %v", name, err)
	}
	return err
}

// isExplained reports whether an error is explained by a fault or by the end of the context.
func isExplained(err error) bool {
	if errors.Is(err, cftunnel.ErrConcurrentUpdate) {
		return false // no two workers share a configuration
	}
	for _, reason := range []error{
		context.Canceled, context.DeadlineExceeded, cftunnel.ErrOutcomeUnknown,
		io.ErrUnexpectedEOF, // an incomplete body, after any status
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return isFault(err) || strings.Contains(err.Error(), "stream error") // incomplete, over HTTP/2
}

// isFault reports whether err, or an error that it wraps, is the result of a fault.
func isFault(err error) bool {
	switch err := err.(type) { //nolint:errorlint // the chain is walked here
	case *cftunnel.Error:
		status := err.StatusCode
		return status < 400 || status == 408 || status == 425 || status == 429 || status >= 500
	case interface{ Unwrap() error }:
		return isFault(err.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), isFault)
	}
	return false
}

// mustRead repeats a read that fails because of faults. An error ends the worker.
func (w *worker) mustRead(name string, do callFunc) error {
	for tries := 0; ; tries++ {
		ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
		err := w.send(ctx, name, do, nil, nil)
		cancel()
		if err == nil || tries == 200 || !isExplained(err) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// observe gets all of a tunnel's state. If the tunnel's ID is not known yet, it looks for the
// tunnel by name, and returns the zero state if there is none.
func (w *worker) observe(t *tunnel) (s state, err error) {
	if t.id == "" {
		err := w.mustRead("All", func(ctx context.Context, opts ...option) error {
			params := cftunnel.TunnelListParams{Name: t.newName}
			for found, err := range w.client(t).Tunnels.All(ctx, params, opts...) {
				if err != nil {
					return err
				}
				t.id = found.ID
			}
			return nil
		})
		if err != nil || t.id == "" {
			return s, err
		}
	}
	for _, read := range t.reads(w.client(t)) {
		err := w.mustRead(read.name, func(ctx context.Context, opts ...option) error {
			return read.do(ctx, &s, opts...)
		})
		if err != nil || s.Deleted { // a deleted tunnel has no further state
			return s, err
		}
	}
	return s, nil
}

// outcome changes want to the state after a write. now is the observed state, for values that the
// server chooses.
type outcome func(want *state, now state)

// write makes a call that changes a tunnel, and then gets the tunnel's state. If the call succeeds,
// the state must be that of the first outcome. After an error, the state may be unchanged or that
// of a later outcome. After ErrOutcomeUnknown, it may be that of the first outcome too. write
// returns the index of the outcome, or -1 if the state is unchanged.
func (w *worker) write(
	name string, t *tunnel, do callFunc, expected []error, outcomes ...outcome,
) (int, error) {
	callErr := w.call(name, do, expected...)
	var now state
	var differences []string
	// On a slow machine one look can take longer than all the time.
	const limit, minLooks = 100 * reconnectDelay, 10
	began := time.Now()
	for looks := 0; looks < minLooks || time.Since(began) < limit; looks++ {
		time.Sleep(min(1, time.Duration(looks)) * reconnectDelay / 4)
		var err error
		if now, err = w.observe(t); err != nil {
			return -1, err
		}
		if callErr != nil && now == t.state {
			return -1, nil
		}
		for i, outcome := range slices.Backward(outcomes) {
			want := t.state
			outcome(&want, now)
			if i > 0 && callErr == nil {
				continue
			}
			if differences = now.differences(want); len(differences) > 0 {
				continue
			}
			if i == 0 && callErr != nil {
				if !errors.Is(callErr, cftunnel.ErrOutcomeUnknown) {
					w.report("%s of %s was carried out, but its error is not ErrOutcomeUnknown: %v",
						name, t, callErr)
				}
				w.stats.outcomeFound()
			}
			t.state = now
			return i, nil
		}
		// Repeat, since connectors may reconnect soon after a cleanup.
	}
	w.report("%s of %s (error %v): %q", name, t, callErr, differences)
	t.state = now
	return 0, nil
}

// check gets a random part of a tunnel's state, with faults, and compares it.
func (w *worker) check(t *tunnel) error {
	reads := t.reads(w.client(t))
	read := reads[w.rng.IntN(len(reads))]
	if t.Deleted {
		read = reads[0]
	}
	got := t.state
	err := w.call(read.name, func(ctx context.Context, opts ...option) error {
		return read.do(ctx, &got, opts...)
	})
	if err == nil {
		for _, difference := range got.differences(t.state) {
			w.report("%s of %s: %s", read.name, t, difference)
		}
	}
	return nil
}

func (w *worker) report(format string, args ...any) {
	w.round.report("worker %s: %s", w.name, fmt.Sprintf(format, args...))
}

func (w *worker) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *worker) newName() string {
	w.names++
	return fmt.Sprintf("%s-%d", w.name, w.names)
}

func (w *worker) client(t *tunnel) *cftunnel.Client { return w.clients[t.account] }

// pick returns a random tunnel for which fits returns true, or nil if there is none.
func (w *worker) pick(fits func(*tunnel) bool) *tunnel {
	var list []*tunnel
	for _, t := range w.tunnels {
		if fits(t) {
			list = append(list, t)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[w.rng.IntN(len(list))]
}
