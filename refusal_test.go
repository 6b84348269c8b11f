package cftunnel_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// A 404 is ErrNotFound only if it is a response of the API about the requested resource.
func TestErrNotFound(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		refusalBody(1002):                                       true,
		refusalBody(1054):                                       true,
		refusalBody(0):                                          true,
		`{"success":false,"errors":[]}`:                         true,
		`{"success":false,"errors":null,"result":null}`:         true,
		`{"success":false,"errors":["plain"]}`:                  true,
		`{"success":false,"errors":[{"code":"1002"}]}`:          true,
		refusalBody(7000):                                       false,
		refusalBody(7003):                                       false,
		`{"success":false,"errors":[{"code":"7003"}]}`:          false,
		`{"success":false,"errors":[7000]}`:                     false,
		`{"success":false,"errors":{"code":7003}}`:              false,
		`{"success":false,"errors":[{"code":1},{"code":7000}]}`: false,
		`{"success":false,"errors":[{"code":1,"error_chain":[{"code":2,"error_chain":[{"code":7003}]}]}]}`: false,
		loginPage:                          false,
		"":                                 false,
		"404 page not found\n":             false,
		`{}`:                               false,
		`null`:                             false,
		`[]`:                               false,
		`{"error":"not found"}`:            false,
		`{"message":"no Route matched"}`:   false,
		`{"success":false}`:                false,
		`{"success":false,"error":"nope"}`: false,
		`{"errors":[{"code":1002}]}`:       false,
		`{"success":true,"errors":[],"result":null}`:              false,
		`{"success":false,"errors":[{"code":1002,"message":"cut"`: false,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			client := canned(t, func(*http.Request) (int, string) { return 404, body })
			_, err := client.Tunnels.Get(t.Context(), tunnelID)
			assert.Equal(t, want, isNotFound(err), "%v", err)
			err = client.Do(t.Context(), http.MethodDelete, "x", nil, nil)
			assert.Equal(t, want, isNotFound(err), "%v", err)
			err = client.Connectors.Cleanup(t.Context(), tunnelID, cftunnel.CleanupParams{})
			assert.Equal(t, want, isNotFound(err), "%v", err)
			_, err = client.Tunnels.FindByName(t.Context(), "n")
			require.Error(t, err)
			assert.False(t, isNotFound(err), "the list is not found, not the tunnel: %v", err)
			_, created, err := client.Tunnels.Ensure(t.Context(),
				cftunnel.TunnelCreateParams{Name: "n"})
			require.Error(t, err)
			assert.False(t, created)
			assert.False(t, isNotFound(err))
		})
	}
}

func TestErrUnauthorized(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		body   string
		want   bool
	}{
		{401, refusalBody(1000), true},
		{401, loginPage, true},
		{401, "", true},
		{400, refusalBody(6003), true},
		{400, refusalBody(6103), true},
		{400, refusalBody(6111), true},
		{400, refusalBody(9106), true},
		{400, `{"success":false,"errors":[{"code":"9106"}]}`, true},
		{400, `{"success":false,"errors":[{"code":1,"error_chain":[{"code":6111}]}]}`, true},
		{400, refusalBody(1001), false},
		{400, loginPage, false},
		{403, refusalBody(9109), false},
		{403, refusalBody(10000), false},
		{404, refusalBody(6003), false},
		{500, refusalBody(9106), false},
		{200, refusalBody(6003), false},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.body), func(t *testing.T) {
			t.Parallel()
			client := canned(t, func(*http.Request) (int, string) { return test.status, test.body })
			_, err := client.Tunnels.Get(t.Context(), tunnelID)
			assert.Equal(t, test.want, isUnauthorized(err), "%v", err)
			if test.status == 400 {
				assert.ErrorIs(t, err, cftunnel.ErrBadRequest, "it is a bad request too")
			}
		})
	}
}

// Gateways respond with JSON of their own.
func TestError_TextOfOtherJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"error":"blocked by a policy"}`:                                                                        "blocked by a policy",
		`{"message":"no Route matched with those values"}`:                                                       "no Route matched with those values",
		`{"Message":"User is not authorized"}`:                                                                   "User is not authorized",
		`{"error":{"code":"x","message":"blocked by a policy"}}`:                                                 "blocked by a policy",
		`{"error":"invalid_token","error_description":"the token has expired"}`:                                  "invalid_token: the token has expired",
		`{"type":"about:blank","title":"Forbidden","status":403,"detail":"blocked by a policy","instance":"/x"}`: "Forbidden: blocked by a policy",
		`{"success":false,"message":"blocked by a policy"}`:                                                      "blocked by a policy",
		`{"success":false,"errors":[],"error":"blocked"}`:                                                        "blocked",
		`{"errors":["blocked by a policy"]}`:                                                                     "blocked by a policy",
		`{"errors":[{"message":"blocked by a policy"}]}`:                                                         "blocked by a policy",
		`{"errors":{"message":"blocked by a policy"}}`:                                                           "blocked by a policy",
		`{"error":["one","two"]}`:                                                                                "one: two",
		`{"detail":[{"loc":["query"],"msg":"field required"}]}`:                                                  "field required",
		`{"fault":{"faultstring":"over quota","detail":{"code":"q"}}}`:                                           "over quota",
		`{"error":"two\nlines"}`:                                                                                 "two lines",
		`{"error":"` + strings.Repeat("long ", 10_000) + `"}`:                                                    "long long long",
	} {
		for _, status := range []int{400, 403, 407, 422, 429, 451, 502} {
			t.Run(fmt.Sprint(status, body[:min(len(body), 60)]), func(t *testing.T) {
				t.Parallel()
				// A new client for each call: a 429 delays the next call of the same client.
				newClient := func() *cftunnel.Client {
					return canned(t, func(*http.Request) (int, string) { return status, body })
				}
				_, err := newClient().Tunnels.Get(t.Context(), tunnelID)
				require.ErrorContains(t, err, want)
				assert.Less(t, len(err.Error()), 4<<10)
				assert.NotContains(t, err.Error(), "\n")
				// If the operation returns a secret, the error contains only a short plain text.
				_, err = newClient().Tunnels.Token(t.Context(), tunnelID)
				require.Error(t, err)
				if len(want) < 200 && len(body) < 1000 {
					assert.ErrorContains(t, err, want)
				}
			})
		}
	}
}

func TestError_Redirect(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"https://login.example.com/cdn-cgi/access/login?token=" + planted: "redirects to login.example.com/cdn-cgi/access/login",
		"https://user:" + planted + "@login.example.com/x":                "redirects to login.example.com/x",
		"https://login.example.com/x#" + planted:                          "redirects to login.example.com/x",
		"//login.example.com/x":                                           "redirects to login.example.com/x",
		"/login":                                                          "/login",
		"https://login.example.com/a%20b":                                 "redirects to login.example.com/a%20b",
		"https://login.example.com/" + strings.Repeat("x", 5000):          "redirects to login.example.com/xxx",
		"https://login.example.com/" + apiToken:                           "redirects to login.example.com/",
	} {
		for _, status := range []int{300, 301, 302, 303, 307, 308} {
			t.Run(fmt.Sprint(status, " ", location[:min(len(location), 60)]), func(t *testing.T) {
				t.Parallel()
				client := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", location)
					w.WriteHeader(status)
				})
				_, err := client.Tunnels.Get(t.Context(), tunnelID)
				require.ErrorContains(t, err, want)
				assert.NotContains(t, err.Error(), planted)
				assert.NotContains(t, err.Error(), apiToken)
				assert.Less(t, len(err.Error()), 1000)
				_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
				require.ErrorContains(t, err, want)
				assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			})
		}
	}
}
