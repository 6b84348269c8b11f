// Package cftunnel is a client for Cloudflare Tunnel. It creates, finds, lists, changes and deletes
// tunnels, reads and rotates their tokens, configures them, and lists the connectors that run them.
//
//	client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
//	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
//		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare,
//	})
//
// # Authentication
//
// A client needs an API token, and nearly every call needs an account. [WithEnvironment] reads both from
// CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID. [Client.ForAccount] returns a client for another
// account of the same token.
//
// # Errors
//
// A bad argument is an [*InvalidArgumentError], and nothing was sent. A request that fails is an
// [*Error], with the status, the API's codes and the ray id. errors.Is finds [ErrNotFound],
// [ErrTunnelNameTaken] and the other sentinels in it. Check for [ErrOutcomeUnknown] first: a write may
// have been carried out although the call failed, so look before you repeat it. Any call can return
// [ErrUnauthorized], [ErrForbidden], [ErrRateLimited] or [ErrServer]; each method documents its others.
//
// # Retries
//
// GET, PUT, PATCH and DELETE are retried on 429, 500, 502 to 504, 520 to 530, broken connections and
// attempts that time out, up to four attempts in total with random pauses between them; see [WithRetry]
// and [WithTimeout]. A POST is retried only on 429, if no connection was made, or if an HTTP/2 server says
// that it did not process it: nothing is created twice.
//
// # Rate limits
//
// Cloudflare allows a token 1200 requests in five minutes, and after that refuses every call for five
// more. A client and those made from it by ForAccount stay below: a burst of up to 10% of the quota, the
// rest spread evenly, each attempt counted; see [WithRateLimit]. A call waits for its turn as long as its
// context allows, and fails at once with [context.DeadlineExceeded] if that is too short: give calls a
// deadline. The Retry-After of a 429 holds all of them back; if it is longer than the deadline or
// [RetryPolicy].MaxDelay, the call fails at once with [ErrRateLimited]. Processes that share a token must
// share the quota too: a part of it each, or a [Limiter].
//
// # Secrets
//
// A [Secret] does not show its text, however it is printed; only [Secret.Reveal] returns it. What was
// sent as a secret is redacted from every error.
//
// # Lists
//
// All and AllTypes read every page, List and ListAllTypes one. They return live tunnels unless told
// otherwise, and only what the credentials may read: a tunnel that is not in a list may still exist.
//
// # Testing
//
// Package [github.com/cftunnel/cftunnel-go/tunneltest] is a fake of the API. The repository has pages on
// testing with it (docs/testing.md) and on running a program with this client (docs/operating.md).
package cftunnel

//go:generate go test -run ^TestTables$ -update .
