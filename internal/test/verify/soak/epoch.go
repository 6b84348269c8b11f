package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// The fake's time runs faster, so that replicas that were cleaned up are soon back.
const (
	clockRate = 20
	comeBack  = time.Second / clockRate
)

// commonName is a tunnel's that every worker ensures.
const commonName = "common"

// epoch is the life of one fake, and of the books that are kept of it.
type epoch struct {
	*ground
	settings
	number  int
	ctx     context.Context // of calls; it does not end with the soak, so that books can be finished
	srv     *tunneltest.Server
	faults  *faults
	tally   *tally
	tell    func(format string, args ...any)
	workers []*worker

	mu       sync.Mutex
	common   []*entry // by account, nil while nobody has ensured it
	creators []int    // of them
}

func newEpoch(ctx context.Context, g *ground, s settings, number int, tally *tally, tell func(string, ...any)) *epoch {
	began := time.Now()
	e := &epoch{
		ground: g, settings: s, number: number, ctx: context.WithoutCancel(ctx), tally: tally, tell: tell,
		srv:    g.newFake(func() time.Time { return began.Add(clockRate * time.Since(began)) }),
		common: make([]*entry, s.accounts), creators: make([]int, s.accounts),
	}
	e.faults = &faults{srv: e.srv, tally: tally, rate: s.faults, timeout: s.timeout, lastly: began}
	for i := range s.workers {
		e.workers = append(e.workers, e.newWorker(fmt.Sprintf("w%02d", i), i))
	}
	return e
}

func (e *epoch) newWorker(name string, n int) *worker {
	rng := rand.New(rand.NewPCG(e.seed, uint64(e.number)<<32|uint64(n)))
	return &worker{epoch: e, name: name, rng: rng, books: books{attempts: map[string]int{}}}
}

// work has the workers work until then, or until each has taken its steps, and finishes the books.
func (e *epoch) work(ctx context.Context, until time.Time) {
	var all sync.WaitGroup
	for _, w := range e.workers {
		all.Go(func() {
			for n := 0; (e.steps == 0 || n < e.steps) && ctx.Err() == nil && time.Now().Before(until); n++ {
				if err := w.step(); err != nil { //nolint:contextcheck // a step is finished, whatever ends the soak
					w.find("it does not know any more how things are: %v", err)
					return
				}
			}
		})
	}
	all.Wait()

	e.faults.rate = 0
	e.srv.ClearFaults()
	last := e.newWorker("last", len(e.workers))
	e.workers = append(e.workers, last)
	for account := range e.clients {
		got, err := look(last, "Ensure", func(ctx context.Context, o options) (ensured, error) {
			t, created, err := e.clients[account].Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{Name: commonName}, o...)
			return ensured{t, created}, err
		})
		if err == nil {
			e.enterCommon(account, got)
		}
	}
}

// enterCommon books a tunnel that everybody ensures: there is one, and one call at most knows that it has made it.
func (e *epoch) enterCommon(account int, got ensured) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if got.created {
		e.creators[account]++
	}
	switch booked := e.common[account]; {
	case booked == nil:
		e.common[account] = &entry{account: account, id: got.tunnel.ID, name: commonName, kind: cftunnel.TunnelTypeCloudflared,
			configured: configured{config: text(cftunnel.TunnelConfig{})}}
	case booked.id != got.tunnel.ID:
		e.find("Ensure of %s: it is %s, and for others %s", commonName, got.tunnel.ID, booked.id)
	}
	if e.creators[account] > 1 {
		e.find("Ensure of %s: %d calls say that they have made it", commonName, e.creators[account])
	}
}

func (e *epoch) find(format string, args ...any) {
	e.tally.find("epoch %d: %s", e.number, fmt.Sprintf(format, args...))
}
