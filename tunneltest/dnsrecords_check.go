package tunneltest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

var recordTypes = []string{
	"A", "AAAA", "CAA", "CERT", "CNAME", "DNSKEY", "DS", "HTTPS", "LOC", "MX", "NAPTR", "NS",
	"OPENPGPKEY", "PTR", "SMIMEA", "SRV", "SSHFP", "SVCB", "TLSA", "TXT", "URI",
}

// isAddressType reports whether records of a type point a hostname to an address or to another
// hostname. Only these can be proxied.
func isAddressType(recordType string) bool {
	return recordType == "A" || recordType == "AAAA" || recordType == "CNAME"
}

const (
	automaticTTL = 1
	minTTL       = 30
	maxTTL       = 86400
)

func badRecord(code int, message string) *response {
	return failure(http.StatusBadRequest, code, message)
}

// readRecord decodes a request's body into fields, which has the values of missing members, and
// checks the resulting record. before is the record that is changed, or nil for a new record.
func (z *zone) readRecord(body []byte, fields *recordFields, before *dnsRecord) *response {
	if !decodeObject(body, fields) {
		return badRecord(9207, "Request body is invalid.")
	}
	if before != nil && fields.Type != before.Type {
		return badRecord(1004, "The type of a record cannot be changed.")
	}
	if problem := fields.normalize(z); problem != nil {
		return problem
	}
	return z.conflict(fields, before)
}

// normalize checks the fields and converts them to the form that the API stores.
func (f *recordFields) normalize(z *zone) *response {
	if f.Name == "" {
		return badRecord(9000, "DNS name is invalid.")
	}
	f.Name = z.fullName(f.Name)
	if err := ingress.CheckHostname(f.Name); err != nil {
		return badRecord(9000, "DNS name is invalid.")
	}
	if !slices.Contains(recordTypes, f.Type) {
		return badRecord(1004, "DNS record type is invalid.")
	}
	if problem := f.normalizeContent(); problem != nil {
		return problem
	}
	switch {
	case f.TTL == 0:
		f.TTL = automaticTTL
	case f.TTL != automaticTTL && (f.TTL < minTTL || f.TTL > maxTTL):
		return badRecord(9021, "TTL must be between 30 and 86400 seconds, or 1 for Automatic.")
	}
	if f.Proxied {
		if !isAddressType(f.Type) {
			return badRecord(9004, "This record type cannot be proxied.")
		}
		f.TTL = automaticTTL
	}
	if stringValue(f.Comment) == "" {
		f.Comment = nil
	}
	if f.Tags == nil {
		f.Tags = []string{}
	}
	if len(f.Settings) == 0 || string(f.Settings) == "null" {
		f.Settings = json.RawMessage("{}")
	}
	return nil
}

func (f *recordFields) normalizeContent() *response {
	addr, err := netip.ParseAddr(f.Content)
	switch f.Type {
	case "A":
		if err != nil || !addr.Is4() {
			return badRecord(9005, "Content for A record must be a valid IPv4 address.")
		}
	case "AAAA":
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return badRecord(9006, "Content for AAAA record must be a valid IPv6 address.")
		}
		f.Content = addr.String()
	case "CNAME":
		f.Content = ingress.ASCII(f.Content)
		if ingress.CheckHostname(f.Content) != nil || f.Content == f.Name {
			return badRecord(9007, "Content for CNAME record is invalid.")
		}
	default:
		if f.Content == "" && len(f.Data) == 0 {
			return badRecord(9009, "Content for "+f.Type+" record is invalid.")
		}
	}
	return nil
}

// conflict returns an error response if another record of the zone conflicts with this one.
func (z *zone) conflict(f *recordFields, before *dnsRecord) *response {
	for _, other := range z.records {
		if other == before || other.Name != f.Name {
			continue
		}
		switch {
		case f.Type == "CNAME" && isAddressType(other.Type):
			return badRecord(81053, "An A, AAAA, or CNAME record with that host already exists.")
		case other.Type == "CNAME":
			return badRecord(81054, "A CNAME record with that host already exists.")
		case other.Type != f.Type || other.Content != f.Content || !bytes.Equal(other.Data, f.Data):
			continue
		case other.identical(f):
			return badRecord(81058, "An identical record already exists.")
		default:
			return badRecord(81057, "The record already exists.")
		}
	}
	return nil
}

// identical reports whether two records with the same content have the same other fields.
func (f *recordFields) identical(other *recordFields) bool {
	return f.Proxied == other.Proxied && f.TTL == other.TTL &&
		stringValue(f.Comment) == stringValue(other.Comment) && slices.Equal(f.Tags, other.Tags)
}

// addressRecords returns the A, AAAA and CNAME records of a hostname.
func (z *zone) addressRecords(name string) []*dnsRecord {
	return filter(z.records, func(r *dnsRecord) bool {
		return r.Name == name && isAddressType(r.Type)
	})
}
