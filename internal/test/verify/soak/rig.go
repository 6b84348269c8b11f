package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// maxAttempts is the client's limit for one call.
const maxAttempts = 4

// rig has the clients and the server, which are used in all rounds. The server's handler is the
// fake of the current round.
type rig struct {
	apiToken  string
	clients   []*cftunnel.Client // one for each account
	server    *httptest.Server
	transport *http.Transport // the transport of the clients
	fake      atomic.Pointer[tunneltest.Server]

	mu       sync.Mutex
	arrived  map[string]int // the number of requests that arrived, by call
	inFlight map[string]int // the number of requests that are being served, by call
}

func newRig(s settings, stats *stats) (*rig, error) {
	rng := rand.New(rand.NewPCG(s.seed, 0))
	hex := func() string { return fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64()) }
	r := &rig{apiToken: hex(), arrived: map[string]int{}, inFlight: map[string]int{}}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	transport := roundtrip.NewTransport()
	if s.http2 {
		r.server.EnableHTTP2 = true
		r.server.StartTLS()
		transport.TLSClientConfig = r.server.Client().Transport.(*http.Transport).TLSClientConfig
	} else {
		r.server.Start()
	}
	r.transport = transport
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL(r.server.URL+"/client/v4"),
		cftunnel.WithAPIToken(r.apiToken),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
		cftunnel.WithRateLimit(100_000, 10*time.Second), // a high limit, to use the limiter too
		cftunnel.WithRetry(cftunnel.RetryPolicy{
			MaxAttempts: maxAttempts, BaseDelay: 2 * time.Millisecond, MaxDelay: 2 * time.Second,
		}),
		cftunnel.WithTimeout(s.timeout),
		cftunnel.WithLogger(slog.New(attemptCounter{stats})),
	)
	for i := 0; err == nil && i < s.accounts; i++ {
		client, err = client.ForAccount(hex())
		r.clients = append(r.clients, client)
	}
	if err != nil {
		r.server.Close()
		return nil, err
	}
	return r, nil
}

// serve passes a request to the fake, and counts the requests of each call.
func (r *rig) serve(w http.ResponseWriter, req *http.Request) {
	id := req.Header.Get(callHeader)
	r.mu.Lock()
	r.arrived[id]++
	r.inFlight[id]++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.inFlight[id]--; r.inFlight[id] == 0 {
			delete(r.inFlight, id)
		}
	}()
	r.fake.Load().Handler().ServeHTTP(w, req)
}

func (r *rig) newFake(now func() time.Time) *tunneltest.Server {
	fake := tunneltest.NewServer(
		tunneltest.WithAccountID(r.clients[0].AccountID()), tunneltest.WithAPIToken(r.apiToken),
		tunneltest.WithClock(now),
	)
	r.fake.Store(fake)
	return fake
}

// reset ends a round. It closes the client's connections, and releases the fake and its request
// log.
func (r *rig) reset() {
	r.clients[0].CloseIdleConnections()
	if fake := r.fake.Swap(nil); fake != nil {
		fake.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived = map[string]int{}
}

func (r *rig) close() {
	r.reset()
	r.server.Close()
}

// trace returns a context that counts the requests of a call.
func trace(ctx context.Context, requests *atomic.Int32) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { requests.Add(1) },
	})
}

// settle waits until all requests of a call have arrived and are done, because a request may be
// carried out after its call has returned. It waits at most 500 ms for requests to arrive, because
// a request can be lost with its connection.
func (r *rig) settle(id string, requests int) {
	for began := time.Now(); ; time.Sleep(100 * time.Microsecond) {
		r.mu.Lock()
		arrived, inFlight := r.arrived[id], r.inFlight[id]
		r.mu.Unlock()
		if inFlight == 0 && (arrived >= requests || time.Since(began) > 500*time.Millisecond) {
			return
		}
	}
}
