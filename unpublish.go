package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// Unpublish removes a hostname from a tunnel: its DNS record, then its ingress rules for every
// path. To remove the rule for one path, use [TunnelsService.ModifyConfiguration].
//
// It removes the record only if it points to this tunnel. It looks in every zone of the client's
// account that contains the hostname, since [PublishParams] can name any of them. A record or rule
// that does not exist is not an error, so Unpublish can be called again at any time. If the tunnel
// is deleted, Unpublish removes only the record. If the tunnel is locally managed, the rules in its
// file stay.
//
// Before it removes anything, it reads the zones, the records of the hostname and, unless the
// tunnel is deleted, the configuration. If one of these reads fails, Unpublish fails and nothing is
// removed. If removing the rules fails, the error says that the record is removed: call Unpublish
// again to finish.
//
// It returns [ErrNotFound] if no zone that the credentials can read contains the hostname, and
// [ErrOutcomeUnknown] if the write that failed may have been carried out. It also returns the
// errors of [TunnelsService.ModifyConfiguration], but a deleted or locally managed tunnel is not an
// error.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// Operation: GET /zones
//
// Operation: GET /zones/{zone_id}/dns_records
//
// Operation: DELETE /zones/{zone_id}/dns_records/{dns_record_id}
//
// Operation: PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/delete/
func (s *HostnamesService) Unpublish(
	ctx context.Context, tunnelID, hostname string, opts ...CallOption,
) error {
	if err := checkHostname("hostname", hostname); err != nil {
		return err
	}
	c := clientOf(s)
	if err := c.check(); err != nil {
		return err
	}
	hostname = ingress.ASCII(hostname)
	configuration, err := c.Tunnels.Configuration(ctx, tunnelID, opts...)
	isGone := errors.Is(err, ErrNotFound)
	if err != nil && !isGone {
		return err
	}
	records, err := c.tunnelRecords(ctx, tunnelID, hostname, opts)
	if err != nil {
		return err
	}

	done, removing := "", "removing the DNS record"
	for _, record := range records {
		err := c.DNSRecords.Delete(ctx, record.zoneID, record.recordID, opts...)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("cftunnel: unpublishing %s: %s%s failed: %w",
				hostname, done, removing, err)
		}
		done, removing = "the DNS record is removed, but ", "removing another one"
	}
	if isGone || !slices.ContainsFunc(configuration.Config.Ingress, isRuleOf(hostname)) {
		return nil
	}
	written, err := c.Tunnels.ModifyConfiguration(ctx, tunnelID, func(config *TunnelConfig) error {
		removeRules(config, hostname)
		return nil
	}, opts...)
	// A locally managed tunnel does not read these rules, and a deleted tunnel has none.
	switch {
	case err == nil || errors.Is(err, ErrLocallyManaged) || errors.Is(err, ErrNotFound):
		return nil
	case written != nil: // such as ErrConcurrentUpdate, although the rules are removed
		return fmt.Errorf("cftunnel: unpublishing %s: the hostname is removed, "+
			"but with an error: %w", hostname, err)
	default:
		return fmt.Errorf("cftunnel: unpublishing %s: %sremoving the ingress rules failed: %w",
			hostname, done, err)
	}
}

// zoneRecord identifies a DNS record.
type zoneRecord struct{ zoneID, recordID string }

// tunnelRecords returns the records of a hostname that point to a tunnel, in all zones of the
// account that contain the hostname.
func (c *Client) tunnelRecords(
	ctx context.Context, tunnelID, hostname string, opts []CallOption,
) ([]zoneRecord, error) {
	var list []zoneRecord
	unusable, read := noZone(hostname), false
	for zone, err := range c.Zones.containing(ctx, hostname, opts) {
		if err != nil {
			return nil, err
		}
		if !c.owns(zone) {
			unusable = c.foreignZone(zone)
			continue
		}
		records, err := c.addressRecords(ctx, zone.ID, hostname, opts)
		if err != nil && !(read && errors.Is(err, ErrForbidden)) {
			return nil, err
		}
		// A token can be limited to the records of some zones, usually to the best one.
		read = true
		for _, record := range records {
			if record.pointsTo(tunnelID) {
				list = append(list, zoneRecord{zone.ID, record.ID})
			}
		}
	}
	if !read {
		return nil, unusable
	}
	return list, nil
}
