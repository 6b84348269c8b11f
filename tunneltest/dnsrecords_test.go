package tunneltest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const tunnelTarget = unknownID + ".cfargotunnel.com"

// zoneFake is a fake with the zone example.com.
type zoneFake struct {
	*fake
	records string // path of the records
}

func startWithZone(t testing.TB, opts ...tunneltest.Option) zoneFake {
	t.Helper()
	f := start(t, opts...)
	return zoneFake{f, "/zones/" + f.SeedZone("example.com") + "/dns_records"}
}

func (f zoneFake) create(body string) response {
	f.t.Helper()
	return f.send(http.MethodPost, f.records, body)
}

// path creates a record and returns its path.
func (f zoneFake) path(body string) string {
	f.t.Helper()
	return f.records + "/" + f.create(body).stringField("id")
}

func TestDNSRecords_Create(t *testing.T) {
	t.Parallel()
	clock := newClock(noon)
	f := startWithZone(t, tunneltest.WithClock(clock.Now))
	created := f.create(`{"type":"CNAME","name":"app.example.com","content":"` + tunnelTarget +
		`","proxied":true}`)
	id := created.stringField("id")
	assert.Len(t, id, 32)
	assert.JSONEq(t, `{"id":"`+id+`","name":"app.example.com","type":"CNAME","content":"`+tunnelTarget+`","proxiable":true,
		"proxied":true,"ttl":1,"settings":{},"meta":{},"comment":null,"tags":[],
		"created_on":"2026-10-05T12:00:00.000000Z","modified_on":"2026-10-05T12:00:00.000000Z"}`, string(created.result()))
	assert.Equal(t, created.result(), f.fetch(f.records+"/"+id).result())

	whole := f.create(`{"type":"A","name":"a","content":"192.0.2.1","ttl":300,"comment":"a comment","tags":["owner:me"],
		"settings":{"ipv4_only":true},"proxied":false}`)
	assert.Equal(t, "a.example.com", whole.stringField("name"))
	assert.Equal(t, "a comment", whole.stringField("comment"))
	assert.Equal(t, `["owner:me"]`, string(whole.fields()["tags"]))
	assert.Equal(t, `{"ipv4_only":true}`, string(whole.fields()["settings"]))
	assert.Equal(t, "300", string(whole.fields()["ttl"]))
	assert.Equal(t, "2026-10-05T12:00:00.000000Z", whole.stringField("comment_modified_on"))
	assert.Equal(t, "2026-10-05T12:00:00.000000Z", whole.stringField("tags_modified_on"))

	mail := f.create(`{"type":"MX","name":"@","content":"mail.example.net","priority":10}`)
	assert.Equal(t, "false", string(mail.fields()["proxiable"]))
	assert.Equal(t, "10", string(mail.fields()["priority"]))
	service := f.create(`{"type":"SRV","name":"_x._tcp","data":{"port":1}}`)
	assert.Equal(t, `{"port":1}`, string(service.fields()["data"]))
}

func TestDNSRecords_Normalized(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	for name, want := range map[string]string{
		"@":                  "example.com",
		"*":                  "*.example.com",
		"b":                  "b.example.com",
		"C.Example.COM":      "c.example.com",
		"d.example.com.":     "d.example.com",
		"other.test":         "other.test.example.com",
		"notexample.com":     "notexample.com.example.com",
		"bücher.example.com": "xn--bcher-kva.example.com",
		"_dmarc":             "_dmarc.example.com",
	} {
		assert.Equal(t, want,
			f.create(`{"type":"TXT","name":"`+name+`","content":"x"}`).stringField("name"))
	}
	assert.Equal(t, "2001:db8::1",
		f.create(`{"type":"AAAA","name":"v6","content":"2001:DB8:0::1"}`).stringField("content"))
	assert.Equal(t, "a.test",
		f.create(`{"type":"CNAME","name":"x","content":"A.Test."}`).stringField("content"))
	// The TTL of a proxied record is always automatic.
	assert.Equal(
		t, "1", string(
			f.create(
				`{"type":"A","name":"p","content":"192.0.2.1","ttl":300,"proxied":true}`,
			).fields()["ttl"],
		),
	)
}

func TestDNSRecords_Invalid(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	for _, body := range []string{
		"", "null", "[]", `"x"`, `{"type":1}`, `{`,
		`{"name":"a","content":"192.0.2.1"}`,
		`{"type":"NONE","name":"a","content":"192.0.2.1"}`,
		`{"type":"A","content":"192.0.2.1"}`,
		`{"type":"A","name":"a b","content":"192.0.2.1"}`,
		`{"type":"A","name":"` + strings.Repeat("a", 64) + `","content":"192.0.2.1"}`,
		`{"type":"A","name":"a","content":"2001:db8::1"}`,
		`{"type":"A","name":"a","content":"x"}`,
		`{"type":"AAAA","name":"a","content":"192.0.2.1"}`,
		`{"type":"AAAA","name":"a","content":"fe80::1%eth0"}`,
		`{"type":"CNAME","name":"a","content":"https://b.test"}`,
		`{"type":"CNAME","name":"a","content":"a.example.com"}`,
		`{"type":"CNAME","name":"a"}`,
		`{"type":"TXT","name":"a"}`,
		`{"type":"TXT","name":"a","content":"x","proxied":true}`,
		`{"type":"A","name":"a","content":"192.0.2.1","ttl":29}`,
		`{"type":"A","name":"a","content":"192.0.2.1","ttl":86401}`,
	} {
		assert.Equal(t, http.StatusBadRequest, f.create(body).status, body)
	}
	names, _ := f.fetch(f.records).namesIn()
	assert.Empty(t, names)
}

func TestDNSRecords_Conflicts(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	cname := f.path(`{"type":"CNAME","name":"c","content":"a.test"}`)
	a := f.path(`{"type":"A","name":"a","content":"192.0.2.1"}`)
	f.path(`{"type":"AAAA","name":"b","content":"2001:db8::1"}`)
	f.path(`{"type":"TXT","name":"t","content":"x"}`)
	for body, code := range map[string]int{
		`{"type":"CNAME","name":"c","content":"a.test"}`:               81053, // even with the same content
		`{"type":"CNAME","name":"C.example.com","content":"b.test"}`:   81053,
		`{"type":"CNAME","name":"a","content":"b.test"}`:               81053,
		`{"type":"CNAME","name":"b","content":"b.test"}`:               81053,
		`{"type":"A","name":"c","content":"192.0.2.1"}`:                81054,
		`{"type":"TXT","name":"c","content":"x"}`:                      81054,
		`{"type":"A","name":"a","content":"192.0.2.1"}`:                81058,
		`{"type":"A","name":"a","content":"192.0.2.1","proxied":true}`: 81057,
		`{"type":"TXT","name":"t","content":"x","comment":"y"}`:        81057,
	} {
		f.create(body).assertError(http.StatusBadRequest, code)
	}
	// These do not conflict with other records.
	f.create(`{"type":"A","name":"a","content":"192.0.2.2"}`).result()
	f.create(`{"type":"AAAA","name":"a","content":"2001:db8::1"}`).result()
	f.create(`{"type":"CNAME","name":"t","content":"a.test"}`).result()
	f.create(`{"type":"TXT","name":"a","content":"x"}`).result()

	f.send(http.MethodPatch, a, `{"content":"192.0.2.2"}`).assertError(http.StatusBadRequest, 81058)
	f.send(http.MethodPatch, cname, `{"name":"a"}`).assertError(http.StatusBadRequest, 81053)
	f.send(http.MethodPatch, a, `{"name":"c"}`).assertError(http.StatusBadRequest, 81054)
	f.send(http.MethodPatch, cname, `{"proxied":true}`).result()
}

func TestDNSRecords_Patch(t *testing.T) {
	t.Parallel()
	clock := newClock(noon)
	f := startWithZone(t, tunneltest.WithClock(clock.Now))
	path := f.path(`{"type":"CNAME","name":"c","content":"a.test","comment":"one","tags":["a:b"],"settings":{"flatten_cname":true},"ttl":300}`)
	clock.advance(time.Hour)
	changed := f.send(http.MethodPatch, path, `{"proxied":true,"ttl":1}`)
	for name, want := range map[string]string{
		"name": `"c.example.com"`, "content": `"a.test"`, "comment": `"one"`, "tags": `["a:b"]`, "settings": `{"flatten_cname":true}`,
		"proxied": "true", "ttl": "1", "created_on": `"2026-10-05T12:00:00.000000Z"`, "modified_on": `"2026-10-05T13:00:00.000000Z"`,
		"comment_modified_on": `"2026-10-05T12:00:00.000000Z"`,
	} {
		assert.Equal(t, want, string(changed.fields()[name]), name)
	}
	assert.Equal(t, changed.result(), f.fetch(path).result())

	// An invalid request changes nothing, whichever member is invalid.
	f.send(http.MethodPatch, path, `{"comment":"two","tags":["c:d"],"settings":{"flatten_cname":false},"ttl":5,"proxied":false}`).assertError(400, 9021)
	f.send(http.MethodPatch, path, `{"type":"A","content":"192.0.2.1"}`).assertError(400, 1004)
	f.send(http.MethodPatch, path, `{"content":`).assertError(400, 9207)
	assert.Equal(t, changed.result(), f.fetch(path).result())

	for _, none := range []string{"null", `""`} {
		f.send(http.MethodPatch, path, `{"comment":"two"}`).result()
		assert.Equal(t, "null",
			string(f.send(http.MethodPatch, path,
				`{"comment":`+none+`,"tags":[]}`).fields()["comment"]))
	}
	assert.Equal(t, "[]", string(f.fetch(path).fields()["tags"]))
	f.send(http.MethodPatch, path, `{"type":"CNAME","name":"d"}`).result()
	assert.Equal(t, "d.example.com", f.fetch(path).stringField("name"))
}

func TestDNSRecords_Put(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	path := f.path(`{"type":"A","name":"a","content":"192.0.2.1","comment":"one","tags":["a:b"],"settings":{"ipv4_only":true},"ttl":300}`)
	put := f.send(http.MethodPut, path, `{"type":"A","name":"b","content":"192.0.2.2"}`)
	for name, want := range map[string]string{
		"name": `"b.example.com"`, "content": `"192.0.2.2"`, "comment": "null", "tags": "[]", "settings": "{}", "proxied": "false", "ttl": "1",
	} {
		assert.Equal(t, want, string(put.fields()[name]), name)
	}
	f.send(http.MethodPut, path, `{"type":"CNAME","name":"b","content":"a.test"}`).
		assertError(400, 1004)
	f.send(http.MethodPut, path, `{"content":"192.0.2.3"}`).assertError(400, 1004)
	f.send(http.MethodPut, path, `{"type":"A","content":"192.0.2.3"}`).assertError(400, 9000)
}

func TestDNSRecords_Delete(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	path := f.path(`{"type":"A","name":"a","content":"192.0.2.1"}`)
	deleted := f.send(http.MethodDelete, path, "{}")
	assert.JSONEq(t, `{"id":"`+path[len(f.records)+1:]+`"}`, string(deleted.result()))
	for method, body := range map[string]string{
		http.MethodGet: "", http.MethodDelete: "", http.MethodPatch: "{}", http.MethodPut: "{}",
	} {
		f.send(method, path, body).assertError(http.StatusNotFound, 81044)
	}
}

func TestDNSRecords_UnknownZone(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	for _, zone := range []string{strings.Repeat("0", 32), "x"} {
		for method, path := range map[string]string{
			http.MethodPost: "", http.MethodGet: "", http.MethodDelete: "/" + strings.Repeat(
				"0", 32,
			),
		} {
			f.send(method, "/zones/"+zone+"/dns_records"+path, "{}").
				assertError(http.StatusNotFound, 7003)
		}
	}
	f.send(http.MethodDelete, f.records, "").assertError(http.StatusMethodNotAllowed, 10000)
}

func TestDNSRecords_List(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	f.create(`{"type":"TXT","name":"c","content":"Hello","comment":"by hand"}`)
	f.create(`{"type":"CNAME","name":"b","content":"a.test","proxied":true}`)
	f.create(`{"type":"A","name":"a","content":"192.0.2.1","ttl":60}`)
	f.create(`{"type":"A","name":"aa","content":"192.0.2.2","ttl":60}`)
	a, aa, b, c := "a.example.com", "aa.example.com", "b.example.com", "c.example.com"
	for query, want := range map[string][]string{
		"":                                   {a, aa, b, c}, // by type
		"type=A":                             {a, aa},
		"type=MX":                            nil,
		"name=A.example.com":                 {a},
		"name=a":                             nil,
		"name=contains:a":                    nil, // removed in 2025
		"name.exact=a.example.com":           {a},
		"name.contains=A.":                   {a, aa},
		"name.startswith=aa":                 {aa},
		"name.endswith=a.example.com":        {a, aa},
		"content=192.0.2.1":                  {a},
		"content.exact=hello":                {c},
		"content.contains=192":               {a, aa},
		"content.startswith=a.t":             {b},
		"content.endswith=.2":                {aa},
		"proxied=true":                       {b},
		"proxied=false":                      {a, aa, c},
		"comment=by hand":                    {c},
		"comment.exact=By hand":              {c},
		"comment.contains=hand":              {c},
		"comment.present=true":               {c},
		"comment.absent=true":                {a, aa, b},
		"type=A&content=192.0.2.2":           {aa},
		"type=CNAME&content=192.0.2.2":       nil,
		"type=CNAME&match=any&proxied=false": {a, aa, b, c},
		"type=CNAME&match=any&comment=x":     {b},
		"order=name&direction=desc":          {c, b, aa, a},
		"order=content":                      {a, aa, c, b},
		"order=ttl":                          {c, b, a, aa},
		"order=proxied&direction=desc":       {b, c, a, aa},
		"per_page=2":                         {a, aa},
		"per_page=2&page=2":                  {b, c},
		"per_page=3&page=2":                  {c},
		"page=2":                             nil,
	} {
		if key, value, ok := strings.Cut(query, "="); ok && !strings.Contains(query, "&") {
			query = url.Values{key: {value}}.Encode()
		}
		names, _ := f.fetch(f.records + "?" + query).namesIn()
		assert.Equal(t, want, names, query)
	}
	_, info := f.fetch(f.records).namesIn()
	assert.Equal(t,
		map[string]int{"page": 1, "per_page": 100, "count": 4, "total_count": 4,
			"total_pages": 1}, info)
}

// terraformRecord is the state of Terraform's cloudflare_dns_record.
type terraformRecord struct {
	ID                *string          `json:"id"`
	Name              *string          `json:"name"`
	Type              *string          `json:"type"`
	Content           *string          `json:"content"`
	TTL               *float64         `json:"ttl"`
	Priority          *float64         `json:"priority"`
	Proxied           *bool            `json:"proxied"`
	Proxiable         *bool            `json:"proxiable"`
	Comment           *string          `json:"comment"`
	Tags              []string         `json:"tags"`
	Settings          map[string]*bool `json:"settings"`
	CreatedOn         *time.Time       `json:"created_on"`
	ModifiedOn        *time.Time       `json:"modified_on"`
	CommentModifiedOn *time.Time       `json:"comment_modified_on"`
	TagsModifiedOn    *time.Time       `json:"tags_modified_on"`
}

func TestTerraform_DNSRecord(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	do := func(method, path, body string) (state terraformRecord) {
		t.Helper()
		require.NoError(t, json.Unmarshal(f.send(method, path, body).result(), &state))
		return state
	}
	created := do(http.MethodPost, f.records, `{"comment":"tunnel blog","content":"`+tunnelTarget+`","name":"blog.example.com","proxied":true,
		"settings":{"flatten_cname":false},"tags":["owner:web"],"ttl":1,"type":"CNAME"}`)
	path := f.records + "/" + *created.ID
	assert.Equal(t, created, do(http.MethodGet, path, ""))
	assert.Equal(t, new("tunnel blog"), created.Comment)
	assert.Equal(t, map[string]*bool{"flatten_cname": new(false)}, created.Settings)
	assert.Equal(t, []string{"owner:web"}, created.Tags)
	assert.NotNil(t, created.CommentModifiedOn)

	updated := do(http.MethodPut, path, `{"content":"`+tunnelTarget+`","name":"blog.example.com","proxied":false,"ttl":3600,"type":"CNAME"}`)
	assert.Equal(t, created.CreatedOn, updated.CreatedOn)
	assert.Nil(t, updated.Comment)
	assert.Equal(t, new(3600.0), updated.TTL)
	assert.Equal(t, updated, do(http.MethodGet, path, ""))
	patched := do(http.MethodPatch, path, `{"proxied":true,"ttl":1}`)
	assert.Equal(t, new(1.0), patched.TTL)
	assert.Equal(t, patched, do(http.MethodGet, path, ""))

	f.send(http.MethodDelete, path, "").result()
	f.fetch(path).assertError(http.StatusNotFound, 81044)
}
