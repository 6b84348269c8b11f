// Package witness holds this client against two that Cloudflare publishes, cloudflare-go v7 and v0, on the fake: tests alone, in a module
// of their own, so that nobody who imports the client has to build them.
//
// The official clients take tunnels through their life, and what they read is compared with what cftunnel reads from the same state, field
// by field. What they get wrong by themselves is pinned beside what cftunnel does of the same server, one test for each claim. Where a new
// version of theirs mends a fault, its test fails, and the claim goes.
//
// Of v7 only the packages are imported that are about tunnels and tokens: the package at its root takes minutes and 1.5 GB to compile.
package witness
