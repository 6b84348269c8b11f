package cftunnel

import (
	"context"
	"errors"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// List returns the hostnames in a tunnel's configuration, with the state of their DNS records.
// There is one item for each rule with a hostname, in the order of the rules.
//
// Only a record of exactly the rule's hostname counts: if only the record of a wildcard matches the
// hostname, the state is [DNSStateMissing]. If the credentials cannot read the zone of a hostname,
// or its records, the state is [DNSStateUnknown]. If several zones of the account contain the
// hostname, a zone with a record that points to the tunnel is preferred, then the most specific
// zone. The rules of a locally managed tunnel are not listed, because they are in a file.
//
// It returns [ErrNotFound] if the tunnel does not exist or is deleted.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// Operation: GET /zones
//
// Operation: GET /zones/{zone_id}/dns_records
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/list/
func (s *HostnamesService) List(
	ctx context.Context, tunnelID string, opts ...CallOption,
) ([]PublishedHostname, error) {
	client := clientOf(s)
	if err := client.check(); err != nil {
		return nil, err
	}
	configuration, err := client.Tunnels.Configuration(ctx, tunnelID, opts...)
	if err != nil {
		return nil, err
	}
	l := lookup{
		client: client, opts: opts, tunnelID: tunnelID, known: map[string]PublishedHostname{},
	}
	var list []PublishedHostname
	for _, rule := range configuration.Config.Ingress {
		if ingress.AnyHost(rule.Hostname) {
			continue
		}
		item, err := l.find(ctx, ingress.ASCII(rule.Hostname))
		if err != nil {
			return nil, err
		}
		item.Hostname, item.Path, item.Service = rule.Hostname, rule.Path, rule.Service
		list = append(list, item)
	}
	return list, nil
}

// lookup finds the DNS records of a tunnel's hostnames. It sends no request twice.
type lookup struct {
	client   *Client
	opts     []CallOption
	tunnelID string
	zones    map[string]*Zone             // by name; nil until they are read
	known    map[string]PublishedHostname // by hostname
}

// find returns a hostname with the fields ZoneID, RecordID and DNS set.
func (l *lookup) find(ctx context.Context, hostname string) (PublishedHostname, error) {
	if item, ok := l.known[hostname]; ok {
		return item, nil
	}
	item := PublishedHostname{DNS: DNSStateUnknown}
	zones, err := l.zonesOf(ctx, hostname)
	if err != nil {
		return item, err
	}
	for i, zone := range zones {
		found := PublishedHostname{ZoneID: zone.ID, DNS: DNSStateUnknown}
		records, err := l.client.addressRecords(ctx, zone.ID, hostname, l.opts)
		switch {
		case err == nil:
			found.DNS, found.RecordID = dnsState(records, l.tunnelID)
		case !errors.Is(err, ErrForbidden):
			return item, err
		}
		leads := found.DNS == DNSStateReady || found.DNS == DNSStateNotProxied
		if i == 0 || leads {
			item = found
		}
		if leads {
			break
		}
	}
	l.known[hostname] = item
	return item, nil
}

// zonesOf returns the zones of the account that contain a hostname and that the credentials can
// read, the most specific first. The zones of the account are read once.
func (l *lookup) zonesOf(ctx context.Context, hostname string) (list []*Zone, err error) {
	if l.zones == nil {
		l.zones = map[string]*Zone{}
		own := ZoneListParams{AccountID: l.client.accountID}
		for zone, err := range l.client.Zones.All(ctx, own, l.opts...) {
			if errors.Is(err, ErrForbidden) {
				break
			}
			if err != nil {
				return nil, err
			}
			l.zones[ingress.ASCII(zone.Name)] = zone
		}
	}
	for domain := range ingress.Domains(hostname) {
		if zone := l.zones[domain]; zone != nil {
			list = append(list, zone)
		}
	}
	return list, nil
}
