package cftunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/retry"
)

// WaitParams are the options of WaitForStatus.
type WaitParams struct {
	// Interval is the first pause between polls. The default is 1s. The pause grows by half after
	// each poll, up to 15s, or up to Interval if that is longer.
	Interval time.Duration
	// OnPoll is called with the tunnel after each successful poll. It may be nil.
	OnPoll func(*Tunnel)
}

const (
	defaultInterval = time.Second
	maxInterval     = 15 * time.Second
	// maxFailedPolls is the number of consecutive failed polls that end a wait without a deadline.
	maxFailedPolls = 3
)

// WaitForStatus polls a tunnel until it has the given status, and returns the tunnel.
//
// If the context ends first, WaitForStatus returns the tunnel of the last poll together with an
// error that contains the tunnel's status. If a poll and its retries fail because of the server or
// the network, WaitForStatus polls again. If the context has no deadline, it stops after three such
// failures in a row.
//
// It returns [ErrNotFound] if the tunnel does not exist or is deleted.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/get/
func (s *TunnelsService) WaitForStatus(
	ctx context.Context, tunnelID string, status TunnelStatus, params WaitParams,
	opts ...CallOption,
) (*Tunnel, error) {
	switch {
	case status == "":
		return nil, invalid("status", "is empty")
	case params.Interval < 0:
		return nil, invalid("Interval", "is %s; it cannot be negative", params.Interval)
	}
	pause := cmp.Or(params.Interval, defaultInterval)
	longest := max(pause, maxInterval)
	maxFailed := maxFailedPolls
	if ctx != nil {
		if _, ok := ctx.Deadline(); ok {
			maxFailed = math.MaxInt
		}
	}
	var last *Tunnel
	var failure error // of the latest poll, nil if it succeeded
	for failed := 0; ; {
		tunnel, err := s.Get(ctx, tunnelID, opts...)
		delay := pause
		if err == nil {
			last, failure, failed = tunnel, nil, 0
			if params.OnPoll != nil {
				params.OnPoll(tunnel)
			}
			switch {
			case tunnel.IsDeleted():
				return tunnel, fmt.Errorf("cftunnel: tunnel %s is deleted and cannot become %s: %w",
					tunnelID, status, ErrNotFound)
			case tunnel.Status == status:
				return tunnel, nil
			}
		} else {
			failed++
			if ctx != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
				err = joinCauses(ctx.Err(), err) // ctx ended after the response
			}
			if ctx == nil || ctx.Err() != nil || failed >= maxFailed || !isTemporary(err) {
				return last, statusError(tunnelID, last, status, joinCauses(err, failure))
			}
			failure = err
			if e, ok := errors.AsType[*Error](err); ok {
				delay = max(delay, e.RetryAfter)
			}
		}
		if err := sleep(ctx, delay); err != nil {
			return last, statusError(tunnelID, last, status, joinCauses(err, failure))
		}
		pause = min(pause+max(pause/2, 1), longest)
	}
}

// isTemporary reports whether a read may succeed later: the server or the network failed, or the
// server asked for a pause.
func isTemporary(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	return e.transient || errors.Is(e, ErrRateLimited) || errors.Is(e, ErrServer) ||
		e.StatusCode == 0 && retry.Transient(e)
}

// statusError adds the last status of the tunnel to an error.
func statusError(tunnelID string, last *Tunnel, status TunnelStatus, err error) error {
	if last == nil {
		return err
	}
	return fmt.Errorf("cftunnel: tunnel %s was last seen %s, not %s: %w",
		tunnelID, last.Status, status, err)
}
