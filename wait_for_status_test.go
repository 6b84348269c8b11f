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

// temporaryFaults are faults of the server or the network that waiting may help against.
var temporaryFaults = map[string]tunneltest.Fault{
	"500":                     {Status: 500},
	"501":                     {Status: 501},
	"502 in HTML":             {Status: 502, Body: loginPage},
	"530":                     {Status: 530},
	"429":                     {Status: 429},
	"429 with Retry-After":    {Status: 429, Header: http.Header{"Retry-After": {"20"}}},
	"429 with a long wait":    {Status: 429, Header: http.Header{"Retry-After": {"300"}}},
	"503 with a long wait":    {Status: 503, Header: http.Header{"Retry-After": {"300"}}},
	"cut before the request":  {Cut: tunneltest.CutBefore},
	"cut before the response": {Cut: tunneltest.CutAfter},
	"cut inside the response": {Cut: tunneltest.CutInside},
	"slower than the timeout": {Delay: 40 * time.Second},
	"malformed header":        {Header: http.Header{"X-Bad": {"a\x01"}}},
}

func TestTunnelsWaitForStatus_FailedPolls(t *testing.T) {
	t.Parallel()
	for name, fault := range temporaryFaults {
		for _, attempts := range []int{1, 4} {
			for _, polls := range []int{1, 2, 20} { // number of failed polls
				t.Run(fmt.Sprint(name, " ", polls, " of ", attempts), func(t *testing.T) {
					t.Parallel()
					fault := fault
					inBubble(t, func(t *testing.T, h *harness) {
						policy := cftunnel.RetryPolicy{MaxAttempts: attempts}
						client := h.newClient(cftunnel.WithRetry(policy))
						create := cftunnel.TunnelCreateParams{Name: "n"}
						tunnel, err := client.Tunnels.Create(t.Context(), create)
						require.NoError(t, err)
						_, err = h.srv.Connect(tunnel.Token)
						require.NoError(t, err)
						ctx := t.Context()
						if polls > 2 { // without a deadline, the wait would end with an error
							var cancel context.CancelFunc
							ctx, cancel = context.WithTimeout(ctx, 24*time.Hour)
							defer cancel()
						}
						fault.Times = attempts * polls
						if fault.Status == 501 || fault.Header.Get("Retry-After") == "300" {
							fault.Times = polls // it is not retried
						}
						h.srv.Inject(fault)
						got, err := client.Tunnels.WaitForStatus(ctx, tunnel.ID,
							cftunnel.TunnelStatusHealthy, cftunnel.WaitParams{})
						require.NoError(t, err)
						assert.Equal(t, cftunnel.TunnelStatusHealthy, got.Status)
						h.srv.Close()
					})
				})
			}
		}
	}
}

// If the server stays down, a wait ends with the context, or without a deadline after three failed
// polls.
func TestTunnelsWaitForStatus_ServerDown(t *testing.T) {
	t.Parallel()
	for name, fault := range temporaryFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client, tunnel := h.newClient(once), h.srv.SeedTunnels(1)[0]
				fault.Times = tunneltest.Always
				h.srv.Inject(fault)
				const healthy = cftunnel.TunnelStatusHealthy
				var params cftunnel.WaitParams
				_, err := client.Tunnels.WaitForStatus(t.Context(), tunnel.ID, healthy, params)
				require.Error(t, err)

				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				_, err = client.Tunnels.WaitForStatus(ctx, tunnel.ID, healthy, params)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.InDelta(t, time.Hour, time.Since(began), float64(time.Second))
				h.srv.Close()
			})
		})
	}
}

// An error that waiting does not help against ends the wait at once. The last tunnel is returned.
func TestTunnelsWaitForStatus_RefusedPoll(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
				polls := 0
				params := cftunnel.WaitParams{OnPoll: func(*cftunnel.Tunnel) {
					polls++
					h.srv.Inject(tunneltest.Fault{Status: status, Body: refusalBody(1)})
				}}
				got, err := client.Tunnels.WaitForStatus(t.Context(), tunnel.ID,
					cftunnel.TunnelStatusDown, params)
				require.Error(t, err)
				assert.Equal(t, 1, polls)
				require.NotNil(t, got)
				assert.ErrorContains(t, err, "last seen")
			})
		})
	}
}

// The error does not contain the failure of an earlier poll if a later poll succeeded.
func TestTunnelsWaitForStatus_SuccessAfterFailure(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(once), h.srv.SeedTunnels(1)[0]
		h.srv.Inject(tunneltest.Fault{Status: 503})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := client.Tunnels.WaitForStatus(ctx, tunnel.ID,
			cftunnel.TunnelStatusHealthy, cftunnel.WaitParams{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, cftunnel.ErrServer)
		assert.NotNil(t, got)
	})
}
