package witness

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// hasType reports whether an error is of a type, or wraps one that is.
func hasType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestV0UpdatesWithoutATunnelID(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		tunnel := f.SeedTunnels(1)[0]
		v0, rc := f.v0()
		requests := f.during(func() {
			// Its parameters have no field for the id.
			_, err := v0.UpdateTunnel(t.Context(), rc, cloudflare.TunnelUpdateParams{Name: "new"})
			require.Error(t, err)
		})
		require.Len(t, requests, 1)
		assert.Equal(t, http.MethodPatch, requests[0].Method)
		assert.Equal(t, "/accounts/"+f.AccountID()+"/cfd_tunnel", requests[0].Path)
		assert.Equal(t, http.StatusMethodNotAllowed, requests[0].Status)

		updated, err := f.ours().Tunnels.Update(t.Context(), tunnel.ID, cftunnel.TunnelUpdateParams{Name: "new"})
		require.NoError(t, err)
		assert.Equal(t, "new", updated.Name)
		_, err = f.ours().Tunnels.Update(t.Context(), "", cftunnel.TunnelUpdateParams{Name: "new"})
		assert.True(t, hasType[*cftunnel.InvalidArgumentError](err))
	})
}

func TestV0SwapsTheTypesOf401And403(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		v0, rc := f.v0()
		id := f.SeedTunnels(1)[0].ID

		f.AddToken(tunneltest.Token{Text: f.APIToken(), ReadOnly: true}) // 403: it is known, and may not
		err := v0.DeleteTunnel(t.Context(), rc, id)
		assert.True(t, hasType[*cloudflare.AuthenticationError](err), "%T", err)
		assert.False(t, hasType[*cloudflare.AuthorizationError](err))
		_, err = f.ours().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
		require.ErrorIs(t, err, cftunnel.ErrForbidden)

		v0.APIToken = "unknown" // 401
		err = v0.DeleteTunnel(t.Context(), rc, id)
		assert.True(t, hasType[*cloudflare.AuthorizationError](err), "%T", err)
		assert.False(t, hasType[*cloudflare.AuthenticationError](err))
		_, err = f.ours(cftunnel.WithAPIToken("unknown")).Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
		require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	})
}

func TestV0LosesWhatA429Says(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		id := f.SeedTunnels(1)[0].ID
		f.Inject(tunneltest.Fault{
			Operation: opGet, Times: tunneltest.Always, Status: http.StatusTooManyRequests,
			Body:   `{"success":false,"errors":[{"code":10429,"message":"slow down"}]}`,
			Header: http.Header{"Retry-After": {"300"}},
		})
		v0, rc := f.v0()
		began := time.Now()
		requests := f.during(func() {
			_, err := v0.GetTunnel(t.Context(), rc, id)
			require.Error(t, err)
			assert.False(t, hasType[*cloudflare.RatelimitError](err), "its type for this is never used")
			assert.False(t, hasType[*cloudflare.Error](err))
			assert.NotContains(t, err.Error(), "10429")
			assert.NotContains(t, err.Error(), "300")
		})
		assert.Len(t, requests, 4, "against the server's word")
		assert.Equal(t, 7*time.Second, time.Since(began))

		began = time.Now()
		requests = f.during(func() {
			_, err := f.ours().Tunnels.Get(t.Context(), id)
			require.ErrorIs(t, err, cftunnel.ErrRateLimited)
			failure, ok := errors.AsType[*cftunnel.Error](err)
			require.True(t, ok)
			assert.Equal(t, 5*time.Minute, failure.RetryAfter)
			assert.True(t, cftunnel.HasCode(err, 10429))
			assert.NotEmpty(t, failure.RayID)
		})
		assert.Len(t, requests, 1)
		assert.Zero(t, time.Since(began))
	})
}

func TestV0LosesTheStatusOfHTML(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusBadGateway} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, f *fake) {
				id := f.SeedTunnels(1)[0].ID
				f.Inject(tunneltest.Fault{
					Times: tunneltest.Always, Status: status, Body: "<html>blocked</html>", Header: http.Header{"Content-Type": {"text/html"}},
				})
				v0, rc := f.v0()
				_, err := v0.GetTunnel(t.Context(), rc, id)
				require.Error(t, err)
				assert.False(t, hasType[*cloudflare.Error](err), "no status, no ray id")
				if status < 500 {
					assert.ErrorContains(t, err, "invalid character '<'")
					assert.NotContains(t, err.Error(), http.StatusText(status))
				} else {
					// The text alone tells, as of every 5xx, and its type for these is never used.
					assert.ErrorContains(t, err, "HTTP 502")
					assert.False(t, hasType[*cloudflare.ServiceError](err))
				}

				_, err = f.ours().Tunnels.Get(t.Context(), id)
				failure, ok := errors.AsType[*cftunnel.Error](err)
				require.True(t, ok)
				assert.Equal(t, status, failure.StatusCode)
				assert.Contains(t, failure.Body, "blocked")
				assert.NotEmpty(t, failure.RayID)
			})
		})
	}
}

func TestV0OverwritesThePageBefore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		first := f.SeedTunnels(100)
		time.Sleep(time.Hour)
		second := f.SeedTunnels(1)[0]
		v0, rc := f.v0()
		list, _, err := v0.ListTunnels(t.Context(), rc, cloudflare.TunnelListParams{})
		require.NoError(t, err)
		require.Len(t, list, 101)
		// All the pages are decoded into the same values, whose times are pointers.
		assert.Equal(t, first[0].ID, list[0].ID)
		assert.Same(t, list[0].CreatedAt, list[100].CreatedAt)
		assert.Equal(t, second.CreatedAt, *list[0].CreatedAt, "an hour late")
		assert.Equal(t, first[1].CreatedAt, *list[1].CreatedAt)

		i := 0
		for tunnel, err := range f.ours().Tunnels.All(t.Context(), cftunnel.TunnelListParams{PerPage: 100}) {
			require.NoError(t, err)
			assert.Equal(t, append(first, second)[i], *tunnel)
			i++
		}
		assert.Equal(t, 101, i)
	})
}

func TestV0TakesAFailureForSuccess(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		id := f.SeedTunnels(1)[0].ID
		f.Inject(tunneltest.Fault{Times: 3, Body: failedWith200})
		v0, rc := f.v0()
		got, err := v0.GetTunnel(t.Context(), rc, id)
		require.NoError(t, err)
		assert.Equal(t, cloudflare.Tunnel{}, got)
		require.NoError(t, v0.DeleteTunnel(t.Context(), rc, id), "it is not deleted")

		_, err = f.ours().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
		assert.True(t, cftunnel.HasCode(err, 1001), "%v", err)
		tunnel, err := f.ours().Tunnels.Get(t.Context(), id)
		require.NoError(t, err)
		assert.False(t, tunnel.IsDeleted())
	})
}

func TestV0CreatesAgainWhatItCreated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]tunneltest.Fault{
		"the answer is lost": {Operation: opCreate, Cut: tunneltest.CutAfter},
		"the edge gives up":  {Operation: opCreate, Status: http.StatusBadGateway, Work: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, f *fake) {
				v0, rc := f.v0()
				f.Inject(fault)
				requests := f.during(func() {
					_, err := v0.CreateTunnel(t.Context(), rc,
						cloudflare.TunnelCreateParams{Name: "theirs", Secret: cftunnel.NewTunnelSecret().Reveal()})
					failure, ok := errors.AsType[*cloudflare.Error](err)
					require.True(t, ok, "%v", err)
					assert.True(t, failure.InternalErrorCodeIs(1013), "it says that somebody else has the name")
				})
				assert.Equal(t, 1, done(requests), "the first one made the tunnel")
				assert.Len(t, requests, 2, "a 409 is not tried again")

				f.Inject(fault)
				requests = f.during(func() {
					_, err := f.ours().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "ours"})
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				})
				assert.Equal(t, 1, done(requests))
				assert.Len(t, requests, 1)
			})
		})
	}
}

func TestV0LetsAnIDChangeTheURL(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		v0, rc := f.v0()
		requests := f.during(func() {
			_, err := v0.GetTunnel(t.Context(), rc, "../../zones/1?x=")
			require.Error(t, err)
		})
		require.Len(t, requests, 1)
		assert.Contains(t, requests[0].Query, "x")
		requests = f.during(func() {
			require.Error(t, v0.DeleteTunnel(t.Context(), rc, ""))
		})
		require.Len(t, requests, 1, "an empty id too, of Delete alone")
		assert.Equal(t, http.MethodDelete, requests[0].Method)

		for _, id := range []string{"../../zones/1?x=", ""} {
			requests = f.during(func() {
				_, err := f.ours().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
				assert.True(t, hasType[*cftunnel.InvalidArgumentError](err))
			})
			assert.Empty(t, requests)
		}
	})
}
