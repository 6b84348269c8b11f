package tunnellogs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// soak runs Tail for a day, with a failure every few minutes.
type soak struct {
	*rig
	t          *testing.T
	rng        *rand.Rand
	other      *cftunnel.Client // of another user
	tail       *collector
	connectors []string
	lines      int
}

// Each function causes a failure and returns when it is over.
var failures = []struct {
	name string
	do   func(*soak)
}{
	{"the network breaks", func(s *soak) { s.logs.cut() }},
	{"the network is down", func(s *soak) {
		s.logs.refuse(true)
		s.logs.cut()
		s.wait(10 * time.Minute)
		s.logs.refuse(false)
	}},
	{"another stream of the same user", func(s *soak) { s.hold(s.client, s.randomConnector(), 2*time.Minute) }},
	{"another Tail of the same user", func(s *soak) {
		second := s.rig.tail(s.client, s.params)
		s.wait(3 * time.Minute)
		second.cancel()
		<-second.done
	}},
	{"another user has a session", func(s *soak) {
		id := s.randomConnector()
		s.logs.refuse(true)
		s.logs.cut()
		s.Log(id, tunnellogs.Entry{}) // the connector notices that its stream is gone
		s.logs.refuse(false)
		s.hold(s.other, id, 5*time.Minute)
	}},
	{"a connector is replaced", func(s *soak) {
		i := s.rng.IntN(len(s.connectors))
		s.Disconnect(s.connectors[i])
		s.wait(time.Minute)
		s.connectors[i] = s.connect()
	}},
	{"connectors lose their connections", func(s *soak) { s.reconnect("") }},
	{"the API fails", func(s *soak) {
		for _, operation := range []string{opList, opToken} {
			s.Inject(tunneltest.Fault{
				Operation: operation,
				Status:    http.StatusInternalServerError,
				Times:     tunneltest.Always,
			})
		}
		s.wait(10 * time.Minute)
		s.ClearFaults()
	}},
	{"Cloudflare refuses streams", func(s *soak) {
		s.Inject(tunneltest.Fault{
			Operation: opLogs,
			Status:    []int{401, 403, 500, 530}[s.rng.IntN(4)],
			Times:     1 + s.rng.IntN(4),
		})
		s.logs.cut()
		s.wait(time.Minute)
		s.ClearFaults()
	}},
	{"nothing", func(s *soak) { s.wait(time.Hour) }},
}

// wait sleeps for a random time.
func (s *soak) wait(longest time.Duration) {
	time.Sleep(time.Duration(s.rng.Int64N(int64(longest))))
}

func (s *soak) randomConnector() string { return s.connectors[s.rng.IntN(len(s.connectors))] }

// hold streams from a connector for a random time.
func (s *soak) hold(client *cftunnel.Client, id string, longest time.Duration) {
	stream, err := tunnellogs.Open(s.t.Context(), client, s.tunnel.ID, id, s.params)
	require.NoError(s.t, err)
	s.wait(longest)
	require.NoError(s.t, stream.Close())
}

// waitUntilHealthy waits until Tail yields no more errors. It reconnects connectors from which Tail
// does not stream any more.
func (s *soak) waitUntilHealthy(failure string) {
	for {
		time.Sleep(4 * time.Minute)
		errs := s.tail.errors()
		if len(errs) == 0 {
			return
		}
		for _, err := range errs {
			streamError, ok := errors.AsType[*tunnellogs.StreamError](err)
			require.True(s.t, ok, "%s: %v", failure, err)
			if slices.Contains(s.connectors, streamError.ConnectorID) &&
				!errors.Is(err, tunnellogs.ErrSessionLimit) {
				s.reconnect(streamError.ConnectorID)
			}
		}
	}
}

// check logs one line at each connector and checks that it arrives once.
func (s *soak) check(failure string) {
	s.tail.lines()
	var want []string
	for _, id := range s.connectors {
		s.lines++
		want = append(want, fmt.Sprint(s.lines))
		s.log(id, want[len(want)-1])
	}
	require.ElementsMatch(s.t, want, s.tail.lines(), "after: %s", failure)
}

func TestTail_DayOfFailures(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		s := &soak{rig: newRig(t), t: t, rng: rand.New(rand.NewPCG(seed, 0))}
		s.other = s.clientOf(s.AddToken(tunneltest.Token{}))
		for range 3 {
			s.connectors = append(s.connectors, s.connect())
		}
		began := time.Now()
		s.tail = s.rig.tail(s.client, s.params)
		for time.Since(began) < 24*time.Hour {
			failure := failures[s.rng.IntN(len(failures))]
			failure.do(s)
			s.waitUntilHealthy(failure.name)
			s.check(failure.name)
		}
		s.tail.end()
		assert.Greater(t, s.count(opToken), 20)
		synctest.Wait()                   // until the fake has read the stops
		for _, id := range s.connectors { // no session is left open
			stream, err := tunnellogs.Open(t.Context(), s.other, s.tunnel.ID, id, s.params)
			require.NoError(t, err)
			_, err = stream.Next(expiring(t))
			require.NotErrorIs(t, err, tunnellogs.ErrSessionLimit)
			require.NoError(t, stream.Close())
		}
	})
}
