package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// demonstrate follows a tunnel of a fake with two replicas, which log a minute of sample logs. Each
// second of the sample takes secondLength.
func demonstrate(
	ctx context.Context, s settings, out *printer, stderr io.Writer, secondLength time.Duration,
) error {
	fake := tunneltest.NewServer()
	defer fake.Close()
	client, err := fake.NewClient()
	if err != nil {
		return err
	}
	s.tunnel, s.params.Endpoint = cmp.Or(s.tunnel, "web"), fake.LogsURL()
	if isID(s.tunnel) {
		s.tunnel = "web"
	}
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: s.tunnel})
	if err != nil {
		return err
	}
	var replicas []string
	for range 2 {
		id, err := fake.Connect(tunnel.Token)
		if err != nil {
			return err
		}
		replicas = append(replicas, id)
	}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() {
		defer cancel()
		waitForStreams(ctx, fake, len(replicas))
		began := time.Now().Add(-time.Minute)
		for second := range 60 {
			for _, line := range sampleLines(second) {
				line.entry.Time = began.Add(time.Duration(second) * time.Second)
				fake.Log(replicas[line.replica], line.entry)
			}
			sleep(ctx, secondLength)
		}
		sleep(ctx, 100*time.Millisecond) // until the last lines have arrived
	})
	return follow(ctx, client, s, out, stderr)
}

// waitForStreams waits until a stream of each replica is open, at most about ten seconds: the flags
// may name other connectors.
func waitForStreams(ctx context.Context, fake *tunneltest.Server, replicas int) {
	for range 1000 {
		if ctx.Err() != nil {
			return
		}
		open := 0
		for _, request := range fake.Requests() {
			if request.Operation == "GET /logs" && request.Done {
				open++
			}
		}
		sleep(ctx, 10*time.Millisecond)
		if open == replicas {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// sampleLine is a line of one of the replicas.
type sampleLine struct {
	replica int
	entry   tunnellogs.Entry
}

// sampleLines returns the lines of one second.
func sampleLines(second int) []sampleLine {
	replica := second * 7 % 5 % 2 // looks random
	paths := []string{
		"/",
		"/login",
		"/api/orders?page=2",
		"/static/app.js",
		"/health",
		"/logs?access_token=eyJhbGciOiJFUzI1NiJ9",
	}
	path := paths[second*5%len(paths)]
	request := tunnellogs.Entry{
		Level:   tunnellogs.LevelDebug,
		Event:   tunnellogs.EventHTTP,
		Message: "GET https://shop.example.com" + path + " HTTP/1.1",
		Fields: map[string]any{
			"host":          "shop.example.com",
			"path":          path,
			"originService": "http://localhost:8080",
			"connIndex":     second % 4,
			"headers": map[string]any{
				"Cookie": []string{fmt.Sprintf("session=%08x", uint32(second)*2654435761)},
			},
		},
	}
	response := tunnellogs.Entry{
		Level:   tunnellogs.LevelDebug,
		Event:   tunnellogs.EventHTTP,
		Message: "200 OK",
		Fields:  map[string]any{"content-length": 512 + second*97%4096},
	}
	lines := []sampleLine{{replica, request}, {replica, response}}
	connection := func(level tunnellogs.Level, message string) {
		lines = append(lines, sampleLine{1, tunnellogs.Entry{
			Level: level, Event: tunnellogs.EventCloudflared, Message: message,
			Fields: map[string]any{"connIndex": 2, "location": "fra06"},
		}})
	}
	switch second {
	case 0:
		connection(tunnellogs.LevelInfo, "Registered tunnel connection")
	case 20:
		lines = append(lines, sampleLine{0, tunnellogs.Entry{
			Level:   tunnellogs.LevelInfo,
			Event:   tunnellogs.EventTCP,
			Message: "ssh session started",
		}})
	case 31:
		connection(tunnellogs.LevelWarn, "Lost connection with the edge")
	case 33:
		connection(tunnellogs.LevelInfo, "Registered tunnel connection")
	case 44:
		lines[1].entry = tunnellogs.Entry{
			Level:   tunnellogs.LevelError,
			Event:   tunnellogs.EventHTTP,
			Message: "502 Bad Gateway",
			Fields: map[string]any{
				"error": "dial tcp 127.0.0.1:8080: connect: connection refused",
			},
		}
	}
	return lines
}
