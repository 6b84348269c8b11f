package tunnellogs

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// featureLogs is the feature of a connector that can stream its logs.
const featureLogs = "management_logs"

// Tail returns an iterator over the log entries of every connector of a tunnel, in the order in
// which they arrive. It opens one connection to each connector, also to connectors that start
// later, and renews the management token.
//
// It ends when the loop ends, or when ctx ends: then it yields the error of ctx last. These errors
// also end it:
//
//   - [ErrInvalidFilter].
//   - [ErrNoConnector], if no connector can stream its logs at the start.
//   - An [*cftunnel.Error], if the first list of connectors or the first management token cannot be
//     read. If a later list fails, Tail only logs it to params.Logger.
//
// An error of one connector is a [*StreamError]. Tail yields it and continues with the other
// connectors:
//
//   - [ErrSessionLimit] is yielded once. Tail retries each minute.
//   - [ErrReplaced] means that another program of the same user streams from this connector. Tail
//     assumes this if a connection ends without a close frame for the second time within a minute.
//   - Other errors mean that the stream was ended or refused for another reason.
//
// After [ErrReplaced] and these other errors, Tail waits until the connector restarts or
// reconnects: it disappears from the list of connectors and returns, or all of its connections to
// Cloudflare are replaced by new ones. Tail then streams from it again. A restart before the error
// does not count.
//
// If the network breaks, Tail yields no error, or yields it once if it has never opened a stream of
// the connector. It retries after a pause of 1s, doubled each time, up to 1m. Five minutes of
// streaming reset the pause.
//
// If the loop is slow, connectors drop lines without counting them. Lines are also lost while Tail
// reconnects.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/connections/methods/get/
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/management/methods/create/
func Tail(
	ctx context.Context,
	client *cftunnel.Client,
	tunnelID string,
	params Params,
) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		t, connectors, err := newTail(ctx, client, tunnelID, params)
		if err == nil {
			err = t.run(ctx, connectors, yield)
		}
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// tail is one run of Tail.
type tail struct {
	client   *cftunnel.Client
	tunnelID string
	params   Params
	tokens   *tokenSource
	items    chan item     // from the followers to the loop; unbuffered
	relist   chan struct{} // a follower asks the watcher to list the connectors
	group    sync.WaitGroup

	followers map[string]*follower // by the connector's ID in lower case
}

// item is an entry or an error from a follower. If last is set, the loop ends.
type item struct {
	entry Entry
	err   error
	last  bool
}

// newTail does what must succeed before anything is streamed.
func newTail(
	ctx context.Context, client *cftunnel.Client, tunnelID string, params Params,
) (*tail, []cftunnel.Connector, error) {
	switch {
	case ctx == nil:
		return nil, nil, errNilContext
	case client == nil:
		return nil, nil, invalid("client", "is nil")
	}
	params, err := params.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	t := &tail{
		client:    client,
		tunnelID:  tunnelID,
		params:    params,
		tokens:    newTokenSource(client, tunnelID),
		items:     make(chan item),
		relist:    make(chan struct{}, 1),
		followers: map[string]*follower{},
	}
	connectors, err := client.Connectors.List(ctx, tunnelID)
	if err == nil && !slices.ContainsFunc(connectors, t.selects) {
		err = fmt.Errorf("tunnellogs: tunnel %s: %w", tunnelID, ErrNoConnector)
	}
	if err == nil {
		_, err = t.tokens.get(ctx, cftunnel.Secret{})
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return t, connectors, err
}

// run yields the items of the followers until the context or the loop ends. It returns the error to
// yield last. All streams are closed before it returns.
func (t *tail) run(
	ctx context.Context,
	connectors []cftunnel.Connector,
	yield func(Entry, error) bool,
) error {
	defer t.group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.group.Go(func() { t.watch(ctx, connectors) })
	t.group.Go(func() { t.tokens.renew(ctx, t.params.Logger) })
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case item := <-t.items:
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case item.last:
				return item.err
			case !yield(item.entry, item.err):
				return nil
			}
		}
	}
}

// selects reports whether to stream from a connector. A connector that lists no features may be
// able to stream.
func (t *tail) selects(c cftunnel.Connector) bool {
	named := len(t.params.ConnectorIDs) == 0 ||
		slices.ContainsFunc(t.params.ConnectorIDs, func(id string) bool {
			return strings.EqualFold(id, c.ID)
		})
	return named && (len(c.Features) == 0 || slices.Contains(c.Features, featureLogs))
}

// watch lists the connectors at each poll, and when a follower asks for it, and starts followers.
func (t *tail) watch(ctx context.Context, connectors []cftunnel.Connector) {
	t.update(ctx, connectors)
	ticker := time.NewTicker(t.params.PollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-t.relist:
		}
		for _, f := range t.followers {
			f.ended = f.hasEnded()
		}
		connectors, err := t.client.Connectors.List(ctx, t.tunnelID)
		if err != nil {
			if ctx.Err() == nil {
				t.params.Logger.WarnContext(ctx, "listing the connectors failed",
					"tunnel_id", t.tunnelID, "error", err)
			}
			continue
		}
		t.update(ctx, connectors)
	}
}

// update starts a follower for each connector that has none, or that has left or reconnected since
// its follower ended.
func (t *tail) update(ctx context.Context, connectors []cftunnel.Connector) {
	listed := map[string]bool{}
	for _, c := range connectors {
		id := strings.ToLower(c.ID)
		if !t.selects(c) || listed[id] {
			continue
		}
		listed[id] = true
		f := t.followers[id]
		switch {
		case f == nil || f.ended && (f.left || f.isBack(c)):
			f = newFollower(t, c)
			t.followers[id] = f
			t.group.Go(func() { f.run(ctx) })
		case !f.ended || f.streamed && !f.relisted:
			f.connector, f.relisted = c, f.ended
		}
	}
	for id, f := range t.followers {
		if f.ended && !listed[id] {
			f.left = true
		}
	}
}
