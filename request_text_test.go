package cftunnel_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// A text that is not UTF-8 would be changed by the encoding, so nothing is sent.
func TestArguments_NotUTF8(t *testing.T) {
	t.Parallel()
	type callFunc = func(ctx context.Context, c *cftunnel.Client, bad string) error
	configOf := func(change func(c *cftunnel.TunnelConfig, bad string)) callFunc {
		return func(ctx context.Context, c *cftunnel.Client, bad string) error {
			config := cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{
				{Hostname: "a.example.com", Service: "http://localhost"}, {Service: "http_status:404"},
			}}
			change(&config, bad)
			_, err := c.Tunnels.UpdateConfiguration(ctx, tunnelID, config)
			return err
		}
	}
	listOf := func(change func(p *cftunnel.TunnelListParams, bad string)) callFunc {
		return func(ctx context.Context, c *cftunnel.Client, bad string) error {
			var params cftunnel.TunnelListParams
			change(&params, bad)
			_, err := c.Tunnels.List(ctx, params)
			_, warpErr := c.WARPConnectors.List(ctx, params)
			if err == nil || warpErr == nil {
				return nil
			}
			for _, err = range c.Tunnels.All(ctx, params) {
				break
			}
			return err
		}
	}
	for name, call := range map[string]callFunc{
		"Name Tunnels.Create": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			_, err := c.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: bad})
			return err
		},
		"ConfigSource Tunnels.Create": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			source := cftunnel.ConfigSource(bad)
			params := cftunnel.TunnelCreateParams{Name: "n", ConfigSource: source}
			_, err := c.Tunnels.Create(ctx, params)
			return err
		},
		"Name Tunnels.Ensure": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			_, _, err := c.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{Name: bad})
			return err
		},
		"Name Tunnels.Update": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			_, err := c.Tunnels.Update(ctx, tunnelID, cftunnel.TunnelUpdateParams{Name: bad})
			return err
		},
		"name Tunnels.FindByName": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			_, err := c.Tunnels.FindByName(ctx, bad)
			return err
		},
		"Name WARPConnectors.Create": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			_, err := c.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: bad})
			return err
		},
		"Name WARPConnectors.Update": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			_, err := c.WARPConnectors.Update(ctx, tunnelID, cftunnel.TunnelUpdateParams{Name: bad})
			return err
		},
		"HAMode WARPConnectors.UpdateConfiguration": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			params := cftunnel.WARPConfigurationParams{HAMode: cftunnel.HAMode(bad)}
			_, err := c.WARPConnectors.UpdateConfiguration(ctx, tunnelID, params)
			return err
		},
		"FNRID WARPConnectors.UpdateConfiguration": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			params := cftunnel.WARPConfigurationParams{HAMode: "aws", FNRID: bad}
			_, err := c.WARPConnectors.UpdateConfiguration(ctx, tunnelID, params)
			return err
		},
		"Address WARPConnectors.UpdateConfiguration": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			params := cftunnel.WARPConfigurationParams{HAMode: "local", VIPs: []string{bad}}
			_, err := c.WARPConnectors.UpdateConfiguration(ctx, tunnelID, params)
			return err
		},
		"Name List": listOf(func(p *cftunnel.TunnelListParams, bad string) { p.Name = bad }),
		"Status List": listOf(func(p *cftunnel.TunnelListParams, bad string) {
			p.Status = cftunnel.TunnelStatus(bad)
		}),
		"IncludePrefix List": listOf(func(p *cftunnel.TunnelListParams, bad string) { p.IncludePrefix = bad }),
		"ExcludePrefix List": listOf(func(p *cftunnel.TunnelListParams, bad string) { p.ExcludePrefix = bad }),
		"Types ListAllTypes": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			types := []cftunnel.TunnelType{cftunnel.TunnelType(bad)}
			_, err := c.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{Types: types})
			return err
		},
		"Name ListAllTypes": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			_, err := c.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{Name: bad})
			return err
		},
		"resource Tunnels.ManagementToken": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			_, err := c.Tunnels.ManagementToken(ctx, tunnelID, cftunnel.ManagementResource(bad))
			return err
		},
		"connectorID Connectors.Get": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			_, err := c.Connectors.Get(ctx, tunnelID, bad)
			return err
		},
		"ConnectorID Connectors.Cleanup": func(
			ctx context.Context, c *cftunnel.Client, bad string,
		) error {
			return c.Connectors.Cleanup(ctx, tunnelID, cftunnel.CleanupParams{ConnectorID: bad})
		},
		"query AddQuery value": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return list(ctx, c, cftunnel.AddQuery("name_prefix", bad))
		},
		"query AddQuery key": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return list(ctx, c, cftunnel.AddQuery(bad, "x"))
		},
		"template AsOperation": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return c.Do(ctx, http.MethodGet, "x", nil, nil, cftunnel.AsOperation("/"+bad))
		},
		"path Do": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return c.Do(ctx, http.MethodGet, "x/"+bad, nil, nil)
		},
		"query Do": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return c.Do(ctx, http.MethodGet, "x?name="+url.QueryEscape(bad), nil, nil)
		},
		"body Do text": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return c.Do(ctx, http.MethodPost, "x", bad, nil)
		},
		"body Do map": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return c.Do(ctx, http.MethodPost, "x", map[string]any{"a": []any{1, bad}}, nil)
		},
		"body Do map key": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return c.Do(ctx, http.MethodPost, "x", map[string]int{bad: 1}, nil)
		},
		"Name Do struct": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return c.Do(ctx, http.MethodPost, "x", &struct{ Name *string }{&bad}, nil)
		},
		"body Do JSON": func(ctx context.Context, c *cftunnel.Client, bad string) error {
			return c.Do(ctx, http.MethodPost, "x", []byte(`"`+bad+`"`), nil)
		},
		"query DoAll": func(ctx context.Context, c *cftunnel.Client, bad string) (err error) {
			for _, err = range cftunnel.DoAll[any](ctx, c, "x", url.Values{"name": {bad}}) {
				break
			}
			return err
		},
		"Path configuration":     configOf(func(c *cftunnel.TunnelConfig, bad string) { c.Ingress[0].Path = bad }),
		"Hostname configuration": configOf(func(c *cftunnel.TunnelConfig, bad string) { c.Ingress[0].Hostname = bad }),
		"Service configuration":  configOf(func(c *cftunnel.TunnelConfig, bad string) { c.Ingress[0].Service = "unix:" + bad }),
		"CAPool configuration": configOf(func(c *cftunnel.TunnelConfig, bad string) {
			c.OriginRequest = &cftunnel.OriginRequest{CAPool: bad}
		}),
	} {
		for _, bad := range []string{"bad\xff", "\xc3", "a\xed\xa0\x80b", "\xf8\x88\x80\x80\x80"} {
			argument, _, _ := strings.Cut(name, " ")
			client := canned(t, func(*http.Request) (int, string) {
				t.Errorf("%s: a request was sent", name)
				return 200, ok(`[]`)
			})
			err := call(t.Context(), client, bad)
			refused, isRefused := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, isRefused, "%s: %v", name, err)
			if !strings.HasSuffix(name, "configuration") { // Validate may have refused it first
				assert.Equal(t, argument, refused.Name, name)
			}
			assert.NotContains(t, err.Error(), bad)
		}
	}
}

// Any UTF-8 text is sent unchanged.
func TestArguments_UTF8(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Büro", "事務所", "\U0001F680", "a\u0301", "\ufffd", "a b&c=d%2F", `"quoted"`, "a\u2028b",
	} {
		srv, client := newFake(t)
		created, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: name})
		require.NoError(t, err)
		assert.Equal(t, name, created.Name)
		found, err := client.Tunnels.FindByName(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, created.ID, found.ID)
		assert.Equal(t, name, srv.Requests()[1].Query.Get("name"))
	}
}
