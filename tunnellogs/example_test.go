package tunnellogs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// follow prints the warnings and errors of a tunnel until ctx ends.
func follow(
	ctx context.Context, client *cftunnel.Client, tunnelID string, params tunnellogs.Params,
) error {
	params.Level = tunnellogs.LevelWarn
	for entry, err := range tunnellogs.Tail(ctx, client, tunnelID, params) {
		var failure *tunnellogs.StreamError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &failure) && !errors.Is(err, tunnellogs.ErrInvalidFilter):
			fmt.Println(failure) // of one connector; the others continue
		case err != nil:
			return err // nothing can be streamed
		default:
			fmt.Printf("%s: %s\n", entry.Level, entry.Message)
		}
	}
	return nil
}

// firstError waits for an error of one connector.
func firstError(
	ctx context.Context,
	client *cftunnel.Client,
	tunnelID, connectorID string,
	params tunnellogs.Params,
) (tunnellogs.Entry, error) {
	params.Level = tunnellogs.LevelError
	stream, err := tunnellogs.Open(ctx, client, tunnelID, connectorID, params)
	if err != nil {
		return tunnellogs.Entry{}, err
	}
	defer stream.Close()
	return stream.Next(ctx)
}

func TestFirstError(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{
		Name: "web", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		t.Fatal(err)
	}
	connector, err := srv.Connect(tunnel.Token)
	if err != nil {
		t.Fatal(err)
	}
	logging, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { // repeatedly, because lines from before the stream are lost
		for logging.Err() == nil {
			srv.Log(connector, tunnellogs.Entry{Level: "error", Message: "502 Bad Gateway"})
			time.Sleep(time.Millisecond)
		}
	}()
	params := tunnellogs.Params{Endpoint: srv.LogsURL()}
	entry, err := firstError(t.Context(), client, tunnel.ID, connector, params)
	if err != nil {
		t.Fatal(err)
	}
	if entry.Message != "502 Bad Gateway" {
		t.Errorf("got %q", entry.Message)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		err := follow(t.Context(), r.client, r.tunnel.ID, r.params)
		require.ErrorIs(t, err, tunnellogs.ErrNoConnector)
		r.connect()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, follow(ctx, r.client, r.tunnel.ID, r.params))
	})
}

func TestDocs_SnippetsAreCode(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/logs.md")
	require.NoError(t, err)
	code, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	assert.NotEmpty(t, snippets)
	for _, snippet := range snippets {
		assert.Contains(t, string(code), snippet[1])
	}
}

func ExampleTail() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name: "web", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}
	connector, err := srv.Connect(tunnel.Token)
	if err != nil {
		log.Fatal(err)
	}

	go func() { // stands for cloudflared
		for ctx.Err() == nil {
			srv.Log(connector, tunnellogs.Entry{Level: "info", Message: "hello"})
			time.Sleep(time.Millisecond)
		}
	}()
	params := tunnellogs.Params{Endpoint: srv.LogsURL()} // for the fake only
	for entry, err := range tunnellogs.Tail(ctx, client, tunnel.ID, params) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(entry.Level, entry.Message)
		break
	}
	// Output: info hello
}
