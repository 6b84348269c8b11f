package bench_test

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// A program that has much to do, on a server that is neither near nor patient.
const (
	callsToMake = 5_000
	workers     = 8
	latency     = 50 * time.Millisecond
	quota       = 1_200
	window      = 5 * time.Minute
)

// TestQuota tells how long so many calls take with each client as it is by default, how many requests are refused, and how many calls fail
// for it. The hours pass on synctest's clock.
func TestQuota(t *testing.T) {
	t.Parallel()
	for _, contestant := range bench.Contestants() {
		t.Run(contestant.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := tunneltest.NewServer(tunneltest.WithQuota(quota, window), tunneltest.WithLatency(latency),
					tunneltest.WithAccountID(bench.AccountOf(1)), tunneltest.WithAPIToken(bench.Token))
				tunnel := srv.SeedTunnels(1)[0]
				client, err := contestant.New(bench.Config{
					BaseURL: "http://localhost" + bench.BasePath, AccountID: srv.AccountID(), Paced: true,
					HTTP: pipenet.Serve(t, srv.Handler()).Client(t),
				})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				var made, failed atomic.Int64
				var group sync.WaitGroup
				for range workers {
					group.Go(func() {
						for made.Add(1) <= callsToMake {
							if _, err := client.Get(t.Context(), tunnel.ID); err != nil {
								failed.Add(1)
							}
						}
					})
				}
				group.Wait()
				took := time.Since(began)

				refused := 0
				for _, r := range srv.Requests() {
					if r.Status == http.StatusTooManyRequests {
						refused++
					}
				}
				t.Attr("seconds", strconv.Itoa(int(took.Seconds())))
				t.Attr("refused", strconv.Itoa(refused))
				t.Attr("failed", strconv.FormatInt(failed.Load(), 10))
				if contestant.Name == bench.Ours && (refused > 0 || failed.Load() > 0) {
					t.Errorf("%d requests refused, %d calls failed", refused, failed.Load())
				}
			})
		})
	}
}
