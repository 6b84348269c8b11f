package tunneltest

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// quotaOf returns the quota of a credential. Each token has its own quota. Unknown credentials
// share one, which bounds the size of s.quotas. The caller holds s.mu.
func (s *Server) quotaOf(credential cftunnel.Secret) *quota {
	if s.tokens[credential] == nil {
		credential = cftunnel.Secret{}
	}
	q := s.quotas[credential]
	if q == nil {
		q = &quota{limit: s.quota.limit, window: s.quota.window}
		s.quotas[credential] = q
	}
	return q
}

// quota counts the requests of the last window. It is guarded by the server's mutex.
type quota struct {
	limit  int // 0 means no limit
	window time.Duration

	times        []time.Time // of the requests that were allowed
	blockedUntil time.Time
}

// allow counts a request and returns 0, or returns how long requests are refused.
func (q *quota) allow(now time.Time) (wait time.Duration) {
	if q.limit == 0 {
		return 0
	}
	if wait := q.blockedUntil.Sub(now); wait > 0 {
		return wait
	}
	kept := 0
	for kept < len(q.times) && !q.times[kept].After(now.Add(-q.window)) {
		kept++
	}
	q.times = q.times[kept:]
	if len(q.times) == q.limit {
		q.blockedUntil, q.times = now.Add(q.window), nil
		return q.window
	}
	q.times = append(q.times, now)
	return 0
}

// header returns the header fields that report the quota.
func (q *quota) header(now time.Time) http.Header {
	header := http.Header{}
	if q.limit == 0 {
		return header
	}
	left, reset := q.limit-len(q.times), q.window
	if len(q.times) > 0 {
		reset = q.times[0].Add(q.window).Sub(now)
	}
	if wait := q.blockedUntil.Sub(now); wait > 0 {
		left, reset = 0, wait
	}
	header.Set("Ratelimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, q.limit, seconds(q.window)))
	header.Set("Ratelimit", fmt.Sprintf(`"default";r=%d;t=%d`, left, seconds(reset)))
	return header
}

func tooManyRequests(wait time.Duration, header http.Header) *response {
	r := failure(http.StatusTooManyRequests, 10429,
		"More requests than the rate limit allows. Wait before the next one.")
	r.header = header
	r.header.Set("Retry-After", strconv.Itoa(seconds(wait)))
	return r
}

// seconds rounds up, so that a client that waits this long is not refused again.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
