package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// The fake's clock is faster, so that connectors reconnect soon after a cleanup.
const (
	clockRate      = 20
	reconnectDelay = time.Second / clockRate
)

// commonName is the name of a tunnel that every worker ensures.
const commonName = "common"

// round is one round: a fake, and workers with their models of it.
type round struct {
	*rig
	settings
	number  int
	ctx     context.Context // for calls; it does not end on an interrupt, so that steps can finish
	srv     *tunneltest.Server
	stats   *stats
	workers []*worker
	faults  []cases.Fault

	mu       sync.Mutex
	lastHold time.Time
	common   []string // the IDs of the common tunnels, by account
	creators []int    // the number of calls that created the common tunnel, by account
}

func newRound(ctx context.Context, r *rig, s settings, number int, stats *stats) *round {
	began := time.Now()
	c := &round{
		rig: r, settings: s, number: number, ctx: context.WithoutCancel(ctx), stats: stats,
		srv:    r.newFake(func() time.Time { return began.Add(clockRate * time.Since(began)) }),
		common: make([]string, s.accounts), creators: make([]int, s.accounts),
	}
	for _, fault := range cases.Faults() {
		huge := fault.Server.Header.Get("X-Much") != "" // would use most of the heap
		if !fault.Refused && !huge && fault.MaxBytes == 0 && fault.RetryAfter <= 2*time.Second {
			c.faults = append(c.faults, fault)
		}
	}
	c.srv.SeedZone(zoneName)
	for i := range s.workers {
		c.workers = append(c.workers, c.newWorker(fmt.Sprintf("w%02d", i), i))
	}
	return c
}

func (c *round) newWorker(name string, n int) *worker {
	rng := rand.New(rand.NewPCG(c.seed, uint64(c.number)<<32|uint64(n)))
	return &worker{round: c, name: name, rng: rng, model: model{attempts: map[string]int{}}}
}

// injectFault injects a fault for one of the next requests of any call, rarely for hundreds of
// requests, and most of the time none.
func (c *round) injectFault(rng *rand.Rand) {
	if rng.Float64() >= c.faultRate {
		return
	}
	fault := c.faults[rng.IntN(len(c.faults))]
	if fault.Status == http.StatusTooManyRequests && !c.mayHold() {
		return
	}
	injected := fault.Server
	injected.Times = 1
	switch {
	case fault.Timeout > 0:
		injected.Delay = c.timeout + 50*time.Millisecond
	case rng.IntN(4) == 0:
		injected.Delay = time.Duration(rng.Int64N(int64(30 * time.Millisecond)))
	}
	if fault.Retry == cases.RetryIdempotent && rng.IntN(2000) == 0 {
		injected.Times = 100 + rng.IntN(200)
	}
	c.stats.fault(fault.Name, injected.Times)
	c.srv.Inject(injected)
}

// mayHold limits how often a 429 holds all clients: it returns true at most every 10 seconds.
func (c *round) mayHold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.lastHold) < 10*time.Second {
		return false
	}
	c.lastHold = time.Now()
	return true
}

// run lets the workers do steps until the given time, or until each has done its number of steps.
func (c *round) run(ctx context.Context, until time.Time) {
	var all sync.WaitGroup
	for _, w := range c.workers {
		all.Go(func() {
			goOn := func(n int) bool {
				return (c.steps == 0 || n < c.steps) && ctx.Err() == nil && time.Now().Before(until)
			}
			for n := 0; goOn(n); n++ {
				if err := w.step(); err != nil { //nolint:contextcheck // a step must finish
					w.report("the worker cannot continue: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	c.faultRate = 0
	c.srv.ClearFaults()
}

// ensure calls Ensure for the common tunnel. It checks that there is one such tunnel, and that at
// most one call reports to have created it.
func (c *round) ensure(ctx context.Context, account int, opts []option) error {
	params := cftunnel.TunnelCreateParams{Name: commonName}
	tunnel, created, err := c.clients[account].Tunnels.Ensure(ctx, params, opts...)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if created {
		c.creators[account]++
	}
	if c.common[account] == "" {
		c.common[account] = tunnel.ID
	}
	if c.common[account] != tunnel.ID || c.creators[account] > 1 {
		c.report("Ensure of %s: its ID is %s, want %s; %d calls created it, want at most 1",
			commonName, tunnel.ID, c.common[account], c.creators[account])
	}
	return nil
}

// compared has the numbers of tunnels and requests that were compared.
type compared struct{ tunnels, requests int }

// compare compares the models of all workers with the fake's state, and the fake's request log with
// the calls.
func (c *round) compare() (compared, error) {
	record := c.srv.Requests() // without the requests of this method
	done := compared{requests: len(record)}
	c.compareRecord(record)
	last := c.newWorker("last", len(c.workers))
	for _, w := range c.workers {
		if last.site = w.site; last.site.tunnelID != "" {
			if err := last.checkSite(); err != nil {
				return done, err
			}
		}
	}
	for account := range c.clients {
		if err := c.compareTokens(account); err != nil {
			return done, err
		}
		got := map[string]*cftunnel.Tunnel{}
		for _, deleted := range []bool{false, true} {
			params := cftunnel.TunnelListParams{IsDeleted: &deleted}
			for t, err := range c.clients[account].Tunnels.All(c.ctx, params) {
				if err != nil {
					return done, err
				}
				got[t.ID] = t
			}
		}
		for _, w := range c.workers {
			for _, t := range w.tunnels {
				if t.account != account {
					continue
				}
				done.tunnels++
				if got[t.id] == nil {
					c.report("tunnel %s, %s, is missing", t, t.id)
					continue
				}
				delete(got, t.id)
				now, err := last.observe(t)
				if err != nil {
					return done, err
				}
				for _, difference := range now.differences(t.state) {
					c.report("tunnel %s: %s", t, difference)
				}
			}
		}
		// An Ensure that failed may have created the common tunnel.
		for _, t := range got {
			if strings.HasPrefix(t.Name, siteName) {
				continue // compared by checkSite
			}
			other := c.common[account] != "" && c.common[account] != t.ID
			if t.Name != commonName || t.IsDeleted() || other {
				c.report("tunnel %s, %s, is unexpected", t.Name, t.ID)
			}
			c.common[account] = t.ID
		}
	}
	return done, nil
}

// compareRecord checks the fake's request log. It reports requests that were repeated although they
// may have been carried out, and requests that were not counted as attempts.
func (c *round) compareRecord(record []tunneltest.Request) {
	attempts, requests, created := map[string]int{}, map[string]int{}, map[string]int{}
	type target struct{ call, path string }
	// posts are requests that may have been carried out, lists are successful GETs.
	posts, lists := map[target]int{}, map[target]int{}
	for _, w := range c.workers {
		maps.Copy(attempts, w.attempts)
	}
	for _, r := range record {
		id := r.Header.Get(callHeader)
		n, known := attempts[id]
		if !known {
			c.report("%s of an unknown call %q", r.Operation, id)
		}
		requests[id]++
		if n > 0 && requests[id] > n {
			c.report("call %s: %d requests, but %d attempts were counted", id, requests[id], n)
		}
		// net/http itself repeats requests without a body. They count as attempts, without a limit.
		hasBody := r.Method == http.MethodPost || r.Method == http.MethodPatch ||
			r.Method == http.MethodPut
		if n > 0 && hasBody && requests[id] > maxAttempts {
			c.report("call %s: %d requests, the limit is %d", id, requests[id], maxAttempts)
		}
		switch {
		case mustRunOnce(r) && r.Status != http.StatusTooManyRequests:
			posts[target{id, r.Path}]++
		case r.Method == http.MethodGet && r.Status == http.StatusOK && r.Done:
			lists[target{id, r.Path}]++
		}
		if r.Method == http.MethodPost && r.Done { // it creates a tunnel, a route or a record
			var body struct{ Name, Network string }
			_ = json.Unmarshal([]byte(r.Body.Reveal()), &body) // valid, since it was carried out
			name := body.Name + body.Network
			key := r.Path + name
			if created[key]++; created[key] > 1 {
				c.report("call %s: %s was created %d times", id, name, created[key])
			}
		}
	}
	for at, n := range posts {
		if n > max(1, lists[at]) { // Ensure lists before each POST
			c.report("call %s: %s was sent %d times, although it may have been carried out",
				at.call, at.path, n)
		}
	}
}

// mustRunOnce reports whether a request is not idempotent.
func mustRunOnce(r tunneltest.Request) bool {
	return r.Method == http.MethodPost || strings.HasSuffix(r.Operation, "/value")
}

func (c *round) report(format string, args ...any) {
	c.stats.report("round %d: %s", c.number, fmt.Sprintf(format, args...))
}
