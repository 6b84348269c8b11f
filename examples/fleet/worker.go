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
)

// Variables that the program sets for the processes that it starts.
const (
	envWorker = "FLEET_WORKER"
	envRedis  = "REDIS_URL"
)

// report is what a worker prints at its end.
type report struct {
	Calls   int `json:"calls"` // attempts, as the API counts them
	Refused int `json:"refused"`
}

// work calls the API as fast as it may until stdin ends, which it does with the program that started it at the latest.
func work(number string, s settings, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()

	counter := &counter{next: &http.Transport{MaxIdleConnsPerHost: s.callers, ResponseHeaderTimeout: 10 * time.Second}}
	opts := []cftunnel.Option{
		cftunnel.WithEnvironment(),
		cftunnel.WithUserAgent("fleet-worker/" + number),
		cftunnel.WithHTTPClient(&http.Client{Transport: counter}),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxDelay: 24 * time.Hour}), // a worker waits for as long as the API asks
	}
	if s.shared {
		limiter, err := newLimiter(number, s, stderr)
		if err != nil {
			return err
		}
		defer limiter.Close()
		opts = append(opts, cftunnel.WithLimiter(limiter))
	} else {
		opts = append(opts, cftunnel.WithRateLimit(s.quota, s.window)) // as if it were alone
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
				if _, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{PerPage: 1}); err != nil && ctx.Err() == nil {
					failures <- err
					stop()
				}
			}
		})
	}
	callers.Wait()
	close(failures)
	return errors.Join(json.NewEncoder(stdout).Encode(report{int(counter.calls.Load()), int(counter.refused.Load())}), <-failures)
}

// newLimiter says on stderr when Redis goes and when it is back.
func newLimiter(number string, s settings, stderr io.Writer) (*Limiter, error) {
	options, err := redis.ParseURL(os.Getenv(envRedis))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", envRedis, err)
	}
	quota := s.sharedQuota(os.Getenv("CLOUDFLARE_ACCOUNT_ID"))
	return NewLimiter(options, quota, func(gone error) {
		if gone != nil {
			fmt.Fprintf(stderr, "worker %s: Redis is gone, so it keeps to its own share, a part in %d: %v\n", number, quota.Workers, gone)
			return
		}
		fmt.Fprintf(stderr, "worker %s: Redis is back, and the quota is shared again\n", number)
	})
}

// counter counts attempts.
type counter struct {
	next           http.RoundTripper
	calls, refused atomic.Int64
}

// RoundTrip finishes a request that is under way when the run ends, so that the worker counts what the API counts.
func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	resp, err := c.next.RoundTrip(req.WithContext(context.WithoutCancel(req.Context())))
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		c.refused.Add(1)
	}
	return resp, err
}

// CloseIdleConnections is what http.Client looks for.
func (c *counter) CloseIdleConnections() { c.next.(*http.Transport).CloseIdleConnections() }
