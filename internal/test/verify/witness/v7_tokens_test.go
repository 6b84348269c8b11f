package witness

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/accounts"
	"github.com/cloudflare/cloudflare-go/v7/shared"
	"github.com/cloudflare/cloudflare-go/v7/user"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// apiToken is an APIToken with the API's names.
func apiToken(t *testing.T, token *cftunnel.APIToken) any {
	t.Helper()
	encode := func(v any) json.RawMessage {
		encoded, err := json.Marshal(v)
		require.NoError(t, err)
		return encoded
	}
	return struct {
		ID         string          `json:"id"`
		Name       string          `json:"name"`
		Status     string          `json:"status"`
		IssuedOn   time.Time       `json:"issued_on"`
		ModifiedOn time.Time       `json:"modified_on"`
		LastUsedOn time.Time       `json:"last_used_on"`
		NotBefore  time.Time       `json:"not_before"`
		ExpiresOn  time.Time       `json:"expires_on"`
		Policies   json.RawMessage `json:"policies"`
		Condition  json.RawMessage `json:"condition"`
	}{
		token.ID, token.Name, string(token.Status), token.IssuedOn, token.ModifiedOn, token.LastUsedOn, token.NotBefore, token.ExpiresOn,
		encode(token.Policies), encode(token.Condition),
	}
}

// policiesV7 allows to manage tunnels, and the DNS records of every zone of the account. v7 cannot
// decode both kinds of resources in one policy.
func policiesV7(f *fake) []shared.TokenPolicyParam {
	const allow = shared.TokenPolicyEffectAllow
	policy := func(group cftunnel.PermissionGroup, resources shared.TokenPolicyResourcesUnionParam) shared.TokenPolicyParam {
		groups := []shared.TokenPolicyPermissionGroupParam{with[shared.TokenPolicyPermissionGroupParam](member{"ID", group.ID})}
		return with[shared.TokenPolicyParam](member{"Effect", allow}, member{"PermissionGroups", groups}, member{"Resources", resources})
	}
	account := "com.cloudflare.api.account." + f.AccountID()
	return []shared.TokenPolicyParam{
		policy(cftunnel.PermissionCloudflareTunnelWrite, shared.TokenPolicyResourcesIAMResourcesTypeObjectStringParam{account: "*"}),
		policy(cftunnel.PermissionDNSWrite, shared.TokenPolicyResourcesIAMResourcesTypeObjectNestedParam{
			account: {"com.cloudflare.api.account.zone.*": "*"},
		}),
	}
}

func TestV7_UserTokens(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		type (
			condition = user.TokenNewParamsCondition
			addresses = user.TokenNewParamsConditionRequestIP
		)
		ctx, v7, ours := t.Context(), user.NewTokenService(f.optionsV7()...), f.ours().UserTokens
		created, err := v7.New(ctx, with[user.TokenNewParams](
			member{"Name", "ci"}, member{"Policies", policiesV7(f)}, member{"ExpiresOn", time.Now().Add(time.Hour).Truncate(time.Second)},
			member{"Condition", with[condition](member{"RequestIP", with[addresses](member{"In", []string{"127.0.0.0/8"}})})},
		))
		require.NoError(t, err)
		same := func(official any, err error) {
			t.Helper()
			require.NoError(t, err)
			own, err := ours.Get(ctx, created.ID)
			require.NoError(t, err)
			sameFields(t, official, apiToken(t, own), nil, nil)
		}
		same(v7.Get(ctx, created.ID))
		_, err = f.ours(cftunnel.WithAPIToken(created.Value)).Tunnels.List(ctx, cftunnel.TunnelListParams{})
		require.NoError(t, err)
		same(v7.Get(ctx, created.ID)) // it was used
		same(v7.Update(ctx, created.ID, user.TokenUpdateParams{Token: with[shared.TokenParam](
			member{"Name", "renamed"}, member{"Policies", policiesV7(f)}, member{"Status", "disabled"})}))

		page, err := v7.List(ctx, user.TokenListParams{})
		require.NoError(t, err)
		own, err := ours.List(ctx, cftunnel.APITokenListParams{})
		require.NoError(t, err)
		require.Len(t, page.Result, len(own.Items))
		sameFields(t, page.Result[0], apiToken(t, &own.Items[0]), nil, nil) // the other is in use
		groups, err := v7.PermissionGroups.List(ctx, user.TokenPermissionGroupListParams{})
		require.NoError(t, err)
		ownGroups, err := ours.PermissionGroups(ctx, cftunnel.PermissionGroupListParams{})
		require.NoError(t, err)
		require.Len(t, groups.Result, len(ownGroups))
		for i := range ownGroups {
			assert.Equal(t, ownGroups[i].ID, groups.Result[i].ID)
			assert.Equal(t, ownGroups[i].Name, groups.Result[i].Name)
		}

		rolled, err := v7.Value.Update(ctx, created.ID, user.TokenValueUpdateParams{Body: map[string]any{}})
		require.NoError(t, err)
		assert.NotEqual(t, created.Value, *rolled)
		deleted, err := v7.Delete(ctx, created.ID)
		require.NoError(t, err)
		assert.Equal(t, created.ID, deleted.ID)
		_, err = ours.Get(ctx, created.ID)
		assert.ErrorIs(t, err, cftunnel.ErrNotFound)
	})
}

func TestV7_AccountTokens(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), accounts.NewTokenService(f.optionsV7()...), f.ours().AccountTokens
		created, err := v7.New(ctx, account[accounts.TokenNewParams](f, member{"Name", "ci"}, member{"Policies", policiesV7(f)}))
		require.NoError(t, err)
		get := func() *cftunnel.APIToken {
			t.Helper()
			official, err := v7.Get(ctx, created.ID, account[accounts.TokenGetParams](f))
			require.NoError(t, err)
			own, err := ours.Get(ctx, created.ID)
			require.NoError(t, err)
			sameFields(t, official, apiToken(t, own), nil, nil)
			return own
		}
		get()
		update := account[accounts.TokenUpdateParams](f)
		update.Token = with[shared.TokenParam](member{"Name", "renamed"}, member{"Policies", policiesV7(f)})
		_, err = v7.Update(ctx, created.ID, update)
		require.NoError(t, err)
		assert.Equal(t, "renamed", get().Name)
		roll := account[accounts.TokenValueUpdateParams](f)
		roll.Body = map[string]any{}
		rolled, err := v7.Value.Update(ctx, created.ID, roll)
		require.NoError(t, err)
		_, err = f.ours(cftunnel.WithAPIToken(*rolled)).Tunnels.List(ctx, cftunnel.TunnelListParams{})
		require.NoError(t, err)
		page, err := v7.List(ctx, account[accounts.TokenListParams](f))
		require.NoError(t, err)
		require.Len(t, page.Result, 1)
		sameFields(t, page.Result[0], apiToken(t, get()), nil, nil)
		_, err = v7.Delete(ctx, created.ID, account[accounts.TokenDeleteParams](f))
		require.NoError(t, err)
		_, err = ours.Get(ctx, created.ID)
		assert.ErrorIs(t, err, cftunnel.ErrNotFound)
	})
}
