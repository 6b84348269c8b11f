// Package redislimit is a rate limit that the processes of a fleet share through Redis. A
// [*Limiter] is a cftunnel.Limiter:
//
//	limiter, err := redislimit.New(redisClient, redislimit.Options{Processes: 20})
//	client, err := cftunnel.NewClient(cftunnel.WithEnvironment(), cftunnel.WithLimiter(limiter))
//
// Cloudflare counts requests by API token. Without a shared limit, processes that use the same
// token need a fixed part of its quota each, even if most of them are idle.
//
// # Sharing
//
// The quota is a token bucket in Redis. In this section, a bucket token is the right to send one
// request. 5% of the quota is a burst, 5% is a reserve in case Redis loses its data, and the rest
// is spread evenly over 1.05 times the window, which is 315 seconds by default. With the default
// quota of 1200 requests, the fleet can send a burst of 60, then 3.43 requests a second. A process
// can use whatever the others do not use.
//
// Within a process, calls of [Limiter.Wait] return in the order of their arrival, and only the
// first one asks Redis. Between processes there is no order: each has the same chance to get the
// next bucket token, however many of its calls wait.
//
// To ask for a bucket token costs one command. A process that waits asks each time a bucket token
// is added, and at least once a second. If a call is canceled while Redis is asked, the next call
// of its process gets the bucket token. If no other call follows, the bucket token is lost: the
// fleet then sends less than its quota.
//
// # Holds
//
// After a 429 response the client calls [Limiter.Hold]. It delays all processes, until the time
// that the server asked for. A call of Wait whose deadline is earlier fails at once with
// cftunnel.ErrRateLimited.
//
// # Without Redis
//
// If a command fails, or takes longer than [Options].Timeout, the process falls back to its share:
// the quota divided by [Options].Processes. It spreads these requests evenly, and pauses before the
// first one. While calls arrive or wait, it asks once a second whether Redis is back, and then
// shares the quota again. [Options].Notify reports both changes. No call of Wait outlasts its
// context, even if the Redis client ignores contexts.
//
// Holds of other processes are not known during that time. A hold of this process is stored in
// Redis when Redis is back.
//
// # Guarantees
//
// In any window, the fleet sends at most Requests requests:
//
//   - while Redis is available;
//   - if Redis loses its data once in that window: a restart, an eviction, a failover to a replica,
//     or a clock of Redis that jumps;
//   - if Redis becomes unavailable and later is back, provided that all processes notice each of
//     these two changes within a twentieth of the window, which is 15 seconds by default.
//
// The clocks of the processes do not matter: Redis uses its own clock, and the length of a hold is
// stored, not its end.
//
// The fleet can exceed the quota in two cases. If only some processes lose Redis, it exceeds the
// quota by at most their shares. It can also exceed the quota if, while Redis is unavailable, more
// processes run than Processes says. In both cases, the server responds with 429, and its
// Retry-After holds back the processes.
//
// # Redis
//
// The limiter needs Redis 5 or later, or a compatible server such as Valkey. It uses two keys that
// expire, which are in the same slot of a cluster. The Redis client can also be used for other
// purposes. Its timeouts and retries do not delay a call of Wait, but short ones help to notice
// sooner that Redis is back. The limiter has nothing to close. Close the Redis client when no call
// of Wait is running.
package redislimit
