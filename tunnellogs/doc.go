// Package tunnellogs streams the live logs of a tunnel's connectors: what each running cloudflared
// logs while the stream is open. There is no history.
//
//	for entry, err := range tunnellogs.Tail(ctx, client, tunnelID, tunnellogs.Params{}) {
//		if err != nil {
//			log.Print(err) // one connector's stream has ended, or all of it
//			continue
//		}
//		fmt.Println(entry)
//	}
//
// # One connector or all of them
//
// [Tail] follows every connector of a tunnel and opens streams again. [Open] streams one connector
// and never reconnects. Both need a permission to write tunnels, as
// [cftunnel.TunnelsService.ManagementToken] does.
//
// # Limits
//
// A connector streams to one user at a time. A second stream of the same user replaces the first; a
// stream of another user is refused with [ErrSessionLimit].
//
// A connector keeps 30 lines for a stream that reads slowly and drops the rest without a count. A
// [Filter] is applied before that, so it is the way to lose less.
//
// # Secrets
//
// At [LevelDebug] an entry of an HTTP request has all request headers in its Fields, cookies
// included, and the URL in its Message. Every verb of package fmt and [Entry.LogValue] leave Fields
// out and replace the value of access_token in Message. JSON has everything.
//
// The management token is part of the URL of a stream. No error and no log record of this package
// contains it.
package tunnellogs
