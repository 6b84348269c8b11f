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

// WaitParams says how to wait.
type WaitParams struct {
	// Interval is the first pause between polls. Each later one is half as long again, up to 15 s or
	// Interval, whichever is longer. The default is 1 s.
	Interval time.Duration
	// OnPoll is called with the tunnel after each poll.
	OnPoll func(*Tunnel)
}

const (
	defaultInterval = time.Second
	maxInterval     = 15 * time.Second
	// maxFailedPolls in a row end a wait whose context has no deadline.
	maxFailedPolls = 3
)

// WaitForStatus polls a tunnel until it has a status, and returns it.
//
// It polls until the context ends; its error then has the last status, and the last tunnel is returned
// beside it. Polls that fail because the server or the network does, after their own retries, do not end
// it; if the context has no deadline, three in a row do. It returns [ErrNotFound] also for a tunnel that is
// deleted.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/get/
func (s *TunnelsService) WaitForStatus(
	ctx context.Context, tunnelID string, status TunnelStatus, params WaitParams, opts ...CallOption,
) (*Tunnel, error) {
	switch {
	case status == "":
		return nil, invalid("status", "is empty")
	case params.Interval < 0:
		return nil, invalid("Interval", "is %s; it cannot be negative", params.Interval)
	}
	pause := cmp.Or(params.Interval, defaultInterval)
	longest := max(pause, maxInterval)
	mostFailed := maxFailedPolls
	if ctx != nil {
		if _, ok := ctx.Deadline(); ok {
			mostFailed = math.MaxInt
		}
	}
	var last *Tunnel
	var failure error // of the latest poll
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
				return tunnel, fmt.Errorf("cftunnel: tunnel %s is deleted, and will not be %s: %w", tunnelID, status, ErrNotFound)
			case tunnel.Status == status:
				return tunnel, nil
			}
		} else {
			failed++
			if ctx == nil || ctx.Err() != nil || failed >= mostFailed || !isPassing(err) {
				return last, notYet(tunnelID, last, status, joinCauses(err, failure))
			}
			failure = err
			if e, ok := errors.AsType[*Error](err); ok {
				delay = max(delay, e.RetryAfter)
			}
		}
		if err := sleep(ctx, delay); err != nil {
			return last, notYet(tunnelID, last, status, joinCauses(err, failure))
		}
		pause = min(pause+max(pause/2, 1), longest)
	}
}

// isPassing reports whether a read may succeed later: the server or the network failed, or the server
// asked for a pause.
func isPassing(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	return e.transient || errors.Is(e, ErrRateLimited) || errors.Is(e, ErrServer) || e.StatusCode == 0 && retry.Transient(e)
}

func notYet(tunnelID string, last *Tunnel, status TunnelStatus, err error) error {
	if last == nil {
		return err
	}
	return fmt.Errorf("cftunnel: tunnel %s was last seen %s, not %s: %w", tunnelID, last.Status, status, err)
}
