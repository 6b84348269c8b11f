package tunneltest

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// quotaOf returns the count of a credential. Each token has the whole quota to itself; unknown
// credentials share one, so that there are not more counts than tokens. The caller holds s.mu.
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
	limit  int // 0 for none
	window time.Duration

	times   []time.Time
	refused time.Time // until when
}

// admit counts a request, or says for how long it is refused.
func (q *quota) admit(now time.Time) (rest time.Duration) {
	if q.limit == 0 {
		return 0
	}
	if rest := q.refused.Sub(now); rest > 0 {
		return rest
	}
	kept := 0
	for kept < len(q.times) && !q.times[kept].After(now.Add(-q.window)) {
		kept++
	}
	q.times = q.times[kept:]
	if len(q.times) == q.limit {
		q.refused, q.times = now.Add(q.window), nil
		return q.window
	}
	q.times = append(q.times, now)
	return 0
}

// header tells of the quota as the API does.
func (q *quota) header(now time.Time) http.Header {
	header := http.Header{}
	if q.limit == 0 {
		return header
	}
	left, reset := q.limit-len(q.times), q.window
	if len(q.times) > 0 {
		reset = q.times[0].Add(q.window).Sub(now)
	}
	if rest := q.refused.Sub(now); rest > 0 {
		left, reset = 0, rest
	}
	header.Set("Ratelimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, q.limit, seconds(q.window)))
	header.Set("Ratelimit", fmt.Sprintf(`"default";r=%d;t=%d`, left, seconds(reset)))
	return header
}

func refusal(rest time.Duration, header http.Header) answer {
	a := failure(http.StatusTooManyRequests, 10429, "More requests than the rate limit allows. Wait before the next one.")
	a.header = header
	a.header.Set("Retry-After", strconv.Itoa(seconds(rest)))
	return a
}

// seconds rounds up: a client that waits so long has waited long enough.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
