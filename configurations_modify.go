package cftunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/retry"
)

// maxModifications is the maximum number of rounds of ModifyConfiguration.
const maxModifications = 5

// ModifyConfiguration reads the remote configuration of a tunnel, calls modify to change it, and
// writes it. If modify changes nothing that the API would store, nothing is written, and the
// unchanged configuration is returned. If modify returns an error, nothing is written, and
// ModifyConfiguration returns that error.
//
// Parts that modify does not change are sent as they were read, including unknown JSON members, and
// are not validated. If modify sets a field whose member could not be decoded, the error is an
// [*InvalidArgumentError].
//
// The API has no conditional write, so ModifyConfiguration cannot exclude conflicts with concurrent
// writes. It detects them as follows:
//   - It reads the configuration again just before the write. If the configuration has changed, it
//     starts again, so modify may be called several times. After five rounds it returns
//     [ErrConcurrentUpdate].
//   - If the version of the result shows that another write happened between that read and the
//     write, the change of the other write is lost. ModifyConfiguration returns the result together
//     with ErrConcurrentUpdate. The other write may be an earlier attempt of this call that arrived
//     late.
//   - If the response to the write is lost, the configuration is read. If it is the new one, the
//     call succeeds. If it is the old one, the write is sent again. Otherwise the error is both
//     [ErrOutcomeUnknown] and ErrConcurrentUpdate.
//
// If the tunnel is locally managed, the result is returned together with [ErrLocallyManaged]. Other
// errors are those of Configuration and UpdateConfiguration.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// Operation: PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/configurations/methods/update/
func (s *TunnelsService) ModifyConfiguration(
	ctx context.Context, tunnelID string, modify func(*TunnelConfig) error, opts ...CallOption,
) (*TunnelConfiguration, error) {
	if modify == nil {
		return nil, invalid("modify", "is nil")
	}
	c := clientOf(s)
	if err := c.check(); err != nil {
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
	attempts int // left for the write

	// The latest write whose outcome is unknown.
	lost    error // its error, nil if there was no such write
	sent    TunnelConfig
	version int // the version that it was to replace
}

func (m *modification) run(
	ctx context.Context, modify func(*TunnelConfig) error,
) (*TunnelConfiguration, error) {
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
		case m.isWritten(current):
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
		case m.isWritten(current):
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
	written := "it was not written"
	if m.lost != nil {
		written = "it may have been written"
	}
	err = fmt.Errorf("cftunnel: the configuration of tunnel %s was changed by another writer "+
		"%d times; %s: %w", m.tunnelID, maxModifications, written, ErrConcurrentUpdate)
	return nil, joinCauses(err, m.lost)
}

func (m *modification) read(ctx context.Context) (*TunnelConfiguration, error) {
	return m.service.Configuration(ctx, m.tunnelID, m.opts...)
}

// write sends the configuration once. A read decides whether it must be sent again.
func (m *modification) write(
	ctx context.Context, config json.RawMessage,
) (*TunnelConfiguration, error) {
	r := request{operation: once(opConfigure), ids: []string{m.tunnelID}}
	return m.service.configure(ctx, r, config, m.opts)
}

// isWritten reports whether the write with the unknown outcome was carried out.
func (m *modification) isWritten(current *TunnelConfiguration) bool {
	return m.lost != nil && current.Version == m.version+1 && current.Config.Equal(m.sent)
}

// pause waits before the next write. It returns an error if there must be no other write.
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

// conflict returns an error if c, which was just written, replaced another version than before, or
// if the tunnel is locally managed.
func (c *TunnelConfiguration) conflict(before int) error {
	if c.Version <= before+1 {
		return c.localError()
	}
	err := fmt.Errorf("cftunnel: the configuration of tunnel %s went from version %d to %d, so "+
		"the change of another writer is lost: %w",
		c.TunnelID, before, c.Version, ErrConcurrentUpdate)
	if local := c.localError(); local != nil {
		return fmt.Errorf("%w; %w", err, local)
	}
	return err
}

// modified calls modify with a copy of config and checks the changes.
func modified(
	config TunnelConfig, modify func(*TunnelConfig) error,
) (changed TunnelConfig, encoded json.RawMessage, err error) {
	if encoded, err = config.encode(); err != nil {
		return changed, nil, err
	}
	if err := json.Unmarshal(encoded, &changed); err != nil {
		return changed, nil, err
	}
	if err := modify(&changed); err != nil {
		return changed, nil, err
	}
	before, after := config.WARPRouting, changed.WARPRouting
	if before != nil && before.Enabled && after != nil && !after.Enabled {
		changed.WARPRouting = after.turnedOff()
	}
	if err := changed.keepsUndecoded(config); err != nil {
		return changed, nil, err
	}
	if encoded, err = changed.encode(); err != nil {
		return changed, nil, err
	}
	return changed, encoded, changed.validateChange(config)
}
