package cftunnel_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// unpublish unpublishes a hostname of the tunnel.
func (p *publisher) unpublish(hostname string) error {
	p.t.Helper()
	return p.client.Hostnames.Unpublish(p.t.Context(), p.tunnelID, hostname)
}

func TestHostnamesUnpublish(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	for _, path := range []string{"", "^/api"} {
		p.published(cftunnel.PublishParams{
			Hostname: "app.example.com", Path: path, Service: service,
		})
	}
	p.published(cftunnel.PublishParams{Hostname: "*.example.com", Service: service})
	p.published(cftunnel.PublishParams{Hostname: "b.app.example.com", Service: service})
	since := len(p.Requests())
	require.NoError(t, p.unpublish("App.example.com"))
	assert.Equal(t, []string{opRecordDelete, opConfigWrite}, p.writes(since))
	rules := []string{"b.app.example.com " + service, "*.example.com " + service, "http_status:404"}
	assert.Equal(t, rules, p.rules())
	records := []string{p.cname("*.example.com"), p.cname("b.app.example.com")}
	assert.ElementsMatch(t, records, p.records())

	since = len(p.Requests())
	require.NoError(t, p.unpublish("app.example.com"))
	assert.Empty(t, p.writes(since))

	require.NoError(t, p.unpublish("*.example.com"))
	require.NoError(t, p.unpublish("b.app.example.com"))
	assert.Equal(t, []string{"http_status:404"}, p.rules())
	assert.Empty(t, p.records())
}

func TestHostnamesUnpublish_LeavesOtherRecords(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	other := p.tunnel("other")
	p.configure("a.example.com "+service, "b.example.com "+service, "http_status:404")
	p.record("CNAME", "a", cftunnel.TunnelHostname(other), true)
	p.record("A", "b", "192.0.2.1", true)
	p.record("TXT", "b", "x", false)
	before := p.records()
	require.NoError(t, p.unpublish("a.example.com"))
	require.NoError(t, p.unpublish("b.example.com"))
	assert.Equal(t, before, p.records())
	assert.Equal(t, []string{"http_status:404"}, p.rules())
}

// A record that points to the tunnel is removed even if it is not proxied.
func TestHostnamesUnpublish_NotProxied(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.record("CNAME", "app", cftunnel.TunnelHostname(p.tunnelID), false)
	require.NoError(t, p.unpublish("app.example.com"))
	assert.Empty(t, p.records())
}

func TestHostnamesUnpublish_DeletedTunnel(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	_, err := p.client.Tunnels.Delete(t.Context(), p.tunnelID, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	require.NoError(t, p.unpublish("app.example.com"))
	assert.Empty(t, p.records())
	require.NoError(t, p.unpublish("app.example.com"))

	// A tunnel that never existed is treated like a deleted one.
	p.tunnelID = tunnelID
	p.record("CNAME", "app", cftunnel.TunnelHostname(tunnelID), true)
	require.NoError(t, p.unpublish("app.example.com"))
	assert.Empty(t, p.records())
}

func TestHostnamesUnpublish_LocallyManaged(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	tunnel, err := p.client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{
		Name: "local", ConfigSource: cftunnel.ConfigSourceLocal,
	})
	require.NoError(t, err)
	p.tunnelID = tunnel.ID
	p.record("CNAME", "app", cftunnel.TunnelHostname(p.tunnelID), true)
	_, err = p.client.Tunnels.UpdateConfiguration(t.Context(), p.tunnelID, cftunnel.TunnelConfig{
		Ingress: []cftunnel.IngressRule{
			{Hostname: "app.example.com", Service: service}, {Service: "http_status:404"},
		},
	})
	require.ErrorIs(t, err, cftunnel.ErrLocallyManaged)
	require.NoError(t, p.unpublish("app.example.com"))
	assert.Empty(t, p.records())
	assert.Equal(t, []string{"http_status:404"}, p.rules())
}

// If a read fails, nothing is removed.
func TestHostnamesUnpublish_ReadsFirst(t *testing.T) {
	t.Parallel()
	for _, fault := range []tunneltest.Fault{
		{Operation: opZones, Status: 500},
		{Operation: opZones, Status: 403},
		{Operation: opZones, Body: ok(`[]`), Times: 2},
		{Operation: opRecords, Status: 403},
		{Operation: opConfigRead, Status: 403},
		{Operation: opConfigRead, Status: 404, Body: "<html>"},
	} {
		p := newPublisher(t)
		p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
		since := len(p.Requests())
		p.Inject(fault)
		require.Error(t, p.unpublish("app.example.com"), "%+v", fault)
		assert.Empty(t, p.writes(since), "%+v", fault)
		p.ClearFaults()
		require.NoError(t, p.unpublish("app.example.com"))
		assert.Empty(t, p.records())
	}
}

func TestHostnamesUnpublish_FailsHalfway(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	p.Inject(tunneltest.Fault{Operation: opConfigWrite, Status: 403})
	err := p.unpublish("app.example.com")
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
	require.ErrorContains(t, err, "the DNS record is removed")
	require.NoError(t, p.unpublish("app.example.com"))
	assert.Equal(t, []string{"http_status:404"}, p.rules())

	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	p.Inject(tunneltest.Fault{Operation: opRecordDelete, Status: 403})
	err = p.unpublish("app.example.com")
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
	assert.NotContains(t, err.Error(), "is removed")
	assert.Len(t, p.rules(), 2, "the rules are removed last")
}

// Publish can choose any zone that contains the hostname, so Unpublish and List look in all.
func TestHostnamesUnpublish_ChosenZone(t *testing.T) {
	t.Parallel()
	const hostname = "a.sub.example.com"
	for name, seed := range map[string]func(*publisher){
		"own zone":       func(p *publisher) { p.SeedZone("sub.example.com") },
		"foreign zone":   func(p *publisher) { p.SeedZoneIn(accountID, "sub.example.com") },
		"same name":      func(p *publisher) { p.SeedZoneIn(accountID, "example.com") },
		"no other zone":  func(*publisher) {},
		"unrelated zone": func(p *publisher) { p.SeedZone("example.org") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			seed(p)
			got := p.published(cftunnel.PublishParams{
				Hostname: hostname, Service: service, ZoneID: p.zoneID,
			})
			assert.Equal(t, []cftunnel.PublishedHostname{*got}, p.list())
			require.NoError(t, p.unpublish(hostname))
			assert.Empty(t, p.records())
			assert.Equal(t, []string{"http_status:404"}, p.rules())
		})
	}
}

// A token may be limited to the records of the most specific zone.
func TestHostnamesUnpublish_ForbiddenParentZone(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.zoneID = p.SeedZone("sub.example.com")
	p.published(cftunnel.PublishParams{Hostname: "a.sub.example.com", Service: service})
	token := p.AddToken(tunneltest.Token{Policies: []cftunnel.TokenPolicy{
		cftunnel.AccountPolicy(p.AccountID(), cftunnel.PermissionCloudflareTunnelWrite),
		cftunnel.AllZonesPolicy(p.AccountID(), cftunnel.PermissionZoneRead),
		cftunnel.ZonePolicy(p.zoneID, cftunnel.PermissionDNSWrite),
	}})
	var err error
	p.client, err = p.NewClient(cftunnel.WithAPIToken(token.Reveal()))
	require.NoError(t, err)
	require.NoError(t, p.unpublish("a.sub.example.com"))
	assert.Empty(t, p.records())
}

func TestHostnamesUnpublish_OtherAccountsZone(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.record("CNAME", "app", cftunnel.TunnelHostname(p.tunnelID), true)
	client, err := p.client.ForAccount(accountID)
	require.NoError(t, err)
	require.Error(t, client.Hostnames.Unpublish(t.Context(), p.tunnelID, "app.example.com"))
	assert.Len(t, p.records(), 1)
}

func TestHostnamesUnpublish_InvalidArguments(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	since := len(p.Requests())
	for _, test := range [][3]string{
		{"hostname", tunnelID, "*"}, {"hostname", tunnelID, ""}, {"tunnelID", "x", "app.example.com"},
	} {
		err := p.client.Hostnames.Unpublish(t.Context(), test[1], test[2])
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, test[0], refused.Name)
	}
	assert.Empty(t, p.Requests()[since:])
}
