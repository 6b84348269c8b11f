// Package bench measures the costs of this client, of cloudflare-go v7 and v0, and of a baseline
// that uses only net/http and encoding/json. All do the same work with the same server.
//
// README.md has the results and the commands to measure them.
package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Client makes the measured calls.
type Client interface {
	// Get gets one tunnel.
	Get(ctx context.Context, tunnelID string) (Result, error)
	// Create creates a tunnel.
	Create(ctx context.Context, name, secret string) (Result, error)
	// Page gets the first 1,000 tunnels.
	Page(ctx context.Context) (Result, error)
	// All gets every tunnel of the account and keeps none of them.
	All(ctx context.Context) (Result, error)
	// Routes gets the first 1,000 routes of private networks, which is a whole page.
	Routes(ctx context.Context) (Result, error)
	// Record creates a proxied CNAME record.
	Record(ctx context.Context, zoneID, name, target string) (Result, error)
}

// Result is a part of what a client decoded, to check that it decoded everything.
type Result struct {
	Count int
	Name  string // of the last tunnel or record, or the network of the last route
	At    time.Time
}

// Config has the settings of a client. No client has a rate limit.
type Config struct {
	BaseURL, AccountID string
	// HTTP is the HTTP client. nil means the client's default.
	HTTP *http.Client
}

// Token is an API token in a form that every client accepts.
const Token = "cfut_0123456789abcdefghijklmnopqrstuvwxyzABCD"

// Clients are the clients to compare. The first one is the baseline.
var Clients = []struct {
	Name string
	New  func(Config) (Client, error)
}{
	{Baseline, newBaseline}, {Ours, newOurs}, {V7, newV7}, {V0, newV0},
}

// The names of the clients.
const (
	Baseline = "baseline"
	Ours     = "cftunnel"
	V7       = "v7"
	V0       = "v0"
)

// AccountOf returns the ID of the account that has this number of tunnels on the server.
func AccountOf(tunnels int) string { return fmt.Sprintf("%032x", tunnels) }
