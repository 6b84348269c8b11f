package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// maxAttempts is the client's, of one call.
const maxAttempts = 4

// ground is what stays while epochs come and go: the client with its family, and an address on the loopback interface, behind which each
// epoch puts a fake of its own. The fake remembers every request, and is let go with its epoch; what the client keeps would add up.
type ground struct {
	apiToken string
	clients  []*cftunnel.Client // one for each account, all of one family
	server   *http.Server
	fake     atomic.Pointer[tunneltest.Server]
}

func newGround(s settings, tally *tally) (*ground, error) {
	rng := rand.New(rand.NewPCG(s.seed, 0))
	hex := func() string { return fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64()) }
	g := &ground{apiToken: hex()}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // which waits for nothing
	if err != nil {
		return nil, err
	}
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL("http://"+listener.Addr().String()+"/client/v4"),
		cftunnel.WithAPIToken(g.apiToken),
		cftunnel.WithHTTPClient(&http.Client{Transport: newTransport()}),
		cftunnel.WithRateLimit(100_000, 10*time.Second), // on, and wide
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: maxAttempts, BaseDelay: 2 * time.Millisecond, MaxDelay: 2 * time.Second}),
		cftunnel.WithTimeout(s.timeout),
		cftunnel.WithLogger(slog.New(attemptCounter{tally})),
	)
	for i := 0; err == nil && i < s.accounts; i++ {
		client, err = client.ForAccount(hex())
		g.clients = append(g.clients, client)
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	g.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.fake.Load().Handler().ServeHTTP(w, r)
	})}
	go func() { _ = g.server.Serve(listener) }()
	return g, nil
}

// newFake puts a new fake behind the address.
func (g *ground) newFake(now func() time.Time) *tunneltest.Server {
	fake := tunneltest.NewServer(
		tunneltest.WithAccountID(g.clients[0].AccountID()), tunneltest.WithAPIToken(g.apiToken), tunneltest.WithClock(now),
	)
	g.fake.Store(fake)
	return fake
}

// rest ends the client's connections, and lets the fake go.
func (g *ground) rest() {
	g.clients[0].CloseIdleConnections()
	if fake := g.fake.Swap(nil); fake != nil {
		fake.Close()
	}
}

func (g *ground) close() {
	g.rest()
	_ = g.server.Close()
}
