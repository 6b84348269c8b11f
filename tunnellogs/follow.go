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

// The durations of a follower.
const (
	firstPause    = time.Second     // the first pause after the network broke
	longestPause  = time.Minute     // the longest one
	steadyTime    = 5 * time.Minute // a stream of this duration resets the pause
	replaceWindow = time.Minute     // two ends without a close frame in it count as a replacement
	sessionPause  = time.Minute     // after a session limit
)

// follower streams from one connector and reconnects, in a goroutine of its own. When it has ended,
// the watcher decides whether to start another.
type follower struct {
	*tail
	id  string
	log *slog.Logger

	pause    time.Duration  // the last pause after the network broke
	lastCut  time.Time      // when a stream last ended without a close frame
	opened   bool           // whether a stream was ever opened
	reported reportedErrors // what was yielded since the last entry

	done     chan struct{} // closed when it has ended
	streamed bool          // whether it ended with an open stream; set before done is closed

	// For the watcher.
	ended     bool               // whether it had ended when the latest list was requested
	connector cftunnel.Connector // as it was at the end
	relisted  bool               // whether connector is of a list since the end
	left      bool               // whether it was missing in a list since the end
}

// reportedErrors says which errors were yielded, so that each is yielded once.
type reportedErrors struct{ network, limit bool }

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

// isBack reports whether the connector has reconnected since the end: it has connections, and all
// of them are new. If a stream was open at the end, the list before the end does not count: the
// connector may have reconnected between that list and the end.
func (f *follower) isBack(now cftunnel.Connector) bool {
	if f.streamed && !f.relisted {
		return false
	}
	before := f.connector.Connections
	kept := slices.ContainsFunc(now.Connections, func(c cftunnel.Connection) bool {
		return slices.ContainsFunc(before, func(b cftunnel.Connection) bool { return b.ID == c.ID })
	})
	return len(now.Connections) > 0 && !kept
}

// run opens one stream after another, until the context ends or the rules of Tail forbid another
// stream.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		opened, failure := f.stream(ctx)
		if failure == nil || ctx.Err() != nil {
			continue
		}
		f.log.WarnContext(ctx, "stream ended", "error", failure)
		if !opened.IsZero() {
			f.resetAfter(time.Since(opened))
		}
		pause := sessionPause
		switch {
		case errors.Is(failure, ErrInvalidFilter):
			f.send(ctx, item{err: failure, last: true})
			return
		case errors.Is(failure, ErrSessionLimit):
			f.reportOnce(ctx, failure, &f.reported.limit)
		case failure.broken && !opened.IsZero() && f.isReplaced():
			failure.Reason = "the connection ended twice within a minute without a close frame"
			failure.cause = ErrReplaced
			f.end(ctx, failure, true)
			return
		case failure.broken:
			if !f.opened {
				f.reportOnce(ctx, failure, &f.reported.network)
			}
			f.pause = min(max(2*f.pause, firstPause), longestPause)
			pause = f.pause
		default:
			f.end(ctx, failure, !opened.IsZero())
			return
		}
		f.log.DebugContext(ctx, "opening a stream again after a pause", "pause", pause)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// end records the end before it sends the error: a slow loop may receive the error after the
// connector has come back.
func (f *follower) end(ctx context.Context, failure *StreamError, streamed bool) {
	f.streamed = streamed
	close(f.done)
	if streamed {
		select {
		case f.relist <- struct{}{}:
		default: // a list is already asked for
		}
	}
	f.send(ctx, item{err: failure})
}

// stream opens a stream and sends its entries until it ends. opened is zero if no stream was
// opened. The error is nil if another stream must be opened at once, with a new token.
func (f *follower) stream(ctx context.Context) (opened time.Time, failure *StreamError) {
	token, err := f.tokens.get(ctx, cftunnel.Secret{})
	if err != nil {
		return time.Time{}, &StreamError{
			ConnectorID: f.id,
			Reason:      "getting a management token failed",
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
			f.reported = reportedErrors{}
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

// resetAfter resets the pause and the reported errors after a stream of this duration.
func (f *follower) resetAfter(duration time.Duration) {
	if duration >= steadyTime {
		f.pause = 0
	}
	if duration >= sessionPause {
		f.reported = reportedErrors{}
	}
}

// isReplaced records that a stream ended without a close frame, and reports whether this happened
// twice within a minute.
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

// send passes an item to the loop. It returns false if the context ends first.
func (f *follower) send(ctx context.Context, i item) bool {
	select {
	case f.items <- i:
		return true
	case <-ctx.Done():
		return false
	}
}

// isTransient reports whether a call that failed may succeed later.
func isTransient(err error) bool {
	e, ok := errors.AsType[*cftunnel.Error](err)
	return ok &&
		(e.StatusCode == 0 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode >= 500)
}

// refusesToken reports whether a status may mean that the token is invalid.
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
