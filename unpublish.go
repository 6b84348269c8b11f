package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// Unpublish removes a hostname from a tunnel: its DNS record, then its ingress rules of every path.
// The record is removed only if it points to this tunnel. What is not there is no error, so it can
// be repeated at any time, and it works for a tunnel that is already deleted.
//
// Everything is read before anything is removed: if the zone, the records of the hostname or the
// configuration cannot be read, Unpublish fails and nothing is removed. The rules in the file of a
// locally managed tunnel stay.
//
// If removing the rules fails, the error says that the record is removed. Call Unpublish again to
// finish.
//
// It returns [ErrNotFound] if no zone can be read, [ErrOutcomeUnknown] if the last write may have
// been carried out, and the errors of [TunnelsService.ModifyConfiguration].
//
// Operations: GET and PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations, GET /zones,
// GET /zones/{zone_id}/dns_records, DELETE /zones/{zone_id}/dns_records/{dns_record_id}
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/delete/
func (s *HostnamesService) Unpublish(
	ctx context.Context, tunnelID, hostname string, opts ...CallOption,
) error {
	if err := checkHostname("hostname", hostname); err != nil {
		return err
	}
	c, err := clientOf(s)
	if err != nil {
		return err
	}
	hostname = ingress.ASCII(hostname)
	configuration, err := c.Tunnels.Configuration(ctx, tunnelID, opts...)
	isGone := errors.Is(err, ErrNotFound)
	if err != nil && !isGone {
		return err
	}
	zone, err := c.zoneOf(ctx, hostname, "", opts)
	if err != nil {
		return err
	}
	records, err := c.addressRecords(ctx, zone.ID, hostname, opts)
	if err != nil {
		return err
	}

	done := ""
	for _, record := range records {
		if !record.pointsTo(tunnelID) {
			continue
		}
		err := c.DNSRecords.Delete(ctx, zone.ID, record.ID, opts...)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("cftunnel: unpublishing %s: removing the DNS record failed: %w",
				hostname, err)
		}
		done = "the DNS record is removed, but "
	}
	if isGone || !slices.ContainsFunc(configuration.Config.Ingress, isRuleOf(hostname)) {
		return nil
	}
	_, err = c.Tunnels.ModifyConfiguration(ctx, tunnelID, func(config *TunnelConfig) error {
		removeRules(config, hostname)
		return nil
	}, opts...)
	// A locally managed tunnel has no use for the rules, and a deleted one has none.
	if err != nil && !errors.Is(err, ErrLocallyManaged) && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("cftunnel: unpublishing %s: %sremoving the ingress rules failed: %w",
			hostname, done, err)
	}
	return nil
}
