package tunnellogs

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Times of a follower.
const (
	firstPause    = time.Second // after the network broke
	longestPause  = time.Minute
	steadyTime    = 5 * time.Minute // streaming for so long starts the pauses anew
	replaceWindow = time.Minute     // two ends without a close frame within it are a replacement
	sessionPause  = time.Minute     // after a session limit
)

// follower keeps a stream of one connector open. Its own goroutine runs it; the watcher decides
// whether to run another.
type follower struct {
	*tail
	id  string
	log *slog.Logger

	pause    time.Duration // the latest one after the network broke
	lastCut  time.Time     // when a stream last ended without a close frame
	opened   bool          // whether there ever was a stream
	reported trouble       // what was yielded of the present trouble

	done chan struct{} // closed when it has ended

	// For the watcher.
	connector cftunnel.Connector // as it was last listed before the end
	left      bool               // whether a list lacked it
}

// trouble is what a follower waits for the end of.
type trouble struct{ network, limit bool }

func newFollower(t *tail, c cftunnel.Connector) *follower {
	return &follower{
		tail: t, id: c.ID, connector: c, done: make(chan struct{}),
		log: t.params.Logger.With("tunnel_id", t.tunnelID, "connector_id", c.ID),
	}
}

func (f *follower) hasEnded() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// isBack reports whether the connector was away between two lists: it has connections, and none of
// them is one that it had.
func (f *follower) isBack(now cftunnel.Connector) bool {
	before := f.connector.Connections
	kept := slices.ContainsFunc(now.Connections, func(c cftunnel.Connection) bool {
		return slices.ContainsFunc(before, func(b cftunnel.Connection) bool { return b.ID == c.ID })
	})
	return len(now.Connections) > 0 && !kept
}

// run opens stream after stream until the context ends or the rules of Tail say that another one
// makes no sense.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	for ctx.Err() == nil {
		opened, failure := f.stream(ctx)
		if failure == nil || ctx.Err() != nil {
			continue
		}
		f.log.WarnContext(ctx, "stream ended", "error", failure)
		if !opened.IsZero() {
			f.settle(time.Since(opened))
		}
		pause := sessionPause
		switch {
		case errors.Is(failure, ErrInvalidFilter):
			f.send(ctx, item{err: failure, last: true})
			return
		case errors.Is(failure, ErrSessionLimit):
			f.reportOnce(ctx, failure, &f.reported.limit)
		case failure.broken && !opened.IsZero() && f.isReplaced():
			failure.Reason = "the connection ended twice in a minute without a close frame"
			failure.cause = ErrReplaced
			f.send(ctx, item{err: failure})
			return
		case failure.broken:
			if !f.opened {
				f.reportOnce(ctx, failure, &f.reported.network)
			}
			f.pause = min(max(2*f.pause, firstPause), longestPause)
			pause = f.pause
		default:
			f.send(ctx, item{err: failure})
			return
		}
		f.log.DebugContext(ctx, "opening a stream again after a pause", "pause", pause)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// stream opens a stream and hands on its entries until it ends. opened is zero if there was none.
// The error is nil if another stream is to be opened at once, with a new token.
func (f *follower) stream(ctx context.Context) (opened time.Time, failure *StreamError) {
	token, err := f.tokens.get(ctx, cftunnel.Secret{})
	if err != nil {
		return time.Time{}, &StreamError{
			ConnectorID: f.id,
			Reason:      "there is no management token to be had",
			cause:       err,
			broken:      isTransient(err),
		}
	}
	s, failure := open(ctx, token, f.id, f.params)
	if failure != nil {
		if refusesToken(failure.StatusCode) && f.tokens.replace(ctx, token) {
			failure = nil
		}
		return time.Time{}, failure
	}
	defer s.Close()
	opened, f.opened = time.Now(), true
	f.log.DebugContext(ctx, "stream opened")
	for {
		entry, err := s.next(ctx, token.replaced)
		switch {
		case err == nil:
			f.reported = trouble{}
			if !f.send(ctx, item{entry: entry}) {
				return opened, nil
			}
		case errors.Is(err, errTokenReplaced):
			return opened, nil
		default:
			failure, _ = errors.AsType[*StreamError](err) // nil if the context has ended
			return opened, failure
		}
	}
}

// settle forgets earlier trouble after a stream that lasted.
func (f *follower) settle(lasted time.Duration) {
	if lasted >= steadyTime {
		f.pause = 0
	}
	if lasted >= sessionPause {
		f.reported = trouble{}
	}
}

// isReplaced notes that a stream ended without a close frame, and reports whether it is the second
// within a minute.
func (f *follower) isReplaced() bool {
	now := time.Now()
	second := !f.lastCut.IsZero() && now.Sub(f.lastCut) <= replaceWindow
	f.lastCut = now
	return second
}

func (f *follower) reportOnce(ctx context.Context, failure *StreamError, reported *bool) {
	if !*reported {
		*reported = f.send(ctx, item{err: failure})
	}
}

// send hands an item to the loop. It returns false if the context ends first.
func (f *follower) send(ctx context.Context, i item) bool {
	select {
	case f.items <- i:
		return true
	case <-ctx.Done():
		return false
	}
}

// isTransient reports whether a call of the API may succeed later.
func isTransient(err error) bool {
	e, ok := errors.AsType[*cftunnel.Error](err)
	return ok &&
		(e.StatusCode == 0 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode >= 500)
}

// refusesToken reports whether a refusal may be due to the token.
func refusesToken(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnauthorized ||
		status == http.StatusForbidden
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
