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

var quick = cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 1, MaxDelay: 1})

func TestTunnelsEnsure(t *testing.T) {
	t.Parallel()
	ensure := func(client *cftunnel.Client) (*cftunnel.Tunnel, bool, error) {
		return client.Tunnels.Ensure(context.Background(), cftunnel.TunnelCreateParams{Name: "blog"})
	}
	t.Run("makes what is not there, and finds it again", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t)
		made, created, err := ensure(client)
		require.NoError(t, err)
		assert.True(t, created)
		assert.False(t, made.Token.IsZero())
		found, created, err := ensure(client)
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, made.ID, found.ID)
		assert.True(t, found.Token.IsZero())
		assert.Equal(t, 1, carriedOut(srv, opCreate))
	})
	t.Run("returns no deleted one", func(t *testing.T) {
		t.Parallel()
		_, client := newFake(t)
		old, _, err := ensure(client)
		require.NoError(t, err)
		_, err = client.Tunnels.Delete(t.Context(), old.ID, cftunnel.TunnelDeleteParams{})
		require.NoError(t, err)
		made, created, err := ensure(client)
		require.NoError(t, err)
		assert.True(t, created)
		assert.NotEqual(t, old.ID, made.ID)
	})
	t.Run("finds what a lost answer made", func(t *testing.T) {
		t.Parallel()
		for name, fault := range map[string]tunneltest.Fault{
			"cut after the work": {Operation: opCreate, Cut: tunneltest.CutAfter},
			"a late 502":         {Operation: opCreate, Status: 502, Work: true},
			"half an answer":     {Operation: opCreate, Cut: tunneltest.CutInside},
		} {
			srv, client := newFake(t, quick)
			srv.Inject(fault)
			tunnel, created, err := ensure(client)
			require.NoError(t, err, name)
			assert.False(t, created, "it is not known")
			assert.Equal(t, "blog", tunnel.Name)
			assert.Equal(t, 1, carriedOut(srv, opCreate))
		}
	})
	t.Run("makes it where a lost create was not carried out", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, quick)
		srv.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutBefore})
		tunnel, created, err := ensure(client)
		require.NoError(t, err)
		assert.True(t, created)
		assert.False(t, tunnel.Token.IsZero())
		assert.Equal(t, 1, carriedOut(srv, opCreate))
	})
	t.Run("tells where nothing can be made", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, quick)
		srv.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutBefore, Times: tunneltest.Always})
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
	t.Run("remembers a lost create that may still come", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, quick)
		srv.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutBefore})
		srv.Inject(tunneltest.Fault{Operation: opCreate, Status: 403})
		_, created, err := ensure(client)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.False(t, created)
	})
	t.Run("by many at once makes one", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t)
		var group sync.WaitGroup
		var mu sync.Mutex
		ids, makers := map[string]bool{}, 0
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
					makers++
				}
			})
		}
		group.Wait()
		assert.Len(t, ids, 1)
		assert.Equal(t, 1, makers)
		assert.Equal(t, 1, carriedOut(srv, opCreate))
	})
	t.Run("tells of a name that something else has", func(t *testing.T) {
		t.Parallel()
		_, client := newFake(t)
		_, err := client.WARPConnectors.Create(t.Context(), cftunnel.WARPConnectorCreateParams{Name: "blog"})
		require.NoError(t, err)
		_, _, err = ensure(client)
		require.ErrorIs(t, err, cftunnel.ErrTunnelNameTaken)
	})
	t.Run("makes nothing where it cannot look", func(t *testing.T) {
		t.Parallel()
		for _, status := range []int{403, 404, 500} {
			srv, client := newFake(t, once)
			srv.Inject(tunneltest.Fault{Operation: opList, Status: status})
			_, _, err := ensure(client)
			require.Error(t, err)
			assert.Zero(t, carriedOut(srv, opCreate), status)
		}
	})
	t.Run("keeps both errors where it cannot look afterwards", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, once)
		srv.Inject(tunneltest.Fault{Operation: opList})
		srv.Inject(tunneltest.Fault{Operation: opCreate, Cut: tunneltest.CutAfter})
		srv.Inject(tunneltest.Fault{Operation: opList, Status: 403})
		_, _, err := ensure(client)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
	})
	t.Run("refuses bad parameters, unsent", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t)
		_, _, err := client.Tunnels.Ensure(t.Context(), cftunnel.TunnelCreateParams{Name: "n", Secret: cftunnel.NewSecret("short")})
		_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		assert.True(t, ok, "%v", err)
		assert.Empty(t, srv.Requests())
	})
}

func TestTunnelsRotateSecret(t *testing.T) {
	t.Parallel()
	setUp := func(t *testing.T) (*tunneltest.Server, *cftunnel.Client, *cftunnel.Tunnel, string) {
		srv, client := newFake(t, quick)
		tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		connector, err := srv.Connect(tunnel.Token)
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
	t.Run("as planned: standing connections stay", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, connector := setUp(t)
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{Secret: validSecret})
		require.NoError(t, err)
		assert.Equal(t, tunnel.ID, rotation.Tunnel.ID)
		assert.NotEqual(t, tunnel.Token, rotation.Token)
		assert.Equal(t, []string{`{"tunnel_secret":"` + validSecret.Reveal() + `"}`}, bodies(srv, opUpdate), "the secret alone")
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
	t.Run("after a compromise: rotate, then clean up", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, connector := setUp(t)
		before := len(srv.Requests())
		_, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{CleanupConnections: true})
		require.NoError(t, err)
		assert.Equal(t, []string{opUpdate, opCleanup}, operations(srv)[before:])
		_, err = client.Connectors.Get(t.Context(), tunnel.ID, connector)
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
	})
	t.Run("repeats a lost rotation with the same secret", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{})
		require.NoError(t, err)
		sent := bodies(srv, opUpdate)
		require.Len(t, sent, 2)
		assert.Equal(t, sent[0], sent[1])
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
	})
	t.Run("makes another secret each time", func(t *testing.T) {
		t.Parallel()
		_, client, tunnel, _ := setUp(t)
		one, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{})
		require.NoError(t, err)
		two, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{})
		require.NoError(t, err)
		assert.NotEqual(t, one.Token, two.Token)
	})
	t.Run("builds the token that the answer lacks", func(t *testing.T) {
		t.Parallel()
		client := clientOf(t, respond(200, `{"success":true,"result":{"id":"`+tunnelID+`"}}`))
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnelID, cftunnel.RotateParams{Secret: validSecret})
		require.NoError(t, err)
		credentials, err := cftunnel.ParseTunnelToken(rotation.Token)
		require.NoError(t, err)
		assert.Equal(t, &cftunnel.TunnelCredentials{AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret}, credentials)
	})
	t.Run("returns the rotation beside a clean-up that failed", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opCleanup, Status: 403})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{CleanupConnections: true})
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		assert.Contains(t, err.Error(), "is rotated, but cleaning up its connections failed")
		require.NotNil(t, rotation)
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
	})
	t.Run("keeps the token of a rotation whose answer never came", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter, Times: tunneltest.Always})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{CleanupConnections: true})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.NotNil(t, rotation)
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
		assert.Zero(t, carriedOut(srv, opCleanup), "before a rotation that is known, the thief would come back")
	})
	t.Run("keeps the token of a lost rotation whose repetition was refused", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter})
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Status: 403})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{})
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.NotNil(t, rotation)
		_, err = srv.Connect(rotation.Token)
		require.NoError(t, err)
	})
	t.Run("cleans nothing up where the rotation was refused", func(t *testing.T) {
		t.Parallel()
		srv, client, tunnel, _ := setUp(t)
		srv.Inject(tunneltest.Fault{Operation: opUpdate, Status: 403})
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{CleanupConnections: true})
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		assert.Nil(t, rotation)
		assert.Zero(t, carriedOut(srv, opCleanup))
	})
}

func TestWARPConnectorsRotateSecret(t *testing.T) {
	t.Parallel()
	const opPatch = "PATCH /accounts/{account_id}/warp_connector/{tunnel_id}"
	srv, client := newFake(t, quick)
	warp, err := client.WARPConnectors.Create(t.Context(), cftunnel.WARPConnectorCreateParams{Name: "n"})
	require.NoError(t, err)
	srv.Inject(tunneltest.Fault{Operation: opPatch, Cut: tunneltest.CutAfter})
	rotation, err := client.WARPConnectors.RotateSecret(t.Context(), warp.ID, cftunnel.RotateParams{})
	require.NoError(t, err)
	assert.NotEqual(t, warp.Token, rotation.Token)
	_, err = srv.Connect(warp.Token)
	require.Error(t, err)
	_, err = srv.Connect(rotation.Token)
	require.NoError(t, err)

	_, err = client.WARPConnectors.RotateSecret(t.Context(), warp.ID, cftunnel.RotateParams{CleanupConnections: true})
	_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.True(t, ok, "%v", err)

	t.Run("fetches the token that the answer lacks", func(t *testing.T) {
		t.Parallel()
		token := `"opaque"`
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			result := `{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}`
			if strings.HasSuffix(r.URL.Path, "/token") {
				result = token
			}
			respond(200, `{"success":true,"result":`+result+`}`)(w, r)
		})
		rotation, err := client.WARPConnectors.RotateSecret(t.Context(), tunnelID, cftunnel.RotateParams{})
		require.NoError(t, err)
		assert.Equal(t, "opaque", rotation.Token.Reveal())

		token = "null"
		rotation, err = client.WARPConnectors.RotateSecret(t.Context(), tunnelID, cftunnel.RotateParams{})
		require.ErrorContains(t, err, "is rotated, but reading its new token failed")
		require.NotNil(t, rotation)
		assert.Equal(t, tunnelID, rotation.Tunnel.ID)
	})
}

func TestTunnelsCleanupAndDelete(t *testing.T) {
	t.Parallel()
	t.Run("deletes a tunnel that runs", func(t *testing.T) {
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
	t.Run("again where replicas come back between", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
			refusal := tunneltest.Fault{Operation: opDelete, Status: 400, Body: `{"success":false,"errors":[{"code":1022,"message":"m"}]}`, Times: 3}
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
	t.Run("tells of the replicas where the time ends in a request", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client, tunnel := h.newClient(once), h.srv.SeedTunnels(1)[0]
			h.srv.Inject(tunneltest.Fault{
				Operation: opDelete, Status: 400, Body: `{"success":false,"errors":[{"code":1022,"message":"m"}]}`, Times: tunneltest.Always,
				Delay: 25 * time.Second,
			})
			_, err := client.Tunnels.CleanupAndDelete(t.Context(), tunnel.ID)
			require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.Sleep(time.Minute) // for the fake's delay to end
		})
	})
	t.Run("ends by other errors", func(t *testing.T) {
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
		tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		time.AfterFunc(10*time.Second, func() { _, _ = h.srv.Connect(tunnel.Token) })
		var seen []cftunnel.TunnelStatus
		before := len(h.srv.Requests())
		got, err := client.Tunnels.WaitForStatus(t.Context(), tunnel.ID, cftunnel.TunnelStatusHealthy, cftunnel.WaitParams{
			Interval: 2 * time.Second, OnPoll: func(t *cftunnel.Tunnel) { seen = append(seen, t.Status) },
		})
		require.NoError(t, err)
		assert.Equal(t, cftunnel.TunnelStatusHealthy, got.Status)
		assert.Equal(t, []cftunnel.TunnelStatus{"inactive", "inactive", "inactive", "inactive", "healthy"}, seen)
		requests := h.srv.Requests()[before:]
		for i := 2; i < len(requests); i++ {
			assert.Greater(t, requests[i].Time.Sub(requests[i-1].Time), requests[i-1].Time.Sub(requests[i-2].Time), "pauses grow")
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		before = len(h.srv.Requests())
		got, err = client.Tunnels.WaitForStatus(ctx, tunnel.ID, cftunnel.TunnelStatusDown, cftunnel.WaitParams{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "last seen healthy, not down")
		assert.Equal(t, cftunnel.TunnelStatusHealthy, got.Status)
		assert.InDelta(t, 240, len(h.srv.Requests())-before, 10, "every 15 s")

		_, err = client.Tunnels.Delete(t.Context(), tunnel.ID, cftunnel.TunnelDeleteParams{Cascade: true})
		require.NoError(t, err)
		_, err = client.Tunnels.WaitForStatus(t.Context(), tunnel.ID, cftunnel.TunnelStatusHealthy, cftunnel.WaitParams{})
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
		require.ErrorContains(t, err, "is deleted")
		_, err = client.Tunnels.WaitForStatus(t.Context(), tunnel.ID, cftunnel.TunnelStatusDown, cftunnel.WaitParams{})
		require.ErrorIs(t, err, cftunnel.ErrNotFound, "deleted comes before down")
		_, err = client.Tunnels.WaitForStatus(t.Context(), tunnelID, cftunnel.TunnelStatusHealthy, cftunnel.WaitParams{})
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
			return client.Tunnels.WaitForStatus(t.Context(), tunnelID, cftunnel.TunnelStatusDown, cftunnel.WaitParams{Interval: -1})
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
		fault tunneltest.Fault
		times int
		want  error
	}{
		"twice where answers are lost":           {tunneltest.Fault{Status: 503}, 2, cftunnel.ErrOutcomeUnknown},
		"once where the name is somebody else's": {tunneltest.Fault{Status: 409, Body: `{"success":false,"errors":[{"code":1013,"message":"m"}]}`}, 1, cftunnel.ErrTunnelNameTaken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t, quick)
			test.fault.Operation, test.fault.Times = opCreate, tunneltest.Always
			srv.Inject(test.fault)
			_, created, err := client.Tunnels.Ensure(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
			require.ErrorIs(t, err, test.want)
			assert.False(t, created)
			creates := 0
			for _, operation := range operations(srv) {
				if operation == opCreate {
					creates++
				}
			}
			assert.Equal(t, test.times, creates)
		})
	}
	t.Run("once where another was quicker", func(t *testing.T) {
		t.Parallel()
		srv, other := newFake(t)
		client, err := srv.NewClient(cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				_, err := other.Tunnels.Create(r.Context(), cftunnel.TunnelCreateParams{Name: "n"})
				assert.NoError(t, err)
			}
			return http.DefaultTransport.RoundTrip(r)
		})}))
		require.NoError(t, err)
		tunnel, created, err := client.Tunnels.Ensure(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, "n", tunnel.Name)
	})
}

func TestTunnelsRotateSecret_Token(t *testing.T) {
	t.Parallel()
	const secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	t.Run("is the answer's as it came", func(t *testing.T) {
		t.Parallel()
		client := clientOf(t, respond(200, `{"success":true,"result":{"id":"`+tunnelID+`","token":"as it came"}}`))
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnelID, cftunnel.RotateParams{Secret: cftunnel.NewSecret(secret)})
		require.NoError(t, err)
		assert.Equal(t, "as it came", rotation.Token.Reveal())
	})
	t.Run("is in lower case where it is made", func(t *testing.T) {
		t.Parallel()
		client := clientOf(t, respond(200, `{"success":true,"result":{"id":"`+tunnelID+`"}}`), cftunnel.WithAccountID(strings.ToUpper(accountID)))
		rotation, err := client.Tunnels.RotateSecret(t.Context(), strings.ToUpper(tunnelID), cftunnel.RotateParams{Secret: cftunnel.NewSecret(secret)})
		require.NoError(t, err)
		credentials, err := cftunnel.ParseTunnelToken(rotation.Token)
		require.NoError(t, err)
		assert.Equal(t, cftunnel.TunnelCredentials{AccountTag: accountID, TunnelID: tunnelID, Secret: cftunnel.NewSecret(secret)}, *credentials)
	})
}

func TestTunnelsCleanupAndDelete_Pauses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		h.srv.Inject(tunneltest.Fault{Operation: opDelete, Status: 400, Body: `{"success":false,"errors":[{"code":1022,"message":"m"}]}`, Times: 6})
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
		h.srv.Inject(tunneltest.Fault{Operation: opDelete, Status: 400, Body: `{"success":false,"errors":[{"code":1022,"message":"m"}]}`})
		time.AfterFunc(500*time.Millisecond, func() { h.srv.Inject(tunneltest.Fault{Operation: opCleanup, Status: 403}) })
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
		_, err := client.Tunnels.WaitForStatus(ctx, tunnel.ID, cftunnel.TunnelStatusHealthy, cftunnel.WaitParams{Interval: 20 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, h.srv.Requests(), 5)
	})
}
