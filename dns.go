package cftunnel

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strings"
	"time"
)

// DNSRecordsService manages the DNS records of zones.
//
// If a record conflicts with an existing record, the API responds with a code from 81053 to 81058.
// The error is then both [ErrConflict] and [ErrBadRequest].
type DNSRecordsService service

// DNSRecord is a DNS record of a zone.
type DNSRecord struct {
	ID      string `json:"id"`      // 32 hexadecimal digits
	Type    string `json:"type"`    // such as CNAME
	Name    string `json:"name"`    // the whole name, in lower case and Punycode
	Content string `json:"content"` // such as the target of a CNAME
	TTL     int    `json:"ttl"`     // in seconds; 1 is automatic; proxied records always have 1
	Proxied bool   `json:"proxied"` // requests go through Cloudflare
	// Proxiable reports whether the record can be proxied. Most records of types A, AAAA and CNAME
	// can be.
	Proxiable  bool      `json:"proxiable"`
	Comment    string    `json:"comment"`     // empty if there is none
	Tags       []string  `json:"tags"`        // such as owner:dns-team
	CreatedOn  time.Time `json:"created_on"`  // when it was created
	ModifiedOn time.Time `json:"modified_on"` // when it was last changed
}

const (
	recordTypeA     = "A"
	recordTypeAAAA  = "AAAA"
	recordTypeCNAME = "CNAME"
)

// Limits of the TTL of a record, in seconds.
const (
	automaticTTL = 1
	minTTL       = 30
	maxTTL       = 86400
)

// DNSRecordListParams filters a list of DNS records. Zero fields do not filter.
type DNSRecordListParams struct {
	Type    string `url:"type,omitempty"`          // such as CNAME
	Name    string `url:"name.exact,omitempty"`    // the whole name
	Content string `url:"content.exact,omitempty"` // the whole content
	Proxied *bool  `url:"proxied,omitempty"`       // selects by proxying; nil does not filter
	Comment string `url:"comment.exact,omitempty"` // the whole comment
	// Page is the page number, from 1. The default is 1. The method All starts with this page.
	Page int `url:"page,omitempty"`
	// PerPage is 1 to 1000. The default is 100 for List, set by the API, and 1000 for All.
	PerPage int `url:"per_page,omitempty"`
}

// DNSRecordCreateParams describes a new record. Type, Name and Content are required. For types that
// need other fields, such as MX and SRV, use [Client.Do].
type DNSRecordCreateParams struct {
	Type    string   // such as CNAME
	Name    string   // whole, or without the zone's name; "@" is the zone itself
	Content string   // such as the target of a CNAME
	TTL     int      // in seconds, 30 to 86400; the default is 1 for automatic
	Proxied bool     // requests go through Cloudflare
	Comment string   // the default is none
	Tags    []string // such as owner:dns-team
}

// DNSRecordUpdateParams says what to change. Zero fields stay as they are. If all are zero, Update
// returns an error. The type and the name cannot be changed: delete the record and create another.
type DNSRecordUpdateParams struct {
	Content string   // such as the target of a CNAME
	TTL     int      // in seconds, 30 to 86400, or 1 for automatic
	Proxied *bool    // nil leaves it as it is
	Comment *string  // a pointer to "" clears it; nil leaves it as it is
	Tags    []string // nil leaves them as they are; an empty list clears them
}

// maxRecordsPerPage is less than the API allows, to keep responses small.
const maxRecordsPerPage = 1000

const (
	dnsRecordsPath = "/zones/{zone_id}/dns_records"
	dnsRecordPath  = dnsRecordsPath + "/{dns_record_id}"
)

// The operations of DNSRecordsService.
var (
	opDNSRecordList   = op("DNSRecords.List", http.MethodGet, dnsRecordsPath, dnsRead)
	opDNSRecordGet    = op("DNSRecords.Get", http.MethodGet, dnsRecordPath, dnsRead)
	opDNSRecordCreate = op("DNSRecords.Create", http.MethodPost, dnsRecordsPath, dnsWrite)
	opDNSRecordUpdate = op("DNSRecords.Update", http.MethodPatch, dnsRecordPath, dnsWrite)
	opDNSRecordDelete = op("DNSRecords.Delete", http.MethodDelete, dnsRecordPath, dnsWrite)
)

// List returns one page of the DNS records of a zone. [DNSRecordsService.All] returns every page.
//
// Operation: GET /zones/{zone_id}/dns_records
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/list/
func (s *DNSRecordsService) List(
	ctx context.Context, zoneID string, params DNSRecordListParams, opts ...CallOption,
) (*Page[DNSRecord], error) {
	switch {
	case params.Page < 0:
		return nil, invalid("Page", "is %d; pages count from 1", params.Page)
	case params.PerPage < 0 || params.PerPage > maxRecordsPerPage:
		return nil, invalid("PerPage", "is %d; a page has 1 to %d",
			params.PerPage, maxRecordsPerPage)
	}
	r := request{operation: opDNSRecordList, ids: []string{zoneID}, query: queryOf(params)}
	return doPage(ctx, clientOf(s), r, maxRecordsPerPage, checkDNSRecord, opts)
}

// All returns an iterator over the DNS records on all pages of List. Ranging over it again sends
// new requests. An error is yielded once, with a nil record, and ends the iteration.
//
// Operation: GET /zones/{zone_id}/dns_records
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/list/
func (s *DNSRecordsService) All(
	ctx context.Context, zoneID string, params DNSRecordListParams, opts ...CallOption,
) iter.Seq2[*DNSRecord, error] {
	fetch := func(page, perPage int) (*Page[DNSRecord], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.List(ctx, zoneID, params, opts...)
	}
	id := func(r *DNSRecord) string { return r.ID }
	return allPages(params.Page, params.PerPage, maxRecordsPerPage, id, fetch)
}

// Get returns a DNS record by ID.
//
// It returns [ErrNotFound] if the zone has no such record.
//
// Operation: GET /zones/{zone_id}/dns_records/{dns_record_id}
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/get/
func (s *DNSRecordsService) Get(
	ctx context.Context, zoneID, recordID string, opts ...CallOption,
) (*DNSRecord, error) {
	r := request{operation: opDNSRecordGet, ids: []string{zoneID, recordID}}
	return doItem(ctx, clientOf(s), r, checkDNSRecordID(recordID), opts)
}

// Create creates a DNS record in a zone.
//
// The request is retried only if it certainly was not carried out. Create returns [ErrConflict] if
// the record conflicts with an existing record, and [ErrOutcomeUnknown] if the record may have been
// created: search for it by its name with [DNSRecordsService.List].
//
// Operation: POST /zones/{zone_id}/dns_records
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/create/
func (s *DNSRecordsService) Create(
	ctx context.Context, zoneID string, params DNSRecordCreateParams, opts ...CallOption,
) (*DNSRecord, error) {
	switch {
	case strings.TrimSpace(params.Type) == "":
		return nil, invalid("Type", "is empty")
	case strings.TrimSpace(params.Name) == "":
		return nil, invalid("Name", "is empty; @ is the zone itself")
	case params.Content == "":
		return nil, invalid("Content", "is empty")
	}
	if params.TTL == 0 {
		params.TTL = automaticTTL
	}
	if err := checkTTL(params.TTL); err != nil {
		return nil, err
	}
	r := request{operation: opDNSRecordCreate, ids: []string{zoneID}}
	r.body = struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Content string   `json:"content"`
		TTL     int      `json:"ttl"`
		Proxied bool     `json:"proxied"`
		Comment string   `json:"comment,omitempty"`
		Tags    []string `json:"tags,omitempty"`
	}(params)
	return doItem(ctx, clientOf(s), r, checkDNSRecord, opts)
}

// Update changes a DNS record and returns it. Only the fields that are set are sent.
//
// It returns [ErrNotFound] if the zone has no such record, [ErrConflict] if the change conflicts
// with another record, and [ErrOutcomeUnknown] if the record may have been changed: call Update
// again.
//
// Operation: PATCH /zones/{zone_id}/dns_records/{dns_record_id}
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/edit/
func (s *DNSRecordsService) Update(
	ctx context.Context, zoneID, recordID string, params DNSRecordUpdateParams, opts ...CallOption,
) (*DNSRecord, error) {
	if params.Content == "" && params.TTL == 0 && params.Proxied == nil &&
		params.Comment == nil && params.Tags == nil {
		return nil, invalid("params", "changes nothing")
	}
	if params.TTL != 0 {
		if err := checkTTL(params.TTL); err != nil {
			return nil, err
		}
	}
	r := request{operation: opDNSRecordUpdate, ids: []string{zoneID, recordID}}
	r.body = struct {
		Content string   `json:"content,omitempty"`
		TTL     int      `json:"ttl,omitempty"`
		Proxied *bool    `json:"proxied,omitempty"`
		Comment *string  `json:"comment,omitempty"`
		Tags    []string `json:"tags,omitzero"`
	}(params)
	return doItem(ctx, clientOf(s), r, checkDNSRecordID(recordID), opts)
}

// Delete deletes a DNS record.
//
// It returns [ErrNotFound] if the zone has no such record, and [ErrOutcomeUnknown] if the record
// may have been deleted: call Delete again, and treat ErrNotFound as success.
//
// Operation: DELETE /zones/{zone_id}/dns_records/{dns_record_id}
//
// API: https://developers.cloudflare.com/api/resources/dns/subresources/records/methods/delete/
func (s *DNSRecordsService) Delete(
	ctx context.Context, zoneID, recordID string, opts ...CallOption,
) error {
	r := request{operation: opDNSRecordDelete, ids: []string{zoneID, recordID}}
	_, err := doDelete(ctx, clientOf(s), r, func(result *json.RawMessage) error {
		var deleted struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(*result, &deleted) // a response without an ID is accepted
		return checkDeletedID(deleted.ID, recordID)
	}, opts)
	return err
}

func checkTTL(ttl int) error {
	if ttl != automaticTTL && (ttl < minTTL || ttl > maxTTL) {
		return invalid("TTL", "is %d; it must be %d to %d seconds, or 1 for automatic",
			ttl, minTTL, maxTTL)
	}
	return nil
}

func checkDNSRecord(r *DNSRecord) error {
	if r.Type == "" || r.Name == "" {
		return errors.New("it has no type or no name")
	}
	return checkPathID(r.ID)
}

// checkDNSRecordID returns a check that a response is about the requested record.
func checkDNSRecordID(recordID string) func(*DNSRecord) error {
	return func(r *DNSRecord) error {
		if err := checkID(r.ID, recordID); err != nil {
			return err
		}
		return checkDNSRecord(r)
	}
}
