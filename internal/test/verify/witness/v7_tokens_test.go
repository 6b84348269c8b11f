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

// apiToken returns an APIToken with JSON names.
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
		token.ID, token.Name, string(token.Status), token.IssuedOn, token.ModifiedOn,
		token.LastUsedOn, token.NotBefore, token.ExpiresOn,
		encode(token.Policies), encode(token.Condition),
	}
}

// policiesV7 returns policies that allow to change tunnels and the DNS records of every zone of the
// account. They are two policies, because v7 cannot decode both kinds of resources in one policy.
func policiesV7(f *fake) []shared.TokenPolicyParam {
	type (
		policyParam = shared.TokenPolicyParam
		groupParam  = shared.TokenPolicyPermissionGroupParam
		resources   = shared.TokenPolicyResourcesUnionParam
		flat        = shared.TokenPolicyResourcesIAMResourcesTypeObjectStringParam
		nested      = shared.TokenPolicyResourcesIAMResourcesTypeObjectNestedParam
	)
	policy := func(group cftunnel.PermissionGroup, r resources) policyParam {
		groups := []groupParam{with[groupParam](member{"ID", group.ID})}
		return with[policyParam](member{"Effect", shared.TokenPolicyEffectAllow},
			member{"PermissionGroups", groups}, member{"Resources", r})
	}
	account := "com.cloudflare.api.account." + f.AccountID()
	zones := nested{account: {"com.cloudflare.api.account.zone.*": "*"}}
	return []policyParam{
		policy(cftunnel.PermissionCloudflareTunnelWrite, flat{account: "*"}),
		policy(cftunnel.PermissionDNSWrite, zones),
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
		loopback := with[addresses](member{"In", []string{"127.0.0.0/8"}})
		created, err := v7.New(ctx, with[user.TokenNewParams](
			member{"Name", "ci"}, member{"Policies", policiesV7(f)},
			member{"ExpiresOn", time.Now().Add(time.Hour).Truncate(time.Second)},
			member{"Condition", with[condition](member{"RequestIP", loopback})},
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
		withToken := f.ours(cftunnel.WithAPIToken(created.Value))
		_, err = withToken.Tunnels.List(ctx, cftunnel.TunnelListParams{})
		require.NoError(t, err)
		same(v7.Get(ctx, created.ID)) // last_used_on is set
		same(v7.Update(ctx, created.ID, user.TokenUpdateParams{Token: with[shared.TokenParam](
			member{"Name", "renamed"}, member{"Policies", policiesV7(f)},
			member{"Status", "disabled"})}))

		page, err := v7.List(ctx, user.TokenListParams{})
		require.NoError(t, err)
		own, err := ours.List(ctx, cftunnel.APITokenListParams{})
		require.NoError(t, err)
		require.Len(t, page.Result, len(own.Items))
		// The second token is that of the clients. Its last_used_on changes with each request.
		sameFields(t, page.Result[0], apiToken(t, &own.Items[0]), nil, nil)
		groups, err := v7.PermissionGroups.List(ctx, user.TokenPermissionGroupListParams{})
		require.NoError(t, err)
		ownGroups, err := ours.PermissionGroups(ctx, cftunnel.PermissionGroupListParams{})
		require.NoError(t, err)
		require.Len(t, groups.Result, len(ownGroups))
		for i := range ownGroups {
			assert.Equal(t, ownGroups[i].ID, groups.Result[i].ID)
			assert.Equal(t, ownGroups[i].Name, groups.Result[i].Name)
		}

		rolled, err := v7.Value.Update(ctx, created.ID,
			user.TokenValueUpdateParams{Body: map[string]any{}})
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
		ctx, ours := t.Context(), f.ours().AccountTokens
		v7 := accounts.NewTokenService(f.optionsV7()...)
		created, err := v7.New(ctx, account[accounts.TokenNewParams](f,
			member{"Name", "ci"}, member{"Policies", policiesV7(f)}))
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
		update.Token = with[shared.TokenParam](
			member{"Name", "renamed"}, member{"Policies", policiesV7(f)})
		_, err = v7.Update(ctx, created.ID, update)
		require.NoError(t, err)
		assert.Equal(t, "renamed", get().Name)
		roll := account[accounts.TokenValueUpdateParams](f)
		roll.Body = map[string]any{}
		rolled, err := v7.Value.Update(ctx, created.ID, roll)
		require.NoError(t, err)
		withToken := f.ours(cftunnel.WithAPIToken(*rolled))
		_, err = withToken.Tunnels.List(ctx, cftunnel.TunnelListParams{})
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
