package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// addressRecords returns the records of types A, AAAA and CNAME of a hostname.
func (c *Client) addressRecords(
	ctx context.Context, zoneID, hostname string, opts []CallOption,
) ([]DNSRecord, error) {
	var records []DNSRecord
	named := DNSRecordListParams{Name: hostname}
	for record, err := range c.DNSRecords.All(ctx, zoneID, named, opts...) {
		if err != nil {
			return nil, err
		}
		switch record.Type {
		case recordTypeA, recordTypeAAAA, recordTypeCNAME:
			// The server may have ignored the filter.
			if ingress.SameHostname(record.Name, hostname) {
				records = append(records, *record)
			}
		}
	}
	return records, nil
}

// pointsTo reports whether a record points to a tunnel.
func (r *DNSRecord) pointsTo(tunnelID string) bool {
	return r.Type == recordTypeCNAME && ingress.SameHostname(r.Content, TunnelHostname(tunnelID))
}

// dnsState returns the state that the records of a hostname have for a tunnel, and the ID of the
// record that decides it.
func dnsState(records []DNSRecord, tunnelID string) (state DNSState, recordID string) {
	if len(records) == 0 {
		return DNSStateMissing, ""
	}
	for i := range records {
		r := &records[i]
		switch {
		case !r.pointsTo(tunnelID):
			continue
		case r.Proxied:
			return DNSStateReady, r.ID
		default:
			return DNSStateNotProxied, r.ID
		}
	}
	return DNSStateElsewhere, records[0].ID
}

// checkTaken returns an error if the hostname points elsewhere and Overwrite is not set.
func (p *publication) checkTaken() error {
	for _, record := range p.records {
		if !record.pointsTo(p.tunnelID) && !p.params.Overwrite {
			return fmt.Errorf("cftunnel: %s has a DNS record of type %s that points to %s: %w",
				p.hostname, record.Type, record.Content, ErrHostnameTaken)
		}
	}
	return nil
}

// maxRecordAttempts limits the attempts to write the DNS record. An attempt is repeated if its
// response was lost or another write interfered.
const maxRecordAttempts = 3

// writeRecord creates or changes the DNS record and returns its ID. Before it repeats a write, it
// reads the records again.
func (p *publication) writeRecord(ctx context.Context) (recordID string, err error) {
	for range maxRecordAttempts {
		recordID, err = p.changeRecord(ctx)
		isUncertain := errors.Is(err, ErrOutcomeUnknown)
		isRace := errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) ||
			errors.Is(err, ErrConcurrentUpdate)
		if !isUncertain && !isRace {
			return recordID, err
		}
		step := p.step
		p.step = "reading the DNS record again"
		records, readErr := p.client.addressRecords(ctx, p.zone.ID, p.hostname, p.opts)
		if readErr != nil {
			return "", errors.Join(readErr, err)
		}
		if len(p.records) > 0 && isUncertain {
			p.noteDeleted(p.records[0], records)
		}
		p.records, p.step = records, step
		if taken := p.checkTaken(); taken != nil {
			return "", taken
		}
	}
	return "", err
}

// changeRecord creates or changes the DNS record, unless it is already as required.
func (p *publication) changeRecord(ctx context.Context) (recordID string, err error) {
	for len(p.records) > 0 {
		record := p.records[0]
		if record.Type == recordTypeCNAME {
			return record.ID, p.correctRecord(ctx, record)
		}
		// The type of a record cannot be changed.
		p.step = "deleting the " + record.Type + " record to " + record.Content
		if err := p.client.DNSRecords.Delete(ctx, p.zone.ID, record.ID, p.opts...); err != nil {
			return "", err
		}
		p.noteDeleted(record, nil)
		p.records = p.records[1:]
	}
	p.step = "creating the DNS record"
	created, err := p.client.DNSRecords.Create(ctx, p.zone.ID, DNSRecordCreateParams{
		Type: recordTypeCNAME, Name: p.hostname, Content: TunnelHostname(p.tunnelID),
		TTL: automaticTTL, Proxied: true,
	}, p.opts...)
	if err != nil {
		return "", err
	}
	return created.ID, nil
}

// noteDeleted notes that a record is deleted, unless it is still in the list.
func (p *publication) noteDeleted(record DNSRecord, list []DNSRecord) {
	isSame := func(other DNSRecord) bool { return other.ID == record.ID }
	if record.Type != recordTypeCNAME && !slices.ContainsFunc(list, isSame) {
		p.done = append(p.done, "the "+record.Type+" record to "+record.Content+" is deleted")
	}
}

// correctRecord changes the content and proxying of a CNAME record if they are wrong.
func (p *publication) correctRecord(ctx context.Context, record DNSRecord) error {
	var change DNSRecordUpdateParams
	if !record.pointsTo(p.tunnelID) {
		change.Content = TunnelHostname(p.tunnelID)
	}
	if !record.Proxied {
		change.Proxied, change.TTL = new(true), automaticTTL
	}
	if change.Content == "" && change.Proxied == nil {
		return nil
	}
	p.step = "changing the DNS record"
	changed, err := p.client.DNSRecords.Update(ctx, p.zone.ID, record.ID, change, p.opts...)
	if err == nil && !(changed.pointsTo(p.tunnelID) && changed.Proxied) {
		return fmt.Errorf("cftunnel: the response has a record of type %s to %s: %w",
			changed.Type, changed.Content, ErrConcurrentUpdate)
	}
	return err
}
