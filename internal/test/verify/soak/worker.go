package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// callHeader names the call that a request belongs to, for the check of the fake's record.
const callHeader = "Soak-Call"

// worker lives the lives of tunnels, one step after the other.
type worker struct {
	*epoch
	name string // which the names of its tunnels and calls begin with
	rng  *rand.Rand
	books
	calls, names int
	// Of the latest call:
	id     string
	sent   int  // attempts of its latest request
	broken bool // whether a connection broke
}

// several is the methods that may send requests of more than one kind, whose attempts cannot be told from one ResponseInfo.
var several = []string{
	"All", "AllTypes", "FindByName", "Ensure", "ModifyConfiguration", "RotateSecret", "CleanupAndDelete", "ManagementToken",
}

// options is what every call passes on.
type options = []cftunnel.CallOption

// call makes one call of the client, perhaps with a fault in its way, or with too little time. When it returns, nothing of the call can be
// carried out any more. An error that neither a fault nor the time explains must be one of those expected.
func call[T any](w *worker, name string, do func(context.Context, options) (T, error), expected ...error) (T, error) {
	ctx, cancel := w.context()
	defer cancel()
	opts := options{}
	if w.rng.IntN(20) == 0 {
		opts = append(opts, cftunnel.MaxAttempts(1+w.rng.IntN(maxAttempts)))
	}
	return send(ctx, w, name, do, opts, expected)
}

// context is patient but for one call in ten.
func (w *worker) context() (context.Context, context.CancelFunc) {
	switch w.rng.IntN(20) {
	case 0:
		return context.WithTimeout(w.ctx, time.Duration(w.rng.Int64N(int64(20*time.Millisecond))))
	case 1:
		ctx, cancel := context.WithCancel(w.ctx)
		timer := time.AfterFunc(time.Duration(w.rng.Int64N(int64(10*time.Millisecond))), cancel)
		return ctx, func() { timer.Stop(); cancel() }
	}
	return context.WithTimeout(w.ctx, 30*time.Second)
}

func send[T any](
	ctx context.Context, w *worker, name string, do func(context.Context, options) (T, error), opts options, expected []error,
) (T, error) {
	w.faults.strike(w.rng)
	w.calls++
	w.id = fmt.Sprintf("%s.%d", w.name, w.calls)
	var info cftunnel.ResponseInfo
	var used links
	result, err := do(used.trace(ctx), append(opts, cftunnel.AddHeader(callHeader, w.id), cftunnel.CaptureResponse(&info)))
	w.broken = used.settle()

	w.sent = info.Attempts
	w.attempts[w.id] = info.Attempts
	if slices.Contains(several, name) {
		w.attempts[w.id] = 0
	}
	w.tally.call(name, err)
	if err != nil && !excusable(err) && !slices.ContainsFunc(expected, func(e error) bool { return errors.Is(err, e) }) {
		w.find("%s: an error that nothing explains: %v", name, err)
	}
	return result, err
}

// excusable reports whether a fault, or too little time, explains an error.
func excusable(err error) bool {
	if errors.Is(err, cftunnel.ErrConcurrentUpdate) {
		return false // every tunnel is one worker's alone
	}
	for _, reason := range []error{
		context.Canceled, context.DeadlineExceeded, cftunnel.ErrOutcomeUnknown,
		io.ErrUnexpectedEOF, // of an answer of any status, whose code is lost
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return isFault(err)
}

// isFault reports whether one of the failures that err joins is what a fault makes of a request. Where two workers ensure a tunnel, the
// error of the second may join a 1013 with such a failure, of the look after it.
func isFault(err error) bool {
	switch err := err.(type) { //nolint:errorlint // the chain is walked here
	case *cftunnel.Error:
		switch err.StatusCode {
		case 0, 200, 408, 425, 429:
			return true
		}
		return err.StatusCode >= 500
	case interface{ Unwrap() error }:
		return isFault(err.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), isFault)
	}
	return false
}

// look reads as often as it takes: whoever must know how things are does not give up at a fault. Its error is one of those expected, or the
// end of the worker.
func look[T any](w *worker, name string, read func(context.Context, options) (T, error), expected ...error) (T, error) {
	for tries := 0; ; tries++ {
		ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
		result, err := send(ctx, w, name, read, nil, expected)
		cancel()
		if err == nil || tries == 200 || !excusable(err) {
			return result, err
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *worker) find(format string, args ...any) {
	w.tally.find("epoch %d, worker %s: %s", w.number, w.name, fmt.Sprintf(format, args...))
}

// resolve books how a call that failed turned out when its worker looked. What was done must have been said to be possible.
func (w *worker) resolve(name string, err error, done bool) {
	unknown := errors.Is(err, cftunnel.ErrOutcomeUnknown)
	switch {
	case done && !unknown:
		w.find("%s was carried out, and its error does not say that it may have been: %v", name, err)
	case done:
		w.tally.wasDone(name)
	}
	if unknown {
		w.tell("%s: done %t: %v", name, done, err)
	}
}

// puts counts in the fake's record how often a PUT of a call was carried out.
func (w *worker) puts(id string) (n int) {
	for _, r := range w.srv.Requests() {
		if r.Method == http.MethodPut && r.Done && r.Header.Get(callHeader) == id {
			n++
		}
	}
	return n
}

func (w *worker) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *worker) newName() string {
	w.names++
	return fmt.Sprintf("%s-%d", w.name, w.names)
}

func (w *worker) client(e *entry) *cftunnel.Client { return w.clients[e.account] }
func (w *worker) service(e *entry) tunnels         { return service(w.client(e), e.kind) }

// anyLive returns one of the live tunnels that fit, or nil.
func (w *worker) anyLive(fits func(*entry) bool) *entry {
	list := w.live(fits)
	if len(list) == 0 {
		return nil
	}
	return list[w.rng.IntN(len(list))]
}

// act is something that a worker does now and then: alone, or with a live tunnel that fits.
type act struct {
	weight int
	alone  func(*worker) error
	fits   func(*entry) bool
	with   func(*worker, *entry) error
}

func anyKind(*entry) bool      { return true }
func isTunnel(e *entry) bool   { return !e.isWARP() }
func hasReplica(e *entry) bool { return len(e.replicas) > 0 }

var acts = []act{
	{weight: 8, alone: (*worker).create},
	{weight: 5, alone: (*worker).ensure},
	{weight: 1, alone: (*worker).ensureCommon},
	{weight: 6, alone: (*worker).createWARP},
	{weight: 6, alone: (*worker).list},
	{weight: 2, alone: (*worker).verify},
	{weight: 6, fits: anyKind, with: (*worker).get},
	{weight: 4, fits: isTunnel, with: (*worker).findByName},
	{weight: 2, fits: isTunnel, with: (*worker).ensureAgain},
	{weight: 6, fits: anyKind, with: (*worker).rename},
	{weight: 2, fits: anyKind, with: (*worker).clash},
	{weight: 5, fits: anyKind, with: (*worker).readToken},
	{weight: 3, fits: isTunnel, with: (*worker).managementToken},
	{weight: 6, fits: isTunnel, with: (*worker).configure},
	{weight: 8, fits: isTunnel, with: (*worker).modify},
	{weight: 4, fits: (*entry).isWARP, with: (*worker).configureWARP},
	{weight: 12, fits: anyKind, with: (*worker).connect},
	{weight: 4, fits: hasReplica, with: (*worker).disconnect},
	{weight: 6, fits: anyKind, with: (*worker).readConnectors},
	{weight: 4, fits: isTunnel, with: (*worker).cleanUp},
	{weight: 4, fits: func(e *entry) bool { return e.isWARP() && hasReplica(e) }, with: (*worker).failover},
	{weight: 6, fits: anyKind, with: (*worker).rotate},
	{weight: 8, fits: anyKind, with: (*worker).delete},
}

// maxLive bounds the live tunnels of a worker.
const maxLive = 8

// step does one thing. Its error says that the worker does not know any more how things are.
func (w *worker) step() error {
	if len(w.live(anyKind)) >= maxLive {
		return w.delete(w.anyLive(anyKind))
	}
	all := 0
	for _, a := range acts {
		all += a.weight
	}
	n := w.rng.IntN(all)
	for _, a := range acts {
		if n -= a.weight; n >= 0 {
			continue
		}
		if a.alone != nil {
			return a.alone(w)
		}
		if e := w.anyLive(a.fits); e != nil {
			return a.with(w, e)
		}
		return w.create()
	}
	panic("unreachable")
}
