package cftunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// HostnamesService publishes hostnames through tunnels. A public hostname has two parts: an ingress
// rule in the remote configuration of a tunnel, and a proxied DNS record that points to the tunnel.
//
// The credentials need the permission Cloudflare Tunnel Write for the account, and DNS Write and
// Zone Read for the zone of the hostname.
type HostnamesService service

// TunnelHostname returns the hostname that the DNS records of a tunnel point to:
// <tunnel ID>.cfargotunnel.com.
func TunnelHostname(tunnelID string) string {
	return strings.ToLower(tunnelID) + ".cfargotunnel.com"
}

// PublishParams describes a public hostname.
type PublishParams struct {
	// Hostname is the name that visitors request, such as app.example.com, example.com or
	// *.example.com. Write characters that are not ASCII in Punycode. Required.
	Hostname string
	// Path is a regular expression, such as ^/api/. A request matches if any part of its path does.
	// The default is every path.
	Path string
	// Service is where cloudflared sends requests, such as http://localhost:8080: see
	// [IngressRule]. Required.
	Service string
	// OriginRequest says how cloudflared connects to the service. If it is nil, an existing rule
	// keeps its settings, and a new rule has none.
	OriginRequest *OriginRequest
	// ZoneID selects one of the zones that contain the hostname. The default is the zone that
	// [ZonesService.ForHostname] returns.
	ZoneID string
	// Overwrite replaces DNS records of the hostname that point elsewhere: a CNAME record, or all A
	// and AAAA records. By default such records are kept and Publish fails.
	Overwrite bool
}

// PublishedHostname is an ingress rule with a hostname, and the state of the hostname's DNS record.
type PublishedHostname struct {
	Hostname string   // as in the rule
	Path     string   // empty for every path
	Service  string   // where cloudflared sends requests
	ZoneID   string   // empty if no zone of the hostname can be read
	RecordID string   // empty if there is no record, or it cannot be read
	DNS      DNSState // the state of the record
}

// DNSState says whether the DNS record of a hostname leads to a tunnel.
type DNSState string

// The states of a DNS record.
const (
	DNSStateReady      DNSState = "ready"       // points to the tunnel and is proxied
	DNSStateMissing    DNSState = "missing"     // there is no record of this name
	DNSStateElsewhere  DNSState = "elsewhere"   // points to something else
	DNSStateNotProxied DNSState = "not proxied" // points to the tunnel, but is not proxied
	DNSStateUnknown    DNSState = "unknown"     // the zone or its records cannot be read
)

// Publish makes a tunnel serve a hostname. It writes the ingress rule, then the DNS record.
//
// It writes only what differs from params, so it can be called again at any time, also after it
// failed. Before it writes anything, it reads the tunnel, the zone, the records of the hostname and
// the configuration. The zone must belong to the client's account.
//
// The ingress rule:
//
//   - A rule with the same hostname and path is changed. It is moved only if earlier rules match
//     all of its requests, so that it would get none.
//   - A new rule is inserted at the last position where it still gets requests. This is often just
//     before the catch-all rule. An earlier rule, such as a rule for one path of the hostname, can
//     match some of the same requests. The earlier rule still gets those requests.
//   - If an existing rule has another path but matches exactly the same requests, as .* and an
//     empty path do, the new rule is inserted before it. The existing rule then gets no requests.
//   - All other rules keep their order. If there is no catch-all rule, one with the service
//     http_status:404 is added at the end.
//
// The DNS record is a proxied CNAME to [TunnelHostname]. If the record exists but is not proxied,
// Publish changes it.
//
// If a step after the first write fails, the error wraps the error of the step and says what was
// written. Call Publish again to finish.
//
// It returns:
//
//   - [ErrNotFound] if the tunnel does not exist or is deleted, or if no zone that the credentials
//     can read contains the hostname.
//   - [ErrHostnameTaken] if a DNS record of the hostname points elsewhere, for example to another
//     tunnel, and params.Overwrite is not set.
//   - [ErrLocallyManaged] if the tunnel reads its configuration from a file. Nothing is written
//     then.
//   - [ErrOutcomeUnknown] if the write that failed may have been carried out.
//   - The errors of [TunnelsService.ModifyConfiguration].
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}
//
// Operation: GET /zones
//
// Operation: GET /zones/{zone_id}/dns_records
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// Operation: PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// Operation: POST /zones/{zone_id}/dns_records
//
// Operation: PATCH /zones/{zone_id}/dns_records/{dns_record_id}
//
// Operation: DELETE /zones/{zone_id}/dns_records/{dns_record_id}
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/create/
func (s *HostnamesService) Publish(
	ctx context.Context, tunnelID string, params PublishParams, opts ...CallOption,
) (*PublishedHostname, error) {
	if err := params.check(); err != nil {
		return nil, err
	}
	client := clientOf(s)
	if err := client.check(); err != nil {
		return nil, err
	}
	p := &publication{
		client: client, opts: opts, tunnelID: tunnelID, params: params,
		hostname: ingress.ASCII(params.Hostname),
	}
	if err := p.read(ctx); err != nil {
		return nil, namePublishPermissions(err)
	}
	recordID, err := p.write(ctx)
	if err != nil {
		return nil, namePublishPermissions(p.failed(err))
	}
	return &PublishedHostname{
		Hostname: p.hostname, Path: params.Path, Service: params.Service,
		ZoneID: p.zone.ID, RecordID: recordID, DNS: DNSStateReady,
	}, nil
}

// check returns an error for what the API would refuse, before anything is sent.
func (p *PublishParams) check() error {
	if err := checkHostname("Hostname", p.Hostname); err != nil {
		return err
	}
	if err := checkText("params", *p); err != nil {
		return err
	}
	if _, err := syntax.Parse(p.Path, syntax.Perl); err != nil {
		return invalid("Path", "is not a regular expression of package regexp")
	}
	if p.Service == "" {
		return invalid("Service", "is empty")
	}
	if p.ZoneID != "" {
		if err := apipath.HexID(p.ZoneID); err != nil {
			return invalid("ZoneID", "%v", err)
		}
	}
	rule := IngressRule{
		Hostname: p.Hostname, Path: p.Path, Service: p.Service, OriginRequest: p.OriginRequest,
	}
	err := TunnelConfig{Ingress: []IngressRule{rule, catchAllRule()}}.Validate()
	if refused, ok := errors.AsType[*InvalidArgumentError](err); ok {
		// The caller set these fields in PublishParams.
		name := strings.TrimPrefix(refused.Name, "Ingress[0].")
		return invalid(name, "%s", refused.Reason)
	}
	return err
}

// namePublishPermissions adds all permissions that publishing needs to a 403, which names only
// those of one step.
func namePublishPermissions(err error) error {
	if !errors.Is(err, ErrForbidden) {
		return err
	}
	return fmt.Errorf("cftunnel: publishing needs the permission Cloudflare Tunnel Write for the "+
		"account, and DNS Write and Zone Read for the zone: %w", err)
}

// publication is one call of Publish.
type publication struct {
	client   *Client
	opts     []CallOption
	tunnelID string
	params   PublishParams
	hostname string // in lower case, without a final dot

	zone    *Zone
	records []DNSRecord // the A, AAAA and CNAME records of the hostname

	done []string // the writes so far, for an error
	step string   // the current step, for an error; empty if none failed
}

// read reads all that Publish depends on, and returns an error if it cannot publish.
func (p *publication) read(ctx context.Context) error {
	tunnel, err := p.client.Tunnels.Get(ctx, p.tunnelID, p.opts...)
	switch {
	case err != nil:
		return err
	case tunnel.IsDeleted():
		return fmt.Errorf("cftunnel: tunnel %s is deleted: %w", p.tunnelID, ErrNotFound)
	case tunnel.ConfigSource == ConfigSourceLocal:
		return locallyManaged(p.tunnelID)
	}
	if p.zone, err = p.client.zoneOf(ctx, p.hostname, p.params.ZoneID, p.opts); err != nil {
		return err
	}
	if p.records, err = p.client.addressRecords(ctx, p.zone.ID, p.hostname, p.opts); err != nil {
		return err
	}
	if err := p.checkTaken(); err != nil || tunnel.ConfigSource != "" {
		return err
	}
	configuration, err := p.client.Tunnels.Configuration(ctx, p.tunnelID, p.opts...)
	if err == nil && configuration.Source == ConfigSourceLocal {
		return locallyManaged(p.tunnelID)
	}
	return err
}

func locallyManaged(tunnelID string) error {
	return fmt.Errorf("cftunnel: tunnel %s reads its configuration from a file, "+
		"so nothing was written: %w", tunnelID, ErrLocallyManaged)
}

// zoneOf returns the zone to publish a hostname in. It returns an error if the zone belongs to
// another account.
func (c *Client) zoneOf(
	ctx context.Context, hostname, zoneID string, opts []CallOption,
) (*Zone, error) {
	for zone, err := range c.Zones.containing(ctx, hostname, opts) {
		switch {
		case err != nil:
			return nil, err
		case zoneID != "" && !strings.EqualFold(zone.ID, zoneID):
			continue
		case !c.owns(zone):
			return nil, c.foreignZone(zone)
		}
		return zone, nil
	}
	if zoneID != "" {
		return nil, fmt.Errorf("cftunnel: zone %s does not contain the hostname, "+
			"or it cannot be read: %w", zoneID, noZone(hostname))
	}
	return nil, noZone(hostname)
}

// owns reports whether a zone belongs to the client's account.
func (c *Client) owns(zone *Zone) bool { return strings.EqualFold(zone.AccountID, c.accountID) }

func (c *Client) foreignZone(zone *Zone) error {
	return fmt.Errorf("cftunnel: zone %s belongs to account %s, and the tunnel to %s",
		zone.Name, cmp.Or(zone.AccountID, "unknown"), c.accountID)
}

// write writes the ingress rule, then the DNS record, and returns the ID of the record.
func (p *publication) write(ctx context.Context) (recordID string, err error) {
	p.step = "writing the ingress rule"
	changed := false
	// This reads the configuration before it writes anything.
	written, err := p.client.Tunnels.ModifyConfiguration(ctx, p.tunnelID,
		func(config *TunnelConfig) error {
			before := *config
			p.params.setRule(config, p.hostname)
			changed = !config.Equal(before)
			return nil
		}, p.opts...)
	switch {
	case written == nil:
		return "", err
	case changed:
		p.done = append(p.done, "the ingress rule is written")
	case err != nil:
		p.done = append(p.done, "the ingress rule is already in the configuration")
	}
	if err != nil { // such as ErrConcurrentUpdate, although the rule is written
		p.step = ""
		return "", err
	}
	return p.writeRecord(ctx)
}

// failed adds the current step and the earlier writes to an error.
func (p *publication) failed(err error) error {
	problem := "the DNS record is not written"
	if p.step != "" {
		problem = p.step + " failed"
	}
	if len(p.done) > 0 {
		problem = strings.Join(p.done, ", ") + ", but " + problem
	}
	return fmt.Errorf("cftunnel: publishing %s: %s: %w", p.hostname, problem, err)
}
