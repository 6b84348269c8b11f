package cftunnel_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// If a step fails, the error says what is done already, and another call completes the rest.
func TestHostnamesPublish_FailsHalfway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault tunneltest.Fault
		done  string // what the error says; empty if nothing is written
		is    error
	}{
		"read of the tunnel":        {tunneltest.Fault{Operation: opGet, Status: 500}, "", cftunnel.ErrServer},
		"read of the zones":         {tunneltest.Fault{Operation: opZones, Status: 500}, "", cftunnel.ErrServer},
		"zones not found":           {tunneltest.Fault{Operation: opZones, Status: 404}, "", nil},
		"read of the records":       {tunneltest.Fault{Operation: opRecords, Status: 500}, "", cftunnel.ErrServer},
		"read of the configuration": {tunneltest.Fault{Operation: opConfigRead, Status: 500}, "", cftunnel.ErrServer},
		"write of the rule":         {tunneltest.Fault{Operation: opConfigWrite, Status: 403}, "", cftunnel.ErrForbidden},
		"deletion of an A record":   {tunneltest.Fault{Operation: opRecordDelete, Status: 403}, "the ingress rule is written", cftunnel.ErrForbidden},
		"creation of the record":    {tunneltest.Fault{Operation: opRecordCreate, Status: 403}, "the A record to 192.0.2.1 is deleted", cftunnel.ErrForbidden},
		"creation, unknown outcome": {tunneltest.Fault{Operation: opRecordCreate, Status: 500, Times: tunneltest.Always}, "the ingress rule is written", cftunnel.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			p.record("A", "app", "192.0.2.1", true)
			since := len(p.Requests())
			p.Inject(test.fault)
			params := cftunnel.PublishParams{
				Hostname: "app.example.com", Service: service, Overwrite: true,
			}
			_, err := p.publish(params)
			require.Error(t, err)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			if test.done == "" {
				assert.Empty(t, p.writes(since))
				assert.NotContains(t, err.Error(), " is written")
			} else {
				assert.ErrorContains(t, err, test.done)
				assert.ErrorContains(t, err, "app.example.com")
			}
			p.ClearFaults()
			p.published(params)
			assert.Equal(t, []string{p.cname("app.example.com")}, p.records())
			assert.Equal(t, []string{"app.example.com " + service, "http_status:404"}, p.rules())
		})
	}
}

// If the response to the deletion of a record is lost and a later step fails, the error says what
// the record was.
func TestHostnamesPublish_LostDeletion(t *testing.T) {
	t.Parallel()
	for _, cut := range []tunneltest.Cut{tunneltest.CutAfter, tunneltest.CutBefore} {
		p := newPublisher(t)
		p.record("A", "app", "192.0.2.1", true)
		p.record("A", "app", "192.0.2.2", true)
		p.Inject(tunneltest.Fault{Operation: opRecordDelete, Cut: cut})
		p.Inject(tunneltest.Fault{Operation: opRecordCreate, Status: 403})
		_, err := p.publish(cftunnel.PublishParams{
			Hostname: "app.example.com", Service: service, Overwrite: true,
		})
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
			text := "the A record to " + address + " is deleted"
			assert.Equal(t, 1, strings.Count(err.Error(), text), "%v", err)
		}
		assert.Empty(t, p.records())
	}
}

// A 404 for the list of zones does not mean that there is no zone.
func TestHostnamesPublish_ZoneListNotFound(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.Inject(tunneltest.Fault{Operation: opZones, Status: 404, Body: refusalBody(1000)})
	_, err := p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	require.Error(t, err)
	assert.NotErrorIs(t, err, cftunnel.ErrNotFound)
}

// If the response to a write is lost, Publish reads the record before it writes again.
func TestHostnamesPublish_LostResponses(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{opRecordCreate, opRecordUpdate, opRecordDelete} {
		for _, fault := range []tunneltest.Fault{
			{Cut: tunneltest.CutAfter}, {Cut: tunneltest.CutBefore}, {Cut: tunneltest.CutInside},
			{Status: 502}, {Status: 500, Work: true},
		} {
			p := newPublisher(t)
			switch operation {
			case opRecordUpdate:
				p.record("CNAME", "app", "a.test", false)
			case opRecordDelete:
				p.record("A", "app", "192.0.2.1", false)
			}
			fault.Operation = operation
			p.Inject(fault)
			since := len(p.Requests())
			got := p.published(cftunnel.PublishParams{
				Hostname: "app.example.com", Service: service, Overwrite: true,
			})
			assert.Equal(t, []string{p.cname("app.example.com")}, p.records())
			record, err := p.client.DNSRecords.Get(t.Context(), p.zoneID, got.RecordID)
			require.NoError(t, err)
			assert.Equal(t, "app.example.com", record.Name)
			done := 0
			for _, write := range p.writes(since) {
				if write == operation {
					done++
				}
			}
			assert.Equal(t, 1, done, "%s %+v", operation, fault)
		}
	}
}

// beforeFirst runs do before the first request of an operation is sent.
func beforeFirst(operation string, do func()) cftunnel.Option {
	done := false
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		method, suffix, _ := strings.Cut(operation, " ")
		if !done && r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
			done = true
			do()
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	return cftunnel.WithHTTPClient(&http.Client{Transport: transport})
}

// Another program writes the record between the read and the write.
func TestHostnamesPublish_Races(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content   string // empty: the hostname of the tunnel
		proxied   bool
		overwrite bool
		taken     bool
	}{
		"same record":               {"", true, false, false},
		"same record, not proxied":  {"", false, false, false},
		"other target":              {"a.test", true, false, true},
		"other target, overwritten": {"a.test", true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *publisher
			p = newPublisher(t, beforeFirst("POST /dns_records", func() {
				content := test.content
				if content == "" {
					content = cftunnel.TunnelHostname(p.tunnelID)
				}
				p.record("CNAME", "app", content, test.proxied)
			}))
			_, err := p.publish(cftunnel.PublishParams{
				Hostname: "app.example.com", Service: service, Overwrite: test.overwrite,
			})
			if !test.taken {
				require.NoError(t, err)
				assert.Equal(t, []string{p.cname("app.example.com")}, p.records())
				return
			}
			require.ErrorIs(t, err, cftunnel.ErrHostnameTaken)
			assert.ErrorContains(t, err, "the ingress rule is written")
			assert.Equal(t, []string{"CNAME app.example.com a.test proxied"}, p.records())
		})
	}
}

func TestHostnamesPublish_RecordDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"PATCH ", "DELETE "} {
		var p *publisher
		var record *cftunnel.DNSRecord
		p = newPublisher(t, beforeFirst(operation, func() {
			other, err := p.NewClient()
			require.NoError(t, err)
			require.NoError(t, other.DNSRecords.Delete(t.Context(), p.zoneID, record.ID))
		}))
		if operation == "PATCH " {
			record = p.record("CNAME", "app", "a.test", true)
		} else {
			record = p.record("A", "app", "192.0.2.1", true)
		}
		p.published(cftunnel.PublishParams{
			Hostname: "app.example.com", Service: service, Overwrite: true,
		})
		assert.Equal(t, []string{p.cname("app.example.com")}, p.records())
	}
}

// If a permission for a read is missing, the error names the needed permissions, and nothing is
// written.
func TestHostnamesPublish_Permissions(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{opGet, opZones, opRecords, opConfigRead} {
		p := newPublisher(t)
		since := len(p.Requests())
		p.Inject(tunneltest.Fault{Operation: operation, Status: 403, Body: refusalBody(10000)})
		_, err := p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
		require.ErrorIs(t, err, cftunnel.ErrForbidden, operation)
		for _, permission := range []string{"Cloudflare Tunnel Write", "DNS Write", "Zone Read"} {
			assert.ErrorContains(t, err, permission, operation)
		}
		assert.Empty(t, p.writes(since))
	}
}
