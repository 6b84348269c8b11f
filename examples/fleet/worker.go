package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/redislimit"
)

// Environment variables that the program sets for its workers.
const (
	envWorker = "FLEET_WORKER"
	envRedis  = "REDIS_URL"
)

// report is the output of a worker.
type report struct {
	Calls    int `json:"calls"`    // attempts, as the API counts them
	Rejected int `json:"rejected"` // attempts with the status 429
}

// work calls the API as often as the limiter allows, until stdin ends. Stdin also ends if the
// program that started the worker ends.
func work(number string, s settings, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()

	counter := &counter{next: &http.Transport{
		MaxIdleConnsPerHost: s.callers, ResponseHeaderTimeout: 10 * time.Second,
	}}
	opts := []cftunnel.Option{
		cftunnel.WithEnvironment(),
		cftunnel.WithUserAgent("fleet-worker/" + number),
		cftunnel.WithHTTPClient(&http.Client{Transport: counter}),
		// Wait as long as the API requires.
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxDelay: 24 * time.Hour}),
	}
	if s.shared {
		client, err := connect()
		if err != nil {
			return err
		}
		defer client.Close()
		limiter, err := newLimiter(client, number, s, stderr)
		if err != nil {
			return err
		}
		opts = append(opts, cftunnel.WithLimiter(limiter))
	} else {
		opts = append(opts, cftunnel.WithRateLimit(s.quota, s.window)) // the whole quota
	}
	client, err := cftunnel.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()

	failures := make(chan error, s.callers)
	var callers sync.WaitGroup
	for range s.callers {
		callers.Go(func() {
			for ctx.Err() == nil {
				params := cftunnel.TunnelListParams{PerPage: 1}
				_, err := client.Tunnels.List(ctx, params)
				if err != nil && ctx.Err() == nil {
					failures <- err
					stop()
				}
			}
		})
	}
	callers.Wait()
	close(failures)
	r := report{int(counter.calls.Load()), int(counter.rejected.Load())}
	return errors.Join(json.NewEncoder(stdout).Encode(r), <-failures)
}

// connect returns a client of Redis. Its options suit the short windows of this program: it reports
// a failure at once, without retries, and dials again at once after many failures.
func connect() (*redis.Client, error) {
	options, err := redis.ParseURL(os.Getenv(envRedis))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", envRedis, err)
	}
	options.MaxRetries, options.DialerRetries, options.PoolSize = -1, 1, 1000
	return redis.NewClient(options), nil
}

// newLimiter returns a limiter that reports on stderr when Redis becomes unavailable and when it is
// back.
func newLimiter(
	client *redis.Client, number string, s settings, stderr io.Writer,
) (*redislimit.Limiter, error) {
	options := s.limit(os.Getenv("CLOUDFLARE_ACCOUNT_ID"))
	options.Notify = func(err error) {
		if err != nil {
			fmt.Fprintf(stderr, "worker %s: Redis is unavailable; using 1/%d of the quota: %v\n",
				number, options.Processes, err)
			return
		}
		fmt.Fprintf(stderr, "worker %s: Redis is back; sharing the quota again\n", number)
	}
	return redislimit.New(client, options)
}

// counter counts attempts.
type counter struct {
	next            http.RoundTripper
	calls, rejected atomic.Int64
}

// RoundTrip ignores the end of the context of the request. Otherwise the worker and the API could
// count differently.
func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	resp, err := c.next.RoundTrip(req.WithContext(context.WithoutCancel(req.Context())))
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		c.rejected.Add(1)
	}
	return resp, err
}

// CloseIdleConnections is called by http.Client.
func (c *counter) CloseIdleConnections() { c.next.(*http.Transport).CloseIdleConnections() }
