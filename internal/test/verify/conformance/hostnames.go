package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// hostnames sends the parameters of zones and DNS records that package cases does not send.
func hostnames(ctx context.Context, s *scenario) error {
	_, zonesErr := s.client.Zones.List(ctx, cftunnel.ZoneListParams{
		Name: s.fixture.ZoneName, Status: "active", AccountID: s.srv.AccountID(),
		Page: 1, PerPage: 5,
	})
	created, err := s.client.DNSRecords.Create(ctx, s.fixture.Zone, cftunnel.DNSRecordCreateParams{
		Type: "CNAME", Name: "all", Content: "a.example.net", TTL: 300, Comment: "a comment", Tags: []string{"owner:me"},
	})
	if err != nil {
		return err
	}
	_, updateErr := s.client.DNSRecords.Update(ctx, s.fixture.Zone, created.ID,
		cftunnel.DNSRecordUpdateParams{
			Content: "b.example.net", TTL: 1, Proxied: new(true), Comment: new("another"), Tags: []string{"owner:you"},
		})
	_, getErr := s.client.DNSRecords.Get(ctx, s.fixture.Zone, created.ID)
	_, listErr := s.client.DNSRecords.List(ctx, s.fixture.Zone, cftunnel.DNSRecordListParams{
		Type: "CNAME", Name: created.Name, Content: "b.example.net", Proxied: new(true),
		Comment: "another", Page: 1, PerPage: 10,
	})
	return errors.Join(zonesErr, updateErr, getErr, listErr, s.otherPrograms(ctx, created.ID),
		s.otherTypes(ctx))
}

func (s *scenario) records() string { return "/zones/" + s.fixture.Zone + "/dns_records" }

// otherPrograms sends requests that the methods of this client do not send.
func (s *scenario) otherPrograms(ctx context.Context, recordID string) (err error) {
	do := func(method, path string, body any) {
		err = errors.Join(err, s.client.Do(ctx, method, path, body, nil))
	}
	for _, query := range []string{"account.name=x", "order=name&direction=desc&match=any"} {
		do(http.MethodGet, "/zones?"+query, nil)
	}
	for _, member := range []string{"name", "content", "comment"} {
		for _, suffix := range []string{"", ".exact", ".contains", ".startswith", ".endswith"} {
			do(http.MethodGet, s.records()+"?"+member+suffix+"=x", nil)
		}
	}
	for _, query := range []string{
		"comment.present=true", "comment.absent=true", "order=ttl&direction=desc&match=any",
	} {
		do(http.MethodGet, s.records()+"?"+query, nil)
	}
	record := map[string]any{
		"type": "CNAME", "name": "other", "content": "c.example.net", "proxied": true, "ttl": 1,
		"comment": "c", "tags": []string{"a:b"},
		"settings": map[string]bool{"flatten_cname": true, "ipv4_only": false, "ipv6_only": false},
	}
	do(http.MethodPost, s.records(), record)
	record["name"] = "all"
	do(http.MethodPut, s.records()+"/"+recordID, record)
	do(http.MethodPatch, s.records()+"/"+recordID, record)
	return err
}

// otherTypes gets records with a priority and records with data. The client's methods cannot create
// such records.
func (s *scenario) otherTypes(ctx context.Context) error {
	for recordType, body := range map[string]string{
		"MX":  `{"type":"MX","name":"mx","content":"mail.example.net","priority":10}`,
		"SRV": `{"type":"SRV","name":"_a._tcp","data":{"priority":1,"weight":1,"port":80,"target":"a.example.net"}}`,
	} {
		bearer := "Bearer " + s.srv.APIToken().Reveal()
		s.send(ctx, http.MethodPost, s.records(), body, bearer)
		params := cftunnel.DNSRecordListParams{Type: recordType}
		page, err := s.client.DNSRecords.List(ctx, s.fixture.Zone, params)
		if err != nil || len(page.Items) != 1 {
			return fmt.Errorf("want one record of type %s: %w", recordType, err)
		}
		id := page.Items[0].ID
		_, getErr := s.client.DNSRecords.Get(ctx, s.fixture.Zone, id)
		_, updateErr := s.client.DNSRecords.Update(ctx, s.fixture.Zone, id,
			cftunnel.DNSRecordUpdateParams{Comment: new("x")})
		s.send(ctx, http.MethodPut, s.records()+"/"+id, body, bearer)
		if err := errors.Join(getErr, updateErr); err != nil {
			return err
		}
	}
	return nil
}
