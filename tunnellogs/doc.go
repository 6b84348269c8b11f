// Package tunnellogs streams the live logs of a tunnel's connectors: the lines that each running
// cloudflared logs while the stream is open. Earlier lines are not available.
//
//	for entry, err := range tunnellogs.Tail(ctx, client, tunnelID, tunnellogs.Params{}) {
//		if err != nil {
//			log.Print(err) // the stream of one connector has ended, or all of them
//			continue
//		}
//		fmt.Println(entry)
//	}
//
// # One connector or all of them
//
// [Tail] streams from every connector of a tunnel and reconnects. [Open] streams from one connector
// and never reconnects. Both need a permission to write tunnels, like
// [cftunnel.TunnelsService.ManagementToken].
//
// # Limits
//
// A connector streams to one user at a time. A second stream of the same user replaces the first. A
// stream of another user is refused with [ErrSessionLimit].
//
// A connector buffers 30 lines for a slow reader and drops further lines without counting them. Use
// a [Filter] to lose fewer lines: the connector applies it before it buffers.
//
// # Secrets
//
// At [LevelDebug], the entry of an HTTP request has the URL in its Message and all request headers
// in its Fields, cookies included. Every verb of package fmt and [Entry.LogValue] omit Fields and
// redact the value of access_token in Message. The JSON encoding of an entry has everything.
//
// The URL of a stream contains the management token. No error and no log record of this package
// contains it.
package tunnellogs
