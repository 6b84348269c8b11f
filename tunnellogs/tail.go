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

// featureLogs is in the features of a connector that can stream its logs.
const featureLogs = "management_logs"

// Tail streams the logs of every connector of a tunnel, in the order in which lines arrive. It opens
// one connection to each connector, follows connectors that start later, and renews tokens.
//
// It ends when the loop ends or when ctx ends; it yields the error of ctx last. These errors end it
// too: [ErrInvalidFilter], [ErrNoConnector] if no connector can stream its logs at the start, and
// the [*cftunnel.Error] of the first list of connectors or the first token. If a later list fails,
// only params.Logger reports it.
//
// An error about one connector is a [*StreamError]. Tail yields it and continues with the others:
//
//   - [ErrSessionLimit]: it is yielded once. Tail retries each minute.
//   - [ErrReplaced]: another program of the same user streams from this connector. Tail assumes
//     that if a connection ends without a close frame for the second time within a minute.
//   - Other reasons to end or refuse a stream.
//
// After the last two, Tail opens a stream to the connector again when it has left the list of
// connectors and returned, or if all of its connections to Cloudflare are new.
//
// If the network breaks, Tail retries after 1s, then after 2s, up to 1m. Five minutes of streaming
// reset the pause. It yields an error only if the connector's first stream cannot be opened.
//
// A slow loop slows the reading; connectors then drop lines without a count. Lines are also lost
// while a connection is opened again.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management
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
	items    chan item // unbuffered, from the followers to the loop
	group    sync.WaitGroup

	followers map[string]*follower // by the connector's ID in lower case
}

// item is what a follower has for the loop. The last one ends it.
type item struct {
	entry Entry
	err   error
	last  bool
}

// newTail does what must succeed before there is something to follow.
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
		followers: map[string]*follower{},
	}
	connectors, err := client.Connectors.List(ctx, tunnelID)
	if err == nil && !slices.ContainsFunc(connectors, t.wants) {
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

// run yields what the followers have until the context ends or the loop does. It returns what is to
// be yielded last, when every stream is closed.
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

// wants reports whether the connector is to be followed. One that lists no features at all may have
// them.
func (t *tail) wants(c cftunnel.Connector) bool {
	named := len(t.params.ConnectorIDs) == 0 ||
		slices.ContainsFunc(t.params.ConnectorIDs, func(id string) bool {
			return strings.EqualFold(id, c.ID)
		})
	return named && (len(c.Features) == 0 || slices.Contains(c.Features, featureLogs))
}

// watch lists the connectors again and again, and follows those that are new.
func (t *tail) watch(ctx context.Context, connectors []cftunnel.Connector) {
	t.update(ctx, connectors)
	ticker := time.NewTicker(t.params.PollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		connectors, err := t.client.Connectors.List(ctx, t.tunnelID)
		if err != nil {
			if ctx.Err() == nil {
				t.params.Logger.WarnContext(
					ctx,
					"listing the connectors failed",
					"tunnel_id",
					t.tunnelID,
					"error",
					err,
				)
			}
			continue
		}
		t.update(ctx, connectors)
	}
}

// update follows the connectors of a list that are not followed yet, and those that were left
// alone and have been away since.
func (t *tail) update(ctx context.Context, connectors []cftunnel.Connector) {
	listed := map[string]bool{}
	for _, c := range connectors {
		id := strings.ToLower(c.ID)
		if !t.wants(c) || listed[id] {
			continue
		}
		listed[id] = true
		f := t.followers[id]
		if f == nil || f.hasEnded() && (f.left || f.isBack(c)) {
			f = newFollower(t, c)
			t.followers[id] = f
			t.group.Go(func() { f.run(ctx) })
		}
		if !f.hasEnded() {
			f.connector = c
		}
	}
	for id, f := range t.followers {
		if !listed[id] {
			f.left = true
		}
	}
}
