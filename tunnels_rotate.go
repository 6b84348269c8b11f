package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// RotateParams are the options of RotateSecret.
type RotateParams struct {
	// Secret is the new secret: at least 16 bytes, encoded in standard base64. By default
	// RotateSecret generates one with [NewTunnelSecret].
	Secret Secret
	// CleanupConnections drops the tunnel's connections after the secret is replaced, to disconnect
	// connectors with the old token at once. Set it if the old token was leaked. It cannot be set
	// for WARP connectors.
	CleanupConnections bool
}

// Rotation is the result of RotateSecret.
type Rotation struct {
	// Tunnel is the tunnel after the change. It is nil if it is unknown whether the secret was
	// replaced.
	Tunnel *Tunnel
	// Token is the new token to run the tunnel with.
	Token Secret
}

// RotateSecret replaces the secret of a tunnel, and returns the new token.
//
// The old token cannot open new connections after that. Existing connections stay until their
// connector restarts, unless params.CleanupConnections is set. Every retry sends the same secret.
//
// Compare tokens with [SameTunnelToken], because tokens with the same credentials can be different
// texts. If no response contains a token, RotateSecret composes the token from the secret, with an
// empty [TunnelCredentials].Endpoint.
//
// It returns a Rotation together with an error in two cases:
//   - The secret is replaced, but the clean-up failed. Tunnel and Token are set. If the error is
//     [ErrOutcomeUnknown], the outcome of the clean-up is unknown.
//   - It is unknown whether the secret was replaced, for example because the token in the response
//     has another secret than the one that was sent. The error is [ErrOutcomeUnknown], Tunnel is
//     nil, and Token is valid only if the secret was replaced.
//
// In all other cases, such as [ErrNotFound] for the tunnel, the Rotation is nil.
//
// Operation: PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token
//
// Operation: DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/edit/
func (s *TunnelsService) RotateSecret(
	ctx context.Context, tunnelID string, params RotateParams, opts ...CallOption,
) (*Rotation, error) {
	c := clientOf(s)
	if err := c.check(); err != nil {
		return nil, err
	}
	secret := params.Secret
	if secret.IsZero() {
		secret = NewTunnelSecret()
	}
	credentials := TunnelCredentials{
		AccountTag: strings.ToLower(c.accountID),
		TunnelID:   strings.ToLower(tunnelID),
		Secret:     secret,
	}
	var seen Secret // the token of a response
	update := TunnelUpdateParams{Secret: secret}
	tunnel, err := updateTunnel(ctx, c, opTunnelUpdate, tunnelID, update, &seen, opts)
	if errors.Is(err, ErrOutcomeUnknown) {
		return &Rotation{Token: credentials.rotatedToken(seen)}, err
	}
	if err != nil {
		return nil, err
	}
	rotation := &Rotation{Tunnel: tunnel, Token: tunnel.Token}
	if rotation.Token.IsZero() {
		// Only the server knows the endpoint of the token. If the token cannot be read, it is
		// composed without an endpoint.
		seen, _ = s.Token(ctx, tunnelID, opts...)
		rotation.Token = credentials.rotatedToken(seen)
	}
	if !params.CleanupConnections {
		return rotation, nil
	}
	if err := c.Connectors.Cleanup(ctx, tunnelID, CleanupParams{}, opts...); err != nil {
		return rotation, fmt.Errorf(
			"cftunnel: tunnel %s is rotated, but cleaning up its connections failed: %w",
			tunnelID, err)
	}
	return rotation, nil
}

var errOldSecret = errors.New(
	"the response has a token with another secret than the one that was sent")

// hasOtherSecret reports whether token can be parsed and has another secret.
func hasOtherSecret(token, secret Secret) bool {
	credentials, err := ParseTunnelToken(token)
	return err == nil && !sameSecret(credentials.Secret, secret)
}

// checkTokenOf returns an error if token belongs to another tunnel. It ignores a token that cannot
// be parsed.
func checkTokenOf(token Secret, tunnelID string) error {
	credentials, err := ParseTunnelToken(token)
	if err == nil && !strings.EqualFold(credentials.TunnelID, tunnelID) {
		return errOtherID
	}
	return nil
}
