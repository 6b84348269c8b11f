package redislimit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// The quotas are so large that no call waits for a token.
func BenchmarkLimiter_Wait(b *testing.B) {
	const requests = 1e9
	inProcess, err := cftunnel.NewLimiter(requests, time.Second)
	require.NoError(b, err)
	options := Options{Requests: requests, Window: time.Second, Processes: 1}
	shared, err := New(startRedis(b).client(b), options)
	require.NoError(b, err)
	for _, limiter := range []struct {
		name string
		cftunnel.Limiter
	}{{"in process", inProcess}, {"through Redis", shared}} {
		b.Run(limiter.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := limiter.Wait(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
