package tunneltest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

const (
	dnsRecordsPath = "/zones/{zone_id}/dns_records"
	dnsRecordPath  = dnsRecordsPath + "/{dns_record_id}"
)

// dnsRecordRoutes are the operations on DNS records.
var dnsRecordRoutes = []route{
	{http.MethodPost, dnsRecordsPath, (*Server).createRecord, dnsWrite},
	{http.MethodGet, dnsRecordsPath, (*Server).listRecords, dnsRead},
	{http.MethodGet, dnsRecordPath, (*Server).getRecord, dnsRead},
	{http.MethodPatch, dnsRecordPath, (*Server).patchRecord, dnsWrite},
	{http.MethodPut, dnsRecordPath, (*Server).putRecord, dnsWrite},
	{http.MethodDelete, dnsRecordPath, (*Server).deleteRecord, dnsWrite},
}

// dnsRecord is a record of a zone.
type dnsRecord struct {
	id string
	recordFields
	created, modified             time.Time
	commentModified, tagsModified time.Time // zero if never set
}

// recordFields are the fields of a record that a request can set.
type recordFields struct {
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	Content  string          `json:"content"`
	TTL      float64         `json:"ttl"`
	Proxied  bool            `json:"proxied"`
	Comment  *string         `json:"comment"`
	Tags     []string        `json:"tags"`
	Settings json.RawMessage `json:"settings"`
	Data     json.RawMessage `json:"data"`
	Priority *float64        `json:"priority"`
}

// clone returns a deep copy, so that decoding into it does not change f.
func (f recordFields) clone() recordFields {
	f.Tags, f.Settings = slices.Clone(f.Tags), slices.Clone(f.Settings)
	f.Data = slices.Clone(f.Data)
	if f.Comment != nil {
		f.Comment = new(*f.Comment)
	}
	if f.Priority != nil {
		f.Priority = new(*f.Priority)
	}
	return f
}

// recordJSON is a record in a response. Its fields are in the order of the API.
type recordJSON struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Type            string          `json:"type"`
	Content         string          `json:"content"`
	Priority        *float64        `json:"priority,omitempty"`
	Proxiable       bool            `json:"proxiable"`
	Proxied         bool            `json:"proxied"`
	TTL             float64         `json:"ttl"`
	Data            json.RawMessage `json:"data,omitempty"`
	Settings        json.RawMessage `json:"settings"`
	Meta            struct{}        `json:"meta"`
	Comment         *string         `json:"comment"`
	Tags            []string        `json:"tags"`
	CreatedOn       timestamp       `json:"created_on"`
	ModifiedOn      timestamp       `json:"modified_on"`
	CommentModified *timestamp      `json:"comment_modified_on,omitempty"`
	TagsModified    *timestamp      `json:"tags_modified_on,omitempty"`
}

func (r *dnsRecord) json() recordJSON {
	return recordJSON{
		ID: r.id, Name: r.Name, Type: r.Type, Content: r.Content, Priority: r.Priority,
		Proxiable: isAddressType(r.Type), Proxied: r.Proxied, TTL: r.TTL, Data: r.Data,
		Settings: r.Settings, Comment: r.Comment, Tags: r.Tags,
		CreatedOn: timestamp{r.created}, ModifiedOn: timestamp{r.modified},
		CommentModified: nullTime(r.commentModified), TagsModified: nullTime(r.tagsModified),
	}
}

// record returns the zone and the record of the path, or an error response.
func (s *Server) record(c *call) (*zone, *dnsRecord, *response) {
	z, problem := s.zone(c)
	if problem != nil {
		return nil, nil, problem
	}
	for _, r := range z.records {
		if strings.EqualFold(r.id, c.values["dns_record_id"]) {
			return z, r, nil
		}
	}
	return nil, nil, failure(http.StatusNotFound, 81044, "Record does not exist.")
}

func (s *Server) createRecord(c *call) *response {
	z, problem := s.zone(c)
	if problem != nil {
		return problem
	}
	var fields recordFields
	if problem := z.readRecord(c.body, &fields, nil); problem != nil {
		return problem
	}
	return success(z.addRecord(fields, s.currentTime()).json())
}

func (z *zone) addRecord(fields recordFields, now time.Time) *dnsRecord {
	r := &dnsRecord{id: randomHex(16), created: now}
	r.set(fields, now)
	z.records = append(z.records, r)
	return r
}

// set changes the fields of a record and the times of their modification.
func (r *dnsRecord) set(fields recordFields, now time.Time) {
	if stringValue(fields.Comment) != stringValue(r.Comment) {
		r.commentModified = now
	}
	if !slices.Equal(fields.Tags, r.Tags) {
		r.tagsModified = now
	}
	r.recordFields, r.modified = fields, now
}

func stringValue(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (s *Server) getRecord(c *call) *response {
	_, r, problem := s.record(c)
	if problem != nil {
		return problem
	}
	return success(r.json())
}

// patchRecord changes the fields that the body has.
func (s *Server) patchRecord(c *call) *response {
	z, r, problem := s.record(c)
	if problem != nil {
		return problem
	}
	return s.changeRecord(c, z, r, r.clone())
}

// putRecord replaces all fields of a record.
func (s *Server) putRecord(c *call) *response {
	z, r, problem := s.record(c)
	if problem != nil {
		return problem
	}
	return s.changeRecord(c, z, r, recordFields{})
}

func (s *Server) changeRecord(c *call, z *zone, r *dnsRecord, fields recordFields) *response {
	if problem := z.readRecord(c.body, &fields, r); problem != nil {
		return problem
	}
	r.set(fields, s.currentTime())
	return success(r.json())
}

func (s *Server) deleteRecord(c *call) *response {
	z, r, problem := s.record(c)
	if problem != nil {
		return problem
	}
	z.removeRecord(r)
	return success(map[string]string{"id": r.id})
}

func (z *zone) removeRecord(r *dnsRecord) {
	z.records = slices.DeleteFunc(z.records, func(other *dnsRecord) bool { return other == r })
}

// recordOrders are the sort orders of records, by the value of the order parameter.
var recordOrders = map[string]func(a, b *dnsRecord) int{
	"type":    func(a, b *dnsRecord) int { return cmp.Compare(a.Type, b.Type) },
	"name":    func(a, b *dnsRecord) int { return cmp.Compare(a.Name, b.Name) },
	"content": func(a, b *dnsRecord) int { return cmp.Compare(a.Content, b.Content) },
	"ttl":     func(a, b *dnsRecord) int { return cmp.Compare(a.TTL, b.TTL) },
	"proxied": func(a, b *dnsRecord) int {
		return cmp.Compare(strconv.FormatBool(a.Proxied), strconv.FormatBool(b.Proxied))
	},
}

// recordTests are the filters of a list of records, by the name of the parameter.
var recordTests = func() queryTests[*dnsRecord] {
	tests := queryTests[*dnsRecord]{
		"type": func(r *dnsRecord, value string) bool { return r.Type == value },
		"proxied": func(r *dnsRecord, value string) bool {
			return strconv.FormatBool(r.Proxied) == value
		},
		"comment.present": func(r *dnsRecord, _ string) bool {
			return stringValue(r.Comment) != ""
		},
		"comment.absent": func(r *dnsRecord, _ string) bool {
			return stringValue(r.Comment) == ""
		},
	}
	for name, of := range map[string]func(*dnsRecord) string{
		"name":    func(r *dnsRecord) string { return r.Name },
		"content": func(r *dnsRecord) string { return r.Content },
		"comment": func(r *dnsRecord) string { return stringValue(r.Comment) },
	} {
		for suffix, compare := range map[string]func(a, b string) bool{
			"":            strings.EqualFold,
			".exact":      strings.EqualFold,
			".contains":   strings.Contains,
			".startswith": strings.HasPrefix,
			".endswith":   strings.HasSuffix,
		} {
			tests[name+suffix] = func(r *dnsRecord, value string) bool {
				return compare(strings.ToLower(of(r)), strings.ToLower(value))
			}
		}
	}
	return tests
}()

func (s *Server) listRecords(c *call) *response {
	z, problem := s.zone(c)
	if problem != nil {
		return problem
	}
	found := filter(z.records, recordTests.filter(c.query))
	sortByQuery(found, c.query, recordOrders, "type")
	return pageWithTotalPages(c.query, pageLimits{1, 100, 5_000_000}, found, (*dnsRecord).json)
}

// fullName returns the full name of a record, in lower case and in Punycode.
func (z *zone) fullName(name string) string {
	name = ingress.ASCII(name)
	switch {
	case name == "@" || name == z.name:
		return z.name
	case strings.HasSuffix(name, "."+z.name):
		return name
	}
	return name + "." + z.name
}
