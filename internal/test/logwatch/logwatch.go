// Package logwatch lets tests check that a client logs no secrets.
package logwatch

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Watch returns an option that records the log of a client of the fake. The test fails at its end
// if the log is empty, or if it has the API token, the token of a tunnel or a secret that was sent.
func Watch(t testing.TB, fake *tunneltest.Server) cftunnel.Option {
	t.Helper()
	var log buffer
	t.Cleanup(func() {
		text := log.String()
		if text == "" && len(fake.Requests()) > 0 {
			t.Error("nothing was logged")
		}
		for _, secret := range secrets(t, fake) {
			if strings.Contains(text, secret.Reveal()) {
				t.Error("the log has a secret")
			}
		}
	})
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	return cftunnel.WithLogger(slog.New(slog.NewJSONHandler(&log, options)))
}

// secrets returns the secrets that must not be in the log.
func secrets(t testing.TB, fake *tunneltest.Server) []cftunnel.Secret {
	t.Helper()
	list := []cftunnel.Secret{fake.APIToken()}
	for _, r := range fake.Requests() {
		var body struct {
			Secret string `json:"tunnel_secret"`
		}
		if json.Unmarshal([]byte(r.Body.Reveal()), &body) == nil && body.Secret != "" {
			list = append(list, cftunnel.NewSecret(body.Secret))
		}
	}
	fake.ClearFaults()
	client, err := fake.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context()) // the context of the test has ended
	for tunnel, err := range client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
		if err != nil {
			t.Fatal(err)
		}
		token, err := client.Tunnels.Token(ctx, tunnel.ID)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, token)
	}
	return list
}

// buffer is a strings.Builder that is safe for concurrent use.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
