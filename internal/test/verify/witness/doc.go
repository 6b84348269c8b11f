// Package witness compares this client with two that Cloudflare publishes, cloudflare-go v7 and v0:
// both read the same state of the fake, and what they decode must be equal, field by field.
//
// Of v7 only the packages about tunnels and tokens are imported: compiling its root package takes
// minutes and 1.5 GB.
package witness
