package cftunnel_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

const (
	otherID = "00000000-a4ef-4643-bbbc-4a0ed4fc8415"
	hexID   = "f70ff985a4ef4643bbbc4a0ed4fc8415" // of an API token or a DNS record
)

// identityCalls are the calls whose response contains the ID of the requested resource. result is
// the result of such a response, with a verb for the ID.
var identityCalls = map[string]struct {
	call   func(context.Context, *cftunnel.Client) error
	result string
	write  bool
}{
	"Tunnels.Get": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Tunnels.Get(ctx, tunnelID)
		return err
	}, `{"id":%q}`, false},
	"Tunnels.Update": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Tunnels.Update(ctx, tunnelID, cftunnel.TunnelUpdateParams{Name: "n"})
		return err
	}, `{"id":%q,"name":"n"}`, true},
	"Tunnels.Delete": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Tunnels.Delete(ctx, tunnelID, cftunnel.TunnelDeleteParams{})
		return err
	}, `{"id":%q}`, true},
	"Tunnels.RotateSecret": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Tunnels.RotateSecret(ctx, tunnelID, cftunnel.RotateParams{Secret: validSecret})
		return err
	}, `{"id":%q,"token":"t"}`, true},
	"Tunnels.Configuration": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Tunnels.Configuration(ctx, tunnelID)
		return err
	}, `{"tunnel_id":%q,"version":1}`, false},
	"Tunnels.UpdateConfiguration": {func(ctx context.Context, c *cftunnel.Client) error {
		config := cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{{Service: "http_status:404"}}}
		_, err := c.Tunnels.UpdateConfiguration(ctx, tunnelID, config)
		return err
	}, `{"tunnel_id":%q,"version":1,"source":"cloudflare"}`, true},
	"Connectors.Get": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Connectors.Get(ctx, otherID, tunnelID)
		return err
	}, `{"id":%q}`, false},
	"WARPConnectors.Get": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.WARPConnectors.Get(ctx, tunnelID)
		return err
	}, `{"id":%q}`, false},
	"WARPConnectors.Update": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.WARPConnectors.Update(ctx, tunnelID,
			cftunnel.TunnelUpdateParams{Secret: validSecret})
		return err
	}, `{"id":%q}`, true},
	"WARPConnectors.Delete": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.WARPConnectors.Delete(ctx, tunnelID, cftunnel.TunnelDeleteParams{})
		return err
	}, `{"id":%q}`, true},
	"WARPConnectors.RotateSecret": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.WARPConnectors.RotateSecret(ctx, tunnelID, cftunnel.RotateParams{})
		return err
	}, `{"id":%q,"token":"t"}`, true},
	"WARPConnectors.Connector": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.WARPConnectors.Connector(ctx, otherID, tunnelID)
		return err
	}, `{"id":%q}`, false},
	"WARPConnectors.Configuration": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.WARPConnectors.Configuration(ctx, tunnelID)
		return err
	}, `{"tunnel_id":%q,"ha_mode":"none"}`, false},
	"WARPConnectors.UpdateConfiguration": {func(ctx context.Context, c *cftunnel.Client) error {
		params := cftunnel.WARPConfigurationParams{HAMode: "none"}
		_, err := c.WARPConnectors.UpdateConfiguration(ctx, tunnelID, params)
		return err
	}, `{"tunnel_id":%q,"ha_mode":"none"}`, true},
	"Routes.Get": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Routes.Get(ctx, tunnelID)
		return err
	}, `{"id":%q,"network":"10.0.0.0/8"}`, false},
	"Routes.Update": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Routes.Update(ctx, tunnelID, cftunnel.RouteUpdateParams{Comment: new("c")})
		return err
	}, `{"id":%q,"network":"10.0.0.0/8"}`, true},
	"Routes.Delete": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.Routes.Delete(ctx, tunnelID)
		return err
	}, `{"id":%q,"network":"10.0.0.0/8"}`, true},
	"VirtualNetworks.Get": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.VirtualNetworks.Get(ctx, tunnelID)
		return err
	}, `{"id":%q}`, false},
	"VirtualNetworks.Update": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.VirtualNetworks.Update(ctx, tunnelID,
			cftunnel.VirtualNetworkUpdateParams{Name: "n"})
		return err
	}, `{"id":%q}`, true},
	"VirtualNetworks.Delete": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.VirtualNetworks.Delete(ctx, tunnelID, cftunnel.VirtualNetworkDeleteParams{})
		return err
	}, `{"id":%q}`, true},
	"HostnameRoutes.Get": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.HostnameRoutes.Get(ctx, tunnelID)
		return err
	}, `{"id":%q,"hostname":"h"}`, false},
	"HostnameRoutes.Update": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.HostnameRoutes.Update(ctx, tunnelID,
			cftunnel.HostnameRouteUpdateParams{Comment: new("c")})
		return err
	}, `{"id":%q,"hostname":"h"}`, true},
	"HostnameRoutes.Delete": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.HostnameRoutes.Delete(ctx, tunnelID)
		return err
	}, `{"id":%q,"hostname":"h"}`, true},
	"UserTokens.Get": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.UserTokens.Get(ctx, hexID)
		return err
	}, `{"id":%q,"name":"n","status":"active"}`, false},
	"AccountTokens.Update": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.AccountTokens.Update(ctx, hexID, cftunnel.APITokenUpdateParams{
			Name: "n", Policies: []cftunnel.TokenPolicy{
				cftunnel.AccountPolicy(accountID, cftunnel.PermissionDNSWrite),
			},
		})
		return err
	}, `{"id":%q,"name":"n","status":"active"}`, true},
	"UserTokens.Delete": {func(ctx context.Context, c *cftunnel.Client) error {
		return c.UserTokens.Delete(ctx, hexID)
	}, `{"id":%q}`, true},
	"DNSRecords.Get": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.DNSRecords.Get(ctx, accountID, hexID)
		return err
	}, `{"id":%q,"type":"CNAME","name":"n.example.com","content":"c"}`, false},
	"DNSRecords.Update": {func(ctx context.Context, c *cftunnel.Client) error {
		_, err := c.DNSRecords.Update(ctx, accountID, hexID,
			cftunnel.DNSRecordUpdateParams{Content: "c"})
		return err
	}, `{"id":%q,"type":"CNAME","name":"n.example.com","content":"c"}`, true},
	"DNSRecords.Delete": {func(ctx context.Context, c *cftunnel.Client) error {
		return c.DNSRecords.Delete(ctx, accountID, hexID)
	}, `{"id":%q}`, true},
}

func TestResponse_OtherID(t *testing.T) {
	t.Parallel()
	for name, c := range identityCalls {
		requested := tunnelID
		if isHex := strings.Contains(name, "Tokens.") || strings.HasPrefix(name, "DNS"); isHex {
			requested = hexID
		}
		for id, accepted := range map[string]bool{
			requested: true, strings.ToUpper(requested): true,
			otherID: false, accountID: false, requested + "0": false, "n": false,
		} {
			t.Run(name+" "+id, func(t *testing.T) {
				t.Parallel()
				body := ok(fmt.Sprintf(c.result, id))
				requests := 0
				client := canned(t, func(*http.Request) (int, string) {
					requests++
					return 200, body
				})
				err := c.call(t.Context(), client)
				assert.Equal(t, 1, requests, "no retry")
				if accepted {
					require.NoError(t, err)
					return
				}
				failure, ok := err.(*cftunnel.Error) //nolint:errorlint // the call's own error
				require.True(t, ok, "%#v", err)
				assert.Equal(t, 200, failure.StatusCode)
				assert.ErrorContains(t, err, "the response is about")
				assert.Equal(t, c.write, isUncertain(err))
			})
		}
	}
}

// A response without an ID is an error, because it may be about another resource.
func TestResponse_WithoutID(t *testing.T) {
	t.Parallel()
	for name, c := range identityCalls {
		for _, result := range []string{`{}`, `{"id":""}`, `{"id":null}`, `null`} {
			if strings.HasSuffix(name, "Delete") {
				continue // the response to a deletion may have no result
			}
			if strings.HasSuffix(name, "onfiguration") && result != "null" {
				continue // a configuration may have no ID
			}
			t.Run(name+" "+result, func(t *testing.T) {
				t.Parallel()
				err := c.call(t.Context(), cannedOK(t, result))
				require.Error(t, err)
				assert.Equal(t, c.write, isUncertain(err))
			})
		}
	}
}

// tunnelToken returns the text of a tunnel token.
func tunnelToken(id string, secret cftunnel.Secret) string {
	credentials := cftunnel.TunnelCredentials{AccountTag: accountID, TunnelID: id, Secret: secret}
	return credentials.Token().Reveal()
}

func TestTunnelsToken_OtherTunnel(t *testing.T) {
	t.Parallel()
	id := strings.ReplaceAll(tunnelID, "-", "")
	compact := base64.StdEncoding.EncodeToString([]byte(
		`{"a":"` + accountID + `","t":"` + id + `","s":"` + validSecret.Reveal() + `"}`))
	for name, test := range map[string]struct {
		token    string
		accepted bool
	}{
		"same ID":                {tunnelToken(tunnelID, validSecret), true},
		"same ID, upper case":    {tunnelToken(strings.ToUpper(tunnelID), validSecret), true},
		"same ID without dashes": {compact, true},
		"not a tunnel token":     {"opaque", true},
		"other ID":               {tunnelToken(otherID, validSecret), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := cannedOK(t, `"`+test.token+`"`)
			token, err := client.Tunnels.Token(t.Context(), tunnelID)
			if test.accepted {
				require.NoError(t, err)
				assert.Equal(t, test.token, token.Reveal())
				return
			}
			require.ErrorContains(t, err, "the response is about")
			assert.True(t, token.IsZero())
			assert.NotContains(t, err.Error(), test.token)
		})
	}
}

// A response that still has the old token does not prove that the secret was rotated.
func TestTunnelsRotateSecret_StaleToken(t *testing.T) {
	t.Parallel()
	old := cftunnel.NewTunnelSecret()
	params := cftunnel.RotateParams{Secret: validSecret}
	want := cftunnel.NewSecret(tunnelToken(tunnelID, validSecret))
	for name, stale := range map[string]string{
		"old secret":     tunnelToken(tunnelID, old),
		"another tunnel": tunnelToken(otherID, validSecret),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := canned(t, func(r *http.Request) (int, string) {
				if r.Method == http.MethodGet {
					return 200, `{"success":true,"result":"` + stale + `"}`
				}
				return 200, ok(`{"id":"` + tunnelID + `","token":"` + stale + `"}`)
			})
			rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnelID, params)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			require.NotNil(t, rotation)
			assert.Nil(t, rotation.Tunnel)
			assert.True(t, cftunnel.SameTunnelToken(want, rotation.Token))

			update := cftunnel.TunnelUpdateParams{Secret: validSecret}
			tunnel, err := client.Tunnels.Update(t.Context(), tunnelID, update)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.Nil(t, tunnel)
		})
		t.Run(name+", fetched", func(t *testing.T) {
			t.Parallel()
			client := canned(t, func(r *http.Request) (int, string) {
				if r.Method == http.MethodGet {
					return 200, `{"success":true,"result":"` + stale + `"}`
				}
				return 200, `{"success":true,"result":{"id":"` + tunnelID + `"}}`
			})
			rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnelID, params)
			require.NoError(t, err)
			assert.True(t, cftunnel.SameTunnelToken(want, rotation.Token))
		})
	}
}

// The tunnel that Ensure finds or creates must have the requested name.
func TestTunnelsEnsure_OtherTunnelInResponse(t *testing.T) {
	t.Parallel()
	client := canned(t, func(r *http.Request) (int, string) {
		if r.Method == http.MethodGet {
			return 200, `{"success":true,"result":[{"id":"` + otherID + `","name":"other"},
				{"id":"` + otherID + `","name":"N"}],"result_info":{"total_count":2}}`
		}
		return 200, `{"success":true,"result":{"id":"` + otherID + `","name":"other","token":"t"}}`
	})
	tunnel, created, err := client.Tunnels.Ensure(t.Context(),
		cftunnel.TunnelCreateParams{Name: "n"})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Nil(t, tunnel)
	assert.False(t, created)
	_, err = client.WARPConnectors.Create(t.Context(),
		cftunnel.WARPConnectorCreateParams{Name: "n"})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
}
