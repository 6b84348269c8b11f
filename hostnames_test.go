package cftunnel_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// list returns the published hostnames of the tunnel.
func (p *publisher) list() []cftunnel.PublishedHostname {
	p.t.Helper()
	list, err := p.client.Hostnames.List(p.t.Context(), p.tunnelID)
	require.NoError(p.t, err)
	return list
}

func TestHostnamesList(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	assert.Empty(t, p.list())
	other := p.tunnel("other")
	sub := p.SeedZone("sub.example.com")
	ready := p.published(cftunnel.PublishParams{
		Hostname: "ready.example.com", Path: "^/api", Service: "http://a",
	})
	nested := p.published(cftunnel.PublishParams{
		Hostname: "x.sub.example.com", Service: "http://a",
	})
	p.configure(
		"ready.example.com ^/api http://a", "Ready.Example.com http://b", "missing.example.com http://c", "elsewhere.example.com http://d",
		"address.example.com http://e", "plain.example.com http://f", "x.sub.example.com http://g", "other.test http://h",
		"*.example.com http://i", "* ^/any http://j", "http_status:404",
	)
	elsewhere := p.record("CNAME", "elsewhere", cftunnel.TunnelHostname(other), true)
	address := p.record("A", "address", "192.0.2.1", true)
	p.record("TXT", "missing", "x", false)
	plain := p.record("CNAME", "plain", cftunnel.TunnelHostname(p.tunnelID), false)
	wildcard := p.record("CNAME", "*", cftunnel.TunnelHostname(p.tunnelID), true)

	since := len(p.Requests())
	assert.Equal(t, []cftunnel.PublishedHostname{
		{"ready.example.com", "^/api", "http://a", p.zoneID, ready.RecordID, cftunnel.DNSStateReady},
		{"Ready.Example.com", "", "http://b", p.zoneID, ready.RecordID, cftunnel.DNSStateReady},
		{"missing.example.com", "", "http://c", p.zoneID, "", cftunnel.DNSStateMissing},
		{"elsewhere.example.com", "", "http://d", p.zoneID, elsewhere.ID, cftunnel.DNSStateElsewhere},
		{"address.example.com", "", "http://e", p.zoneID, address.ID, cftunnel.DNSStateElsewhere},
		{"plain.example.com", "", "http://f", p.zoneID, plain.ID, cftunnel.DNSStateNotProxied},
		{"x.sub.example.com", "", "http://g", sub, nested.RecordID, cftunnel.DNSStateReady},
		{"other.test", "", "http://h", "", "", cftunnel.DNSStateUnknown},
		{"*.example.com", "", "http://i", p.zoneID, wildcard.ID, cftunnel.DNSStateReady},
	}, p.list())
	assert.Len(t, p.Requests()[since:], 9,
		"one request for the configuration, one for the zones, and one for each of seven names")
}

func TestHostnamesList_NoPermission(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{opZones, opRecords} {
		p := newPublisher(t)
		for i := range 2 {
			p.published(cftunnel.PublishParams{
				Hostname: fmt.Sprintf("app%d.example.com", i), Service: service,
			})
		}
		p.Inject(tunneltest.Fault{Operation: operation, Status: 403, Times: tunneltest.Always})
		for _, item := range p.list() {
			assert.Equal(t, cftunnel.DNSStateUnknown, item.DNS)
			assert.Empty(t, item.RecordID)
		}
	}
}

func TestHostnamesList_Errors(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{opConfigRead, opZones, opRecords} {
		p := newPublisher(t)
		p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
		p.Inject(tunneltest.Fault{Operation: operation, Status: 500})
		_, err := p.client.Hostnames.List(t.Context(), p.tunnelID)
		require.ErrorIs(t, err, cftunnel.ErrServer)
	}
	p := newPublisher(t)
	_, err := p.client.Hostnames.List(t.Context(), tunnelID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
}

func TestTunnelHostname(t *testing.T) {
	t.Parallel()
	hostname := cftunnel.TunnelHostname("F70FF985-A4EF-4643-BBBC-4A0ED4FC8415")
	assert.Equal(t, tunnelID+".cfargotunnel.com", hostname)
}
