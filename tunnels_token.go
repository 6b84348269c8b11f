package cftunnel

import (
	"context"
	"errors"
	"net/http"
)

// ManagementResource says what a token of [TunnelsService.ManagementToken] gives access to. The API
// may accept other values.
type ManagementResource string

// The resources of a management token.
const (
	ManagementResourceLogs        ManagementResource = "logs"         // live logs: see tunnellogs
	ManagementResourceAdmin       ManagementResource = "admin"        // metrics and profiles
	ManagementResourceHostDetails ManagementResource = "host_details" // name and IP of the machine
)

// The operations on the tokens of tunnels.
var (
	opTunnelGetToken = secretOp("Tunnels.Token", http.MethodGet, tunnelPath+"/token", tunnelsWrite)
	opTunnelLogs     = secretOp("Tunnels.ManagementToken", http.MethodPost,
		tunnelPath+"/management", tunnelsWrite)
	opTunnelManage = secretOp("Tunnels.ManagementToken", http.MethodPost,
		tunnelPath+"/management/{resource}", tunnelsWrite)
)

// Token returns the token to run a tunnel with. The token is enough to run the tunnel: keep it
// secret.
//
// Although the request is a GET, it needs a Write permission. It returns [ErrNotFound] if the
// tunnel does not exist or is deleted.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/token/methods/get/
func (s *TunnelsService) Token(
	ctx context.Context, tunnelID string, opts ...CallOption,
) (Secret, error) {
	r := request{operation: opTunnelGetToken, ids: []string{tunnelID}}
	check := func(token Secret) error { return checkTokenOf(token, tunnelID) }
	return doToken(ctx, clientOf(s), r, check, opts)
}

// ManagementToken returns a short-lived token for the management endpoints of a tunnel's
// connectors. The token is a JWT: its lifetime is in the exp claim.
//
// For [ManagementResourceLogs], the first operation below is called, and the second only if the
// server does not have the first. For other resources, only the second is called.
//
// It returns [ErrNotFound] if the tunnel does not exist or is deleted, and [ErrOutcomeUnknown] if
// the response was lost: call ManagementToken again.
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management
//
// Operation: POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/subresources/management/methods/create/
func (s *TunnelsService) ManagementToken(
	ctx context.Context, tunnelID string, resource ManagementResource, opts ...CallOption,
) (Secret, error) {
	if resource == ManagementResourceLogs {
		r := request{operation: opTunnelLogs, ids: []string{tunnelID}, body: struct {
			Resources []ManagementResource `json:"resources"`
		}{[]ManagementResource{resource}}}
		token, err := doToken(ctx, clientOf(s), r, nil, opts)
		if !isEndpointMissing(err) {
			return token, err
		}
	}
	r := request{operation: opTunnelManage, ids: []string{tunnelID, string(resource)}}
	return doToken(ctx, clientOf(s), r, nil, opts)
}

// isEndpointMissing reports whether the server does not have the endpoint. A 404 about the tunnel
// does not count.
func isEndpointMissing(err error) bool {
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

// doToken sends a request whose response is only a token. If check is not nil, it is called with
// the token and can refuse it.
func doToken(
	ctx context.Context, c *Client, r request, check func(Secret) error, opts []CallOption,
) (Secret, error) {
	token, err := doItem(ctx, c, r, func(token *string) error {
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
