package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Ensure returns the live tunnel of params.Name, and creates it if there is none.
//
// It can be called again at any time, also after it failed, and by several programs at once; it never
// creates two. created is true if this call certainly created the tunnel, which then has its Token. A
// tunnel that was found has no Token, and keeps its configuration source and secret. After a create whose
// response was lost, the tunnel is looked for, and created once more if it is not there.
//
// It returns [ErrTunnelNameTaken] or [ErrConflict] if the name belongs to a tunnel that the credentials
// cannot read, or to a WARP connector, and [ErrOutcomeUnknown] if the responses to both creates were lost
// and the tunnel was not found.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel
//
// Operation: POST /accounts/{account_id}/cfd_tunnel
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/create/
func (s *TunnelsService) Ensure(ctx context.Context, params TunnelCreateParams, opts ...CallOption) (t *Tunnel, created bool, err error) {
	if err := params.check(); err != nil {
		return nil, false, err
	}
	t, err = s.FindByName(ctx, params.Name, opts...)
	if !errors.Is(err, ErrNotFound) {
		return t, false, err
	}
	// A create may be repeated if the tunnel is not found after a lost response: the name is its key, so
	// there is never a second one.
	var lost error // of the first create
	for range 2 {
		if t, err = s.Create(ctx, params, opts...); t != nil {
			return t, true, err
		}
		unknown, conflict := errors.Is(err, ErrOutcomeUnknown), isNameConflict(err)
		if !unknown && !conflict {
			return nil, false, joinCauses(err, lost)
		}
		// It exists now: this call created it, or another one at the same time.
		found, findErr := s.FindByName(ctx, params.Name, opts...)
		switch {
		case findErr == nil:
			return found, false, nil
		case !errors.Is(findErr, ErrNotFound):
			return nil, false, fmt.Errorf("%w; and looking for the tunnel failed: %w", joinCauses(err, lost), findErr)
		case conflict:
			return nil, false, joinCauses(err, lost)
		}
		lost = err
	}
	return nil, false, err
}

// isNameConflict reports whether a create may have failed because the name is taken. A conflict whose
// code cannot be read may be one.
func isNameConflict(err error) bool {
	return errors.Is(err, ErrTunnelNameTaken) || errors.Is(err, ErrConflict)
}

// How long CleanupAndDelete goes on, and how long it pauses.
const (
	maxDeleting      = 2 * time.Minute
	firstDeletePause = time.Second
	maxDeletePause   = 10 * time.Second
)

// CleanupAndDelete cleans up the connections of a tunnel and deletes it.
//
// Replicas that still run connect again, so both are repeated while the server says that there are
// connections, until the context ends and for two minutes at most. It returns [ErrActiveConnections] if
// replicas kept connecting, beside the context's error, [ErrNotFound], and [ErrOutcomeUnknown], after which
// it can be called again.
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/delete/
func (s *TunnelsService) CleanupAndDelete(ctx context.Context, tunnelID string, opts ...CallOption) (*Tunnel, error) {
	c, err := clientOf(s)
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, invalid("ctx", "is nil")
	}
	ctx, cancel := context.WithTimeout(ctx, maxDeleting)
	defer cancel()
	var refusal error // because of connections, the latest
	for pause := firstDeletePause; ; pause = min(2*pause, maxDeletePause) {
		if err := c.Connectors.Cleanup(ctx, tunnelID, CleanupParams{}, opts...); err != nil {
			return nil, joinCauses(err, refusal)
		}
		tunnel, err := s.Delete(ctx, tunnelID, TunnelDeleteParams{}, opts...)
		switch {
		case err == nil:
			return tunnel, nil
		case !errors.Is(err, ErrActiveConnections):
			return nil, joinCauses(err, refusal)
		}
		refusal = fmt.Errorf("cftunnel: the replicas of tunnel %s keep connecting: %w", tunnelID, err)
		if err := sleep(ctx, pause); err != nil {
			return nil, joinCauses(err, refusal)
		}
	}
}
