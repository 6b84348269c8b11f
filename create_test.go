package cftunnel_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// creates are the calls that create a tunnel with the name "n".
var creates = map[string]func(
	context.Context, *cftunnel.Client,
) (t *cftunnel.Tunnel, created bool, err error){
	"Tunnels.Create": func(
		ctx context.Context, c *cftunnel.Client,
	) (*cftunnel.Tunnel, bool, error) {
		t, err := c.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "n"})
		return t, t != nil, err
	},
	"Tunnels.Ensure": func(
		ctx context.Context, c *cftunnel.Client,
	) (*cftunnel.Tunnel, bool, error) {
		return c.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{Name: "n"})
	},
	"WARPConnectors.Create": func(
		ctx context.Context, c *cftunnel.Client,
	) (*cftunnel.Tunnel, bool, error) {
		t, err := c.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: "n"})
		return t, t != nil, err
	},
}

// If the response to a create lacks the token, the method fetches the token.
func TestTunnelsCreate_ResponseWithoutToken(t *testing.T) {
	t.Parallel()
	for name, create := range creates {
		for _, member := range []string{``, `,"token":""`, `,"token":null`} {
			for _, test := range []struct {
				name   string
				status int
				body   string
				is     error // nil if the token can be read
			}{
				{"token", 200, `{"success":true,"result":"the token"}`, nil},
				{"no permission", 403, refusalBody(10000), cftunnel.ErrForbidden},
				{"server error", 502, loginPage, cftunnel.ErrServer},
			} {
				t.Run(name+member+" "+test.name, func(t *testing.T) {
					t.Parallel()
					posts := 0
					client := canned(t, func(r *http.Request) (int, string) {
						switch {
						case r.Method == http.MethodPost:
							posts++
							return 200, `{"success":true,"result":{"id":"` + tunnelID +
								`","name":"n"` + member + `}}`
						case strings.HasSuffix(r.URL.Path, "/"+tunnelID+"/token"):
							return test.status, test.body
						}
						return 200, `{"success":true,"result":[]}`
					})
					tunnel, created, err := create(t.Context(), client)
					require.NotNil(t, tunnel, "the tunnel exists")
					assert.Equal(t, tunnelID, tunnel.ID)
					assert.True(t, created)
					assert.Equal(t, 1, posts)
					if test.is == nil {
						require.NoError(t, err)
						assert.Equal(t, "the token", tunnel.Token.Reveal())
						return
					}
					require.ErrorIs(t, err, test.is)
					assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown, "the tunnel exists")
					assert.ErrorContains(t, err, tunnelID)
					assert.True(t, tunnel.Token.IsZero())
				})
			}
		}
	}
}

// A 409 without a known code may mean that the name is taken.
func TestTunnelsEnsure_ConflictWithoutCode(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		loginPage, " ", `{"error":"conflict"}`, `{"success":false,"errors":["name taken"]}`, `{"success":false,"errors":[]}`,
		`{"success":false,"errors":[{"code":"","message":"m"}]}`, `{"success":false,"errors":[{"code":1234,"message":"m"}]}`,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			t.Run("tunnel exists", func(t *testing.T) {
				t.Parallel()
				srv, client := newFake(t, quick)
				params := cftunnel.TunnelCreateParams{Name: "n"}
				existing, err := client.Tunnels.Create(t.Context(), params)
				require.NoError(t, err)
				// The first search does not find the tunnel yet.
				empty := `{"success":true,"errors":[],"result":[]}`
				srv.Inject(tunneltest.Fault{Operation: opList, Body: empty})
				srv.Inject(tunneltest.Fault{Operation: opCreate, Status: 409, Body: body})
				tunnel, created, err := client.Tunnels.Ensure(t.Context(), params)
				require.NoError(t, err)
				assert.False(t, created)
				assert.Equal(t, existing.ID, tunnel.ID)
				assert.Equal(t, 1, carriedOut(srv, opCreate))
			})
			t.Run("tunnel does not exist", func(t *testing.T) {
				t.Parallel()
				srv, client := newFake(t, quick)
				srv.Inject(tunneltest.Fault{
					Operation: opCreate, Status: 409, Body: body, Times: tunneltest.Always,
				})
				params := cftunnel.TunnelCreateParams{Name: "n"}
				tunnel, created, err := client.Tunnels.Ensure(t.Context(), params)
				require.ErrorIs(t, err, cftunnel.ErrConflict)
				assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				assert.Nil(t, tunnel)
				assert.False(t, created)
			})
		})
	}
}
