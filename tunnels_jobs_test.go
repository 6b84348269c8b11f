package cftunnel_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// quick retries almost without pauses.
var quick = cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 1, MaxDelay: 1})

func TestTunnelsEnsure(t *testing.T) {
	t.Parallel()
	ensure := func(client *cftunnel.Client) (*cftunnel.Tunnel, bool, error) {
		return client.Tunnels.Ensure(context.Background(),
			cftunnel.TunnelCreateParams{Name: "blog"})
	}
	t.Run("creates, then finds", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t)
		tunnel, created, err := ensure(client)
		require.NoError(t, err)
		assert.True(t, created)
		assert.False(t, tunnel.Token.IsZero())
		found, created, err := ensure(client)
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, tunnel.ID, found.ID)
		assert.True(t, found.Token.IsZero())
		assert.Equal(t, 1, carriedOut(srv, opCreate))
	})
	t.Run("deleted tunnel", func(t *testing.T) {
		t.Parallel()
		_, client := newFake(t)
		old, _, err := ensure(client)
		require.NoError(t, err)
		_, err = client.Tunnels.Delete(t.Context(), old.ID, cftunnel.TunnelDeleteParams{})
		require.NoError(t, err)
		tunnel, created, err := ensure(client)
		require.NoError(t, err)
		assert.True(t, created)
		assert.NotEqual(t, old.ID, tunnel.ID)
	})
	t.Run("lost response", func(t *testing.T) {
		t.Parallel()
		for name, fault := range map[string]tunneltest.Fault{
			"cut before the response": {Operation: opCreate, Cut: tunneltest.CutAfter},
			"late 502":                {Operation: opCreate, Status: 502, Work: true},
			"cut inside the response": {Operation: opCreate, Cut: tunneltest.CutInside},
		} {
			srv, client := newFake(t, quick)
			srv.Inject(fault)
			tunnel, created, err := ensure(client)
			require.NoError(t, err, name)
			assert.False(t, created, "it may be the tunnel of another program")
			assert.Equal(t, "blog", tunnel.Name)
			assert.Equal(t, 1, carriedOut(srv, opCreate))
		}
	})
	t.Run("lost request", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, quick)
		srv.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutBefore})
		tunnel, created, err := ensure(client)
		require.NoError(t, err)
		assert.True(t, created)
		assert.False(t, tunnel.Token.IsZero())
		assert.Equal(t, 1, carriedOut(srv, opCreate))
	})
	t.Run("every request lost", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, quick)
		srv.Inject(tunneltest.Fault{
			Operation: opCreate, Cut: tunneltest.CutBefore, Times: tunneltest.Always,
		})
		tunnel, created, err := ensure(client)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Nil(t, tunnel)
		assert.False(t, created)
		srv.ClearFaults()
		_, created, err = ensure(client)
		require.NoError(t, err)
		assert.True(t, created)
		assert.Equal(t, 1, carriedOut(srv, opCreate))
	})
	t.Run("lost request, then 403", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, quick)
		srv.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutBefore})
		srv.Inject(tunneltest.Fault{Operation: opCreate, Status: 403})
		_, created, err := ensure(client)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.False(t, created)
	})
	t.Run("concurrent calls", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t)
		var group sync.WaitGroup
		var mu sync.Mutex
		ids, creators := map[string]bool{}, 0
		for range 16 {
			group.Go(func() {
				tunnel, created, err := ensure(client)
				if !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[tunnel.ID] = true
				if created {
					creators++
				}
			})
		}
		group.Wait()
		assert.Len(t, ids, 1)
		assert.Equal(t, 1, creators)
		assert.Equal(t, 1, carriedOut(srv, opCreate))
	})
	t.Run("name of a WARP connector", func(t *testing.T) {
		t.Parallel()
		_, client := newFake(t)
		params := cftunnel.WARPConnectorCreateParams{Name: "blog"}
		_, err := client.WARPConnectors.Create(t.Context(), params)
		require.NoError(t, err)
		_, _, err = ensure(client)
		require.ErrorIs(t, err, cftunnel.ErrTunnelNameTaken)
	})
	t.Run("list fails", func(t *testing.T) {
		t.Parallel()
		for _, status := range []int{403, 404, 500} {
			srv, client := newFake(t, once)
			srv.Inject(tunneltest.Fault{Operation: opList, Status: status})
			_, _, err := ensure(client)
			require.Error(t, err)
			assert.Zero(t, carriedOut(srv, opCreate), status)
		}
	})
	t.Run("second list fails", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, once)
		srv.Inject(tunneltest.Fault{Operation: opList})
		srv.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutAfter})
		srv.Inject(tunneltest.Fault{Operation: opList, Status: 403})
		_, _, err := ensure(client)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
	})
	t.Run("invalid secret", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t)
		params := cftunnel.TunnelCreateParams{Name: "n", Secret: cftunnel.NewSecret("short")}
		_, _, err := client.Tunnels.Ensure(t.Context(), params)
		_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		assert.True(t, ok, "%v", err)
		assert.Empty(t, srv.Requests())
	})
}

func TestTunnelsRotateSecret(t *testing.T) {
	t.Parallel()
	setUp := func(
		t *testing.T,
	) (srv *tunneltest.Server, client *cftunnel.Client, tunnel *cftunnel.Tunnel, connector string) {
		srv, client = newFake(t, quick)
		tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		connector, err = srv.Connect(tunnel.Token)
		require.NoError(t, err)
		return srv, client, tunnel, connector
	}
	bodies := func(srv *tunneltest.Server, operation string) (bodies []string) {
		for _, r := range srv.Requests() {
			if r.Operation == operation {
				bodies = append(bodies, r.Body.Reveal())
			}
		}
		return bodies
	}
	t.Run("connections kept", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, connector := setUp(t)
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
			cftunnel.RotateParams{Secret: validSecret})
		require.NoError(t, err)
		assert.Equal(t, tunnel.ID, rotation.Tunnel.ID)
		assert.NotEqual(t, tunnel.Token, rotation.Token)
		body := `{"tunnel_secret":"` + validSecret.Reveal() + `"}`
		assert.Equal(t, []string{body}, bodies(srv, opUpdate), "only the secret is sent")
		credentials, err := cftunnel.ParseTunnelToken(rotation.Token)
		require.NoError(t, err)
		assert.Equal(t, validSecret, credentials.Secret)

		_, err = srv.Connect(tunnel.Token)
		require.ErrorContains(t, err, "rotated")
		_, err = client.Connectors.Get(t.Context(), tunnel.ID, connector)
		require.NoError(t, err)
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
	})
	t.Run("CleanupConnections", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, connector := setUp(t)
		before := len(srv.Requests())
		_, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
			cftunnel.RotateParams{CleanupConnections: true})
		require.NoError(t, err)
		assert.Equal(t, []string{opUpdate, opCleanup}, operations(srv)[before:])
		_, err = client.Connectors.Get(t.Context(), tunnel.ID, connector)
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
	})
	t.Run("lost response", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
			cftunnel.RotateParams{})
		require.NoError(t, err)
		sent := bodies(srv, opUpdate)
		require.Len(t, sent, 2)
		assert.Equal(t, sent[0], sent[1])
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
	})
	t.Run("new secret each time", func(t *testing.T) {
		t.Parallel()
		_, client, tunnel, _ := setUp(t)
		one, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{})
		require.NoError(t, err)
		two, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{})
		require.NoError(t, err)
		assert.NotEqual(t, one.Token, two.Token)
	})
	t.Run("response without a token", func(t *testing.T) {
		t.Parallel()
		client := clientOf(t, respond(200, `{"success":true,"result":{"id":"`+tunnelID+`"}}`))
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnelID,
			cftunnel.RotateParams{Secret: validSecret})
		require.NoError(t, err)
		credentials, err := cftunnel.ParseTunnelToken(rotation.Token)
		require.NoError(t, err)
		assert.Equal(t, &cftunnel.TunnelCredentials{
			AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret,
		}, credentials)
	})
	t.Run("cleanup fails", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opCleanup, Status: 403})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
			cftunnel.RotateParams{CleanupConnections: true})
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		assert.Contains(t, err.Error(), "is rotated, but cleaning up its connections failed")
		require.NotNil(t, rotation)
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
	})
	t.Run("every response lost", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{
			Operation: opUpdate, Cut: tunneltest.CutAfter, Times: tunneltest.Always,
		})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
			cftunnel.RotateParams{CleanupConnections: true})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.NotNil(t, rotation)
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
		// Without the rotation, whoever has the old token could reconnect after a cleanup.
		assert.Zero(t, carriedOut(srv, opCleanup))
	})
	t.Run("lost response, then 403", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter})
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Status: 403})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
			cftunnel.RotateParams{})
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.NotNil(t, rotation)
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
	})
	t.Run("rotation refused", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Status: 403})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
			cftunnel.RotateParams{CleanupConnections: true})
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		assert.Nil(t, rotation)
		assert.Zero(t, carriedOut(srv, opCleanup))
	})
}

func TestWARPConnectorsRotateSecret(t *testing.T) {
	t.Parallel()
	const opPatch = "PATCH /accounts/{account_id}/warp_connector/{tunnel_id}"
	srv, client := newFake(t, quick)
	warp, err := client.WARPConnectors.Create(t.Context(),
		cftunnel.WARPConnectorCreateParams{Name: "n"})
	require.NoError(t, err)
	srv.Inject(tunneltest.Fault{Operation: opPatch, Cut: tunneltest.CutAfter})
	rotation, err := client.WARPConnectors.RotateSecret(t.Context(), warp.ID,
		cftunnel.RotateParams{})
	require.NoError(t, err)
	assert.NotEqual(t, warp.Token, rotation.Token)
	_, err = srv.Connect(warp.Token)
	require.Error(t, err)
	_, err = srv.Connect(rotation.Token)
	require.NoError(t, err)

	_, err = client.WARPConnectors.RotateSecret(t.Context(), warp.ID,
		cftunnel.RotateParams{CleanupConnections: true})
	_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.True(t, ok, "%v", err)

	t.Run("response without a token", func(t *testing.T) {
		t.Parallel()
		token := `"opaque"`
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			result := `{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}`
			if strings.HasSuffix(r.URL.Path, "/token") {
				result = token
			}
			respond(200, `{"success":true,"result":`+result+`}`)(w, r)
		})
		rotation, err := client.WARPConnectors.RotateSecret(t.Context(), tunnelID,
			cftunnel.RotateParams{})
		require.NoError(t, err)
		assert.Equal(t, "opaque", rotation.Token.Reveal())

		token = "null"
		rotation, err = client.WARPConnectors.RotateSecret(t.Context(), tunnelID,
			cftunnel.RotateParams{})
		require.ErrorContains(t, err, "is rotated, but reading its new token failed")
		require.NotNil(t, rotation)
		assert.Equal(t, tunnelID, rotation.Tunnel.ID)
	})
}

// activeConnections is the refusal to delete a tunnel that has connections.
var activeConnections = tunneltest.Fault{Operation: opDelete, Status: 400, Body: refusalBody(1022)}

func TestTunnelsCleanupAndDelete(t *testing.T) {
	t.Parallel()
	t.Run("connected tunnel", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t)
		tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		_, err = srv.Connect(tunnel.Token)
		require.NoError(t, err)
		deleted, err := client.Tunnels.CleanupAndDelete(t.Context(), tunnel.ID)
		require.NoError(t, err)
		assert.True(t, deleted.IsDeleted())
	})
	t.Run("connectors reconnect", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
			refusal := activeConnections
			refusal.Times = 3
			h.srv.Inject(refusal)
			deleted, err := client.Tunnels.CleanupAndDelete(t.Context(), tunnel.ID)
			require.NoError(t, err)
			assert.True(t, deleted.IsDeleted())
			assert.Equal(t, 4, h.carriedOut(opCleanup))

			refusal.Times = tunneltest.Always
			h.srv.Inject(refusal)
			began := time.Now()
			_, err = client.Tunnels.CleanupAndDelete(t.Context(), h.srv.SeedTunnels(1)[0].ID)
			assert.Equal(t, 2*time.Minute, time.Since(began))
			require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
			require.ErrorIs(t, err, context.DeadlineExceeded)

			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(5*time.Second, cancel)
			began = time.Now()
			_, err = client.Tunnels.CleanupAndDelete(ctx, h.srv.SeedTunnels(1)[0].ID)
			assert.Equal(t, 5*time.Second, time.Since(began))
			require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
			require.ErrorIs(t, err, context.Canceled)
		})
	})
	t.Run("time limit during a request", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client, tunnel := h.newClient(once), h.srv.SeedTunnels(1)[0]
			refusal := activeConnections
			refusal.Times, refusal.Delay = tunneltest.Always, 25*time.Second
			h.srv.Inject(refusal)
			_, err := client.Tunnels.CleanupAndDelete(t.Context(), tunnel.ID)
			require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.Sleep(time.Minute) // until the fake's delay ends
		})
	})
	t.Run("other errors", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, once)
		_, err := client.Tunnels.CleanupAndDelete(t.Context(), tunnelID)
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
		srv.Inject(tunneltest.Fault{Operation: opDelete, Status: 403})
		_, err = client.Tunnels.CleanupAndDelete(t.Context(), srv.SeedTunnels(1)[0].ID)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
	})
}

func TestTunnelsWaitForStatus(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient()
		wait := client.Tunnels.WaitForStatus
		const down, healthy = cftunnel.TunnelStatusDown, cftunnel.TunnelStatusHealthy
		tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		time.AfterFunc(10*time.Second, func() { _, _ = h.srv.Connect(tunnel.Token) })
		var seen []cftunnel.TunnelStatus
		before := len(h.srv.Requests())
		got, err := wait(t.Context(), tunnel.ID, healthy, cftunnel.WaitParams{
			Interval: 2 * time.Second,
			OnPoll:   func(t *cftunnel.Tunnel) { seen = append(seen, t.Status) },
		})
		require.NoError(t, err)
		assert.Equal(t, healthy, got.Status)
		const inactive = cftunnel.TunnelStatusInactive
		want := []cftunnel.TunnelStatus{inactive, inactive, inactive, inactive, healthy}
		assert.Equal(t, want, seen)
		requests := h.srv.Requests()[before:]
		for i := 2; i < len(requests); i++ {
			previous := requests[i-1].Time.Sub(requests[i-2].Time)
			assert.Greater(t, requests[i].Time.Sub(requests[i-1].Time), previous, "the pauses grow")
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		before = len(h.srv.Requests())
		got, err = wait(ctx, tunnel.ID, down, cftunnel.WaitParams{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "last seen healthy, not down")
		assert.Equal(t, healthy, got.Status)
		assert.InDelta(t, 240, len(h.srv.Requests())-before, 10, "a poll every 15 s")

		_, err = client.Tunnels.Delete(t.Context(), tunnel.ID,
			cftunnel.TunnelDeleteParams{Cascade: true})
		require.NoError(t, err)
		_, err = wait(t.Context(), tunnel.ID, healthy, cftunnel.WaitParams{})
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
		require.ErrorContains(t, err, "is deleted")
		_, err = wait(t.Context(), tunnel.ID, down, cftunnel.WaitParams{})
		require.ErrorIs(t, err, cftunnel.ErrNotFound, "a deleted tunnel is not down")
		_, err = wait(t.Context(), tunnelID, healthy, cftunnel.WaitParams{})
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
	})
}

func TestTunnelsWaitForStatus_InvalidArguments(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	for argument, call := range map[string]func() (*cftunnel.Tunnel, error){
		"status": func() (*cftunnel.Tunnel, error) {
			return client.Tunnels.WaitForStatus(t.Context(), tunnelID, "", cftunnel.WaitParams{})
		},
		"Interval": func() (*cftunnel.Tunnel, error) {
			params := cftunnel.WaitParams{Interval: -1}
			return client.Tunnels.WaitForStatus(t.Context(), tunnelID,
				cftunnel.TunnelStatusDown, params)
		},
	} {
		_, err := call()
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, argument, refused.Name)
	}
	assert.Empty(t, srv.Requests())
}

func TestTunnelsEnsure_CreateCount(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault   tunneltest.Fault
		creates int
		want    error
	}{
		"503: two creates":       {tunneltest.Fault{Status: 503}, 2, cftunnel.ErrOutcomeUnknown},
		"name taken: one create": {tunneltest.Fault{Status: 409, Body: refusalBody(1013)}, 1, cftunnel.ErrTunnelNameTaken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t, quick)
			test.fault.Operation, test.fault.Times = opCreate, tunneltest.Always
			srv.Inject(test.fault)
			params := cftunnel.TunnelCreateParams{Name: "n"}
			_, created, err := client.Tunnels.Ensure(t.Context(), params)
			require.ErrorIs(t, err, test.want)
			assert.False(t, created)
			creates := 0
			for _, operation := range operations(srv) {
				if operation == opCreate {
					creates++
				}
			}
			assert.Equal(t, test.creates, creates)
		})
	}
	t.Run("created by another client: one", func(t *testing.T) {
		t.Parallel()
		srv, other := newFake(t)
		params := cftunnel.TunnelCreateParams{Name: "n"}
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				_, err := other.Tunnels.Create(r.Context(), params)
				assert.NoError(t, err)
			}
			return http.DefaultTransport.RoundTrip(r)
		})
		client, err := srv.NewClient(cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
		require.NoError(t, err)
		tunnel, created, err := client.Tunnels.Ensure(t.Context(), params)
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, "n", tunnel.Name)
	})
}

func TestTunnelsRotateSecret_Token(t *testing.T) {
	t.Parallel()
	const secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	t.Run("token of the response", func(t *testing.T) {
		t.Parallel()
		client := clientOf(t, respond(200, ok(`{"id":"`+tunnelID+`","token":"any token"}`)))
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnelID,
			cftunnel.RotateParams{Secret: cftunnel.NewSecret(secret)})
		require.NoError(t, err)
		assert.Equal(t, "any token", rotation.Token.Reveal())
	})
	t.Run("composed token in lower case", func(t *testing.T) {
		t.Parallel()
		client := clientOf(t, respond(200, ok(`{"id":"`+tunnelID+`"}`)),
			cftunnel.WithAccountID(strings.ToUpper(accountID)))
		rotation, err := client.Tunnels.RotateSecret(t.Context(), strings.ToUpper(tunnelID),
			cftunnel.RotateParams{Secret: cftunnel.NewSecret(secret)})
		require.NoError(t, err)
		credentials, err := cftunnel.ParseTunnelToken(rotation.Token)
		require.NoError(t, err)
		assert.Equal(t, &cftunnel.TunnelCredentials{
			AccountTag: accountID, TunnelID: tunnelID, Secret: cftunnel.NewSecret(secret),
		}, credentials)
	})
}

func TestTunnelsCleanupAndDelete_Pauses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		refusal := activeConnections
		refusal.Times = 6
		h.srv.Inject(refusal)
		began := time.Now()
		_, err := client.Tunnels.CleanupAndDelete(t.Context(), tunnel.ID)
		require.NoError(t, err)
		assert.Equal(t, (1+2+4+8+10+10)*time.Second, time.Since(began))
	})
}

func TestTunnelsCleanupAndDelete_CleanupFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		h.srv.Inject(activeConnections)
		time.AfterFunc(500*time.Millisecond, func() {
			h.srv.Inject(tunneltest.Fault{Operation: opCleanup, Status: 403})
		})
		_, err := client.Tunnels.CleanupAndDelete(t.Context(), tunnel.ID)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
	})
}

func TestTunnelsWaitForStatus_LongInterval(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		params := cftunnel.WaitParams{Interval: 20 * time.Second}
		_, err := client.Tunnels.WaitForStatus(ctx, tunnel.ID, cftunnel.TunnelStatusHealthy, params)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, h.srv.Requests(), 5)
	})
}
