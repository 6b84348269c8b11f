package redislimit

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis logs failed connections
	os.Exit(m.Run())
}

// maxWait bounds waits that are short unless something is broken.
const maxWait = 30 * time.Second

// server is a redis-server on a loopback address. It writes nothing to the disk.
type server struct {
	addr    string
	process *exec.Cmd
}

// startRedis starts a server that is stopped when the test ends.
func startRedis(t testing.TB) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // to find a free port
	require.NoError(t, err)
	s := &server{addr: listener.Addr().String()}
	require.NoError(t, listener.Close())
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

// start starts the server, without the data of an earlier start.
func (s *server) start(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	s.process = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no")
	s.process.Dir = os.TempDir()
	require.NoError(t, s.process.Start(), "install redis-server")
	client := s.client(t)
	require.Eventually(t, func() bool {
		return client.Ping(t.Context()).Err() == nil
	}, maxWait, time.Millisecond)
}

// stop kills the server.
func (s *server) stop() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// client returns a client that is closed when the test ends.
func (s *server) client(t testing.TB) *redis.Client { return newClient(t, s.addr) }

// newClient returns a client that fails at once. The large pool prevents the pauses between dials
// after some have failed.
func newClient(t testing.TB, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, PoolSize: 1000, ReadTimeout: maxWait,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// calls returns how often a server has run a command.
func (s *server) calls(t testing.TB, command string) int {
	t.Helper()
	info := s.client(t).InfoMap(t.Context(), "commandstats")
	stats := info.Item("Commandstats", "cmdstat_"+command)
	var calls int
	for i, c := range stats {
		if c == ',' {
			calls, _ = strconv.Atoi(stats[len("calls="):i])
			break
		}
	}
	return calls
}
