package cftunnel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	tokenID = "ed17574386854bf78a67040be0a770b0"
	zoneID  = "023e105f4ecef8ad9ca31a8372d0c353"
)

// Secrets that no other test uses: one in the current format, and one in the format before 2026.
const (
	newSecretText = "cfut_qN7vR2xK9mT4wL6pH8sD3fJ5gB1cZ0yQXkMrTnVs"
	oldSecretText = "8M7wS6hCpXVc-DoRnPPY_UCWPgy8aea4Wy6kCe5T"
)

var quickRetry = cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: time.Nanosecond})

// tokenServices are the two services for API tokens, with the paths of their operations.
var tokenServices = map[string]struct {
	service func(*cftunnel.Client) *cftunnel.APITokensService
	path    string
}{
	"user":    {func(c *cftunnel.Client) *cftunnel.APITokensService { return c.UserTokens }, "/user/tokens"},
	"account": {func(c *cftunnel.Client) *cftunnel.APITokensService { return c.AccountTokens }, "/accounts/{account_id}/tokens"},
}

// tunnelPolicy returns policies that allow managing the tunnels of an account.
func tunnelPolicy(account string) []cftunnel.TokenPolicy {
	return []cftunnel.TokenPolicy{cftunnel.AccountPolicy(account, cftunnel.PermissionCloudflareTunnelWrite)}
}

func createToken(
	t *testing.T, service *cftunnel.APITokensService, params cftunnel.APITokenCreateParams,
) *cftunnel.APIToken {
	t.Helper()
	token, err := service.Create(t.Context(), params)
	require.NoError(t, err)
	return token
}

// lastBody returns the body of the latest request.
func lastBody(t *testing.T, srv *tunneltest.Server) string {
	t.Helper()
	requests := srv.Requests()
	require.NotEmpty(t, requests)
	return requests[len(requests)-1].Body.Reveal()
}

func TestAPITokens_LifeCycle(t *testing.T) {
	t.Parallel()
	for name, test := range tokenServices {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t)
			ctx, tokens := t.Context(), test.service(client)
			created := createToken(t, tokens, cftunnel.APITokenCreateParams{
				Name: "ci", Policies: tunnelPolicy(srv.AccountID()),
			})
			assert.Equal(t, cftunnel.TokenStatusActive, created.Status)
			assert.False(t, created.IssuedOn.IsZero())

			tokenClient, err := srv.NewClient(cftunnel.WithAPIToken(created.Value.Reveal()))
			require.NoError(t, err)
			_, err = tokenClient.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "web"})
			require.NoError(t, err)
			_, err = test.service(tokenClient).List(ctx, cftunnel.APITokenListParams{})
			require.ErrorIs(t, err, cftunnel.ErrForbidden)

			got, err := tokens.Get(ctx, created.ID)
			require.NoError(t, err)
			assert.True(t, got.Value.IsZero())
			assert.False(t, got.LastUsedOn.IsZero())
			page, err := tokens.List(ctx, cftunnel.APITokenListParams{PerPage: 5})
			require.NoError(t, err)
			assert.Equal(t, created.ID, page.Items[0].ID)
			found, err := tokens.FindByName(ctx, "ci")
			require.NoError(t, err)
			require.Len(t, found, 1)

			updated, err := tokens.Update(ctx, created.ID, tokenUpdate{
				Name: "renamed", Status: cftunnel.TokenStatusDisabled, Policies: created.Policies,
			})
			require.NoError(t, err)
			assert.Equal(t, cftunnel.TokenStatusDisabled, updated.Status)
			updated, err = tokens.Modify(ctx, created.ID, func(p *tokenUpdate) error {
				p.Status = cftunnel.TokenStatusActive
				return nil
			})
			require.NoError(t, err)
			assert.Equal(t, "renamed", updated.Name)

			rolled, err := tokens.Roll(ctx, created.ID)
			require.NoError(t, err)
			assert.NotEqual(t, created.Value, rolled)
			_, err = tokenClient.Tunnels.List(ctx, cftunnel.TunnelListParams{})
			require.ErrorIs(t, err, cftunnel.ErrUnauthorized)

			require.NoError(t, tokens.Delete(ctx, created.ID))
			require.ErrorIs(t, tokens.Delete(ctx, created.ID), cftunnel.ErrNotFound)
			_, err = tokens.Get(ctx, created.ID)
			require.ErrorIs(t, err, cftunnel.ErrNotFound)
			_, err = tokens.Roll(ctx, created.ID)
			require.ErrorIs(t, err, cftunnel.ErrNotFound)

			assert.Equal(t, 1, carriedOut(srv, "POST "+test.path))
			assert.Equal(t, 1, carriedOut(srv, "PUT "+test.path+"/{token_id}/value"))
		})
	}
}

func TestAPITokens_RequestBodies(t *testing.T) {
	t.Parallel()
	zone := cftunnel.PermissionDNSWrite
	office := netip.MustParsePrefix("192.0.2.0/24")
	at := time.Date(2027, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	const groups = `"permission_groups":[{"id":"4755a26eedb94da69e1066d98aa820be"}]`
	for name, test := range map[string]struct {
		params cftunnel.APITokenCreateParams
		body   string
	}{
		"only a name":            {cftunnel.APITokenCreateParams{Name: "n"}, `{"name":"n","policies":[]}`},
		"times in whole seconds": {cftunnel.APITokenCreateParams{Name: "n", NotBefore: at, ExpiresOn: at}, `{"name":"n","policies":[],"not_before":"2027-01-02T02:04:05Z","expires_on":"2027-01-02T02:04:05Z"}`},
		"an empty condition":     {cftunnel.APITokenCreateParams{Name: "n", Condition: &cftunnel.TokenCondition{}}, `{"name":"n","policies":[]}`},
		"empty lists":            {cftunnel.APITokenCreateParams{Name: "n", Condition: &cftunnel.TokenCondition{AllowedIPs: []netip.Prefix{}, DeniedIPs: []netip.Prefix{}}}, `{"name":"n","policies":[]}`},
		"allowed":                {cftunnel.APITokenCreateParams{Name: "n", Condition: &cftunnel.TokenCondition{AllowedIPs: []netip.Prefix{office}}}, `{"name":"n","policies":[],"condition":{"request_ip":{"in":["192.0.2.0/24"]}}}`},
		"denied":                 {cftunnel.APITokenCreateParams{Name: "n", Condition: &cftunnel.TokenCondition{DeniedIPs: []netip.Prefix{office}}}, `{"name":"n","policies":[],"condition":{"request_ip":{"not_in":["192.0.2.0/24"]}}}`},
		"a zone":                 {cftunnel.APITokenCreateParams{Name: "n", Policies: []cftunnel.TokenPolicy{cftunnel.ZonePolicy(zoneID, zone)}}, `{"name":"n","policies":[{"effect":"allow",` + groups + `,"resources":{"com.cloudflare.api.account.zone.` + zoneID + `":"*"}}]}`},
		"all zones":              {cftunnel.APITokenCreateParams{Name: "n", Policies: []cftunnel.TokenPolicy{cftunnel.AllZonesPolicy(accountID, zone)}}, `{"name":"n","policies":[{"effect":"allow",` + groups + `,"resources":{"com.cloudflare.api.account.` + accountID + `":{"com.cloudflare.api.account.zone.*":"*"}}}]}`},
		"no effect":              {cftunnel.APITokenCreateParams{Name: "n", Policies: []cftunnel.TokenPolicy{{ID: "x", PermissionGroups: []cftunnel.PermissionGroup{zone}, Resources: cftunnel.TokenResources{"r": {}}}}}, `{"name":"n","policies":[{"effect":"allow",` + groups + `,"resources":{"r":"*"}}]}`},
		"empty nested resource":  {cftunnel.APITokenCreateParams{Name: "n", Policies: []cftunnel.TokenPolicy{{Effect: cftunnel.PolicyEffectDeny, PermissionGroups: []cftunnel.PermissionGroup{zone}, Resources: cftunnel.TokenResources{"r": {Within: map[string]string{}}}}}}, `{"name":"n","policies":[{"effect":"deny",` + groups + `,"resources":{"r":{}}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t)
			_, _ = client.UserTokens.Create(t.Context(), test.params)
			assert.JSONEq(t, test.body, lastBody(t, srv))
			_, _ = client.AccountTokens.Update(t.Context(), tokenID, tokenUpdate{
				Name:      test.params.Name,
				Policies:  append([]cftunnel.TokenPolicy{}, test.params.Policies...),
				Condition: test.params.Condition,
				NotBefore: test.params.NotBefore, ExpiresOn: test.params.ExpiresOn,
			})
			assert.JSONEq(t, test.body, lastBody(t, srv), "an update sends the same")
		})
	}
	srv, client := newFake(t)
	_, err := client.UserTokens.Roll(t.Context(), tokenID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	requests := srv.Requests()
	assert.Equal(t, "{}", requests[0].Body.Reveal())
	assert.Equal(t, "application/json", requests[0].Header.Get("Content-Type"))
}

func TestAPITokens_InvalidArguments(t *testing.T) {
	t.Parallel()
	var sent atomic.Int32
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		sent.Add(1)
		respond(500, "")(w, r)
	})
	ctx, long := t.Context(), strings.Repeat("é", 121)
	group := cftunnel.PermissionCloudflareTunnelRead
	validUpdate := tokenUpdate{Name: "n", Policies: tunnelPolicy(accountID)}
	noChange := func(*tokenUpdate) error { return nil }
	now := time.Now()
	invalidIDs := map[string]string{
		"empty": "", "dots": "..", "a path": "a/b", "a query": "?x=1", "a secret": apiToken, "an operation": "verify", "escaped": "%2e%2e",
		"short": tokenID[1:], "not hexadecimal": "z" + tokenID[1:],
	}
	for name, test := range tokenServices {
		tokens := test.service(client)
		create := func(params cftunnel.APITokenCreateParams) error {
			_, err := tokens.Create(ctx, params)
			return err
		}
		update := func(params tokenUpdate) error {
			_, err := tokens.Update(ctx, tokenID, params)
			return err
		}
		with := func(policy cftunnel.TokenPolicy) error {
			return create(cftunnel.APITokenCreateParams{Name: "n", Policies: []cftunnel.TokenPolicy{policy}})
		}
		errs := map[string]error{
			"no name":                    create(cftunnel.APITokenCreateParams{Policies: tunnelPolicy(accountID)}),
			"a blank name":               create(cftunnel.APITokenCreateParams{Name: " \t"}),
			"a long name":                create(cftunnel.APITokenCreateParams{Name: long}),
			"expires before it is valid": create(cftunnel.APITokenCreateParams{Name: "n", NotBefore: now, ExpiresOn: now.Add(-time.Minute)}),
			"a late year":                create(cftunnel.APITokenCreateParams{Name: "n", ExpiresOn: now.AddDate(9000, 0, 0)}),
			"an invalid prefix":          create(cftunnel.APITokenCreateParams{Name: "n", Condition: &cftunnel.TokenCondition{AllowedIPs: []netip.Prefix{{}}}}),
			"another invalid prefix":     create(cftunnel.APITokenCreateParams{Name: "n", Condition: &cftunnel.TokenCondition{DeniedIPs: []netip.Prefix{{}}}}),
			"no account":                 with(cftunnel.AccountPolicy("", group)),
			"a blank account":            with(cftunnel.AccountPolicy(" ", group)),
			"no account of zones":        with(cftunnel.AllZonesPolicy("", group)),
			"no zone":                    with(cftunnel.ZonePolicy("", group)),
			"no zone inside":             with(cftunnel.TokenPolicy{PermissionGroups: []cftunnel.PermissionGroup{group}, Resources: cftunnel.TokenResources{"r": {Within: map[string]string{"": "*"}}}}),
			"no group":                   with(cftunnel.AccountPolicy(accountID)),
			"a group without an ID":      with(cftunnel.AccountPolicy(accountID, group, cftunnel.PermissionGroup{Name: "DNS Write"})),
			"no resource":                with(cftunnel.TokenPolicy{PermissionGroups: []cftunnel.PermissionGroup{group}}),
			"update without policies":    update(tokenUpdate{Name: "n"}),
			"update without a name":      update(tokenUpdate{Policies: tunnelPolicy(accountID)}),
			"status expired":             update(tokenUpdate{Name: "n", Policies: tunnelPolicy(accountID), Status: cftunnel.TokenStatusExpired}),
			"status revoked":             update(tokenUpdate{Name: "n", Policies: tunnelPolicy(accountID), Status: cftunnel.TokenStatusRevoked}),
		}
		for id, value := range invalidIDs {
			_, errs["get "+id] = tokens.Get(ctx, value)
			_, errs["update "+id] = tokens.Update(ctx, value, validUpdate)
			_, errs["modify "+id] = tokens.Modify(ctx, value, noChange)
			_, errs["roll "+id] = tokens.Roll(ctx, value)
			errs["delete "+id] = tokens.Delete(ctx, value)
		}
		_, errs["modify with nil"] = tokens.Modify(ctx, tokenID, nil)
		_, errs["find an empty name"] = tokens.FindByName(ctx, "")
		_, errs["a negative page"] = tokens.List(ctx, cftunnel.APITokenListParams{Page: -1})
		_, errs["a short page"] = tokens.List(ctx, cftunnel.APITokenListParams{PerPage: 4})
		_, errs["a negative page size"] = tokens.List(ctx, cftunnel.APITokenListParams{PerPage: -1})
		_, errs["resolve no scope"] = tokens.ResolvePermissionGroups(ctx, "", "DNS Write")
		_, errs["resolve nothing"] = tokens.ResolvePermissionGroups(ctx, cftunnel.TokenScopeZone)
		_, errs["resolve an empty name"] = tokens.ResolvePermissionGroups(ctx,
			cftunnel.TokenScopeZone, "DNS Write", "")
		for input, err := range errs {
			var argument *cftunnel.InvalidArgumentError
			require.ErrorAs(t, err, &argument, "%s: %s", name, input)
			assert.NotContains(t, err.Error(), apiToken)
		}
	}
	assert.Zero(t, sent.Load())
}

func TestAPITokens_AccountTokensWithoutAccountID(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL(srv.URL()), cftunnel.WithAPIToken(srv.APIToken().Reveal()))
	require.NoError(t, err)
	var argument *cftunnel.InvalidArgumentError
	_, err = client.AccountTokens.Get(t.Context(), tokenID)
	require.ErrorAs(t, err, &argument)
	_, err = client.AccountTokens.Create(t.Context(), cftunnel.APITokenCreateParams{Name: "n"})
	require.ErrorAs(t, err, &argument)
	assert.Empty(t, srv.Requests())
	_, err = client.UserTokens.List(t.Context(), cftunnel.APITokenListParams{})
	require.NoError(t, err)
}

func TestAPITokens_NilAndZeroService(t *testing.T) {
	t.Parallel()
	for _, tokens := range []*cftunnel.APITokensService{nil, {}} {
		ctx := t.Context()
		_, err := tokens.Create(ctx, cftunnel.APITokenCreateParams{Name: "n"})
		require.Error(t, err)
		_, err = tokens.Get(ctx, tokenID)
		require.Error(t, err)
		_, err = tokens.List(ctx, cftunnel.APITokenListParams{})
		require.Error(t, err)
		for _, err = range tokens.All(ctx, cftunnel.APITokenListParams{}) {
		}
		require.Error(t, err)
		_, err = tokens.FindByName(ctx, "n")
		require.Error(t, err)
		update := tokenUpdate{Name: "n", Policies: tunnelPolicy(accountID)}
		_, err = tokens.Update(ctx, tokenID, update)
		require.Error(t, err)
		_, err = tokens.Modify(ctx, tokenID, func(*tokenUpdate) error { return nil })
		require.Error(t, err)
		require.Error(t, tokens.Delete(ctx, tokenID))
		_, err = tokens.Roll(ctx, tokenID)
		require.Error(t, err)
		_, err = tokens.PermissionGroups(ctx, cftunnel.PermissionGroupListParams{})
		require.Error(t, err)
		_, err = tokens.ResolvePermissionGroups(ctx, cftunnel.TokenScopeZone, "DNS Write")
		require.Error(t, err)
	}
}

// Create and Roll do not retry a request that may have been carried out.
func TestAPITokens_LostResponses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault   tunneltest.Fault
		unknown bool
		sent    int
	}{
		"500":                 {tunneltest.Fault{Status: 500, Work: true}, true, 1},
		"502":                 {tunneltest.Fault{Status: 502, Body: "<html>"}, true, 1},
		"503":                 {tunneltest.Fault{Status: 503}, true, 1},
		"cut before the work": {tunneltest.Fault{Cut: tunneltest.CutBefore}, true, 1},
		"cut after the work":  {tunneltest.Fault{Cut: tunneltest.CutAfter}, true, 1},
		"cut inside the body": {tunneltest.Fault{Cut: tunneltest.CutInside}, true, 1},
		"not JSON":            {tunneltest.Fault{Status: 200, Body: "ok", Work: true}, true, 1},
		"no result":           {tunneltest.Fault{Status: 200, Body: `{"success":true,"errors":[],"messages":[],"result":null}`, Work: true}, true, 1},
		"429":                 {tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"0"}}}, false, 2},
		"409":                 {tunneltest.Fault{Status: 409}, false, 1},
		"errs with a success": {tunneltest.Fault{Status: 200, Body: `{"success":false,"errors":[{"code":1000,"message":"m"}],"messages":[],"result":null}`}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) { //nolint:thelper // the test itself
				srv, client := h.srv, h.newClient()
				ctx := t.Context()
				id := createToken(t, client.UserTokens, cftunnel.APITokenCreateParams{
					Name: "n", Policies: tunnelPolicy(srv.AccountID()),
				}).ID
				srv.Inject(tunneltest.Fault(test.fault))
				params := cftunnel.APITokenCreateParams{Name: "n"}
				token, createErr := client.UserTokens.Create(ctx, params)
				afterCreate := len(srv.Requests()) - 1
				assert.Equal(t, test.sent, afterCreate)
				srv.Inject(tunneltest.Fault(test.fault))
				secret, rollErr := client.UserTokens.Roll(ctx, id)
				assert.Equal(t, test.sent, len(srv.Requests())-1-afterCreate)
				if test.sent == 2 {
					require.NoError(t, errors.Join(createErr, rollErr))
					return
				}
				assert.Nil(t, token)
				assert.True(t, secret.IsZero())
				for _, err := range []error{createErr, rollErr} {
					require.Error(t, err)
					assert.Equal(t, test.unknown, isUncertain(err), "%v", err)
				}
			})
		})
	}
}

func TestAPITokensCreate_ResponseWithoutSecret(t *testing.T) {
	t.Parallel()
	for _, value := range []string{``, `,"value":null`, `,"value":""`, `,"value":1`} {
		var sent atomic.Int32
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			sent.Add(1)
			body := `{"success":true,"errors":[],"messages":[],"result":{"id":"` + tokenID +
				`","name":"n","status":"active","policies":[]` + value + `}}`
			respond(200, body)(w, r)
		}, quickRetry)
		params := cftunnel.APITokenCreateParams{Name: "n"}
		token, err := client.UserTokens.Create(t.Context(), params)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, value)
		require.NotNil(t, token, value)
		assert.Equal(t, tokenID, token.ID)
		assert.True(t, token.Value.IsZero())
		assert.EqualValues(t, 1, sent.Load())
	}
	client := clientOf(t, respond(200, `{"success":true,"errors":[],"messages":[],"result":{"value":"`+newSecretText+`"}}`))
	token, err := client.UserTokens.Create(t.Context(), cftunnel.APITokenCreateParams{Name: "n"})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Nil(t, token)
	assert.NotContains(t, err.Error(), newSecretText)
}

func TestAPITokensRoll_ResponseWithoutSecret(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`null`, `""`, `{}`, `{"value":"` + newSecretText + `"}`, `["` + newSecretText + `"]`} {
		var sent atomic.Int32
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			sent.Add(1)
			respond(200, `{"success":true,"errors":[],"messages":[],"result":`+result+`}`)(w, r)
		}, quickRetry)
		secret, err := client.UserTokens.Roll(t.Context(), tokenID)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, result)
		assert.True(t, secret.IsZero())
		assert.NotContains(t, err.Error(), newSecretText)
		assert.EqualValues(t, 1, sent.Load())
	}
}

func TestAPITokens_ResponseAboutAnotherToken(t *testing.T) {
	t.Parallel()
	body := func(id string) string {
		return `{"success":true,"errors":[],"messages":[],"result":{"id":"` + id +
			`","name":"n","status":"active","policies":[]}}`
	}
	ctx := t.Context()
	for _, id := range []string{strings.Repeat("a", 32), ""} {
		client := clientOf(t, respond(200, body(id)), once)
		_, err := client.UserTokens.Get(ctx, tokenID)
		require.Error(t, err)
		_, err = client.UserTokens.Update(ctx, tokenID,
			tokenUpdate{Name: "n", Policies: []cftunnel.TokenPolicy{}})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		if id != "" {
			require.ErrorIs(t, client.UserTokens.Delete(ctx, tokenID), cftunnel.ErrOutcomeUnknown)
		}
	}
	upper := clientOf(t, respond(200, body(strings.ToUpper(tokenID))))
	_, err := upper.UserTokens.Get(ctx, tokenID)
	require.NoError(t, err, "case is ignored")
	for _, result := range []string{`null`, `{}`, `{"id":"` + tokenID + `"}`} {
		deleted := clientOf(t,
			respond(200, `{"success":true,"errors":[],"messages":[],"result":`+result+`}`))
		require.NoError(t, deleted.UserTokens.Delete(ctx, tokenID), result)
	}
}

// No printed form, JSON, log or error contains a secret, also if the server echoes it.
func TestAPITokens_SecretIsNotShown(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv, client := newFake(t, cftunnel.WithLogger(logger))
	token := createToken(t, client.UserTokens, cftunnel.APITokenCreateParams{
		Name: "n", Policies: tunnelPolicy(srv.AccountID()),
	})
	rolled, err := client.UserTokens.Roll(t.Context(), token.ID)
	require.NoError(t, err)
	encoded, err := json.Marshal(token)
	require.NoError(t, err)
	shown := fmt.Sprintf("%v %+v %#v %s %s", *token, *token, *token, rolled, encoded) +
		logged.String()
	assert.NotContains(t, shown, token.Value.Reveal())
	assert.NotContains(t, shown, rolled.Reveal())

	const echo = `{"code":1000,"message":"the tokens ` + newSecretText + ` and ` + oldSecretText +
		` are odd"}`
	for name, response := range map[string]struct {
		status int
		body   string
	}{
		"status 200, failure": {200, `{"success":false,"errors":[` + echo + `],"messages":[` + echo + `],"result":{"id":"` + tokenID + `","value":"` + newSecretText + `"}}`},
		"a failure":           {400, `{"success":false,"errors":[` + echo + `],"messages":[],"result":null}`},
		"a failure in HTML":   {502, `<html><pre>` + newSecretText + `</pre></html>`},
		"text":                {200, newSecretText},
		"a truncated body":    {200, `{"success":true,"result":"` + newSecretText},
		"an unexpected type":  {200, `{"success":true,"errors":[],"messages":[],"result":[["` + newSecretText + `"]]}`},
		"a success message":   {200, `{"success":true,"errors":[],"messages":[` + echo + `],"result":{}}`},
	} {
		logged.Reset()
		client := clientOf(t, respond(response.status, response.body), once,
			cftunnel.WithLogger(logger))
		params := cftunnel.APITokenCreateParams{Name: "n"}
		_, createErr := client.UserTokens.Create(t.Context(), params)
		_, rollErr := client.AccountTokens.Roll(t.Context(), tokenID)
		for _, err := range []error{createErr, rollErr} {
			require.Error(t, err, name)
			shown := fmt.Sprintf("%v %+v %s", err, errorFields(err), logged.String())
			assert.NotContains(t, shown, newSecretText, name)
			assert.NotContains(t, shown, oldSecretText, name)
		}
	}
}

// errorFields returns the fields of an *Error that contain text of the server.
func errorFields(err error) cftunnel.Error {
	if e, ok := errors.AsType[*cftunnel.Error](err); ok {
		return cftunnel.Error{Errors: e.Errors, Body: e.Body}
	}
	return cftunnel.Error{}
}

func TestAPITokensFindByName(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)
	srv := tunneltest.NewServer(tunneltest.WithClock(func() time.Time { return at }))
	t.Cleanup(srv.Close)
	client, err := srv.NewClient()
	require.NoError(t, err)
	srv.AddToken(tunneltest.Token{
		Owner: cftunnel.TokenOwnerAccount, Name: "ci", Status: cftunnel.TokenStatusExpired,
	})
	for range 120 {
		at = at.Add(time.Second)
		srv.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, Name: "other"})
	}
	at = at.Add(time.Second)
	srv.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, Name: "ci"})
	found, err := client.AccountTokens.FindByName(t.Context(), "ci")
	require.NoError(t, err)
	require.Len(t, found, 2)
	assert.Equal(t, cftunnel.TokenStatusExpired, found[0].Status, "the oldest first")
	assert.True(t, found[0].IssuedOn.Before(found[1].IssuedOn))
	requests := srv.Requests()
	assert.Len(t, requests, 3, "three pages of 50")
	assert.Equal(t, "50", requests[0].Query.Get("per_page"))
	assert.Equal(t, "true", requests[0].Query.Get("include_expired"))

	none, err := client.AccountTokens.FindByName(t.Context(), "c")
	require.NoError(t, err)
	assert.Empty(t, none)
}

// A server may return 20 tokens a page although per_page is larger. If it ignores the page number,
// the list ends with an error.
func TestAPITokensAll_ServerIgnoresParameters(t *testing.T) {
	t.Parallel()
	serve := func(ignorePage bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			page := 1
			if !ignorePage {
				_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
			}
			items := []string{}
			for i := (page - 1) * 20; i < min(page*20, 45); i++ {
				items = append(items, fmt.Sprintf(`{"id":"%032x","name":"n","policies":[]}`, i+1))
			}
			result := strings.Join(items, ",")
			respond(200, `{"success":true,"errors":[],"messages":[],"result":[`+result+`]}`)(w, r)
		}
	}
	n := 0
	client := clientOf(t, serve(false))
	for _, err := range client.UserTokens.All(t.Context(), cftunnel.APITokenListParams{}) {
		require.NoError(t, err)
		n++
	}
	assert.Equal(t, 45, n)
	var last error
	client = clientOf(t, serve(true))
	for _, err := range client.UserTokens.All(t.Context(), cftunnel.APITokenListParams{}) {
		last = err
	}
	require.Error(t, last)
}

// accountTokensWrite is the ID of the permission group Account API Tokens Write.
const accountTokensWrite = "5bc3f8b21c554832afc660159ab75fa4"

func TestAPITokens_ErrorHints(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	wrongAccount := cftunnel.APITokenCreateParams{Name: "n", Policies: tunnelPolicy("*")}
	_, err := client.AccountTokens.Create(ctx, wrongAccount)
	require.ErrorIs(t, err, cftunnel.ErrBadRequest)
	assert.True(t, cftunnel.HasCode(err, 1001))
	assert.NotContains(t, err.Error(), "own token", "the message names the cause")
	maker, err := srv.NewClient(cftunnel.WithAPIToken(srv.AddToken(tunneltest.Token{
		Owner: cftunnel.TokenOwnerAccount, Policies: []cftunnel.TokenPolicy{cftunnel.AccountPolicy(
			srv.AccountID(), cftunnel.PermissionGroup{ID: accountTokensWrite})},
	}).Reveal()))
	require.NoError(t, err)
	tooMuch := cftunnel.APITokenCreateParams{Name: "n", Policies: tunnelPolicy(srv.AccountID())}
	_, err = maker.AccountTokens.Create(ctx, tooMuch)
	assert.True(t, cftunnel.HasCode(err, 1001), "%v", err)
	assert.ErrorContains(t, err, "Failed common permission check against resources; a policy may "+
		"have a permission that the client's own token does not have, or")

	secret := srv.AddToken(tunneltest.Token{Condition: &cftunnel.TokenCondition{
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}})
	forbidden, err := srv.NewClient(cftunnel.WithAPIToken(secret.Reveal()))
	require.NoError(t, err)
	_, err = forbidden.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
	assert.ErrorContains(t, err, "; the token's condition may forbid the client's address")
	assert.NotContains(t, err.Error(), "the credentials need", "they may have the permissions")
	_, err = forbidden.Tokens.Verify(ctx)
	require.NoError(t, err)

	reader := srv.AddToken(tunneltest.Token{ReadOnly: true})
	readOnly, err := srv.NewClient(cftunnel.WithAPIToken(reader.Reveal()))
	require.NoError(t, err)
	_, err = readOnly.UserTokens.Roll(ctx, tokenID)
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
	assert.Contains(t, err.Error(), `"API Tokens Write"`)
	_, err = readOnly.AccountTokens.Roll(ctx, tokenID)
	assert.Contains(t, err.Error(), `"Account API Tokens Write"`)
	assert.True(t, cftunnel.HasCode(err, 9109))
	assert.NotContains(t, err.Error(), "address", "a permission is missing")
	_, err = client.Tunnels.Create(ctx,
		cftunnel.TunnelCreateParams{Name: "web", ConfigSource: "odd"})
	require.ErrorIs(t, err, cftunnel.ErrBadRequest)
	assert.NotContains(t, err.Error(), "own token", "code 1001 of another endpoint")
}

// If a client rolls its own token, it works again as soon as its token source returns the new one.
// A client with a fixed token does not.
func TestAPITokens_TokenOfTheClient(t *testing.T) {
	t.Parallel()
	srv, fixed := newFake(t)
	ctx := t.Context()
	var current atomic.Value
	current.Store(srv.APIToken())
	source := func(context.Context) (cftunnel.Secret, error) {
		return current.Load().(cftunnel.Secret), nil
	}
	client, err := srv.NewClient(cftunnel.WithTokenSource(source))
	require.NoError(t, err)
	own, err := client.Tokens.Verify(ctx)
	require.NoError(t, err)
	secret, err := client.UserTokens.Roll(ctx, own.ID)
	require.NoError(t, err)
	_, err = client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	current.Store(secret)
	_, err = client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	require.NoError(t, err)
	_, err = fixed.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)

	_, err = client.UserTokens.Modify(ctx, own.ID, func(p *tokenUpdate) error {
		p.Status = cftunnel.TokenStatusDisabled
		return nil
	})
	require.NoError(t, err)
	_, err = client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
}

func TestAPITokensPermissionGroups(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	for name, test := range tokenServices {
		params := cftunnel.PermissionGroupListParams{
			Name: "Access: Apps and Policies Write", Scope: cftunnel.TokenScopeAccount,
		}
		groups, err := test.service(client).PermissionGroups(ctx, params)
		require.NoError(t, err)
		require.Len(t, groups, 1, name)
		assert.Equal(t, "cloudflare_one_and_zero_trust", groups[0].Category)
		requests := srv.Requests()
		last := requests[len(requests)-1]
		assert.Equal(t, "Access: Apps and Policies Write", last.Query.Get("name"), "encoded once")
		assert.Equal(t, "com.cloudflare.api.account", last.Query.Get("scope"))
	}
	all, err := client.UserTokens.PermissionGroups(ctx, cftunnel.PermissionGroupListParams{})
	require.NoError(t, err)
	known := map[string]string{}
	for _, group := range all {
		known[group.ID] = group.Name
	}
	for _, group := range []cftunnel.PermissionGroup{
		cftunnel.PermissionCloudflareTunnelRead, cftunnel.PermissionCloudflareTunnelWrite,
		cftunnel.PermissionDNSRead, cftunnel.PermissionDNSWrite, cftunnel.PermissionZoneRead,
	} {
		assert.Equal(t, group.Name, known[group.ID])
	}
}

func TestAPITokensResolvePermissionGroups(t *testing.T) {
	t.Parallel()
	_, client := newFake(t)
	ctx := t.Context()
	const zone = cftunnel.TokenScopeZone
	groups, err := client.AccountTokens.ResolvePermissionGroups(ctx, zone, "Zone Read",
		"Access: Apps and Policies Write", "DNS Write")
	require.NoError(t, err)
	require.Len(t, groups, 3)
	assert.Equal(t, cftunnel.PermissionZoneRead.ID, groups[0].ID)
	assert.Equal(t, []cftunnel.TokenScope{cftunnel.TokenScopeZone}, groups[1].Scopes)
	assert.Equal(t, cftunnel.PermissionDNSWrite.ID, groups[2].ID)

	_, err = client.AccountTokens.ResolvePermissionGroups(ctx, zone, "DNS Edit", "Zone Read",
		"Cloudflare Tunnel Write", "dns write")
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	for _, missing := range []string{`"DNS Edit"`, `"Cloudflare Tunnel Write"`, `"dns write"`} {
		assert.Contains(t, err.Error(), missing)
	}
	assert.NotContains(t, err.Error(), `"Zone Read"`)

	same := `{"id":"%s","name":"Same","scopes":["com.cloudflare.api.account.zone"],"deprecated":%v}`
	serve := func(items ...string) *cftunnel.Client {
		return clientOf(t, respond(200,
			`{"success":true,"errors":[],"messages":[],"result":[`+strings.Join(items, ",")+`]}`))
	}
	client = serve(fmt.Sprintf(same, "a", true), fmt.Sprintf(same, "b", false))
	one, err := client.UserTokens.ResolvePermissionGroups(ctx, zone, "Same")
	require.NoError(t, err)
	assert.Equal(t, "b", one[0].ID, "not the deprecated one")
	dead, dead2 := fmt.Sprintf(same, "a", true), fmt.Sprintf(same, "b", true)
	live := fmt.Sprintf(same, "c", false)
	for _, list := range [][]string{{dead, dead2, live}, {dead, live, dead2}, {live, dead, dead2}} {
		one, err = serve(list...).UserTokens.ResolvePermissionGroups(ctx, zone, "Same")
		require.NoError(t, err)
		assert.Equal(t, "c", one[0].ID, "in any order")
	}
	_, err = serve(dead, dead2).UserTokens.ResolvePermissionGroups(ctx, zone, "Same")
	require.ErrorContains(t, err, "several")
	another := `{"id":"c","name":"Same","scopes":["com.cloudflare.api.account"]}`
	client = serve(another, fmt.Sprintf(same, "b", false))
	one, err = client.UserTokens.ResolvePermissionGroups(ctx, zone, "Same")
	require.NoError(t, err)
	assert.Equal(t, "b", one[0].ID, "even if the server ignores the scope")
	client = serve(fmt.Sprintf(same, "a", false), fmt.Sprintf(same, "b", false))
	_, err = client.UserTokens.ResolvePermissionGroups(ctx, zone, "Same")
	require.ErrorContains(t, err, "several")
	_, err = serve().UserTokens.ResolvePermissionGroups(ctx, zone, "Same")
	require.ErrorContains(t, err, "may lack the permission")
}

// A 404 for the list says nothing about the token or the permission group.
func TestAPITokens_ListNotFound(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(404, refusalBody(1000)))
	_, findErr := client.UserTokens.FindByName(t.Context(), "operator")
	_, resolveErr := client.UserTokens.ResolvePermissionGroups(t.Context(),
		cftunnel.TokenScopeAccount, "DNS Read")
	for _, err := range []error{findErr, resolveErr} {
		assert.True(t, cftunnel.HasCode(err, 1000))
		assert.NotErrorIs(t, err, cftunnel.ErrNotFound)
	}
}
