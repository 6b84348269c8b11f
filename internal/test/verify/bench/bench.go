// Package bench measures what this client costs, relative to cloudflare-go v7 and v0 and to the
// floor: net/http and encoding/json by hand. All do the same work against the same server.
//
// README.md has the results, and says how to measure them.
package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Client does what is measured, as a program would that has only this client.
type Client interface {
	// Get reads one tunnel.
	Get(ctx context.Context, tunnelID string) (Result, error)
	// Create makes a tunnel.
	Create(ctx context.Context, name, secret string) (Result, error)
	// Page reads the first 1,000 tunnels.
	Page(ctx context.Context) (Result, error)
	// All reads every tunnel of the account, and keeps none.
	All(ctx context.Context) (Result, error)
}

// Result is what a client decoded: enough to see that it decoded everything.
type Result struct {
	Count int
	Name  string // of the last tunnel
	At    time.Time
}

// Config says how a client is made. None has a rate limit.
type Config struct {
	BaseURL, AccountID string
	// HTTP is nil for what the client has by default.
	HTTP *http.Client
}

// Token is one that every client accepts.
const Token = "cfut_0123456789abcdefghijklmnopqrstuvwxyzABCD"

// Clients are all of them by name. The others are compared with the first.
var Clients = []struct {
	Name string
	New  func(Config) (Client, error)
}{
	{Floor, newFloor}, {Ours, newOurs}, {V7, newV7}, {V0, newV0},
}

// The names of the clients.
const (
	Floor = "floor"
	Ours  = "cftunnel"
	V7    = "v7"
	V0    = "v0"
)

// AccountOf returns the account in which the server has so many tunnels.
func AccountOf(tunnels int) string { return fmt.Sprintf("%032x", tunnels) }
