package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// RotateParams says how to rotate.
type RotateParams struct {
	// Secret is the new secret, as [NewTunnelSecret] makes it. If it is zero, RotateSecret makes one.
	Secret Secret
	// CleanupConnections drops the tunnel's connections when the secret is replaced, so that replicas with
	// the old token are disconnected at once. Use it after a compromise. WARP connectors have no clean-up.
	CleanupConnections bool
}

// Rotation is the result of a rotation.
type Rotation struct {
	// Tunnel is nil if no response to the rotation could be read.
	Tunnel *Tunnel
	// Token is the new token, to run replicas with.
	Token Secret
}

// RotateSecret replaces the secret of a tunnel, and returns its new token.
//
// From then on the old token opens no new connections. Existing ones stay until their replica restarts;
// params.CleanupConnections drops them. The secret is made once, so that a retry sends the same.
//
// If the clean-up fails after the rotation, the Rotation is returned beside the error, which says so. It is
// also returned, without a Tunnel, beside an [ErrOutcomeUnknown]: its Token is the new one if the rotation
// was carried out. A response whose token has another secret is such an error. With every other error,
// such as [ErrNotFound], the Rotation is nil. Compare tokens with [SameTunnelToken]: the same credentials have
// several texts. A Token that was made without a
// response has no Endpoint.
//
// Operation: PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/edit/
func (s *TunnelsService) RotateSecret(ctx context.Context, tunnelID string, params RotateParams, opts ...CallOption) (*Rotation, error) {
	c, err := clientOf(s)
	if err != nil {
		return nil, err
	}
	secret := params.Secret
	if secret.IsZero() {
		secret = NewTunnelSecret()
	}
	credentials := TunnelCredentials{
		AccountTag: strings.ToLower(c.accountID), TunnelID: strings.ToLower(tunnelID), Secret: secret,
	}
	var seen Secret // what a response had as the token
	tunnel, err := updateTunnel(ctx, s, opTunnelUpdate, tunnelID, TunnelUpdateParams{Secret: secret}, &seen, opts)
	if errors.Is(err, ErrOutcomeUnknown) {
		return &Rotation{Token: credentials.rotatedToken(seen)}, err
	}
	if err != nil {
		return nil, err
	}
	rotation := &Rotation{Tunnel: tunnel, Token: tunnel.Token}
	if rotation.Token.IsZero() {
		// Only the server knows the endpoint of the token. Without one, the token is made here.
		seen, _ = s.Token(ctx, tunnelID, opts...)
		rotation.Token = credentials.rotatedToken(seen)
	}
	if !params.CleanupConnections {
		return rotation, nil
	}
	if err := c.Connectors.Cleanup(ctx, tunnelID, CleanupParams{}, opts...); err != nil {
		return rotation, fmt.Errorf("cftunnel: tunnel %s is rotated, but cleaning up its connections failed: %w", tunnelID, err)
	}
	return rotation, nil
}

var errOldSecret = errors.New("the response has a token with another secret than the one that was sent")

// hasOtherSecret reports whether token is one of cloudflared's with another secret.
func hasOtherSecret(token, secret Secret) bool {
	credentials, err := ParseTunnelToken(token)
	return err == nil && !sameSecret(credentials.Secret, secret) // the tokens of WARP connectors are opaque
}

// checkTokenOf refuses the token of another tunnel. What cannot be parsed is nobody's.
func checkTokenOf(token Secret, tunnelID string) error {
	if credentials, err := ParseTunnelToken(token); err == nil && !strings.EqualFold(credentials.TunnelID, tunnelID) {
		return errOtherID
	}
	return nil
}
