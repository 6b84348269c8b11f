package witness

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// statusV7 is the status of an error of v7, 0 where it has none. The error's type is internal to v7, but for its root package.
func statusV7(err error) int {
	var answered interface {
		error
		DumpResponse(body bool) []byte
	}
	if !errors.As(err, &answered) {
		return 0
	}
	var status int
	_, _ = fmt.Sscanf(string(answered.DumpResponse(false)), "HTTP/1.1 %d", &status)
	return status
}

func (f *fake) newV7(name string) zero_trust.TunnelCloudflaredNewParams {
	return account[zero_trust.TunnelCloudflaredNewParams](f, member{"Name", name})
}

func TestV7LosesTheContextAfterTheFirstPage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		seeded := f.SeedTunnels(4)
		ctx, cancel := context.WithCancel(t.Context())
		var names []string
		requests := f.during(func() {
			pages := f.v7().Cloudflared.ListAutoPaging(ctx, account[zero_trust.TunnelCloudflaredListParams](f, member{"PerPage", 2.0}))
			for pages.Next() {
				names = append(names, pages.Current().Name)
				cancel()
			}
			require.NoError(t, pages.Err())
		})
		assert.Equal(t, []string{seeded[0].Name, seeded[1].Name, seeded[2].Name, seeded[3].Name}, names, "nothing ends it")
		assert.Len(t, requests, 3)

		ctx, cancel = context.WithCancel(t.Context())
		names = nil
		var last error
		requests = f.during(func() {
			for tunnel, err := range f.ours().Tunnels.All(ctx, cftunnel.TunnelListParams{PerPage: 2}) {
				if last = err; err == nil {
					names = append(names, tunnel.Name)
				}
				cancel()
			}
		})
		require.ErrorIs(t, last, context.Canceled)
		assert.Equal(t, []string{seeded[0].Name, seeded[1].Name}, names)
		assert.Len(t, requests, 1)
	})
}

func TestV7AsksOnceTooOftenForTheEndOfAList(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		f.SeedTunnels(3)
		n := 0
		assert.Len(t, f.during(func() {
			pages := f.v7().Cloudflared.ListAutoPaging(t.Context(), account[zero_trust.TunnelCloudflaredListParams](f))
			for ; pages.Next(); n++ {
			}
			require.NoError(t, pages.Err())
		}), 2, "the second page is empty, as the first one told")
		assert.Equal(t, 3, n)

		assert.Len(t, f.during(func() {
			for _, err := range f.ours().Tunnels.All(t.Context(), cftunnel.TunnelListParams{}) {
				require.NoError(t, err)
			}
		}), 1)
	})
}

func TestV7ReadsAPageThatRepeatsForEver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		page := func(total int) tunneltest.Fault {
			return tunneltest.Fault{Operation: opList, Times: tunneltest.Always, Body: fmt.Sprintf(`{"success":true,"errors":[],"messages":[],`+
				`"result":[{"id":"%[1]s","name":"a"},{"id":"%[1]s","name":"b"}],`+
				`"result_info":{"count":2,"page":1,"per_page":2,"total_count":%[2]d}}`, nobody, total)}
		}
		f.Inject(page(2))
		const enough = 1000
		requests := f.during(func() {
			pages := f.v7().Cloudflared.ListAutoPaging(t.Context(), account[zero_trust.TunnelCloudflaredListParams](f))
			for range 2 * enough {
				require.True(t, pages.Next(), "this ends: %v", pages.Err())
			}
		})
		assert.Len(t, requests, enough)

		// For this client the first page would be all. Where there are to be more, the second is seen to be the first again.
		f.ClearFaults()
		f.Inject(page(9))
		var last error
		requests = f.during(func() {
			for _, last = range f.ours().Tunnels.All(t.Context(), cftunnel.TunnelListParams{}) {
			}
		})
		require.ErrorContains(t, last, "page")
		assert.Len(t, requests, 2)
	})
}

// v6.10 does the same, with eleven requests over three minutes.
func TestV7CreatesAgainWhatItCreated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]tunneltest.Fault{
		"the answer is lost":      {Operation: opCreate, Cut: tunneltest.CutAfter},
		"the edge gives up":       {Operation: opCreate, Status: http.StatusBadGateway, Body: "<html>", Work: true},
		"the server is too slow":  {Operation: opCreate, Status: http.StatusGatewayTimeout, Work: true},
		"the server breaks after": {Operation: opCreate, Status: http.StatusInternalServerError, Body: `{"success":false}`, Work: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, f *fake) {
				f.Inject(fault)
				requests := f.during(func() {
					_, err := f.v7().Cloudflared.New(t.Context(), f.newV7("theirs"))
					// It says that somebody else has the name.
					require.ErrorContains(t, err, "1013")
					assert.Equal(t, http.StatusConflict, statusV7(err))
				})
				assert.Equal(t, 1, done(requests), "the first one made the tunnel")
				assert.Len(t, requests, 3, "a 409 is tried again too")

				f.Inject(fault)
				requests = f.during(func() {
					_, err := f.ours().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "ours"})
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				})
				assert.Equal(t, 1, done(requests))
				assert.Len(t, requests, 1)
				found, err := f.ours().Tunnels.FindByName(t.Context(), "ours")
				require.NoError(t, err)
				assert.False(t, found.IsDeleted())
			})
		})
	}
}

func TestV7CreatesAgainWhereTheNameIsTaken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		name := f.SeedTunnels(1)[0].Name
		requests := f.during(func() {
			_, err := f.v7().Cloudflared.New(t.Context(), f.newV7(name))
			require.ErrorContains(t, err, "1013")
		})
		assert.Len(t, requests, 3)

		requests = f.during(func() {
			_, err := f.ours().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: name})
			require.ErrorIs(t, err, cftunnel.ErrTunnelNameTaken)
		})
		assert.Len(t, requests, 1)
	})
}

// Cloudflare's schema has the kinds as values of their own, and the API reads one value, with commas.
func TestV7AsksForOneKindOfSeveral(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		f.SeedTunnels(1)
		_, err := f.ours().WARPConnectors.Create(t.Context(), cftunnel.WARPConnectorCreateParams{Name: "net"})
		require.NoError(t, err)
		requests := f.during(func() {
			page, err := f.v7().List(t.Context(), account[zero_trust.TunnelListParams](f,
				member{"TunTypes", []zero_trust.TunnelListParamsTunType{"warp_connector", "cfd_tunnel"}}))
			require.NoError(t, err)
			assert.Len(t, page.Result, 1)
		})
		assert.Equal(t, []string{"warp_connector", "cfd_tunnel"}, requests[0].Query["tun_types"])

		requests = f.during(func() {
			page, err := f.ours().Tunnels.ListAllTypes(t.Context(), cftunnel.AllTypesListParams{
				Types: []cftunnel.TunnelType{cftunnel.TunnelTypeWARPConnector, cftunnel.TunnelTypeCloudflared},
			})
			require.NoError(t, err)
			assert.Len(t, page.Items, 2)
		})
		assert.Equal(t, []string{"warp_connector,cfd_tunnel"}, requests[0].Query["tun_types"])
	})
}

// failedWith200 is an answer that says by its body alone that it is a failure.
const failedWith200 = `{"success":false,"errors":[{"code":1001,"message":"internal"}],"messages":[],"result":null}`

func TestV7TakesAFailureForSuccess(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		id := f.SeedTunnels(1)[0].ID
		f.Inject(tunneltest.Fault{Times: 4, Body: failedWith200})
		got, err := f.v7().Cloudflared.Get(t.Context(), id, account[zero_trust.TunnelCloudflaredGetParams](f))
		require.NoError(t, err)
		assert.Empty(t, got.ID)
		created, err := f.v7().Cloudflared.New(t.Context(), f.newV7("n"))
		require.NoError(t, err)
		assert.Empty(t, created.ID)

		_, err = f.ours().Tunnels.Get(t.Context(), id)
		assert.True(t, cftunnel.HasCode(err, 1001), "%v", err)
		_, err = f.ours().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		assert.True(t, cftunnel.HasCode(err, 1001), "%v", err)
	})
}

func TestV7LetsAnIDChangeTheURL(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		const id = "../../zones/1?x="
		requests := f.during(func() {
			_, err := f.v7().Cloudflared.Get(t.Context(), id, account[zero_trust.TunnelCloudflaredGetParams](f))
			require.Error(t, err)
		})
		require.Len(t, requests, 1)
		assert.Equal(t, "/accounts/zones/1", requests[0].Path)
		assert.Contains(t, requests[0].Query, "x")
		// It leads as well to the tunnel of another account.
		other, err := f.ours().ForAccount(strings.Repeat("0", 32))
		require.NoError(t, err)
		foreign, err := other.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		_, err = f.v7().Cloudflared.Delete(t.Context(), "../../"+other.AccountID()+"/cfd_tunnel/"+foreign.ID,
			account[zero_trust.TunnelCloudflaredDeleteParams](f))
		require.NoError(t, err)
		foreign, err = other.Tunnels.Get(t.Context(), foreign.ID)
		require.NoError(t, err)
		assert.True(t, foreign.IsDeleted())

		requests = f.during(func() {
			_, err := f.ours().Tunnels.Get(t.Context(), id)
			var refused *cftunnel.InvalidArgumentError
			require.ErrorAs(t, err, &refused)
		})
		assert.Empty(t, requests)
	})
}

func TestV7PrintsSecrets(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		secret := cftunnel.NewTunnelSecret()
		var text strings.Builder
		created, err := f.v7(option.WithDebugLog(log.New(&text, "", 0))).Cloudflared.New(t.Context(),
			account[zero_trust.TunnelCloudflaredNewParams](f, member{"Name", "theirs"}, member{"TunnelSecret", secret.Reveal()}))
		require.NoError(t, err)
		token := f.tokenV7(created.ID)
		assert.Contains(t, text.String(), `"tunnel_secret":"`+secret.Reveal())
		assert.Contains(t, text.String(), token.Reveal())
		assert.NotContains(t, text.String(), f.APIToken().Reveal(), "the header it knows")
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			assert.Contains(t, fmt.Sprintf(verb, *created), token.Reveal(), verb)
			assert.Contains(t, fmt.Sprintf(verb, created), token.Reveal(), verb)
		}

		text.Reset()
		own, err := f.ours(cftunnel.WithLogger(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})))).
			Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "ours", Secret: secret})
		require.NoError(t, err)
		require.NotEmpty(t, text.String())
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			fmt.Fprintf(&text, verb+verb, own, *own)
		}
		assert.NotContains(t, text.String(), secret.Reveal())
		assert.NotContains(t, text.String(), own.Token.Reveal())
		assert.NotContains(t, text.String(), f.APIToken().Reveal())
	})
}

func TestV7SleepsThroughTheDeadlineAndForgetsWhy(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		id := f.SeedTunnels(1)[0].ID
		limited := tunneltest.Fault{
			Status: http.StatusTooManyRequests, Body: `{"success":false,"errors":[{"code":10429,"message":"slow down"}]}`,
			Header: http.Header{"Retry-After": {"300"}},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		f.Inject(limited)
		began := time.Now()
		_, err := f.v7().Cloudflared.Get(ctx, id, account[zero_trust.TunnelCloudflaredGetParams](f))
		assert.Equal(t, context.DeadlineExceeded, err, "and no word of the limit")
		assert.Equal(t, 3*time.Second, time.Since(began))

		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		f.Inject(limited)
		began = time.Now()
		_, err = f.ours().Tunnels.Get(ctx, id)
		require.ErrorIs(t, err, cftunnel.ErrRateLimited)
		failure, ok := errors.AsType[*cftunnel.Error](err)
		require.True(t, ok)
		assert.Equal(t, 5*time.Minute, failure.RetryAfter)
		assert.True(t, cftunnel.HasCode(err, 10429))
		assert.Zero(t, time.Since(began))
	})
}
