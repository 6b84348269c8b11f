// Package tunnellogs streams the live logs of a tunnel's connectors: the lines that each running
// cloudflared logs while the stream is open. Earlier lines are not available.
//
//	for entry, err := range tunnellogs.Tail(ctx, client, tunnelID, tunnellogs.Params{}) {
//		if err != nil {
//			log.Print(err) // one stream has ended, or Tail itself has ended
//			continue
//		}
//		fmt.Println(entry)
//	}
//
// # One connector or all of them
//
// [Tail] streams from every connector of a tunnel and reconnects. [Open] streams from one connector
// and never reconnects. Both call [cftunnel.TunnelsService.ManagementToken], which needs a
// permission to write tunnels, such as Cloudflare Tunnel Write.
//
// # Limits
//
// A connector streams to one user at a time. The user of a stream is the owner of the API token
// that the client uses. A second stream of the same user replaces the first. A stream of another
// user is refused with [ErrSessionLimit].
//
// A connector buffers 30 lines for a slow reader and drops further lines without counting them. Use
// a [Filter] to lose fewer lines: the connector applies it before it buffers.
//
// # Secrets
//
// At [LevelDebug], the entry of an HTTP request has the URL in its Message and all request headers
// in its Fields, cookies included. [Entry.LogValue] and all verbs of package fmt omit Fields, and
// redact in Message the value of every query parameter and JSON member that is named access_token.
// The JSON encoding of an entry has everything.
//
// The URL of a stream contains the management token. No error and no log record of this package
// contains it.
package tunnellogs
