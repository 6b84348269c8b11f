package cftunnel_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

func TestTunnels_LifeCycle(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()

	created, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare, Secret: validSecret,
	})
	require.NoError(t, err)
	assert.Equal(t, srv.AccountID(), created.AccountTag)
	assert.Equal(t, "blog", created.Name)
	assert.Equal(t, cftunnel.TunnelTypeCloudflared, created.Type)
	assert.Equal(t, cftunnel.TunnelStatusInactive, created.Status)
	// The response to a create has remote_config instead of config_src.
	assert.Equal(t, cftunnel.ConfigSourceCloudflare, created.ConfigSource)
	assert.False(t, created.CreatedAt.IsZero())
	assert.True(t, created.ConnsActiveAt.IsZero())
	assert.Equal(t, created.CreatedAt, created.ConnsInactiveAt)
	assert.JSONEq(t, "{}", string(created.Metadata))

	token, err := client.Tunnels.Token(ctx, created.ID)
	require.NoError(t, err)
	assert.Equal(t, created.Token, token)
	var fields map[string]string
	raw, err := base64.StdEncoding.DecodeString(token.Reveal())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &fields))
	want := map[string]string{"a": srv.AccountID(), "t": created.ID, "s": validSecret.Reveal()}
	assert.Equal(t, want, fields)

	_, err = client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})
	require.ErrorIs(t, err, cftunnel.ErrTunnelNameTaken)
	require.ErrorIs(t, err, cftunnel.ErrConflict)

	connector, err := srv.Connect(token)
	require.NoError(t, err)
	got, err := client.Tunnels.Get(ctx, created.ID)
	require.NoError(t, err)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, got.Status)
	assert.False(t, got.ConnsActiveAt.IsZero())
	assert.True(t, got.Token.IsZero())

	_, err = client.Tunnels.Delete(ctx, created.ID, cftunnel.TunnelDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
	require.ErrorIs(t, err, cftunnel.ErrBadRequest)
	srv.Disconnect(connector)

	renamed, err := client.Tunnels.Update(ctx, created.ID,
		cftunnel.TunnelUpdateParams{Name: "journal"})
	require.NoError(t, err)
	assert.Equal(t, "journal", renamed.Name)
	assert.Equal(t, token, renamed.Token)

	rotated, err := client.Tunnels.Update(ctx, created.ID, cftunnel.TunnelUpdateParams{
		Secret: cftunnel.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 32))),
	})
	require.NoError(t, err)
	assert.NotEqual(t, token, rotated.Token)

	deleted, err := client.Tunnels.Delete(ctx, created.ID, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	assert.True(t, deleted.IsDeleted())
	got, err = client.Tunnels.Get(ctx, created.ID)
	require.NoError(t, err, "a deleted tunnel is returned too")
	assert.True(t, got.IsDeleted())
	assert.Empty(t, got.ConfigSource)
	_, err = client.Tunnels.FindByName(ctx, "journal")
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
}

func TestTunnelsDelete_Cascade(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
	require.NoError(t, err)
	_, err = srv.Connect(tunnel.Token)
	require.NoError(t, err)
	_, err = client.Tunnels.Delete(t.Context(), tunnel.ID,
		cftunnel.TunnelDeleteParams{Cascade: true})
	require.NoError(t, err)
}

func TestTunnels_RequestBodies(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	for _, test := range []struct {
		call func() error
		body string
	}{
		{func() error {
			_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "a <b>"})
			return err
		}, `{"name":"a <b>"}`},
		{func() error {
			_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
				Name: "n", ConfigSource: cftunnel.ConfigSourceLocal, Secret: validSecret,
			})
			return err
		}, `{"name":"n","config_src":"local","tunnel_secret":"` + validSecret.Reveal() + `"}`},
		{func() error {
			_, err := client.Tunnels.Update(ctx, tunnelID, cftunnel.TunnelUpdateParams{Name: "m"})
			return err
		}, `{"name":"m"}`},
		{func() error {
			_, err := client.Tunnels.Update(ctx, tunnelID,
				cftunnel.TunnelUpdateParams{Secret: validSecret})
			return err
		}, `{"tunnel_secret":"` + validSecret.Reveal() + `"}`},
	} {
		_ = test.call()
		requests := srv.Requests()
		assert.JSONEq(t, test.body, requests[len(requests)-1].Body.Reveal())
	}
}

func TestTunnelsList_Query(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	at := time.Date(2026, 3, 1, 12, 0, 0, 317854000, time.FixedZone("", 3600))
	everything := cftunnel.TunnelListParams{
		Name: "n", UUID: tunnelID, Status: cftunnel.TunnelStatusDown, IsDeleted: new(true),
		IncludePrefix: "a", ExcludePrefix: "b",
		ExistedAt: at, WasActiveAt: at, WasInactiveAt: at.UTC(), Page: 2, PerPage: 7,
	}
	// The encoded query, without tun_types, which is between the two parts.
	const start = "exclude_prefix=b&existed_at=2026-03-01T12%3A00%3A00.317854%2B01%3A00" +
		"&include_prefix=a&is_deleted=true&name=n&page=2&per_page=7&status=down"
	const end = "&uuid=" + tunnelID + "&was_active_at=2026-03-01T12%3A00%3A00.317854%2B01%3A00" +
		"&was_inactive_at=2026-03-01T11%3A00%3A00.317854Z"
	for _, test := range []struct {
		call  func() error
		query string
	}{
		{func() error {
			_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
			return err
		}, "is_deleted=false"},
		{func() error {
			_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{IsDeleted: new(false)})
			return err
		}, "is_deleted=false"},
		{func() error { _, err := client.Tunnels.List(ctx, everything); return err }, start + end},
		{func() error {
			_, err := client.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{})
			return err
		}, "is_deleted=false"},
		{func() error {
			_, err := client.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{
				Name: "n", UUID: tunnelID, Status: cftunnel.TunnelStatusDown, IsDeleted: new(true),
				IncludePrefix: "a", ExcludePrefix: "b",
				ExistedAt: at, WasActiveAt: at, WasInactiveAt: at.UTC(), Page: 2, PerPage: 7,
				Types: []cftunnel.TunnelType{cftunnel.TunnelTypeCloudflared, cftunnel.TunnelTypeWARPConnector},
			})
			return err
		}, start + "&tun_types=cfd_tunnel%2Cwarp_connector" + end},
	} {
		require.NoError(t, test.call())
		requests := srv.Requests()
		assert.Equal(t, test.query, requests[len(requests)-1].Query.Encode())
	}
}

func TestTunnels_InvalidArguments(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	short := cftunnel.NewSecret(base64.StdEncoding.EncodeToString([]byte(planted[:15])))
	for name, test := range map[string]struct {
		call     func() error
		argument string
	}{
		"create without a name": {func() error {
			_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{})
			return err
		}, "Name"},
		"create with a blank name": {func() error {
			_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: " \t"})
			return err
		}, "Name"},
		"create with a short secret": {func() error {
			_, err := client.Tunnels.Create(ctx,
				cftunnel.TunnelCreateParams{Name: "n", Secret: short})
			return err
		}, "Secret"},
		"create with a secret not in base64": {func() error {
			secret := cftunnel.NewSecret(planted + "!")
			_, err := client.Tunnels.Create(ctx,
				cftunnel.TunnelCreateParams{Name: "n", Secret: secret})
			return err
		}, "Secret"},
		"create with a newline in the secret": {func() error {
			secret := cftunnel.NewSecret(validSecret.Reveal() + "\n")
			_, err := client.Tunnels.Create(ctx,
				cftunnel.TunnelCreateParams{Name: "n", Secret: secret})
			return err
		}, "Secret"},
		"update without a change": {func() error {
			_, err := client.Tunnels.Update(ctx, tunnelID, cftunnel.TunnelUpdateParams{})
			return err
		}, "params"},
		"update to a blank name": {func() error {
			_, err := client.Tunnels.Update(ctx, tunnelID, cftunnel.TunnelUpdateParams{Name: "  "})
			return err
		}, "Name"},
		"update to a short secret": {func() error {
			_, err := client.Tunnels.Update(ctx, tunnelID,
				cftunnel.TunnelUpdateParams{Secret: short})
			return err
		}, "Secret"},
		"list with an invalid UUID": {func() error {
			_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{UUID: planted})
			return err
		}, "UUID"},
		"list with a negative page": {func() error {
			_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{Page: -1})
			return err
		}, "Page"},
		"list with a negative per_page": {func() error {
			_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{PerPage: -1})
			return err
		}, "PerPage"},
		"list with too large a per_page": {func() error {
			_, err := client.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{PerPage: 1001})
			return err
		}, "PerPage"},
		"list with two types in one": {func() error {
			types := []cftunnel.TunnelType{"a,b"}
			_, err := client.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{Types: types})
			return err
		}, "Types"},
		"all with a negative page": {func() error {
			for _, err := range client.Tunnels.All(ctx, cftunnel.TunnelListParams{Page: -1}) {
				return err
			}
			return nil
		}, "Page"},
		"all with an invalid UUID": {func() error {
			params := cftunnel.AllTypesListParams{UUID: "x"}
			for _, err := range client.Tunnels.AllTypes(ctx, params) {
				return err
			}
			return nil
		}, "UUID"},
		"find without a name": {func() error { _, err := client.Tunnels.FindByName(ctx, ""); return err }, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.call()
			refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, test.argument, refused.Name)
			assert.NotContains(t, err.Error(), planted)
		})
	}
	t.Cleanup(func() { assert.Empty(t, srv.Requests()) })
}

func TestTunnelsFindByName_ServerIgnoresFilters(t *testing.T) {
	t.Parallel()
	item := func(id, name, deleted string) string {
		return fmt.Sprintf(`{"id":%q,"name":%q,"deleted_at":%s}`, id, name, deleted)
	}
	const deletedAt = `"2026-01-01T00:00:00Z"`
	// The server ignores all filters. The tunnel that exists is on the second page.
	pages := map[string]string{
		"1": item("1", "blog-2", "null") + "," + item("2", "Blog", "null") + "," + item("3", "blog", deletedAt),
		"2": item("4", "blog", `"0001-01-01T00:00:00Z"`) + "," + item("5", "blog", deletedAt),
	}
	var requests []string
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("page")
		query := r.URL.Query()
		requests = append(requests, query.Get("name")+" "+query.Get("is_deleted")+" "+page)
		respond(200, `{"success":true,"result":[`+pages[page]+`]}`)(w, r)
	})
	tunnel, err := client.Tunnels.FindByName(t.Context(), "blog")
	require.NoError(t, err)
	assert.Equal(t, "4", tunnel.ID)
	assert.Equal(t, []string{"blog false 1", "blog false 2"}, requests)

	_, err = client.Tunnels.FindByName(t.Context(), "shop")
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.Equal(t, `cftunnel: no live tunnel is named "shop": not found`, err.Error())
}

func TestTunnelsFindByName_ListNotFound(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(404, refusalBody(7003)))
	_, err := client.Tunnels.FindByName(t.Context(), "blog")
	assert.NotErrorIs(t, err, cftunnel.ErrNotFound)
	assert.True(t, cftunnel.HasCode(err, 7003))
}

func TestTunnel_ConfigSource(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]cftunnel.ConfigSource{
		`"config_src":"local"`:                            cftunnel.ConfigSourceLocal,
		`"config_src":"cloudflare","remote_config":false`: cftunnel.ConfigSourceCloudflare,
		`"remote_config":true`:                            cftunnel.ConfigSourceCloudflare,
		`"remote_config":false`:                           cftunnel.ConfigSourceLocal,
		`"remote_config":null`:                            "",
		`"name":"x"`:                                      "",
		`"config_src":"elsewhere"`:                        "elsewhere",
		`"remote_config":true,"deleted_at":"2026-01-01T00:00:00.000001Z"`: "",
	} {
		client := clientOf(t, respond(200, ok(`{"id":"`+tunnelID+`",`+fields+`}`)))
		tunnel, err := client.Tunnels.Get(t.Context(), tunnelID)
		require.NoError(t, err)
		assert.Equal(t, want, tunnel.ConfigSource, fields)
	}
}

func TestTunnel_ZeroTimes(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(200, ok(`{
		"id":"`+tunnelID+`","created_at":"2021-01-25T18:22:34.317854Z",
		"deleted_at":"0001-01-01T00:00:00Z","conns_active_at":null}`)))
	tunnel, err := client.Tunnels.Get(t.Context(), tunnelID)
	require.NoError(t, err)
	assert.Equal(t, time.Date(2021, 1, 25, 18, 22, 34, 317854000, time.UTC), tunnel.CreatedAt)
	assert.True(t, tunnel.DeletedAt.IsZero())
	assert.True(t, tunnel.ConnsActiveAt.IsZero())
	assert.True(t, tunnel.ConnsInactiveAt.IsZero())
	assert.False(t, tunnel.IsDeleted())

	encoded, err := json.Marshal(tunnel)
	require.NoError(t, err)
	assert.NotContains(t, string(encoded), "deleted_at")
}

func TestTunnel_Connections(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(200, ok(`{"id":"`+tunnelID+`","connections":[{
		"id":"c","uuid":"c","client_id":"k","client_version":"2026.10.0","colo_name":"DFW",
		"opened_at":"2021-01-25T18:22:34Z","origin_ip":"10.1.0.137","is_pending_reconnect":true},{}]}`)))
	tunnel, err := client.Tunnels.Get(t.Context(), tunnelID)
	require.NoError(t, err)
	assert.Equal(t, []cftunnel.Connection{{
		ID: "c", ConnectorID: "k", Version: "2026.10.0", ColoName: "DFW",
		OpenedAt: time.Date(2021, 1, 25, 18, 22, 34, 0, time.UTC),
		OriginIP: "10.1.0.137", IsPendingReconnect: true,
	}, {}}, tunnel.Connections)
}

func TestTunnelsToken_Opaque(t *testing.T) {
	t.Parallel()
	// The client does not decode the token.
	opaque := "eyJhIjoi not strictly base64 " + strings.Repeat("=", 3)
	client := clientOf(t, respond(200, `{"success":true,"result":"`+opaque+`"}`))
	token, err := client.Tunnels.Token(t.Context(), tunnelID)
	require.NoError(t, err)
	assert.Equal(t, opaque, token.Reveal())

	for _, result := range []string{`""`, `null`, `{}`, `1`} {
		client := clientOf(t, respond(200, `{"success":true,"result":`+result+`}`))
		_, err := client.Tunnels.Token(t.Context(), tunnelID)
		require.Error(t, err, result)
	}
}

// A successful deletion needs no result.
func TestTunnelsDelete_UnusualResult(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`,"result":null`, `,"result":{}`, ``} {
		client := clientOf(t, respond(200, `{"success":true,"errors":[],"messages":[]`+result+`}`))
		tunnel, err := client.Tunnels.Delete(t.Context(), tunnelID, cftunnel.TunnelDeleteParams{})
		require.NoError(t, err, result)
		assert.Equal(t, tunnelID, tunnel.ID)
	}
	client := clientOf(t, respond(200, `{"success":true,"result":"deleted"}`), once)
	_, err := client.Tunnels.Delete(t.Context(), tunnelID, cftunnel.TunnelDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
}

// Only Create and Update set Tunnel.Token.
func TestTunnel_TokenOfCreateAndUpdate(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(200, ok(`{"id":"`+tunnelID+`","token":"eyJ"}`)))
	created, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
	require.NoError(t, err)
	assert.Equal(t, "eyJ", created.Token.Reveal())
	updated, err := client.Tunnels.Update(t.Context(), tunnelID,
		cftunnel.TunnelUpdateParams{Name: "n"})
	require.NoError(t, err)
	assert.Equal(t, "eyJ", updated.Token.Reveal())
	got, err := client.Tunnels.Get(t.Context(), tunnelID)
	require.NoError(t, err)
	assert.True(t, got.Token.IsZero())
	deleted, err := client.Tunnels.Delete(t.Context(), tunnelID, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	assert.True(t, deleted.Token.IsZero())
}

func TestTunnelsListAllTypes_EmptyType(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	types := []cftunnel.TunnelType{cftunnel.TunnelTypeWARP, ""}
	_, err := client.Tunnels.ListAllTypes(t.Context(), cftunnel.AllTypesListParams{Types: types})
	argument, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "Types", argument.Name)
	assert.Empty(t, srv.Requests())
}

func TestTunnelsManagementToken_Resources(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	tunnel := srv.SeedTunnels(1)[0]
	for resource, operation := range map[cftunnel.ManagementResource]string{
		cftunnel.ManagementResourceLogs:        opLogs,
		cftunnel.ManagementResourceAdmin:       opManagement,
		cftunnel.ManagementResourceHostDetails: opManagement,
	} {
		before := len(srv.Requests())
		secret, err := client.Tunnels.ManagementToken(ctx, tunnel.ID, resource)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(secret.Reveal(), "eyJ"))
		assert.Equal(t, []string{operation}, operations(srv)[before:])
		body := srv.Requests()[before].Body.Reveal()
		if operation == opLogs {
			assert.JSONEq(t, `{"resources":["logs"]}`, body)
		} else {
			assert.Empty(t, body)
		}
	}
	_, err := client.Tunnels.ManagementToken(ctx, tunnelID, cftunnel.ManagementResourceLogs)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	// ErrNotFound is about the tunnel, so the call did not fall back to another endpoint.
	assert.Equal(t, opLogs, operations(srv)[len(srv.Requests())-1])
	for _, invalid := range []cftunnel.ManagementResource{"", "..", "a/b"} {
		before := len(srv.Requests())
		_, err := client.Tunnels.ManagementToken(ctx, tunnel.ID, invalid)
		require.Error(t, err)
		assert.Len(t, srv.Requests(), before)
	}
}

func TestTunnelsManagementToken_EndpointGone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status   int
		body     string
		fallback bool
	}{
		"no route":           {404, `{"success":false,"errors":[{"code":7000,"message":"No route"}]}`, true},
		"method not allowed": {405, "", true},
		"gone":               {410, "", true},
		"no tunnel":          {404, `{"success":false,"errors":[{"code":1003,"message":"m"}]}`, false},
		"forbidden":          {403, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests []string
			client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				requests = append(requests, r.URL.Path[strings.LastIndex(r.URL.Path, "/"):])
				if strings.HasSuffix(r.URL.Path, "/logs") {
					respond(200, `{"success":true,"result":"eyJ.a.b"}`)(w, r)
					return
				}
				respond(test.status, test.body)(w, r)
			})
			secret, err := client.Tunnels.ManagementToken(t.Context(), tunnelID,
				cftunnel.ManagementResourceLogs)
			if !test.fallback {
				require.Error(t, err)
				assert.Equal(t, []string{"/management"}, requests)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "eyJ.a.b", secret.Reveal())
			assert.Equal(t, []string{"/management", "/logs"}, requests)
		})
	}
}
