// Package bench measures what this client costs beside the clients that people would use instead, and beside the floor: net/http and
// encoding/json written by hand for one job.
//
// Every client does the same jobs against the same server, so that only what lies between a call and the socket differs. README.md has
// what came out, and says how to measure again.
package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Client does the jobs that are measured, each as a program would that has only this client.
type Client interface {
	// Get reads one tunnel.
	Get(ctx context.Context, tunnelID string) (Seen, error)
	// Create makes a tunnel.
	Create(ctx context.Context, name, secret string) (Seen, error)
	// Page reads the first 1,000 tunnels.
	Page(ctx context.Context) (Seen, error)
	// Connectors reads the connectors of a tunnel.
	Connectors(ctx context.Context, tunnelID string) (Seen, error)
	// All reads every tunnel of the account, and keeps none.
	All(ctx context.Context) (Seen, error)
}

// Seen is what a client understood of an answer: enough to tell that it decoded everything.
type Seen struct {
	Count int    // of what was asked for
	Name  string // of the last tunnel, or the id of the last connector
	At    time.Time
}

// Config says how a client is to be made.
type Config struct {
	BaseURL, AccountID string
	// HTTP is nil for what the client uses by itself.
	HTTP *http.Client
	// Paced leaves the client its own limit of requests; else it has none.
	Paced bool
}

// Token is one that every client accepts.
const Token = "cfut_0123456789abcdefghijklmnopqrstuvwxyzABCD"

// Contestant is a client by its name.
type Contestant struct {
	Name string
	New  func(Config) (Client, error)
}

// Contestants are all of them. The first is the one that the others are compared to.
func Contestants() []Contestant {
	return []Contestant{
		{Floor, newFloor},
		{Ours, newOurs},
		{V7, newV7},
		{V0, newV0},
	}
}

// The names of the contestants.
const (
	Floor = "floor"
	Ours  = "cftunnel"
	V7    = "v7"
	V0    = "v0"
)

// AccountOf names the account in which the server has so many tunnels.
func AccountOf(tunnels int) string { return fmt.Sprintf("%032x", tunnels) }
