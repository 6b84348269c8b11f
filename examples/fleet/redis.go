package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a redis-server that this program has started.
type redisServer struct {
	addr    string
	port    int
	process *os.Process
	ended   chan struct{}
}

// startRedis starts a redis-server on a loopback address. It uses a free port if port is 0. The
// server writes nothing to the disk.
func startRedis(ctx context.Context, port int) (*redisServer, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not on the PATH: " +
			"install it (apt-get install redis-server) or set -redis")
	}
	if port == 0 {
		if port, err = freePort(ctx); err != nil {
			return nil, err
		}
	}
	var log bytes.Buffer
	// The workers may need Redis after ctx has ended. The method stop ends the process.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, "--port", strconv.Itoa(port),
		"--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning")
	cmd.Stdout, cmd.Stderr, cmd.Dir = &log, &log, os.TempDir()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &redisServer{
		addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port: port,
		process: cmd.Process, ended: make(chan struct{}),
	}
	go func() {
		defer close(s.ended)
		_ = cmd.Wait()
	}()
	if err := s.waitUntilReady(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("redis-server: %w\n%s", err, strings.TrimSpace(log.String()))
	}
	return s, nil
}

// waitUntilReady waits until the server responds.
func (s *redisServer) waitUntilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		// Use a new client each time, because a client pauses after a few failed dials.
		client := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1, DialerRetries: 1})
		err := client.Ping(ctx).Err()
		_ = client.Close()
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return errors.New("the process has ended")
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop kills the server and waits until it has ended.
func (s *redisServer) stop() {
	_ = s.process.Kill()
	<-s.ended
}

func (s *redisServer) url() string { return "redis://" + s.addr }

func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
