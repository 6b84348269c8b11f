package cftunnel_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opConfigRead   = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"
	opConfigWrite  = "PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"
	opZones        = "GET /zones"
	opRecords      = "GET /zones/{zone_id}/dns_records"
	opRecordCreate = "POST /zones/{zone_id}/dns_records"
	opRecordUpdate = "PATCH /zones/{zone_id}/dns_records/{dns_record_id}"
	opRecordDelete = "DELETE /zones/{zone_id}/dns_records/{dns_record_id}"
)

const service = "http://localhost:8080"

// publisher is a fake with the zone example.com and a remotely managed tunnel.
type publisher struct {
	*tunneltest.Server
	t        *testing.T
	client   *cftunnel.Client
	zoneID   string
	tunnelID string
}

func newPublisher(t *testing.T, opts ...cftunnel.Option) *publisher {
	t.Helper()
	srv, client := newFake(t, append([]cftunnel.Option{once}, opts...)...)
	p := &publisher{Server: srv, t: t, client: client, zoneID: srv.SeedZone("example.com")}
	p.tunnelID = p.tunnel("web")
	return p
}

// tunnel creates a remotely managed tunnel and returns its ID.
func (p *publisher) tunnel(name string) string {
	p.t.Helper()
	tunnel, err := p.client.Tunnels.Create(p.t.Context(), cftunnel.TunnelCreateParams{
		Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	require.NoError(p.t, err)
	return tunnel.ID
}

func (p *publisher) publish(params cftunnel.PublishParams) (*cftunnel.PublishedHostname, error) {
	p.t.Helper()
	return p.client.Hostnames.Publish(p.t.Context(), p.tunnelID, params)
}

// published publishes a hostname and requires success.
func (p *publisher) published(params cftunnel.PublishParams) *cftunnel.PublishedHostname {
	p.t.Helper()
	got, err := p.publish(params)
	require.NoError(p.t, err)
	return got
}

// configure sets the rules of the tunnel, in the form that rules returns.
func (p *publisher) configure(rules ...string) {
	p.t.Helper()
	var config cftunnel.TunnelConfig
	for _, text := range rules {
		parts := strings.Fields(text)
		rule := cftunnel.IngressRule{Service: parts[len(parts)-1]}
		if len(parts) > 1 {
			rule.Hostname = parts[0]
		}
		if len(parts) > 2 {
			rule.Path = parts[1]
		}
		config.Ingress = append(config.Ingress, rule)
	}
	_, err := p.client.Tunnels.UpdateConfiguration(p.t.Context(), p.tunnelID, config)
	require.NoError(p.t, err)
}

// rules returns the rules of the tunnel, each as its hostname, path and service.
func (p *publisher) rules() []string {
	p.t.Helper()
	configuration, err := p.client.Tunnels.Configuration(p.t.Context(), p.tunnelID)
	require.NoError(p.t, err)
	var rules []string
	for _, rule := range configuration.Config.Ingress {
		matched := strings.TrimSpace(rule.Hostname + " " + rule.Path)
		rules = append(rules, strings.TrimSpace(matched+" "+rule.Service))
	}
	return rules
}

// record creates a DNS record.
func (p *publisher) record(recordType, name, content string, proxied bool) *cftunnel.DNSRecord {
	p.t.Helper()
	params := cftunnel.DNSRecordCreateParams{
		Type: recordType, Name: name, Content: content, Proxied: proxied,
	}
	record, err := p.client.DNSRecords.Create(p.t.Context(), p.zoneID, params)
	require.NoError(p.t, err)
	return record
}

// records returns the records of the zone, each as its type, name, content and "proxied" if it is.
func (p *publisher) records() []string {
	p.t.Helper()
	var list []string
	var params cftunnel.DNSRecordListParams
	for record, err := range p.client.DNSRecords.All(p.t.Context(), p.zoneID, params) {
		require.NoError(p.t, err)
		text := record.Type + " " + record.Name + " " + record.Content
		if record.Proxied {
			text += " proxied"
		}
		list = append(list, text)
	}
	return list
}

// cname returns the record of a published hostname, in the form that records returns.
func (p *publisher) cname(name string) string {
	return "CNAME " + name + " " + cftunnel.TunnelHostname(p.tunnelID) + " proxied"
}

// writes returns the operations of the requests that changed something, without the first since
// requests.
func (p *publisher) writes(since int) []string {
	var list []string
	for _, r := range p.Requests()[since:] {
		if r.Done && r.Method != http.MethodGet {
			list = append(list, r.Operation)
		}
	}
	return list
}

func TestHostnamesPublish(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	since := len(p.Requests())
	got := p.published(cftunnel.PublishParams{Hostname: "App.Example.com.", Service: service})
	assert.Equal(t, []string{opConfigWrite, opRecordCreate}, p.writes(since))
	assert.Equal(t, []string{p.cname("app.example.com")}, p.records())
	assert.Equal(t, []string{"app.example.com " + service, "http_status:404"}, p.rules())
	require.NotEmpty(t, got.RecordID)
	assert.Equal(t, &cftunnel.PublishedHostname{
		Hostname: "app.example.com", Service: service,
		ZoneID: p.zoneID, RecordID: got.RecordID, DNS: cftunnel.DNSStateReady,
	}, got)
	record, err := p.client.DNSRecords.Get(t.Context(), p.zoneID, got.RecordID)
	require.NoError(t, err)
	assert.Equal(t, 1, record.TTL)

	since = len(p.Requests())
	again := p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	assert.Equal(t, got, again)
	assert.Empty(t, p.writes(since))
}

func TestHostnamesPublish_ReadsFirst(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	since := len(p.Requests())
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	read := map[string]bool{}
	for _, r := range p.Requests()[since:] {
		if r.Method != http.MethodGet {
			break
		}
		read[r.Operation] = true
	}
	want := map[string]bool{opGet: true, opZones: true, opRecords: true, opConfigRead: true}
	assert.Equal(t, want, read)
}

func TestHostnamesPublish_Names(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	for _, name := range []string{
		"example.com", "*.example.com", "a.b.example.com", "xn--bcher-kva.example.com",
	} {
		got := p.published(cftunnel.PublishParams{Hostname: name, Service: service})
		assert.Equal(t, name, got.Hostname)
		assert.Contains(t, p.records(), p.cname(name))
	}
	// The rule of the wildcard is after those of the names that it matches.
	assert.Equal(t, []string{
		"example.com " + service,
		"a.b.example.com " + service,
		"xn--bcher-kva.example.com " + service,
		"*.example.com " + service,
		"http_status:404",
	}, p.rules())
}

func TestHostnamesPublish_Paths(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: "http://a"})
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Path: "^/api", Service: "http://b"})
	since := len(p.Requests())
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Path: "^/api/v2", Service: "http://c"})
	assert.Equal(t, []string{opConfigWrite}, p.writes(since), "all paths share one record")
	assert.Equal(t, []string{
		"app.example.com ^/api/v2 http://c", "app.example.com ^/api http://b",
		"app.example.com http://a", "http_status:404",
	}, p.rules())
	since = len(p.Requests())
	got := p.published(cftunnel.PublishParams{Hostname: "app.example.com", Path: "^/api", Service: "http://d"})
	assert.Equal(t, "^/api", got.Path)
	assert.Equal(t, []string{opConfigWrite}, p.writes(since))
	assert.Equal(t, []string{
		"app.example.com ^/api/v2 http://c", "app.example.com ^/api http://d",
		"app.example.com http://a", "http_status:404",
	}, p.rules())
}

// The position of a rule is tested in internal/ingress. This tests what happens to the other rules.
func TestHostnamesPublish_Rules(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules []string
		path  string
		want  []string
	}{
		"before its wildcard": {
			[]string{"b.example.com http://b", "*.example.com http://w", "http_status:503"}, "",
			[]string{"b.example.com http://b", "a.example.com " + service, "*.example.com http://w", "http_status:503"},
		},
		"changed in place": {
			[]string{"a.example.com http://a", "b.example.com http://b", "*.example.com http://w", "http_status:503"}, "",
			[]string{"a.example.com " + service, "b.example.com http://b", "*.example.com http://w", "http_status:503"},
		},
		"changed in place, other case": {
			[]string{"A.Example.com http://a", "http_status:503"}, "",
			[]string{"a.example.com " + service, "http_status:503"},
		},
		"first of two changed": {
			[]string{"a.example.com http://a", "a.example.com http://b", "http_status:503"}, "",
			[]string{"a.example.com " + service, "a.example.com http://b", "http_status:503"},
		},
		"moved before the wildcard": {
			[]string{"b.example.com http://b", "*.example.com http://w", "a.example.com http://a", "http_status:503"}, "",
			[]string{"b.example.com http://b", "a.example.com " + service, "*.example.com http://w", "http_status:503"},
		},
		"with a path, before the same hostname": {
			[]string{"a.example.com http://a", "http_status:503"}, "/api",
			[]string{"a.example.com /api " + service, "a.example.com http://a", "http_status:503"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			p.configure(test.rules...)
			p.published(cftunnel.PublishParams{
				Hostname: "a.example.com", Path: test.path, Service: service,
			})
			assert.Equal(t, test.want, p.rules())
			since := len(p.Requests())
			p.published(cftunnel.PublishParams{
				Hostname: "a.example.com", Path: test.path, Service: service,
			})
			assert.Empty(t, p.writes(since))
		})
	}
}

// Unknown members and the other rules are kept.
func TestHostnamesPublish_KeepsOtherConfiguration(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	body := map[string]any{"config": map[string]any{
		"ingress": []any{
			map[string]any{"hostname": "a.example.com", "service": "http://a", "new": 1, "originRequest": map[string]any{"noTLSVerify": true, "newer": "x"}},
			map[string]any{"hostname": "b.example.com", "service": "http://b", "new": 2},
			map[string]any{"service": "http_status:404", "new": 3},
		},
		"originRequest": map[string]any{"connectTimeout": 5},
		"newest":        []any{true},
	}}
	path := "accounts/" + p.AccountID() + "/cfd_tunnel/" + p.tunnelID + "/configurations"
	require.NoError(t, p.client.Do(t.Context(), http.MethodPut, path, body, nil))

	p.published(cftunnel.PublishParams{Hostname: "a.example.com", Service: service})
	var got struct{ Config map[string]any }
	require.NoError(t, p.client.Do(t.Context(), http.MethodGet, path, nil, &got))
	rules := got.Config["ingress"].([]any)
	require.Len(t, rules, 3)
	assert.Equal(t, map[string]any{
		"hostname": "a.example.com", "service": service, "new": 1.0,
		"originRequest": map[string]any{"noTLSVerify": true, "newer": "x"},
	}, rules[0], "a nil OriginRequest keeps the OriginRequest of the rule")
	second := map[string]any{"hostname": "b.example.com", "service": "http://b", "new": 2.0}
	assert.Equal(t, second, rules[1])
	assert.Equal(t, []any{true}, got.Config["newest"])
	assert.Equal(t, map[string]any{"connectTimeout": 5.0}, got.Config["originRequest"])

	p.published(cftunnel.PublishParams{
		Hostname: "a.example.com", Service: service,
		OriginRequest: &cftunnel.OriginRequest{HTTPHostHeader: "x"},
	})
	require.NoError(t, p.client.Do(t.Context(), http.MethodGet, path, nil, &got))
	rule := got.Config["ingress"].([]any)[0].(map[string]any)
	assert.Equal(t, map[string]any{"httpHostHeader": "x"}, rule["originRequest"])
}

func TestHostnamesPublish_HostnameTaken(t *testing.T) {
	t.Parallel()
	for name, seed := range map[string]func(p *publisher){
		"other target": func(p *publisher) {
			p.record("CNAME", "app.example.com", "other.example.net", true)
		},
		"other tunnel": func(p *publisher) {
			p.record("CNAME", "app", cftunnel.TunnelHostname(p.tunnel("other")), true)
		},
		"A record": func(p *publisher) { p.record("A", "app", "192.0.2.1", true) },
		"A and AAAA records": func(p *publisher) {
			p.record("A", "app", "192.0.2.1", true)
			p.record("AAAA", "app", "2001:db8::1", false)
		},
		"AAAA record": func(p *publisher) { p.record("AAAA", "app", "2001:db8::1", true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			seed(p)
			p.record("TXT", "app2", "x", false)
			before, since := p.records(), len(p.Requests())
			params := cftunnel.PublishParams{Hostname: "app.example.com", Service: service}
			_, err := p.publish(params)
			require.ErrorIs(t, err, cftunnel.ErrHostnameTaken)
			assert.ErrorContains(t, err, "app.example.com")
			assert.Empty(t, p.writes(since))
			assert.Equal(t, before, p.records())

			params.Overwrite = true
			p.published(params)
			want := []string{p.cname("app.example.com"), "TXT app2.example.com x"}
			assert.ElementsMatch(t, want, p.records())
			since = len(p.Requests())
			p.published(params)
			assert.Empty(t, p.writes(since))
		})
	}
}

// The API does not allow such records together, but what points elsewhere is kept all the same.
func TestHostnamesPublish_TakenBesideOwnRecord(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	own := p.record("CNAME", "app", cftunnel.TunnelHostname(p.tunnelID), true)
	const other = `{"id":"9b8d1e7f0c2a4d5e8f60718293a4b5c6","type":"A","name":"app.example.com",` +
		`"content":"192.0.2.1"}`
	ownJSON, err := json.Marshal(own)
	require.NoError(t, err)
	for _, list := range []string{other + "," + string(ownJSON), string(ownJSON) + "," + other} {
		p.Inject(tunneltest.Fault{Operation: opRecords, Body: ok("[" + list + "]")})
		since := len(p.Requests())
		_, err := p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
		require.ErrorIs(t, err, cftunnel.ErrHostnameTaken)
		assert.Empty(t, p.writes(since))
	}
}

// Records of other types and names do not matter.
func TestHostnamesPublish_OtherRecords(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.record("TXT", "app", "x", false)
	p.record("MX", "app", "mail.example.net", false)
	p.record("A", "*", "192.0.2.1", true)
	p.record("A", "example.com", "192.0.2.1", true)
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	assert.Len(t, p.records(), 5)
}

func TestHostnamesPublish_NotProxied(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	record, err := p.client.DNSRecords.Create(t.Context(), p.zoneID, cftunnel.DNSRecordCreateParams{
		Type: "CNAME", Name: "app", Content: cftunnel.TunnelHostname(p.tunnelID),
		TTL: 300, Comment: "mine", Tags: []string{"a:b"},
	})
	require.NoError(t, err)
	since := len(p.Requests())
	got := p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	assert.Equal(t, []string{opConfigWrite, opRecordUpdate}, p.writes(since))
	assert.JSONEq(t, `{"proxied":true,"ttl":1}`, last(p.Server).Body.Reveal())
	assert.Equal(t, record.ID, got.RecordID)
	record, err = p.client.DNSRecords.Get(t.Context(), p.zoneID, got.RecordID)
	require.NoError(t, err)
	assert.True(t, record.Proxied)
	assert.Equal(t, 1, record.TTL)
	assert.Equal(t, "mine", record.Comment)
	assert.Equal(t, []string{"a:b"}, record.Tags)
}

func TestHostnamesPublish_LocallyManaged(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	tunnel, err := p.client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{
		Name: "local", ConfigSource: cftunnel.ConfigSourceLocal,
	})
	require.NoError(t, err)
	p.tunnelID = tunnel.ID
	since := len(p.Requests())
	_, err = p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	require.ErrorIs(t, err, cftunnel.ErrLocallyManaged)
	assert.Empty(t, p.writes(since))
}

// If the tunnel in the response has no configuration source, Publish reads it from the
// configuration.
func TestHostnamesPublish_UnknownConfigSource(t *testing.T) {
	t.Parallel()
	for source, want := range map[cftunnel.ConfigSource]error{
		cftunnel.ConfigSourceLocal: cftunnel.ErrLocallyManaged, cftunnel.ConfigSourceCloudflare: nil,
	} {
		p := newPublisher(t, cftunnel.WithTransport(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if err != nil || cftunnel.Operation(r.Context()) != opGet {
					return resp, err
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				replacer := strings.NewReplacer(`"config_src"`, `"x"`, `"remote_config"`, `"y"`)
				stripped := strings.NewReader(replacer.Replace(string(body)))
				resp.Body, resp.ContentLength = io.NopCloser(stripped), -1
				return resp, err
			})
		}))
		tunnel, err := p.client.Tunnels.Create(
			t.Context(),
			cftunnel.TunnelCreateParams{Name: "other", ConfigSource: source},
		)
		require.NoError(t, err)
		p.tunnelID = tunnel.ID
		since := len(p.Requests())
		_, err = p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
		require.ErrorIs(t, err, want)
		assert.Equal(t, want != nil, len(p.writes(since)) == 0)
	}
}

// A server may ignore the filters of a list.
func TestHostnamesPublish_ServerIgnoresFilters(t *testing.T) {
	t.Parallel()
	p := newPublisher(t, cftunnel.WithTransport(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			clone := r.Clone(r.Context())
			clone.URL.RawQuery = ""
			return next.RoundTrip(clone)
		})
	}))
	p.record("A", "other", "192.0.2.1", true)
	p.SeedZone("another.example")
	p.published(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	want := []string{"A other.example.com 192.0.2.1 proxied", p.cname("app.example.com")}
	assert.Equal(t, want, p.records())
}

func TestHostnamesPublish_DeletedTunnel(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	_, err := p.client.Tunnels.Delete(t.Context(), p.tunnelID, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	since := len(p.Requests())
	_, err = p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	require.ErrorContains(t, err, "deleted")
	assert.Len(t, p.Requests()[since:], 1, "nothing else is read")

	p.tunnelID = tunnelID
	_, err = p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
}

func TestHostnamesPublish_Zone(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	_, err := p.publish(cftunnel.PublishParams{Hostname: "app.example.net", Service: service})
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	require.ErrorContains(t, err, "Zone Read")

	sub := p.SeedZone("sub.example.com")
	got := p.published(cftunnel.PublishParams{Hostname: "app.sub.example.com", Service: service})
	assert.Equal(t, sub, got.ZoneID)
	got = p.published(cftunnel.PublishParams{
		Hostname: "b.sub.example.com", Service: service, ZoneID: strings.ToUpper(p.zoneID),
	})
	assert.Equal(t, p.zoneID, got.ZoneID)
	for _, zoneID := range []string{strings.Repeat("0", 32), p.SeedZone("example.net")} {
		since := len(p.Requests())
		_, err = p.publish(cftunnel.PublishParams{
			Hostname: "c.example.com", Service: service, ZoneID: zoneID,
		})
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
		assert.Empty(t, p.writes(since))
	}

	// The zone belongs to another account.
	p.client, err = p.client.ForAccount(accountID)
	require.NoError(t, err)
	p.tunnelID = p.tunnel("elsewhere")
	since := len(p.Requests())
	_, err = p.publish(cftunnel.PublishParams{Hostname: "app.example.com", Service: service})
	require.ErrorContains(t, err, p.AccountID())
	_, err = p.publish(cftunnel.PublishParams{
		Hostname: "app.example.com", Service: service, ZoneID: p.zoneID,
	})
	require.ErrorContains(t, err, p.AccountID())
	assert.Empty(t, p.writes(since))
}

func TestHostnamesPublish_InvalidArguments(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	since := len(p.Requests())
	for _, test := range []struct {
		argument string
		tunnelID string
		params   cftunnel.PublishParams
	}{
		{"tunnelID", "", cftunnel.PublishParams{Hostname: "app.example.com", Service: service}},
		{"tunnelID", "../x", cftunnel.PublishParams{Hostname: "app.example.com", Service: service}},
		{"Hostname", tunnelID, cftunnel.PublishParams{Service: service}},
		{"Hostname", tunnelID, cftunnel.PublishParams{Hostname: "bücher.example.com", Service: service}},
		{"Hostname", tunnelID, cftunnel.PublishParams{Hostname: "app.example.com:443", Service: service}},
		{"Hostname", tunnelID, cftunnel.PublishParams{Hostname: "https://app.example.com", Service: service}},
		{"Hostname", tunnelID, cftunnel.PublishParams{Hostname: "a.*.example.com", Service: service}},
		{"Hostname", tunnelID, cftunnel.PublishParams{Hostname: "*", Service: service}},
		{"Hostname", tunnelID, cftunnel.PublishParams{Hostname: "localhost", Service: service}},
		{"Path", tunnelID, cftunnel.PublishParams{Hostname: "app.example.com", Path: "[", Service: service}},
		{"Service", tunnelID, cftunnel.PublishParams{Hostname: "app.example.com"}},
		{"Service", tunnelID, cftunnel.PublishParams{Hostname: "app.example.com", Service: "localhost:8080"}},
		{"ZoneID", tunnelID, cftunnel.PublishParams{Hostname: "app.example.com", Service: service, ZoneID: "x"}},
		{"Service", tunnelID, cftunnel.PublishParams{Hostname: "app.example.com", Service: "unix:/a\xff"}},
		{"HTTPHostHeader", tunnelID, cftunnel.PublishParams{Hostname: "app.example.com", Service: service, OriginRequest: &cftunnel.OriginRequest{HTTPHostHeader: "\xff"}}},
	} {
		_, err := p.client.Hostnames.Publish(t.Context(), test.tunnelID, test.params)
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%+v: %v", test.params, err)
		assert.Equal(t, test.argument, refused.Name, "%+v", test.params)
	}
	_, err := p.publish(cftunnel.PublishParams{Hostname: "bücher.example.com", Service: service})
	require.ErrorContains(t, err, "Punycode")
	assert.Empty(t, p.Requests()[since:])
}

const publishingPage = "docs/publishing.md"

func TestDocs_PublishingSnippets(t *testing.T) {
	t.Parallel()
	code := read(t, "example_publish_test.go")
	goCode := regexp.MustCompile("(?s)```go\n(.*?)```")
	snippets := goCode.FindAllStringSubmatch(read(t, publishingPage), -1)
	require.NotEmpty(t, snippets)
	for _, snippet := range snippets {
		assert.Contains(t, code, snippet[1])
	}
}

// codes returns the texts in backquotes of a table cell.
func codes(cell string) (list []string) {
	for _, match := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(cell, -1) {
		list = append(list, match[1])
	}
	return list
}

// TestDocs_PublishingRules publishes the hostname of each row of the table.
func TestDocs_PublishingRules(t *testing.T) {
	t.Parallel()
	const service = "http_status:200"
	// A rule is a hostname and a path in backquotes, or the word catch-all.
	rules := func(cell string) (list []string) {
		for rule := range strings.SplitSeq(cell, ", ") {
			list = append(list, strings.TrimSpace(strings.Join(codes(rule), " ")+" "+service))
		}
		return list
	}
	for _, row := range table(t, publishingPage, "rules") {
		p := newPublisher(t)
		p.configure(rules(row[0])...)
		added := append(codes(row[1]), "")
		p.published(cftunnel.PublishParams{Hostname: added[0], Path: added[1], Service: service})
		assert.Equal(t, rules(row[2]), p.rules(), "%q", row)
	}
}
