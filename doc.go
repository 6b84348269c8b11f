// Package cftunnel is a client for the Cloudflare Tunnel API. It creates, finds, lists, updates and
// deletes tunnels, returns and rotates their tokens, configures them, and lists their connectors.
// It also manages API tokens, private network routes, DNS records and public hostnames.
//
//	client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
//	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
//		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare,
//	})
//
// A tunnel connects services or private networks to Cloudflare. It is run by cloudflared,
// Cloudflare's program for tunnels, on one or more machines; each running process is a connector of
// the tunnel. A WARP connector is a tunnel that is run by WARP, Cloudflare's device client, instead
// of cloudflared. A tunnel, route or virtual network is live if it is not deleted.
//
// The comment of each method lists its operations: the requests that the method can send.
//
// The docs directory of the repository has guides, such as docs/getting-started.md,
// docs/errors-and-retries.md, docs/rate-limits.md, docs/secrets-and-rotation.md, docs/testing.md
// and docs/migration.md.
//
// # Authentication
//
// A client needs credentials, usually an API token, and nearly every call needs an account ID.
// [WithEnvironment] reads them from CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID; [WithAPIToken]
// and [WithAccountID] set them directly. [Client.ForAccount] returns a client that uses the same
// credentials for another account.
//
// # Errors
//
// An invalid argument is an [*InvalidArgumentError]; nothing was written. A failed request is an
// [*Error], with the HTTP status, the API's error codes and the ray ID, which identifies the
// request for Cloudflare's support. Use errors.Is to check for [ErrNotFound], [ErrTunnelNameTaken]
// and the other sentinel errors.
//
// Check for [ErrOutcomeUnknown] first. It means that the call failed, but a write may have been
// carried out: read the current state before you repeat the write.
//
// Any call can return [ErrUnauthorized], [ErrForbidden], [ErrRateLimited] or [ErrServer]. Each
// method documents its other errors.
//
// # Retries
//
// GET, PUT, PATCH and DELETE requests are retried if the status is 429, 500, 502 to 504, or 520 to
// 530, if the connection breaks, or if the attempt times out. The default is up to four attempts in
// total, with random pauses between them; see [WithRetry] and [WithTimeout].
//
// A POST request is retried only if the status is 429, if no connection was made, or if an HTTP/2
// server reports that it did not process the request. So nothing is created twice. The same applies
// to the PUT request of [APITokensService.Roll].
//
// If the response to a DELETE request is lost and the retry gets a 404, the object is deleted and
// the call succeeds.
//
// # Rate limits
//
// Cloudflare allows 1200 requests per API token in five minutes. If a token exceeds that, every
// request fails for the next five minutes. A client stays below this limit: it sends a burst of up
// to 10% of the 1200 requests, keeps 1% in reserve, and spreads the rest evenly. Each attempt
// counts. A client and the clients that [Client.ForAccount] makes from it share one limit. See
// [WithRateLimit].
//
// A call waits for its turn until its context ends. If the turn would come after the context's
// deadline, the call fails at once with [context.DeadlineExceeded]. Set a deadline for every call.
//
// A 429 response delays all calls for the duration in its Retry-After header. Without this header,
// the delay is 5s, and it doubles with each further 429 response. If the delay is longer than the
// deadline or [RetryPolicy].MaxDelay allows, a call fails at once with [ErrRateLimited].
//
// If several processes use the same token, they must share its limit: give each process a part of
// it with [WithRateLimit], or use a [Limiter] that works across processes.
//
// # Secrets
//
// A [Secret] prints as [REDACTED], or as a memory address if it is in an unexported field. Only the
// methods [Secret.Reveal], [Secret.WriteFile] and [TunnelCredentials.WriteFile] return or write its
// text. Every secret that a call sends is redacted from its errors.
//
// # Lists
//
// The methods All and AllTypes return iterators over the items of all pages. The methods List and
// ListAllTypes return one page if the result is a [Page]; a List method that returns a slice
// returns the whole list. The order of the items is that of the API: sort them if the order
// matters. By default, deleted objects are left out. A list has only what the credentials may read:
// an object that is not in the list may still exist.
//
// # Testing
//
// Package [github.com/cftunnel/cftunnel-go/tunneltest] is a fake of the API for tests. See
// docs/testing.md in the repository.
package cftunnel

//go:generate go test -run ^TestTables$ -update .
//go:generate go run ./internal/test/pictures
