package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Ensure returns the live tunnel with the name params.Name, and creates it if there is none.
// created is true if this call created the tunnel, and false if the tunnel existed or it is unknown
// which call created it.
//
// A new tunnel has its Token. An existing tunnel has no Token, and keeps its secret and its
// configuration source. Ensure can be repeated after a failure and called by several programs at
// once: names are unique, so it never creates two tunnels. If the response to the POST request is
// lost, Ensure looks for the tunnel, and sends the request once more only if it finds none.
//
// If the name belongs to a WARP connector, or to a tunnel that the credentials cannot read, it
// returns [ErrTunnelNameTaken], or only [ErrConflict] if the code in the response cannot be read.
// It returns [ErrOutcomeUnknown] if the responses to both POST requests were lost and the tunnel
// was not found.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel
//
// Operation: POST /accounts/{account_id}/cfd_tunnel
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/create/
func (s *TunnelsService) Ensure(
	ctx context.Context, params TunnelCreateParams, opts ...CallOption,
) (t *Tunnel, created bool, err error) {
	if err := params.check(); err != nil {
		return nil, false, err
	}
	t, err = s.FindByName(ctx, params.Name, opts...)
	if !errors.Is(err, ErrNotFound) {
		return t, false, err
	}
	// If the response is lost and the tunnel is not found, the creation may be repeated: names are
	// unique, so there is never a second tunnel.
	var lost error // of the first creation
	for range 2 {
		if t, err = s.Create(ctx, params, opts...); t != nil {
			return t, true, err
		}
		unknown, conflict := errors.Is(err, ErrOutcomeUnknown), isNameConflict(err)
		if !unknown && !conflict {
			return nil, false, joinCauses(err, lost)
		}
		// The tunnel may exist now: this call or a concurrent one may have created it.
		found, findErr := s.FindByName(ctx, params.Name, opts...)
		switch {
		case findErr == nil:
			return found, false, nil
		case !errors.Is(findErr, ErrNotFound):
			return nil, false, fmt.Errorf("%w; and looking for the tunnel failed: %w",
				joinCauses(err, lost), findErr)
		case conflict:
			return nil, false, joinCauses(err, lost)
		}
		lost = err
	}
	return nil, false, err
}

// isNameConflict reports whether a creation may have failed because the name is taken. That
// includes a conflict whose code cannot be read.
func isNameConflict(err error) bool {
	return errors.Is(err, ErrTunnelNameTaken) || errors.Is(err, ErrConflict)
}

// The limits of CleanupAndDelete.
const (
	deleteTimeout    = 2 * time.Minute
	firstDeletePause = time.Second
	maxDeletePause   = 10 * time.Second
)

// CleanupAndDelete drops the connections of a tunnel and deletes the tunnel.
//
// Connectors that still run may reconnect in between. CleanupAndDelete then repeats both steps
// until the context ends, but for at most two minutes.
//
// It returns [ErrNotFound] if the tunnel does not exist, and possibly if it is already deleted. It
// returns [ErrOutcomeUnknown] if the call failed but may have been carried out. If connectors kept
// reconnecting, the error is both [ErrActiveConnections] and the context's error, which is
// context.DeadlineExceeded after the two minutes. After ErrActiveConnections or ErrOutcomeUnknown,
// CleanupAndDelete can be called again.
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/delete/
func (s *TunnelsService) CleanupAndDelete(
	ctx context.Context, tunnelID string, opts ...CallOption,
) (*Tunnel, error) {
	c := clientOf(s)
	if err := c.check(); err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, invalid("ctx", "is nil")
	}
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	var refusal error // the latest ErrActiveConnections
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
		refusal = fmt.Errorf("cftunnel: the replicas of tunnel %s keep connecting: %w",
			tunnelID, err)
		if err := sleep(ctx, pause); err != nil {
			return nil, joinCauses(err, refusal)
		}
	}
}
