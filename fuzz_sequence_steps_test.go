package cftunnel_test

import (
	"context"
	"errors"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// sequenceStep is a call whose result is also compared with the state of the fake.
type sequenceStep struct {
	name string
	// prepare returns the call, and a check of its result that runs after the call.
	prepare func(s *sequence) (stepCall, stepCheck)
}

// attempts returns the option that limits the attempts of the current call.
func (s *sequence) attempts() cftunnel.CallOption { return cftunnel.MaxAttempts(s.maxAttempts) }

type (
	stepCall  = func(context.Context) error
	stepCheck = func(error)
)

var sequenceSteps = []sequenceStep{
	{"checked Tunnels.Create", func(s *sequence) (stepCall, stepCheck) {
		var tunnel *cftunnel.Tunnel
		return func(ctx context.Context) (err error) {
				params := cftunnel.TunnelCreateParams{Name: s.fixture.Free}
				tunnel, err = s.client.Tunnels.Create(ctx, params, s.attempts())
				return err
			}, func(err error) {
				if (err == nil) != (tunnel != nil) {
					s.fail("%v with the error %v", tunnel, err)
				}
				if tunnel != nil {
					s.checkTunnel(tunnel, s.fixture.Free)
				}
			}
	}},
	{"checked Tunnels.Ensure", func(s *sequence) (stepCall, stepCheck) {
		var tunnel *cftunnel.Tunnel
		var created bool
		return func(ctx context.Context) (err error) {
				params := cftunnel.TunnelCreateParams{Name: s.fixture.Free}
				tunnel, created, err = s.client.Tunnels.Ensure(ctx, params, s.attempts())
				return err
			}, func(err error) {
				switch {
				case created && tunnel == nil, err == nil && tunnel == nil:
					s.fail("created %v, %v with the error %v", created, tunnel, err)
				case tunnel == nil:
				case created && tunnel.Token.IsZero():
					s.fail("the new tunnel has no token")
				default:
					s.checkTunnel(tunnel, s.fixture.Free)
				}
			}
	}},
	{"checked Tunnels.Update", func(s *sequence) (stepCall, stepCheck) {
		var tunnel *cftunnel.Tunnel
		return func(ctx context.Context) (err error) {
				params := cftunnel.TunnelUpdateParams{Name: s.fixture.Free}
				tunnel, err = s.client.Tunnels.Update(ctx, s.fixture.Tunnel, params, s.attempts())
				return err
			}, func(err error) {
				if err == nil {
					s.checkTunnel(tunnel, s.fixture.Free)
				}
			}
	}},
	{"checked Tunnels.RotateSecret", func(s *sequence) (stepCall, stepCheck) {
		old, oldErr := s.oracle.Tunnels.Token(s.t.Context(), s.fixture.Tunnel)
		var rotation *cftunnel.Rotation
		same := cftunnel.SameTunnelToken
		return func(ctx context.Context) (err error) {
				var params cftunnel.RotateParams
				rotation, err = s.client.Tunnels.RotateSecret(ctx, s.fixture.Tunnel, params,
					s.attempts())
				return err
			}, func(err error) {
				now, nowErr := s.oracle.Tunnels.Token(s.t.Context(), s.fixture.Tunnel)
				switch {
				case (oldErr == nil) != (nowErr == nil):
					s.fail("token before: %v, token after: %v", oldErr, nowErr)
				case err == nil:
					if nowErr != nil || !same(now, rotation.Token) || same(old, now) {
						s.fail("the server has another token than the one returned: %v", nowErr)
					}
				case isUncertain(err):
					if rotation == nil || rotation.Token.IsZero() {
						s.fail("the error is uncertain, but the new token is not returned")
					}
					if nowErr == nil && !same(now, rotation.Token) && !same(now, old) {
						s.fail("the server has neither the old nor the new token")
					}
				case rotation != nil:
					s.fail("a rotation with the error %v", err)
				}
			}
	}},
	{"checked WARPConnectors.RotateSecret", func(s *sequence) (stepCall, stepCheck) {
		var rotation *cftunnel.Rotation
		return func(ctx context.Context) (err error) {
				var params cftunnel.RotateParams
				rotation, err = s.client.WARPConnectors.RotateSecret(ctx, s.fixture.WARP, params,
					s.attempts())
				return err
			}, func(err error) {
				if (rotation != nil) != (err == nil || isUncertain(err)) {
					s.fail("%v with the error %v", rotation, err)
				}
				if err != nil {
					return
				}
				now, err := s.oracle.WARPConnectors.Token(s.t.Context(), s.fixture.WARP)
				if err != nil || now != rotation.Token {
					s.fail("the server has another token than the one returned: %v", err)
				}
			}
	}},
	{"checked Tunnels.Delete", func(s *sequence) (stepCall, stepCheck) {
		params := cftunnel.TunnelDeleteParams{Cascade: s.input.below(2) == 1}
		return func(ctx context.Context) error {
				_, err := s.client.Tunnels.Delete(ctx, s.fixture.Idle, params, s.attempts())
				return err
			}, func(err error) {
				if err != nil {
					return
				}
				tunnel, err := s.oracle.Tunnels.Get(s.t.Context(), s.fixture.Idle)
				if err == nil && !tunnel.IsDeleted() {
					s.fail("the tunnel still exists")
				}
			}
	}},
	{"checked Tunnels.Get", func(s *sequence) (stepCall, stepCheck) {
		var tunnel *cftunnel.Tunnel
		return func(ctx context.Context) (err error) {
				tunnel, err = s.client.Tunnels.Get(ctx, s.fixture.Tunnel, s.attempts())
				return err
			}, func(err error) {
				existing, existingErr := s.oracle.Tunnels.Get(s.t.Context(), s.fixture.Tunnel)
				switch {
				case err == nil && (tunnel.ID != existing.ID || tunnel.Name != existing.Name ||
					tunnel.IsDeleted() != existing.IsDeleted()):
					s.fail("%+v is not %+v", tunnel, existing)
				case isNotFound(err) && !isNotFound(existingErr):
					s.fail("the tunnel exists")
				}
			}
	}},
	{"checked Tunnels.FindByName", func(s *sequence) (stepCall, stepCheck) {
		var tunnel *cftunnel.Tunnel
		return func(ctx context.Context) (err error) {
				tunnel, err = s.client.Tunnels.FindByName(ctx, s.fixture.Name, s.attempts())
				return err
			}, func(err error) {
				_, existingErr := s.oracle.Tunnels.FindByName(s.t.Context(), s.fixture.Name)
				switch {
				case err == nil:
					s.checkTunnel(tunnel, s.fixture.Name)
				case isNotFound(err) && !isNotFound(existingErr):
					s.fail("the tunnel exists")
				}
			}
	}},
	{"checked Tunnels.ModifyConfiguration", func(s *sequence) (stepCall, stepCheck) {
		hostname := s.fixture.Free + ".example.com"
		return func(ctx context.Context) error {
				setRules := func(config *tunnelConfig) error {
					rule := cftunnel.IngressRule{Hostname: hostname, Service: "http://localhost"}
					config.Ingress = []cftunnel.IngressRule{rule, catchAll}
					return nil
				}
				id := s.fixture.Tunnel
				_, err := s.client.Tunnels.ModifyConfiguration(ctx, id, setRules, s.attempts())
				return err
			}, func(err error) {
				if err != nil && !errors.Is(err, cftunnel.ErrLocallyManaged) {
					return
				}
				existing, existingErr := s.oracle.Tunnels.Configuration(s.t.Context(),
					s.fixture.Tunnel)
				if existingErr != nil || len(existing.Config.Ingress) != 2 ||
					existing.Config.Ingress[0].Hostname != hostname {
					s.fail("the rule does not exist: %v", existingErr)
				}
			}
	}},
	{"checked Tunnels.CleanupAndDelete", func(s *sequence) (stepCall, stepCheck) {
		return func(ctx context.Context) error {
				_, err := s.client.Tunnels.CleanupAndDelete(ctx, s.fixture.Tunnel, s.attempts())
				return err
			}, func(err error) {
				if err != nil {
					return
				}
				tunnel, err := s.oracle.Tunnels.Get(s.t.Context(), s.fixture.Tunnel)
				if err == nil && !tunnel.IsDeleted() {
					s.fail("the tunnel still exists")
				}
			}
	}},
}

// checkTunnel compares a tunnel that a call returned with the tunnel of the fake.
func (s *sequence) checkTunnel(tunnel *cftunnel.Tunnel, name string) {
	s.t.Helper()
	existing, err := s.oracle.Tunnels.Get(s.t.Context(), tunnel.ID)
	if err != nil || existing.Name != name || existing.IsDeleted() {
		s.fail("the call returned %s, but the server has %+v, %v", tunnel.Name, existing, err)
	}
	if tunnel.Token.IsZero() {
		return
	}
	token, err := s.oracle.Tunnels.Token(s.t.Context(), tunnel.ID)
	if err != nil || !cftunnel.SameTunnelToken(token, tunnel.Token) {
		s.fail("the server has another token than the one returned: %v", err)
	}
}
