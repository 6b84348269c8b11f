package tunneltest_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestConnect_TunnelStatus(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	expect := func(status cftunnel.TunnelStatus, active, inactive time.Time) {
		t.Helper()
		tunnel := f.get(id)
		assert.Equal(t, status, tunnel.Status)
		assert.Equal(t, active, tunnel.ConnsActiveAt)
		assert.Equal(t, inactive, tunnel.ConnsInactiveAt)
	}
	expect(cftunnel.TunnelStatusInactive, time.Time{}, noon)

	up := c.advance(time.Hour)
	first := f.connect(token)
	expect(cftunnel.TunnelStatusHealthy, up, time.Time{})
	c.advance(time.Hour)
	second := f.connect(token)
	assert.NotEqual(t, first, second)
	expect(cftunnel.TunnelStatusHealthy, up, time.Time{})

	c.advance(time.Hour)
	f.Disconnect(first)
	expect(cftunnel.TunnelStatusHealthy, up, time.Time{})
	down := c.advance(time.Hour)
	f.Disconnect(second)
	expect(cftunnel.TunnelStatusDown, time.Time{}, down)
	c.advance(time.Hour)
	f.Disconnect(second)
	expect(cftunnel.TunnelStatusDown, time.Time{}, down)

	upAgain := c.advance(time.Hour)
	f.connect(token)
	expect(cftunnel.TunnelStatusHealthy, upAgain, time.Time{})
}

func TestConnect_NullTimes(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	connector := f.connect(token)
	fields := f.fetch(f.accountPath("/cfd_tunnel/" + id)).fields()
	assert.Equal(t, "null", string(fields["conns_inactive_at"]))
	assert.NotEqual(t, "null", string(fields["conns_active_at"]))
	f.Disconnect(connector)
	fields = f.fetch(f.accountPath("/cfd_tunnel/" + id)).fields()
	assert.Equal(t, "null", string(fields["conns_active_at"]))
	assert.NotEqual(t, "null", string(fields["conns_inactive_at"]))
}

func TestDisconnect_OneConnector(t *testing.T) {
	t.Parallel()
	f := start(t)
	one, token := f.create("one")
	other, otherToken := f.create("other")
	connector := f.connect(token)
	f.connect(otherToken)
	f.Disconnect("unknown")
	f.Disconnect("")
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(one).Status)
	f.Disconnect(connector)
	assert.Equal(t, cftunnel.TunnelStatusDown, f.get(one).Status)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(other).Status)
}

// After a rotation, existing connections stay up, and the old token opens no new ones.
func TestConnect_RotatedToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, old := f.create("web")
	connector := f.connect(old)
	updated, err := f.client().Tunnels.Update(t.Context(), id,
		cftunnel.TunnelUpdateParams{Secret: cftunnel.NewSecret(secretOf(32, 1))})
	require.NoError(t, err)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(id).Status)

	_, err = f.Connect(old)
	require.ErrorContains(t, err, "rotated")
	assert.NotContains(t, err.Error(), old.Reveal())
	f.Disconnect(connector)
	_, err = f.Connect(old)
	require.Error(t, err)
	assert.Equal(t, cftunnel.TunnelStatusDown, f.get(id).Status,
		"a refused connector changes nothing")

	f.connect(updated.Token)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(id).Status)
}

func TestConnect_RenamedTunnel(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	_, err := f.client().Tunnels.Update(t.Context(), id,
		cftunnel.TunnelUpdateParams{Name: "renamed"})
	require.NoError(t, err)
	f.connect(token)
}

func TestConnect_InvalidToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, good := f.create("web")
	deleted, ofDeleted := f.create("deleted")
	f.delete(deleted)
	secret := tokenOf(t, good.Reveal()).S
	encode := func(account, tunnel, secret string) string {
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"a":%q,"t":%q,"s":%q}`, account,
			tunnel, secret))
	}
	for _, c := range []struct{ name, token, reason string }{
		{"empty", "", "malformed"},
		{"not base64", "eyJ***", "malformed"},
		{"not JSON", base64.StdEncoding.EncodeToString([]byte("tunnel")), "malformed"},
		{"an API token", f.APIToken().Reveal(), "malformed"},
		{"of an unknown tunnel", encode(f.AccountID(), unknownID, secret), "does not exist or is deleted"},
		{"of another account", encode("00000000000000000000000000000000", id, secret), "does not exist or is deleted"},
		{"of a deleted tunnel", ofDeleted.Reveal(), "does not exist or is deleted"},
		{"without a secret", encode(f.AccountID(), id, ""), "rotated"},
	} {
		connector, err := f.Connect(cftunnel.NewSecret(c.token))
		require.ErrorContains(t, err, c.reason, c.name)
		assert.Empty(t, connector, c.name)
		assert.NotContains(t, err.Error(), secret, c.name)
	}
	assert.Equal(t, cftunnel.TunnelStatusInactive, f.get(id).Status)
}

// Tokens can have spaces around them, and some have an endpoint field.
func TestConnect_TokenForms(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, token := f.create("web")
	f.connect(cftunnel.NewSecret(" " + token.Reveal() + "\n"))
	parts := tokenOf(t, token.Reveal())
	f.connect(cftunnel.NewSecret(base64.StdEncoding.EncodeToString(
		fmt.Appendf(nil, `{"a":%q,"t":%q,"s":%q,"e":"fed"}`, parts.A, parts.T, parts.S))))
}

func TestConnect_Limit(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, token := f.create("web")
	other, otherToken := f.create("other")
	ids := map[string]bool{}
	var last string
	for range 25 {
		last = f.connect(token)
		ids[last] = true
	}
	assert.Len(t, ids, 25)
	_, err := f.Connect(token)
	require.ErrorContains(t, err, "25")
	f.connect(otherToken)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(other).Status,
		"the limit is for each tunnel")
	f.Disconnect(last)
	f.connect(token)
}

// Connecting is not a request to the API.
func TestConnect_NotRecorded(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, token := f.create("web")
	before := len(f.Requests())
	f.Disconnect(f.connect(token))
	assert.Len(t, f.Requests(), before)
}
