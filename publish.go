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
// <tunnel id>.cfargotunnel.com.
func TunnelHostname(tunnelID string) string {
	return strings.ToLower(tunnelID) + ".cfargotunnel.com"
}

// PublishParams describes a public hostname.
type PublishParams struct {
	// Hostname is what visitors ask for, such as app.example.com, example.com or *.example.com. It
	// is in Punycode if it has other characters than those of ASCII. Required.
	Hostname string
	// Path is a regular expression that the path of a request must match anywhere, such as ^/api/.
	// The default is every path.
	Path string
	// Service is where cloudflared sends requests, such as http://localhost:8080: see
	// [IngressRule]. Required.
	Service string
	// OriginRequest says how cloudflared connects to the service. The default is what an existing
	// rule of the hostname and path has, or nothing.
	OriginRequest *OriginRequest
	// ZoneID chooses one of the zones that contain the hostname. The default is the one that
	// [ZonesService.ForHostname] returns.
	ZoneID string
	// Overwrite replaces a DNS record of the hostname that points elsewhere, or all of its A and
	// AAAA records.
	Overwrite bool
}

// PublishedHostname is an ingress rule with a hostname, and the state of the hostname's DNS record.
type PublishedHostname struct {
	Hostname string   // as in the rule
	Path     string   // empty for every path
	Service  string   // where cloudflared sends requests
	ZoneID   string   // empty if no zone of the hostname can be read
	RecordID string   // empty if there is no record, or none that can be read
	DNS      DNSState // the state of the record
}

// DNSState is what the DNS record of a hostname means for a tunnel.
type DNSState string

// The states of a DNS record.
const (
	DNSStateReady      DNSState = "ready"       // points to the tunnel, and is proxied
	DNSStateMissing    DNSState = "missing"     // there is none of this name
	DNSStateElsewhere  DNSState = "elsewhere"   // points to something else
	DNSStateNotProxied DNSState = "not proxied" // points to the tunnel, but does not work
	DNSStateUnknown    DNSState = "unknown"     // the zone or its records cannot be read
)

// Publish makes a tunnel serve a hostname: it writes the ingress rule, then the DNS record. If both
// are as asked already, it writes nothing, so it can be repeated at any time, also after it failed.
//
// Everything is read before anything is written: the tunnel, the zone, the records of the hostname
// and the configuration. A record that points anywhere else, another tunnel included, is
// [ErrHostnameTaken], unless params.Overwrite is set. The zone must belong to the client's account.
//
// An existing rule of the same hostname and path is changed. A new rule is inserted before the
// first rules that match all of its requests, at the latest before the catch-all rule. So it is
// reached, and takes no request from rules that match only some of its requests, such as those of
// the hostname's paths. An existing rule that is not reached is moved there. If another rule gets
// exactly the requests of the new one by a different path, such as / or .* instead of none, the
// new one is inserted before it. All other rules stay as they are, and in their order. A catch-all
// rule, http_status:404, is added if there is none.
//
// The DNS record is a CNAME to [TunnelHostname], proxied. One that is not proxied is corrected.
//
// If a step after the first write fails, the error says what is done. It wraps the error of the
// step. Call Publish again to finish.
//
// It returns [ErrNotFound] if the tunnel does not exist or is deleted, or if no zone can be read;
// [ErrHostnameTaken]; [ErrLocallyManaged] if the tunnel takes its configuration from a file, and
// nothing is written then; [ErrOutcomeUnknown] if the last write may have been carried out; and the
// errors of [TunnelsService.ModifyConfiguration].
//
// Operations: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}, GET /zones, GET and PUT
// /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations, GET and POST
// /zones/{zone_id}/dns_records, PATCH and DELETE /zones/{zone_id}/dns_records/{dns_record_id}
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/create/
func (s *HostnamesService) Publish(
	ctx context.Context, tunnelID string, params PublishParams, opts ...CallOption,
) (*PublishedHostname, error) {
	if err := params.check(); err != nil {
		return nil, err
	}
	client, err := clientOf(s)
	if err != nil {
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

// check refuses what the API would refuse, before anything is sent.
func (p *PublishParams) check() error {
	if err := checkHostname("Hostname", p.Hostname); err != nil {
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
		// The caller knows the rule's fields as those of PublishParams.
		name := strings.TrimPrefix(refused.Name, "Ingress[0].")
		return invalid(name, "%s", refused.Reason)
	}
	return err
}

// namePublishPermissions adds what publishing needs to an error of missing permissions. The error
// itself names only those of one step.
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
	records []DNSRecord // of the hostname, those of types A, AAAA and CNAME

	done []string // what is written so far
	step string   // what is being done
}

// read reads what Publish depends on, and refuses what it cannot do.
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
	return fmt.Errorf("cftunnel: tunnel %s takes its configuration from a file, "+
		"nothing is written: %w", tunnelID, ErrLocallyManaged)
}

// zoneOf returns the zone to publish a hostname in. It must be the client's account's.
func (c *Client) zoneOf(
	ctx context.Context, hostname, zoneID string, opts []CallOption,
) (*Zone, error) {
	for zone, err := range c.Zones.containing(ctx, hostname, opts) {
		switch {
		case err != nil:
			return nil, err
		case zoneID != "" && !strings.EqualFold(zone.ID, zoneID):
			continue
		case !strings.EqualFold(zone.AccountID, c.accountID):
			return nil, fmt.Errorf("cftunnel: zone %s belongs to account %s, and the tunnel to %s",
				zone.Name, cmp.Or(zone.AccountID, "unknown"), c.accountID)
		}
		return zone, nil
	}
	if zoneID != "" {
		return nil, fmt.Errorf("cftunnel: zone %s does not contain the hostname, "+
			"or it cannot be read: %w", zoneID, noZone(hostname))
	}
	return nil, noZone(hostname)
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
	if changed && written != nil {
		p.done = append(p.done, "the ingress rule is written")
	}
	if err != nil {
		return "", err
	}
	return p.writeRecord(ctx)
}

// failed adds to an error what was being done, and what is done already.
func (p *publication) failed(err error) error {
	done := ""
	if len(p.done) > 0 {
		done = strings.Join(p.done, ", ") + ", but "
	}
	return fmt.Errorf("cftunnel: publishing %s: %s%s failed: %w", p.hostname, done, p.step, err)
}
