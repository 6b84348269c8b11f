package cftunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/retry"
)

// maxModifications bounds how often ModifyConfiguration starts over.
const maxModifications = 5

// ModifyConfiguration reads the remote configuration of a tunnel, lets modify change it, and writes
// it. If modify changes nothing that the API would store, nothing is written, and the configuration
// is returned as it was read. An error of modify ends the call unwritten.
//
// What modify does not touch is sent as it was read, including members that this package does not
// know, and is not validated. Setting a field whose member could not be decoded is an
// [*InvalidArgumentError].
//
// The API has no conditional write, so this is a best effort against concurrent writers:
//   - The configuration is read again just before the write. If it has changed, everything starts
//     over, so modify can be called several times. After five rounds the error is
//     [ErrConcurrentUpdate].
//   - If the version that was written shows that somebody else wrote between that read and the write,
//     their change is lost: the result is returned beside ErrConcurrentUpdate. The other write may be
//     this call's own, given up earlier and delayed.
//   - A write whose response was lost is not repeated blindly: the configuration is read to find out.
//     If it is neither as before nor as it should be, the error is both [ErrOutcomeUnknown] and
//     ErrConcurrentUpdate.
//
// If the tunnel is locally managed, the result is returned beside [ErrLocallyManaged]. Other errors
// are those of Configuration and UpdateConfiguration.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// Operation: PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/update/
func (s *TunnelsService) ModifyConfiguration(ctx context.Context, tunnelID string, modify func(*TunnelConfig) error, opts ...CallOption) (*TunnelConfiguration, error) {
	if modify == nil {
		return nil, invalid("modify", "is nil")
	}
	c, err := clientOf(s)
	if err != nil {
		return nil, err
	}
	options, err := newCallOptions(opts, c.retry.MaxAttempts)
	if err != nil {
		return nil, err
	}
	m := &modification{
		service: s, tunnelID: tunnelID, opts: opts, policy: c.retry, attempts: options.maxAttempts,
	}
	return m.run(ctx, modify)
}

// modification is one call of ModifyConfiguration.
type modification struct {
	service  *TunnelsService
	tunnelID string
	opts     []CallOption
	policy   RetryPolicy
	attempts int // that are left for the write

	// What is known of the latest write if its outcome is not.
	lost    error
	sent    TunnelConfig
	version int // that it should replace
}

func (m *modification) run(ctx context.Context, modify func(*TunnelConfig) error) (*TunnelConfiguration, error) {
	delays := retry.NewDelays(m.policy.BaseDelay, m.policy.MaxDelay)
	before, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	for range maxModifications {
		config, encoded, err := modified(before.Config, modify)
		if err != nil {
			return nil, joinCauses(err, m.lost)
		}
		if config.Equal(before.Config) {
			return before, joinCauses(before.localError(), m.lost)
		}
		current, err := m.read(ctx)
		switch {
		case err != nil:
			return nil, joinCauses(err, m.lost)
		case m.hasArrived(current):
			return current, current.localError()
		case current.Version != before.Version:
			before = current
			continue
		}
		written, err := m.write(ctx, encoded)
		if err == nil {
			return written, written.conflict(before.Version)
		}
		if !errors.Is(err, ErrOutcomeUnknown) {
			return nil, joinCauses(err, m.lost)
		}
		m.lost, m.sent, m.version = err, config, before.Version
		current, err = m.read(ctx)
		switch {
		case err != nil:
			return nil, joinCauses(err, m.lost)
		case m.hasArrived(current):
			return current, current.localError()
		case current.Version != before.Version:
			return nil, fmt.Errorf("%w; the configuration went from version %d to %d: %w",
				m.lost, before.Version, current.Version, ErrConcurrentUpdate)
		}
		if err := m.pause(ctx, delays.Next()); err != nil {
			return nil, err
		}
		before = current
	}
	err = fmt.Errorf("cftunnel: the configuration of tunnel %s was changed by somebody else %d times; "+
		"it was not written: %w", m.tunnelID, maxModifications, ErrConcurrentUpdate)
	return nil, joinCauses(err, m.lost)
}

func (m *modification) read(ctx context.Context) (*TunnelConfiguration, error) {
	return m.service.Configuration(ctx, m.tunnelID, m.opts...)
}

// write sends the configuration once: whether it must be sent again is for a read to say.
func (m *modification) write(ctx context.Context, config json.RawMessage) (*TunnelConfiguration, error) {
	r := request{operation: once(opConfigure), ids: []string{m.tunnelID}}
	return m.service.configure(ctx, r, config, m.opts)
}

// hasArrived reports whether the write with an unknown outcome was carried out.
func (m *modification) hasArrived(current *TunnelConfiguration) bool {
	return m.lost != nil && current.Version == m.version+1 && current.Config.Equal(m.sent)
}

// pause waits before the next write, or returns an error if there is none.
func (m *modification) pause(ctx context.Context, delay time.Duration) error {
	m.attempts--
	if failure, ok := errors.AsType[*Error](m.lost); ok {
		delay = max(delay, failure.RetryAfter)
	}
	if m.attempts <= 0 || delay > m.policy.MaxDelay {
		return m.lost
	}
	if err := sleep(ctx, delay); err != nil {
		return joinCauses(err, m.lost)
	}
	return nil
}

// conflict returns an error if c, which was just written, replaced another version than it should,
// or if the tunnel does not read it.
func (c *TunnelConfiguration) conflict(before int) error {
	if c.Version <= before+1 {
		return c.localError()
	}
	err := fmt.Errorf("cftunnel: the configuration of tunnel %s went from version %d to %d, so "+
		"a change by somebody else is lost: %w", c.TunnelID, before, c.Version, ErrConcurrentUpdate)
	if local := c.localError(); local != nil {
		return fmt.Errorf("%w; %w", err, local)
	}
	return err
}

// modified calls modify with a copy of config and checks what it changed.
func modified(config TunnelConfig, modify func(*TunnelConfig) error) (changed TunnelConfig, encoded json.RawMessage, err error) {
	if encoded, err = config.encode(); err != nil {
		return changed, nil, err
	}
	if err := json.Unmarshal(encoded, &changed); err != nil {
		return changed, nil, err
	}
	if err := modify(&changed); err != nil {
		return changed, nil, err
	}
	was, is := config.WARPRouting, changed.WARPRouting
	if was != nil && was.Enabled && is != nil && !is.Enabled {
		changed.WARPRouting = is.turnedOff()
	}
	if err := changed.keepsUndecoded(config); err != nil {
		return changed, nil, err
	}
	if encoded, err = changed.encode(); err != nil {
		return changed, nil, err
	}
	return changed, encoded, changed.validateChange(config)
}
