package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

var (
	unknownZone   = strings.Repeat("0", 32)
	unknownRecord = strings.Repeat("1", 32)
)

func TestDNSRecords_LifeCycle(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	zone := srv.SeedZone("example.com")
	begin := time.Now().Add(-time.Minute)
	created, err := client.DNSRecords.Create(t.Context(), zone, cftunnel.DNSRecordCreateParams{
		Type: "A", Name: "www", Content: "192.0.2.1", TTL: 300, Comment: "by hand",
		Tags: []string{"a:b"},
	})
	require.NoError(t, err)
	assert.True(t, created.CreatedOn.After(begin))
	assert.True(t, created.ModifiedOn.After(begin))
	assert.Equal(t, &cftunnel.DNSRecord{
		ID: created.ID, Type: "A", Name: "www.example.com", Content: "192.0.2.1", TTL: 300,
		Proxiable: true, Comment: "by hand", Tags: []string{"a:b"},
		CreatedOn: created.CreatedOn, ModifiedOn: created.ModifiedOn,
	}, created)
	got, err := client.DNSRecords.Get(t.Context(), zone, strings.ToUpper(created.ID))
	require.NoError(t, err)
	assert.Equal(t, created, got)

	changed, err := client.DNSRecords.Update(
		t.Context(), zone, created.ID, cftunnel.DNSRecordUpdateParams{Content: "192.0.2.2"},
	)
	require.NoError(t, err)
	assert.Equal(t, "192.0.2.2", changed.Content)
	assert.Equal(t, "by hand", changed.Comment)
	assert.Equal(t, 300, changed.TTL)
	assert.JSONEq(t, `{"content":"192.0.2.2"}`, last(srv).Body.Reveal())
	params := cftunnel.DNSRecordUpdateParams{
		Proxied: new(true), TTL: 1, Comment: new(""), Tags: []string{},
	}
	changed, err = client.DNSRecords.Update(t.Context(), zone, created.ID, params)
	require.NoError(t, err)
	assert.JSONEq(t, `{"proxied":true,"ttl":1,"comment":"","tags":[]}`, last(srv).Body.Reveal())
	assert.True(t, changed.Proxied)
	assert.Empty(t, changed.Comment)
	assert.Empty(t, changed.Tags)

	require.NoError(t, client.DNSRecords.Delete(t.Context(), zone, created.ID))
	_, err = client.DNSRecords.Get(t.Context(), zone, created.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.True(t, cftunnel.HasCode(err, 81044))
	require.ErrorIs(
		t, client.DNSRecords.Delete(t.Context(), zone, created.ID), cftunnel.ErrNotFound,
	)
	_, err = client.DNSRecords.Update(
		t.Context(), zone, created.ID, cftunnel.DNSRecordUpdateParams{TTL: 1},
	)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
}

// last returns the latest request.
func last(srv *tunneltest.Server) tunneltest.Request {
	requests := srv.Requests()
	return requests[len(requests)-1]
}

func TestDNSRecordsCreate_Defaults(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	zone := srv.SeedZone("example.com")
	_, err := client.DNSRecords.Create(t.Context(), zone, cftunnel.DNSRecordCreateParams{
		Type: "A", Name: "@", Content: "192.0.2.1",
	})
	require.NoError(t, err)
	want := `{"type":"A","name":"@","content":"192.0.2.1","ttl":1,"proxied":false}`
	assert.JSONEq(t, want, last(srv).Body.Reveal())
}

func TestDNSRecords_Conflicts(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	zone := srv.SeedZone("example.com")
	create := func(recordType, name, content string, proxied bool) error {
		_, err := client.DNSRecords.Create(
			t.Context(), zone, cftunnel.DNSRecordCreateParams{
				Type: recordType, Name: name, Content: content, Proxied: proxied,
			},
		)
		return err
	}
	require.NoError(t, create("CNAME", "c", "a.test", true))
	require.NoError(t, create("A", "a", "192.0.2.1", true))
	for code, err := range map[int]error{
		81053: create("CNAME", "a", "a.test", true),
		81054: create("A", "c", "192.0.2.1", true),
		81057: create("A", "a", "192.0.2.1", false),
		81058: create("A", "a", "192.0.2.1", true),
	} {
		require.ErrorIs(t, err, cftunnel.ErrConflict, "%d", code)
		require.ErrorIs(t, err, cftunnel.ErrBadRequest, "%d", code)
		assert.True(t, cftunnel.HasCode(err, code), "%d", code)
	}
}

// Codes in the chain of an error match the sentinels too.
func TestDNSRecords_CodesInChains(t *testing.T) {
	t.Parallel()
	for _, code := range []int{81053, 81054, 81055, 81056, 81057, 81058} {
		body := fmt.Sprintf(`{"success":false,"errors":[{"code":1004,"message":"x",`+
			`"error_chain":[{"code":%d,"message":"y"}]}],"result":null}`, code)
		client := clientOf(t, respond(400, body))
		_, err := client.DNSRecords.Create(
			t.Context(), unknownZone, cftunnel.DNSRecordCreateParams{
				Type: "A", Name: "a", Content: "192.0.2.1",
			},
		)
		require.ErrorIs(t, err, cftunnel.ErrConflict, "%d", code)
		require.ErrorIs(t, err, cftunnel.ErrBadRequest)
		assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	}
	client := clientOf(
		t, respond(400, `{"success":false,"errors":[{"code":9000,"message":"x"}],"result":null}`),
	)
	_, err := client.DNSRecords.Create(
		t.Context(), unknownZone, cftunnel.DNSRecordCreateParams{
			Type: "A", Name: "a", Content: "192.0.2.1",
		},
	)
	assert.NotErrorIs(t, err, cftunnel.ErrConflict)
}

// If the zone is unknown, the error does not say that the record does not exist.
func TestDNSRecords_UnknownZone(t *testing.T) {
	t.Parallel()
	_, client := newFake(t)
	_, err := client.DNSRecords.Get(t.Context(), unknownZone, unknownRecord)
	require.Error(t, err)
	assert.True(t, cftunnel.HasCode(err, 7003))
	assert.NotErrorIs(t, err, cftunnel.ErrNotFound)
}

func TestDNSRecordsAll(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	zone := srv.SeedZone("example.com")
	for i := range 7 {
		_, err := client.DNSRecords.Create(t.Context(), zone, cftunnel.DNSRecordCreateParams{
			Type: "A", Name: fmt.Sprintf("a%d", i), Content: fmt.Sprintf("192.0.2.%d", i),
			Proxied: i < 2, Comment: fmt.Sprintf("c%d", i%2),
		})
		require.NoError(t, err)
	}
	collect := func(params cftunnel.DNSRecordListParams) (names string) {
		for record, err := range client.DNSRecords.All(t.Context(), zone, params) {
			require.NoError(t, err)
			names += strings.TrimSuffix(record.Name, ".example.com") + " "
		}
		return strings.TrimSpace(names)
	}
	assert.Equal(t, "a0 a1 a2 a3 a4 a5 a6", collect(cftunnel.DNSRecordListParams{}))
	assert.Equal(t, "a0 a1 a2 a3 a4 a5 a6", collect(cftunnel.DNSRecordListParams{PerPage: 3}))
	assert.Equal(t, "a6", collect(cftunnel.DNSRecordListParams{PerPage: 3, Page: 3}))
	assert.Equal(t, "a3", collect(cftunnel.DNSRecordListParams{Name: "A3.example.com"}))
	assert.Equal(t, "a4", collect(cftunnel.DNSRecordListParams{Content: "192.0.2.4"}))
	assert.Equal(t, "a0 a1", collect(cftunnel.DNSRecordListParams{Proxied: new(true)}))
	assert.Equal(t, "a3 a5", collect(cftunnel.DNSRecordListParams{
		Type: "A", Proxied: new(false), Comment: "c1",
	}))
	assert.Empty(t, collect(cftunnel.DNSRecordListParams{Type: "TXT"}))
	for _, params := range []cftunnel.DNSRecordListParams{
		{Page: -1}, {PerPage: -1}, {PerPage: 1001},
	} {
		_, err := client.DNSRecords.List(t.Context(), zone, params)
		_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		assert.True(t, ok, "%+v", params)
	}
}

func TestDNSRecords_InvalidArguments(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	zone := srv.SeedZone("example.com")
	valid := cftunnel.DNSRecordCreateParams{Type: "A", Name: "a", Content: "192.0.2.1"}
	create := func(change func(*cftunnel.DNSRecordCreateParams)) func(context.Context) error {
		return func(ctx context.Context) error {
			params := valid
			change(&params)
			_, err := client.DNSRecords.Create(ctx, zone, params)
			return err
		}
	}
	update := func(
		zoneID, recordID string, params cftunnel.DNSRecordUpdateParams,
	) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.DNSRecords.Update(ctx, zoneID, recordID, params)
			return err
		}
	}
	for i, test := range []struct {
		argument string
		call     func(context.Context) error
	}{
		{"Type", create(func(p *cftunnel.DNSRecordCreateParams) { p.Type = "" })},
		{"Name", create(func(p *cftunnel.DNSRecordCreateParams) { p.Name = " " })},
		{"Content", create(func(p *cftunnel.DNSRecordCreateParams) { p.Content = "" })},
		{"TTL", create(func(p *cftunnel.DNSRecordCreateParams) { p.TTL = 29 })},
		{"TTL", create(func(p *cftunnel.DNSRecordCreateParams) { p.TTL = -1 })},
		{"TTL", create(func(p *cftunnel.DNSRecordCreateParams) { p.TTL = 86401 })},
		{"params", update(zone, unknownRecord, cftunnel.DNSRecordUpdateParams{})},
		{"TTL", update(zone, unknownRecord, cftunnel.DNSRecordUpdateParams{TTL: 2})},
		{"recordID", update(zone, "", cftunnel.DNSRecordUpdateParams{TTL: 1})},
		{"recordID", update(zone, "../../x", cftunnel.DNSRecordUpdateParams{TTL: 1})},
		{"zoneID", update("", unknownRecord, cftunnel.DNSRecordUpdateParams{TTL: 1})},
		{"zoneID", update("..", unknownRecord, cftunnel.DNSRecordUpdateParams{TTL: 1})},
		{"recordID", func(ctx context.Context) error { return client.DNSRecords.Delete(ctx, zone, "") }},
		{"recordID", func(ctx context.Context) error { _, err := client.DNSRecords.Get(ctx, zone, ""); return err }},
		{"zoneID", func(ctx context.Context) error {
			_, err := client.DNSRecords.List(ctx, "", cftunnel.DNSRecordListParams{})
			return err
		}},
	} {
		err := test.call(t.Context())
		invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%d: %v", i, err)
		assert.Equal(t, test.argument, invalid.Name, "%d", i)
	}
	assert.Empty(t, srv.Requests())
}

// A response about another record, or without a record, is an error.
func TestDNSRecords_InvalidResponses(t *testing.T) {
	t.Parallel()
	for _, result := range []string{
		"null", "{}", `{"id":"` + strings.Repeat("2", 32) + `","type":"A","name":"a.test"}`, `{"id":"` + unknownRecord + `","type":"A"}`,
	} {
		client := clientOf(
			t, respond(200, `{"success":true,"errors":[],"messages":[],"result":`+result+`}`),
		)
		_, err := client.DNSRecords.Get(t.Context(), unknownZone, unknownRecord)
		require.Error(t, err, result)
		_, err = client.DNSRecords.Update(
			t.Context(), unknownZone, unknownRecord, cftunnel.DNSRecordUpdateParams{TTL: 1},
		)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, result)
	}
	for _, result := range []string{"null", "{}", `{"type":"A","name":"a.test"}`} {
		client := clientOf(
			t, respond(200, `{"success":true,"errors":[],"messages":[],"result":`+result+`}`),
		)
		_, err := client.DNSRecords.Create(
			t.Context(), unknownZone, cftunnel.DNSRecordCreateParams{
				Type: "A", Name: "a", Content: "192.0.2.1",
			},
		)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, result)
		_, err = client.DNSRecords.List(t.Context(), unknownZone, cftunnel.DNSRecordListParams{})
		if result == "null" {
			require.NoError(t, err)
		} else {
			require.Error(t, err, result)
		}
	}
	client := clientOf(
		t, respond(200, `{"success":true,"errors":[],"messages":[],"result":null}`),
	)
	require.NoError(t, client.DNSRecords.Delete(t.Context(), unknownZone, unknownRecord))
}

// A create is not repeated. If the response to a delete is lost, the retry succeeds.
func TestDNSRecords_LostResponses(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 1}))
	zone := srv.SeedZone("example.com")
	srv.Inject(tunneltest.Fault{Operation: opRecordCreate, Cut: tunneltest.CutAfter})
	_, err := client.DNSRecords.Create(
		t.Context(), zone, cftunnel.DNSRecordCreateParams{
			Type: "A", Name: "a", Content: "192.0.2.1",
		},
	)
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Equal(t, 1, carriedOut(srv, opRecordCreate))
	assert.Equal(t, http.MethodPost, last(srv).Method)

	page, err := client.DNSRecords.List(t.Context(), zone, cftunnel.DNSRecordListParams{})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	srv.Inject(tunneltest.Fault{Operation: opRecordDelete, Cut: tunneltest.CutAfter})
	require.NoError(t, client.DNSRecords.Delete(t.Context(), zone, page.Items[0].ID))
}
