// Package witness compares this client with cloudflare-go v7 and v0, which Cloudflare publishes.
// The clients get the same objects from the fake, and all fields that they decode must be equal.
//
// The tests do not import the root package of v7, because its compilation takes minutes and 1.5 GB
// of memory.
package witness
