package cftunnel_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// ok returns a success response with this result.
func ok(result string) string {
	return `{"success":true,"errors":[],"messages":[],"result":` + result + `}`
}

// cannedOK returns a client whose requests all get a success response with this result.
func cannedOK(t *testing.T, result string) *cftunnel.Client {
	t.Helper()
	return canned(t, func(*http.Request) (int, string) { return 200, ok(result) })
}

func TestResponse_NumbersAsText(t *testing.T) {
	t.Parallel()
	for _, quote := range []string{``, `"`} {
		three := quote + "3" + quote
		client := cannedOK(t, `{"id":"`+tunnelID+`","config_version":`+three+`}`)
		connector, err := client.Connectors.Get(t.Context(), tunnelID, tunnelID)
		require.NoError(t, err)
		assert.Equal(t, 3, connector.ConfigVersion)

		client = cannedOK(t, `[{"id":"`+tunnelID+`","config_version":`+three+`}]`)
		connectors, err := client.WARPConnectors.Connectors(t.Context(), tunnelID)
		require.NoError(t, err)
		assert.Equal(t, 3, connectors[0].ConfigVersion)

		client = cannedOK(t, `{"tunnel_id":"`+tunnelID+`","version":`+three+`,"config":null}`)
		configuration, err := client.Tunnels.Configuration(t.Context(), tunnelID)
		require.NoError(t, err)
		assert.Equal(t, 3, configuration.Version)

		client = cannedOK(t, `{"ha_mode":"none","configuration_version":`+three+`}`)
		warp, err := client.WARPConnectors.Configuration(t.Context(), tunnelID)
		require.NoError(t, err)
		assert.Equal(t, 3, warp.Version)

		info := `{"page":` + three + `,"per_page":` + three +
			`,"count":` + three + `,"total_count":` + three + `}`
		list := canned(t, func(*http.Request) (int, string) {
			return 200, `{"success":true,"result":[],"result_info":` + info + `}`
		})
		page, err := list.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)
		assert.Equal(t, cftunnel.PageInfo{Page: 3, PerPage: 3, Count: 3, TotalCount: 3}, page.Info)

		var result struct {
			N     int
			Small *int8
			List  []uint16 // decoded by encoding/json
		}
		client = cannedOK(t, `{"n":`+three+`,"small":`+three+`}`)
		err = client.Do(t.Context(), http.MethodGet, "x", nil, &result)
		require.NoError(t, err)
		assert.Equal(t, 3, result.N)
		assert.EqualValues(t, 3, *result.Small)

		type item struct{ N int }
		client = cannedOK(t, `[{"n":`+three+`}]`)
		for got, err := range cftunnel.DoAll[item](t.Context(), client, "x", nil) {
			require.NoError(t, err)
			assert.Equal(t, item{3}, got)
		}

		failed := canned(t, func(*http.Request) (int, string) {
			return 400, `{"success":false,"errors":[{"code":` + three + `,"message":"m"}]}`
		})
		_, err = failed.Tunnels.Get(t.Context(), tunnelID)
		assert.True(t, cftunnel.HasCode(err, 3))
	}
	client := cannedOK(t, `{"id":"`+tunnelID+`","config_version":"three"}`)
	_, err := client.Connectors.Get(t.Context(), tunnelID, tunnelID)
	require.ErrorContains(t, err, "config_version")
}

// timeFields are the fields of results that are times.
var timeFields = map[string]struct {
	member string // its name in an error
	result string // up to the time
	call   func(context.Context, *cftunnel.Client) (time.Time, error)
}{
	"Tunnel.CreatedAt": {
		"created_at", `{"id":"` + tunnelID + `","created_at":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			tunnel, err := c.Tunnels.Get(ctx, tunnelID)
			return valueOf(tunnel).CreatedAt, err
		},
	},
	"Tunnel.DeletedAt": {
		"deleted_at", `{"id":"` + tunnelID + `","deleted_at":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			tunnel, err := c.WARPConnectors.Get(ctx, tunnelID)
			return valueOf(tunnel).DeletedAt, err
		},
	},
	"Tunnel.ConnsActiveAt": {
		"conns_active_at", `{"id":"` + tunnelID + `","conns_active_at":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			tunnel, err := c.Tunnels.Get(ctx, tunnelID)
			return valueOf(tunnel).ConnsActiveAt, err
		},
	},
	"Tunnel.ConnsInactiveAt": {
		"conns_inactive_at", `{"id":"` + tunnelID + `","conns_inactive_at":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			tunnel, err := c.Tunnels.Get(ctx, tunnelID)
			return valueOf(tunnel).ConnsInactiveAt, err
		},
	},
	"Connector.RunAt": {
		"run_at", `{"id":"` + tunnelID + `","run_at":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			connector, err := c.Connectors.Get(ctx, tunnelID, tunnelID)
			return valueOf(connector).RunAt, err
		},
	},
	"Connection.OpenedAt": {
		"conns[0].opened_at", `{"id":"` + tunnelID + `","conns":[{"opened_at":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			connector, err := c.Connectors.Get(ctx, tunnelID, tunnelID)
			if err != nil {
				return time.Time{}, err
			}
			return connector.Connections[0].OpenedAt, nil
		},
	},
	"TunnelConfiguration.CreatedAt": {
		"created_at", `{"tunnel_id":"` + tunnelID + `","created_at":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			configuration, err := c.Tunnels.Configuration(ctx, tunnelID)
			return valueOf(configuration).CreatedAt, err
		},
	},
	"WARPConfiguration.UpdatedAt": {
		"updated_at", `{"ha_mode":"none","updated_at":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			configuration, err := c.WARPConnectors.Configuration(ctx, tunnelID)
			return valueOf(configuration).UpdatedAt, err
		},
	},
	"TokenVerification.ExpiresOn": {
		"expires_on", `{"id":"t","status":"active","expires_on":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			verification, err := c.Tokens.VerifyUser(ctx)
			return valueOf(verification).ExpiresOn, err
		},
	},
	"TokenVerification.NotBefore": {
		"not_before", `{"id":"t","status":"active","not_before":`,
		func(ctx context.Context, c *cftunnel.Client) (time.Time, error) {
			verification, err := c.Tokens.VerifyUser(ctx)
			return valueOf(verification).NotBefore, err
		},
	},
}

// valueOf returns *p, or the zero value if p is nil.
func valueOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func TestResponse_Times(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	for name, test := range timeFields {
		closing := "}"
		if test.member == "conns[0].opened_at" {
			closing = "}]}"
		}
		for raw, want := range map[string]time.Time{
			`null`: {}, `""`: {}, `"0001-01-01T00:00:00Z"`: {},
			`"2026-01-02T03:04:05.0000006Z"`: at, `"2026-01-02T04:04:05.0000006+01:00"`: at,
		} {
			got, err := test.call(t.Context(), cannedOK(t, test.result+raw+closing))
			require.NoError(t, err, "%s %s", name, raw)
			assert.True(t, want.Equal(got), "%s %s: %s", name, raw, got)
			assert.Equal(t, want.IsZero(), got.IsZero())
		}
		for _, raw := range []string{
			`"2026-01-02 03:04:05"`, `"2026-01-02"`, `"yesterday"`, `" "`, `"` + planted + `"`,
			`1767322800`, `true`, `{}`, `[]`,
			`"2026-13-02T03:04:05Z"`, `"Fri, 02 Jan 2026 03:04:05 GMT"`,
		} {
			_, err := test.call(t.Context(), cannedOK(t, test.result+raw+closing))
			want := "result." + test.member + " is not a time"
			require.ErrorContains(t, err, want, "%s %s", name, raw)
			assert.NotContains(t, err.Error(), planted)
		}
	}
}

func TestResponse_ConnectionIDs(t *testing.T) {
	t.Parallel()
	for connection, want := range map[string]string{
		`{"id":"a","uuid":"b"}`:  "a",
		`{"uuid":"b"}`:           "b",
		`{"id":"","uuid":"b"}`:   "b",
		`{"id":null,"uuid":"b"}`: "b",
		`{"id":"a"}`:             "a",
		`{}`:                     "",
	} {
		withConns := `{"id":"` + tunnelID + `","conns":[` + connection + `]}`
		connector, err := cannedOK(t, withConns).Connectors.Get(t.Context(), tunnelID, tunnelID)
		require.NoError(t, err)
		assert.Equal(t, want, connector.Connections[0].ID, connection)

		client := cannedOK(t, `[`+withConns+`]`)
		list, err := client.Connectors.List(t.Context(), tunnelID)
		require.NoError(t, err)
		assert.Equal(t, want, list[0].Connections[0].ID, connection)
		list, err = client.WARPConnectors.Connectors(t.Context(), tunnelID)
		require.NoError(t, err)
		assert.Equal(t, want, list[0].Connections[0].ID, connection)

		withConnections := `{"id":"` + tunnelID + `","connections":[` + connection + `]}`
		tunnel, err := cannedOK(t, withConnections).Tunnels.Get(t.Context(), tunnelID)
		require.NoError(t, err)
		assert.Equal(t, want, tunnel.Connections[0].ID, connection)

		client = cannedOK(t, `[`+withConnections+`]`)
		page, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)
		assert.Equal(t, want, page.Items[0].Connections[0].ID, connection)
	}
}
