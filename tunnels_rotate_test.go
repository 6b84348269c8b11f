package cftunnel_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Only a token contains the endpoint, so RotateSecret copies it from one when it composes a token.
func TestTunnelsRotateSecret_Endpoint(t *testing.T) {
	t.Parallel()
	old := cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID,
		Secret: cftunnel.NewTunnelSecret(), Endpoint: "fed",
	}
	renewed := old
	renewed.Secret = validSecret
	withoutEndpoint := renewed
	withoutEndpoint.Endpoint = ""
	const noToken = `{"id":"` + tunnelID + `"}`
	withToken := func(c cftunnel.TunnelCredentials) string {
		return `{"id":"` + tunnelID + `","token":"` + c.Token().Reveal() + `"}`
	}
	text := func(c cftunnel.TunnelCredentials) string { return `"` + c.Token().Reveal() + `"` }
	for name, test := range map[string]struct {
		patch, token string // results of PATCH and of Token; the connection breaks if empty
		want         cftunnel.TunnelCredentials
		unknown      bool
	}{
		"new token":                 {withToken(renewed), "", renewed, false},
		"no token, new one fetched": {noToken, text(renewed), renewed, false},
		"no token, old one fetched": {noToken, text(old), renewed, false},
		"no token, fetching fails":  {noToken, "", withoutEndpoint, false},
		"old token":                 {withToken(old), "", renewed, true},
		"lost response":             {"", "", withoutEndpoint, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				result := test.patch
				if r.Method == http.MethodGet {
					result = test.token
				}
				if result == "" {
					panic(http.ErrAbortHandler)
				}
				respond(200, `{"success":true,"result":`+result+`}`)(w, r)
			}, quick)
			rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnelID,
				cftunnel.RotateParams{Secret: validSecret})
			if test.unknown {
				require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			} else {
				require.NoError(t, err)
			}
			credentials, err := cftunnel.ParseTunnelToken(rotation.Token)
			require.NoError(t, err)
			assert.Equal(t, &test.want, credentials)
		})
	}
}
