package main

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// newRedis starts a Redis that is stopped when the test ends.
func newRedis(t *testing.T, port int) *redisServer {
	t.Helper()
	server, err := startRedis(t.Context(), port)
	require.NoError(t, err)
	t.Cleanup(server.stop)
	return server
}

// newRedisClient returns a client that is closed when the test ends.
func newRedisClient(t *testing.T, server *redisServer) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.addr})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestStartRedis_NotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := startRedis(t.Context(), 0)
	require.ErrorContains(t, err, "apt-get install redis-server")
}

func TestStartRedis_Fails(t *testing.T) {
	t.Parallel()
	server := newRedis(t, 0)
	// A server with a password does not look like the one that fails to start.
	client := newRedisClient(t, server)
	require.NoError(t, client.ConfigSet(t.Context(), "requirepass", "a-password").Err())
	_, err := startRedis(t.Context(), server.port)
	require.ErrorContains(t, err, "the process has ended")
	require.ErrorContains(t, err, "in use")
}
