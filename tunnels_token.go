package cftunnel

import (
	"context"
	"errors"
	"net/http"
)

// ManagementResource is what a management token gives access to on a running connector. The API may
// accept other values.
type ManagementResource string

// The resources of a management token.
const (
	ManagementResourceLogs        ManagementResource = "logs" // the live log, as cloudflared tail shows it
	ManagementResourceAdmin       ManagementResource = "admin"
	ManagementResourceHostDetails ManagementResource = "host_details"
)

// The operations on the tokens of tunnels.
var (
	opTunnelGetToken = secretOp("Tunnels.Token", http.MethodGet, tunnelPath+"/token", tunnelsWrite)
	opTunnelLogs     = secretOp("Tunnels.ManagementToken", http.MethodPost, tunnelPath+"/management", tunnelsWrite)
	opTunnelManage   = secretOp("Tunnels.ManagementToken", http.MethodPost, tunnelPath+"/management/{resource}", tunnelsWrite)
)

// Token returns the token that cloudflared runs the tunnel with.
//
// Whoever has it can run the tunnel. Although it is a GET, it needs a permission to write. It returns
// [ErrNotFound].
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/token/methods/get/
func (s *TunnelsService) Token(ctx context.Context, tunnelID string, opts ...CallOption) (Secret, error) {
	return doToken(ctx, s, request{operation: opTunnelGetToken, ids: []string{tunnelID}}, func(token Secret) error {
		return checkTokenOf(token, tunnelID)
	}, opts)
}

// ManagementToken returns a short-lived token for the management endpoints of a tunnel's connectors.
//
// It is a JWT; its lifetime is in the exp claim. For logs, the older operation is used if the server still
// has it, otherwise that of every other resource. It returns [ErrNotFound], and [ErrOutcomeUnknown], after
// which it can be called again.
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/management/methods/create/
func (s *TunnelsService) ManagementToken(ctx context.Context, tunnelID string, resource ManagementResource, opts ...CallOption) (Secret, error) {
	if resource == ManagementResourceLogs {
		token, err := doToken(ctx, s, request{operation: opTunnelLogs, ids: []string{tunnelID}, body: struct {
			Resources []ManagementResource `json:"resources"`
		}{[]ManagementResource{resource}}}, nil, opts)
		if !isRemoved(err) {
			return token, err
		}
	}
	return doToken(ctx, s, request{operation: opTunnelManage, ids: []string{tunnelID, string(resource)}}, nil, opts)
}

// isRemoved reports whether the server does not have the endpoint, rather than what it was asked for.
func isRemoved(err error) bool {
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch failure.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusGone:
		return true
	case http.StatusNotFound:
		return hasCode(failure.Errors, codeNoRoute)
	}
	return false
}

// doToken sends a request whose response is only a token. check says what is wrong with it; nil checks
// nothing.
func doToken[S serviceType](ctx context.Context, s *S, r request, check func(Secret) error, opts []CallOption) (Secret, error) {
	token, err := doItem(ctx, s, r, func(token *string) error {
		switch {
		case *token == "":
			return errNoResult
		case check != nil:
			return check(NewSecret(*token))
		}
		return nil
	}, opts)
	if err != nil {
		return Secret{}, err
	}
	return NewSecret(*token), nil
}
