package cftunnel_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const loginPage = "<html><head><title>Log in</title></head></html>"

// refusalBody returns an error response of the API with this code.
func refusalBody(code int) string {
	const format = `{"success":false,"errors":[{"code":%d,"message":"no"}],"messages":[],"result":null}`
	return fmt.Sprintf(format, code)
}

// lostResponses are faults in which the request is carried out but its response is lost.
var lostResponses = map[string]tunneltest.Fault{
	"cut before the response": {Cut: tunneltest.CutAfter},
	"cut inside the response": {Cut: tunneltest.CutInside},
	"late 502":                {Status: 502, Work: true},
	"late 524 in HTML":        {Status: 524, Body: loginPage, Work: true},
	"after the timeout":       {Delay: 2 * time.Minute},
}

// inconclusiveFaults returns responses that say nothing about an earlier attempt, by description.
func inconclusiveFaults() map[string]tunneltest.Fault {
	faults := map[string]tunneltest.Fault{}
	for name, location := range locations {
		for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308, 399} {
			faults[fmt.Sprint(status, " to ", name)] = tunneltest.Fault{
				Status: status, Header: http.Header{"Location": {location}},
			}
		}
	}
	for _, status := range []int{
		400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 417, 418, 421,
		422, 425, 426, 428, 429, 431, 451, 499,
	} {
		for _, body := range []string{
			loginPage, " ", `[]`, `"blocked"`, `null`,
			`{"error":"blocked"}`, `{"message":"blocked"}`, `{"success":false,"message":"blocked"}`,
			`{"type":"about:blank","title":"Blocked","detail":"by a policy"}`,
			`{"success":true,"errors":[],"messages":[],"result":{}}`,
		} {
			faults[fmt.Sprint(status, " ", body)] = tunneltest.Fault{Status: status, Body: body}
		}
	}
	for _, status := range []int{200, 401, 403, 408, 425, 429} {
		faults[fmt.Sprint(status, " from the API")] = tunneltest.Fault{
			Status: status, Body: refusalBody(1),
		}
	}
	for _, code := range []int{6003, 6103, 6111, 9106} {
		faults[fmt.Sprint("400 from the API, code ", code)] = tunneltest.Fault{
			Status: 400, Body: refusalBody(code),
		}
	}
	for _, code := range []int{7000, 7003} {
		faults[fmt.Sprint("404 from the API, code ", code)] = tunneltest.Fault{
			Status: 404, Body: refusalBody(code),
		}
	}
	for _, body := range []string{
		loginPage, " ", `{}`, `{"result":{}}`,
		`{"success":true,"result":null}`, `{"success":true,"result":[]}`,
	} {
		for _, status := range []int{200, 201, 202, 204, 206} {
			if status != 204 || body == " " {
				faults[fmt.Sprint(status, " ", body)] = tunneltest.Fault{Status: status, Body: body}
			}
		}
	}
	return faults
}

// locations are redirect targets, by description.
var locations = map[string]string{
	"another host":       "https://login.example.com/cdn-cgi/access/login?x=y",
	"a host with a user": "https://user:password@login.example.com/",
	"a path":             "/login",
	"a relative path":    "../login",
	"a host only":        "//login.example.com",
	"the same path":      "?again",
	"another scheme":     "mailto:nobody@example.com",
	"a script":           "javascript:alert(1)",
	"nothing":            "",
	"a broken escape":    "https://login.example.com/%zz",
	"a broken host":      "https://[::1/login",
	"a broken scheme":    ":login",
	"invalid UTF-8":      "/\xff\xfe",
}

func TestOutcome_UncertainUntilRefusal(t *testing.T) {
	t.Parallel()
	for name, later := range inconclusiveFaults() {
		for lost, first := range lostResponses {
			if lost != "cut before the response" && later.Header != nil && len(name)%5 != 0 {
				continue // to save time: test a sample of the redirects
			}
			t.Run(lost+", then "+name, func(t *testing.T) {
				t.Parallel()
				first, later := first, later
				inBubble(t, func(t *testing.T, h *harness) {
					client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
					first.Operation, later.Operation = opUpdate, opUpdate
					later.Times = tunneltest.Always
					h.srv.Inject(first)
					h.srv.Inject(later)
					params := cftunnel.TunnelUpdateParams{Name: "other"}
					_, err := client.Tunnels.Update(t.Context(), tunnel.ID, params)
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
					assert.Equal(t, 1, h.carriedOut(opUpdate))
					h.srv.Close()
				})
			})
		}
	}
}

// The new secret is not lost: the Rotation has the same token as the server.
func TestTunnelsRotateSecret_UncertainKeepsToken(t *testing.T) {
	t.Parallel()
	for name, later := range inconclusiveFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
				h.srv.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter})
				later.Operation, later.Times = opUpdate, tunneltest.Always
				h.srv.Inject(later)
				rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
					cftunnel.RotateParams{})
				require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				require.NotNil(t, rotation)
				assert.Nil(t, rotation.Tunnel)
				h.srv.ClearFaults()
				time.Sleep(time.Hour) // until all holds end
				token, err := client.Tunnels.Token(t.Context(), tunnel.ID)
				require.NoError(t, err)
				assert.True(t, cftunnel.SameTunnelToken(token, rotation.Token))
			})
		})
	}
}

// In response to a first attempt, the same responses are certain: the request was not carried out.
func TestOutcome_CertainOnFirstAttempt(t *testing.T) {
	t.Parallel()
	for name, fault := range inconclusiveFaults() {
		if fault.Status/100 == 2 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
				fault.Times = tunneltest.Always
				h.srv.Inject(fault)
				params := cftunnel.TunnelUpdateParams{Name: "other"}
				_, err := client.Tunnels.Update(t.Context(), tunnel.ID, params)
				require.Error(t, err)
				assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				_, err = client.Tunnels.Create(t.Context(),
					cftunnel.TunnelCreateParams{Name: "other"})
				require.Error(t, err)
				assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			})
		})
	}
}

func TestOutcome_CertainAfterRefusal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 402, 404, 405, 409, 410, 412, 413, 415, 422, 451} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
				h.srv.Inject(tunneltest.Fault{Status: 503})
				h.srv.Inject(tunneltest.Fault{Status: status, Body: refusalBody(1)})
				rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
					cftunnel.RotateParams{})
				require.Error(t, err)
				assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				assert.Nil(t, rotation)
			})
		})
	}
}

// deletes are the calls that send a DELETE for an existing resource.
var deletes = map[string]struct {
	operation string
	call      func(ctx context.Context, c *cftunnel.Client, tunnel, warp string) error
}{
	"Tunnels.Delete": {opDelete, func(
		ctx context.Context, c *cftunnel.Client, tunnel, _ string,
	) error {
		_, err := c.Tunnels.Delete(ctx, tunnel, cftunnel.TunnelDeleteParams{})
		return err
	}},
	"Tunnels.CleanupAndDelete": {
		opDelete,
		func(ctx context.Context, c *cftunnel.Client, tunnel, _ string) error {
			_, err := c.Tunnels.CleanupAndDelete(ctx, tunnel)
			return err
		},
	},
	"WARPConnectors.Delete": {
		"DELETE /accounts/{account_id}/warp_connector/{tunnel_id}",
		func(ctx context.Context, c *cftunnel.Client, _, warp string) error {
			_, err := c.WARPConnectors.Delete(ctx, warp, cftunnel.TunnelDeleteParams{})
			return err
		},
	},
	"Connectors.Cleanup": {opCleanup, func(
		ctx context.Context, c *cftunnel.Client, tunnel, _ string,
	) error {
		return c.Connectors.Cleanup(ctx, tunnel, cftunnel.CleanupParams{})
	}},
	"Client.Do": {opDelete, func(ctx context.Context, c *cftunnel.Client, tunnel, _ string) error {
		var result any
		path := "accounts/" + c.AccountID() + "/cfd_tunnel/" + tunnel
		return c.Do(ctx, http.MethodDelete, path, nil, &result)
	}},
}

// notFoundFault is the response of the API to a DELETE of a tunnel that does not exist.
func notFoundFault(operation string) tunneltest.Fault {
	return tunneltest.Fault{Operation: operation, Status: 404, Body: refusalBody(1002)}
}

func TestDelete_NotFoundAfterLostResponse(t *testing.T) {
	t.Parallel()
	for name, method := range deletes {
		for lost, first := range lostResponses {
			t.Run(name+" "+lost, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, h *harness) {
					client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
					params := cftunnel.WARPConnectorCreateParams{Name: "w"}
					warp, err := client.WARPConnectors.Create(t.Context(), params)
					require.NoError(t, err)
					first.Operation = method.operation
					h.srv.Inject(first)
					h.srv.Inject(notFoundFault(method.operation))
					require.NoError(t, method.call(t.Context(), client, tunnel.ID, warp.ID))
					assert.Equal(t, 1, h.carriedOut(method.operation))
					h.srv.Close()
				})
			})
		}
	}
}

func TestDelete_NotFoundWithoutLostResponse(t *testing.T) {
	t.Parallel()
	for name, method := range deletes {
		for _, status := range []int{0, 429} { // of the earlier attempt; 0: there is none
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, h *harness) {
					client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
					if status != 0 {
						h.srv.Inject(tunneltest.Fault{Operation: method.operation, Status: status})
					}
					h.srv.Inject(notFoundFault(method.operation))
					err := method.call(t.Context(), client, tunnel.ID, tunnel.ID)
					require.ErrorIs(t, err, cftunnel.ErrNotFound)
					assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				})
			})
		}
	}
}

// A 404 that is not about the tunnel does not prove that it was deleted.
func TestDelete_OtherNotFoundAfterLostResponse(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		refusalBody(7000), refusalBody(7003), loginPage, " ",
		`{"error":"no such page"}`, `{"success":false}`,
	} {
		for name, method := range deletes {
			t.Run(name+" "+body, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, h *harness) {
					client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
					operation := method.operation
					h.srv.Inject(tunneltest.Fault{Operation: operation, Cut: tunneltest.CutBefore})
					h.srv.Inject(tunneltest.Fault{Operation: operation, Status: 404, Body: body})
					err := method.call(t.Context(), client, tunnel.ID, tunnel.ID)
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
					assert.NotErrorIs(t, err, cftunnel.ErrNotFound)
				})
			})
		}
	}
}

// If the last attempt has no response, the error still has the last response before it.
func TestOutcome_KeepsLastAPIError(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		h.srv.Inject(tunneltest.Fault{Status: 503, Body: refusalBody(4242)})
		h.srv.Inject(tunneltest.Fault{Cut: tunneltest.CutBefore, Times: tunneltest.Always})
		_, err := client.Tunnels.Delete(t.Context(), tunnel.ID, cftunnel.TunnelDeleteParams{})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.ErrorIs(t, err, cftunnel.ErrServer)
		assert.True(t, cftunnel.HasCode(err, 4242))
		failure := err.(*cftunnel.Error) //nolint:errorlint // the call's own error
		assert.Zero(t, failure.StatusCode)
		assert.Equal(t, 4, failure.Attempts)
	})
}
