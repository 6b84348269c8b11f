package cftunnel_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// before runs do before each request of a method.
func before(method string, do func()) cftunnel.Option {
	return cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(
		func(r *http.Request) (*http.Response, error) {
			if r.Method == method {
				do()
			}
			return http.DefaultTransport.RoundTrip(r)
		},
	)})
}

// Another client writes the configuration between the last read and the write. The rule is then
// written, so the error must not say that writing it failed.
func TestHostnamesPublish_ReplacesConcurrentChange(t *testing.T) {
	t.Parallel()
	var p *publisher
	p = newPublisher(t, before(http.MethodPut, func() { p.otherWrite(otherConfig) }))
	params := cftunnel.PublishParams{Hostname: "app.example.com", Service: service}
	_, err := p.publish(params)
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	require.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "cftunnel: publishing app.example.com: the ingress rule is "+
		"written, but the DNS record is not written: cftunnel: the configuration of tunnel ")
	require.ErrorContains(t, err, "the change of another writer is lost")
	assert.NotContains(t, err.Error(), "failed")
	assert.Equal(t, []string{"app.example.com " + service, "http_status:404"}, p.rules())
	assert.Empty(t, p.records())
	p.published(params)
	assert.Equal(t, []string{p.cname("app.example.com")}, p.records())
}

// The configuration changes in every round, so the rule is not written.
func TestHostnamesPublish_ConcurrentChangeInEveryRound(t *testing.T) {
	t.Parallel()
	var p *publisher
	reads := 0
	p = newPublisher(t, cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(
		func(r *http.Request) (*http.Response, error) {
			if isConfigurations(r) && r.Method == http.MethodGet {
				if reads++; reads > 1 {
					p.otherWrite(`{"ingress":[{"service":"http_status:404"}]}`)
				}
			}
			return http.DefaultTransport.RoundTrip(r)
		},
	)}))
	_, err := p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	require.ErrorContains(t, err, "writing the ingress rule failed: ")
	require.ErrorContains(t, err, "it was not written")
	assert.NotContains(t, err.Error(), "is written")
	assert.Equal(t, []string{"http_status:404"}, p.rules())
}

// The write is lost, and then another client writes the same rule.
func TestHostnamesPublish_RuleWrittenByAnotherClient(t *testing.T) {
	t.Parallel()
	const theirs = `{"ingress":[{"hostname":"theirs.example.com","service":"http://t"},` +
		`{"hostname":"app.example.com","service":"` + service + `"},{"service":"http_status:404"}]}`
	var p *publisher
	reads := 0
	p = newPublisher(t, quick, cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(
		func(r *http.Request) (*http.Response, error) {
			switch {
			case isConfigurations(r) && r.Method == http.MethodPut:
				return nil, io.ErrUnexpectedEOF
			case isConfigurations(r):
				if reads++; reads == 4 { // the read after the pause
					p.otherWrite(theirs)
				}
			}
			return http.DefaultTransport.RoundTrip(r)
		},
	)}))
	_, err := p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.ErrorContains(t, err, "publishing app.example.com: the ingress rule is already in the "+
		"configuration, but the DNS record is not written: ")
}

func TestHostnamesUnpublish_ReplacesConcurrentChange(t *testing.T) {
	t.Parallel()
	var p *publisher
	races := false
	p = newPublisher(t, before(http.MethodPut, func() {
		if races {
			p.otherWrite(otherConfig)
		}
	}))
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	races = true
	err := p.unpublish("app.example.com")
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	require.ErrorContains(t, err,
		"unpublishing app.example.com: the hostname is removed, but with an error: ")
	assert.NotContains(t, err.Error(), "failed")
	assert.Equal(t, []string{"http_status:404"}, p.rules())
	assert.Empty(t, p.records())
}

// Another client changes the record between the last read and the write, which keeps the content.
func TestHostnamesPublish_RecordChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, overwrite := range []bool{false, true} {
		var p *publisher
		var record *cftunnel.DNSRecord
		p = newPublisher(t, before(http.MethodPatch, func() {
			if len(p.records()) == 1 && strings.Contains(p.records()[0], p.tunnelID) {
				p.otherRecordWrite(record.ID, "elsewhere.net")
			}
		}))
		record = p.record("CNAME", "app", cftunnel.TunnelHostname(p.tunnelID), false)
		got, err := p.publish(cftunnel.PublishParams{
			Hostname: "app.example.com", Service: service, Overwrite: overwrite,
		})
		if overwrite {
			require.NoError(t, err)
			assert.Equal(t, record.ID, got.RecordID)
			assert.Equal(t, []string{p.cname("app.example.com")}, p.records())
			continue
		}
		require.ErrorIs(t, err, cftunnel.ErrHostnameTaken)
		assert.Contains(t, p.records()[0], "elsewhere.net")
	}
}

// otherRecordWrite changes a DNS record with another client.
func (p *publisher) otherRecordWrite(recordID, content string) {
	p.t.Helper()
	other, err := p.NewClient()
	require.NoError(p.t, err)
	_, err = other.DNSRecords.Update(p.t.Context(), p.zoneID, recordID,
		cftunnel.DNSRecordUpdateParams{Content: content})
	require.NoError(p.t, err)
}

// otherWrite writes the configuration of the tunnel with another client.
func (p *publisher) otherWrite(config string) {
	p.t.Helper()
	other, err := p.NewClient()
	require.NoError(p.t, err)
	put(p.t, other, p.tunnelID, config)
}

func isConfigurations(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/configurations")
}
