package witness

import (
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go"
	"github.com/cloudflare/cloudflare-go/v7/dns"
	"github.com/cloudflare/cloudflare-go/v7/zones"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// These members are only in the official clients.
var (
	onlyV7Record = []string{"comment_modified_on", "tags_modified_on"}
	onlyV7Zone   = append([]string{"activated_on"}, onlyV0Zone...)
	onlyV0Zone   = []string{
		"created_on", "modified_on", "meta", "original_name_servers", "owner", "permissions", "plan",
	}
)

// zone returns a Zone with JSON names.
func zone(z *cftunnel.Zone) any {
	type account struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	return struct {
		ID          string   `json:"id"`
		Name        string   `json:"name"`
		Status      string   `json:"status"`
		Type        string   `json:"type"`
		Paused      bool     `json:"paused"`
		Account     account  `json:"account"`
		NameServers []string `json:"name_servers"`
	}{z.ID, z.Name, z.Status, z.Type, z.Paused, account{z.AccountID, z.AccountName}, z.NameServers}
}

func TestV7_DNSRecords(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours()
		zoneID := f.SeedZone("example.com")
		inZone := member{"ZoneID", zoneID}
		v7 := dns.NewRecordService(f.optionsV7()...)
		target := cftunnel.TunnelHostname(unknownID)
		create := with[dns.RecordNewParams](inZone)
		create.Body = with[dns.CNAMERecordParam](
			member{"Type", "CNAME"}, member{"Name", "app.example.com"}, member{"Content", target},
			member{"TTL", 1}, member{"Proxied", true}, member{"Comment", "a comment"},
			member{"Tags", []string{"owner:me"}})
		created, err := v7.New(ctx, create)
		require.NoError(t, err)
		same := func(official *dns.RecordResponse) {
			t.Helper()
			own, err := ours.DNSRecords.Get(ctx, zoneID, created.ID)
			require.NoError(t, err)
			sameFields(t, official, own, onlyV7Record, nil)
		}
		same(created)
		own, err := ours.DNSRecords.Get(ctx, zoneID, created.ID)
		require.NoError(t, err)
		assert.Equal(t, []string{
			"comment", "content", "created_on", "id", "modified_on", "name", "proxiable", "proxied",
			"tags", "ttl", "type",
		}, namesOf(t, own))
		got, err := v7.Get(ctx, created.ID, with[dns.RecordGetParams](inZone))
		require.NoError(t, err)
		same(got)

		edit := with[dns.RecordEditParams](inZone)
		edit.Body = with[dns.CNAMERecordParam](member{"Comment", "another"})
		edited, err := v7.Edit(ctx, created.ID, edit)
		require.NoError(t, err)
		same(edited)
		replace := with[dns.RecordUpdateParams](inZone)
		replace.Body = with[dns.CNAMERecordParam](
			member{"Type", "CNAME"}, member{"Name", "app.example.com"},
			member{"Content", "a.example.net"}, member{"TTL", 300}, member{"Comment", "a third"},
			member{"Tags", []string{"owner:you"}})
		replaced, err := v7.Update(ctx, created.ID, replace)
		require.NoError(t, err)
		same(replaced)

		_, err = v7.New(ctx, create)
		require.ErrorContains(t, err, "81053")
		list, err := v7.List(ctx, with[dns.RecordListParams](inZone))
		require.NoError(t, err)
		require.Len(t, list.Result, 1)
		same(&list.Result[0])
		deleted, err := v7.Delete(ctx, created.ID, with[dns.RecordDeleteParams](inZone))
		require.NoError(t, err)
		assert.Equal(t, created.ID, deleted.ID)
		_, err = v7.Get(ctx, created.ID, with[dns.RecordGetParams](inZone))
		require.ErrorContains(t, err, "81044")
	})
}

func TestV7_Zones(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		for _, name := range []string{"example.com", "example.net"} {
			f.SeedZone(name)
		}
		list, err := zones.NewZoneService(f.optionsV7()...).List(t.Context(),
			with[zones.ZoneListParams](member{"Name", "example.net"}))
		require.NoError(t, err)
		require.Len(t, list.Result, 1)
		own, err := f.ours().Zones.ForHostname(t.Context(), "app.example.net")
		require.NoError(t, err)
		sameFields(t, list.Result[0], zone(own), onlyV7Zone, nil)
	})
}

func TestV0_DNSRecords(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours()
		zoneID := f.SeedZone("example.com")
		v0, _ := f.v0()
		rc := cloudflare.ZoneIdentifier(zoneID)
		created, err := v0.CreateDNSRecord(ctx, rc, cloudflare.CreateDNSRecordParams{
			Type: "CNAME", Name: "app.example.com", Content: cftunnel.TunnelHostname(unknownID),
			TTL: 1, Proxied: new(true), Comment: "a comment", Tags: []string{"owner:me"},
		})
		require.NoError(t, err)
		same := func(official cloudflare.DNSRecord) {
			t.Helper()
			own, err := ours.DNSRecords.Get(ctx, zoneID, created.ID)
			require.NoError(t, err)
			sameFields(t, official, own, nil, nil)
		}
		same(created)
		got, err := v0.GetDNSRecord(ctx, rc, created.ID)
		require.NoError(t, err)
		same(got)
		updated, err := v0.UpdateDNSRecord(ctx, rc, cloudflare.UpdateDNSRecordParams{
			ID: created.ID, Comment: new("another"),
		})
		require.NoError(t, err)
		same(updated)
		params := cloudflare.ListDNSRecordsParams{Name: "app.example.com"}
		list, info, err := v0.ListDNSRecords(ctx, rc, params)
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, 1, info.TotalPages)
		same(list[0])
		require.NoError(t, v0.DeleteDNSRecord(ctx, rc, created.ID))
		_, err = v0.GetDNSRecord(ctx, rc, created.ID)
		require.ErrorContains(t, err, "81044")
	})
}

func TestV0_Zones(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		id := f.SeedZone("example.com")
		v0, _ := f.v0()
		list, err := v0.ListZones(t.Context(), "example.com")
		require.NoError(t, err)
		require.Len(t, list, 1)
		own, err := f.ours().Zones.ForHostname(t.Context(), "example.com")
		require.NoError(t, err)
		sameFields(t, list[0], zone(own), onlyV0Zone, nil)
		found, err := v0.ZoneIDByName("example.com")
		require.NoError(t, err)
		assert.Equal(t, strings.ToLower(found), id)
	})
}
