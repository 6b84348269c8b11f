package cftunnel_test

import (
	"context"
	"errors"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// sequenceStep is a call whose result is compared with the fake too.
type sequenceStep struct {
	name string
	// prepare returns the call and, for after it, a check of what it returned.
	prepare func(s *sequence) (call func(context.Context) error, check func(error))
}

func (s *sequence) attempts() cftunnel.CallOption { return cftunnel.MaxAttempts(s.maxAttempts) }

var sequenceSteps = []sequenceStep{
	{"own Tunnels.Create", func(s *sequence) (func(context.Context) error, func(error)) {
		var tunnel *cftunnel.Tunnel
		return func(ctx context.Context) (err error) {
				tunnel, err = s.client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: s.fixture.Free}, s.attempts())
				return err
			}, func(err error) {
				if (err == nil) != (tunnel != nil) {
					s.fail("%v beside %v", tunnel, err)
				}
				if tunnel != nil {
					s.checkTunnel(tunnel, s.fixture.Free)
				}
			}
	}},
	{"own Tunnels.Ensure", func(s *sequence) (func(context.Context) error, func(error)) {
		var tunnel *cftunnel.Tunnel
		var created bool
		return func(ctx context.Context) (err error) {
				tunnel, created, err = s.client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{Name: s.fixture.Free}, s.attempts())
				return err
			}, func(err error) {
				switch {
				case created && tunnel == nil, err == nil && tunnel == nil:
					s.fail("created %v, %v beside %v", created, tunnel, err)
				case tunnel == nil:
				case created && tunnel.Token.IsZero():
					s.fail("it is created without a token")
				default:
					s.checkTunnel(tunnel, s.fixture.Free)
				}
			}
	}},
	{"own Tunnels.Update", func(s *sequence) (func(context.Context) error, func(error)) {
		var tunnel *cftunnel.Tunnel
		return func(ctx context.Context) (err error) {
				tunnel, err = s.client.Tunnels.Update(ctx, s.fixture.Tunnel, cftunnel.TunnelUpdateParams{Name: s.fixture.Free}, s.attempts())
				return err
			}, func(err error) {
				if err == nil {
					s.checkTunnel(tunnel, s.fixture.Free)
				}
			}
	}},
	{"own Tunnels.RotateSecret", func(s *sequence) (func(context.Context) error, func(error)) {
		old, oldErr := s.oracle.Tunnels.Token(s.t.Context(), s.fixture.Tunnel)
		var rotation *cftunnel.Rotation
		return func(ctx context.Context) (err error) {
				rotation, err = s.client.Tunnels.RotateSecret(ctx, s.fixture.Tunnel, cftunnel.RotateParams{}, s.attempts())
				return err
			}, func(err error) {
				now, nowErr := s.oracle.Tunnels.Token(s.t.Context(), s.fixture.Tunnel)
				switch {
				case (oldErr == nil) != (nowErr == nil):
					s.fail("%v, and then %v", oldErr, nowErr)
				case err == nil:
					if nowErr != nil || !cftunnel.SameTunnelToken(now, rotation.Token) || cftunnel.SameTunnelToken(old, now) {
						s.fail("the token is not the one that was returned: %v", nowErr)
					}
				case isUncertain(err):
					if rotation == nil || rotation.Token.IsZero() {
						s.fail("the token is lost")
					}
					if nowErr == nil && !cftunnel.SameTunnelToken(now, rotation.Token) && !cftunnel.SameTunnelToken(now, old) {
						s.fail("the token is neither the old nor the new one")
					}
				case rotation != nil:
					s.fail("a rotation beside %v", err)
				}
			}
	}},
	{"own WARPConnectors.RotateSecret", func(s *sequence) (func(context.Context) error, func(error)) {
		var rotation *cftunnel.Rotation
		return func(ctx context.Context) (err error) {
				rotation, err = s.client.WARPConnectors.RotateSecret(ctx, s.fixture.WARP, cftunnel.RotateParams{}, s.attempts())
				return err
			}, func(err error) {
				if (rotation != nil) != (err == nil || isUncertain(err)) {
					s.fail("%v beside %v", rotation, err)
				}
				if err != nil {
					return
				}
				if now, err := s.oracle.WARPConnectors.Token(s.t.Context(), s.fixture.WARP); err != nil || now != rotation.Token {
					s.fail("the token is not the one that was returned: %v", err)
				}
			}
	}},
	{"own Tunnels.Delete", func(s *sequence) (func(context.Context) error, func(error)) {
		params := cftunnel.TunnelDeleteParams{Cascade: s.input.below(2) == 1}
		return func(ctx context.Context) error {
				_, err := s.client.Tunnels.Delete(ctx, s.fixture.Idle, params, s.attempts())
				return err
			}, func(err error) {
				if err != nil {
					return
				}
				if tunnel, err := s.oracle.Tunnels.Get(s.t.Context(), s.fixture.Idle); err == nil && !tunnel.IsDeleted() {
					s.fail("it is still there")
				}
			}
	}},
	{"own Tunnels.Get", func(s *sequence) (func(context.Context) error, func(error)) {
		var tunnel *cftunnel.Tunnel
		return func(ctx context.Context) (err error) {
				tunnel, err = s.client.Tunnels.Get(ctx, s.fixture.Tunnel, s.attempts())
				return err
			}, func(err error) {
				there, thereErr := s.oracle.Tunnels.Get(s.t.Context(), s.fixture.Tunnel)
				switch {
				case err == nil && (tunnel.ID != there.ID || tunnel.Name != there.Name || tunnel.IsDeleted() != there.IsDeleted()):
					s.fail("%+v is not %+v", tunnel, there)
				case isNotFound(err) && !isNotFound(thereErr):
					s.fail("it is there")
				}
			}
	}},
	{"own Tunnels.FindByName", func(s *sequence) (func(context.Context) error, func(error)) {
		var tunnel *cftunnel.Tunnel
		return func(ctx context.Context) (err error) {
				tunnel, err = s.client.Tunnels.FindByName(ctx, s.fixture.Name, s.attempts())
				return err
			}, func(err error) {
				_, thereErr := s.oracle.Tunnels.FindByName(s.t.Context(), s.fixture.Name)
				switch {
				case err == nil:
					s.checkTunnel(tunnel, s.fixture.Name)
				case isNotFound(err) && !isNotFound(thereErr):
					s.fail("it is there")
				}
			}
	}},
	{"own Tunnels.ModifyConfiguration", func(s *sequence) (func(context.Context) error, func(error)) {
		hostname := s.fixture.Free + ".example.com"
		return func(ctx context.Context) error {
				_, err := s.client.Tunnels.ModifyConfiguration(ctx, s.fixture.Tunnel, func(config *cftunnel.TunnelConfig) error {
					config.Ingress = []cftunnel.IngressRule{{Hostname: hostname, Service: "http://localhost"}, {Service: "http_status:404"}}
					return nil
				}, s.attempts())
				return err
			}, func(err error) {
				if err != nil && !errors.Is(err, cftunnel.ErrLocallyManaged) {
					return
				}
				there, thereErr := s.oracle.Tunnels.Configuration(s.t.Context(), s.fixture.Tunnel)
				if thereErr != nil || len(there.Config.Ingress) != 2 || there.Config.Ingress[0].Hostname != hostname {
					s.fail("the rule is not there: %v", thereErr)
				}
			}
	}},
	{"own Tunnels.CleanupAndDelete", func(s *sequence) (func(context.Context) error, func(error)) {
		return func(ctx context.Context) error {
				_, err := s.client.Tunnels.CleanupAndDelete(ctx, s.fixture.Tunnel, s.attempts())
				return err
			}, func(err error) {
				if err != nil {
					return
				}
				if tunnel, err := s.oracle.Tunnels.Get(s.t.Context(), s.fixture.Tunnel); err == nil && !tunnel.IsDeleted() {
					s.fail("it is still there")
				}
			}
	}},
}

// checkTunnel compares a tunnel that a call returned with the fake's.
func (s *sequence) checkTunnel(tunnel *cftunnel.Tunnel, name string) {
	s.t.Helper()
	there, err := s.oracle.Tunnels.Get(s.t.Context(), tunnel.ID)
	if err != nil || there.Name != name || there.IsDeleted() {
		s.fail("it returns %s, and the server has %+v, %v", tunnel.Name, there, err)
	}
	if tunnel.Token.IsZero() {
		return
	}
	if token, err := s.oracle.Tunnels.Token(s.t.Context(), tunnel.ID); err != nil || !cftunnel.SameTunnelToken(token, tunnel.Token) {
		s.fail("it returns a token that the server does not have: %v", err)
	}
}
