package cases

import (
	"context"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	zones   = "/zones"
	records = zones + "/{zone_id}/dns_records"
	record  = records + "/{dns_record_id}"
)

// hostnameMethods has the methods for zones, DNS records and public hostnames.
var hostnameMethods = map[string]Method{
	"Zones.List": {
		V7: "Zones.List", V0: "ListZones",
		Operations: []string{"GET " + zones},
		Call: func(ctx context.Context, c *cftunnel.Client, _ Fixture) error {
			_, err := c.Zones.List(ctx, cftunnel.ZoneListParams{})
			return err
		},
	},
	"Zones.All": {
		Operations: []string{"GET " + zones},
		Call: func(ctx context.Context, c *cftunnel.Client, _ Fixture) (err error) {
			for _, err = range c.Zones.All(ctx, cftunnel.ZoneListParams{}) {
				break
			}
			return err
		},
	},
	"Zones.ForHostname": {
		Operations: []string{"GET " + zones},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := c.Zones.ForHostname(ctx, f.ZoneName)
			return err
		},
	},
	"DNSRecords.List": {
		V7: "DNS.Records.List", V0: "ListDNSRecords",
		Operations: []string{"GET " + records},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := c.DNSRecords.List(ctx, f.Zone, cftunnel.DNSRecordListParams{})
			return err
		},
	},
	"DNSRecords.All": {
		Operations: []string{"GET " + records},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) (err error) {
			for _, err = range c.DNSRecords.All(ctx, f.Zone, cftunnel.DNSRecordListParams{}) {
				break
			}
			return err
		},
	},
	"DNSRecords.Get": {
		V7: "DNS.Records.Get", V0: "GetDNSRecord",
		Operations: []string{"GET " + record},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := c.DNSRecords.Get(ctx, f.Zone, f.Record)
			return err
		},
	},
	"DNSRecords.Create": {
		V7: "DNS.Records.New", V0: "CreateDNSRecord",
		Operations: []string{"POST " + records},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := c.DNSRecords.Create(ctx, f.Zone, cftunnel.DNSRecordCreateParams{
				Type: "CNAME", Name: f.Free, Content: "a.example.net",
			})
			return err
		},
	},
	"DNSRecords.Update": {
		V7: "DNS.Records.Edit", V0: "UpdateDNSRecord",
		Operations: []string{"PATCH " + record},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := c.DNSRecords.Update(ctx, f.Zone, f.Record, cftunnel.DNSRecordUpdateParams{
				Proxied: new(true),
			})
			return err
		},
	},
	"DNSRecords.Delete": {
		V7: "DNS.Records.Delete", V0: "DeleteDNSRecord",
		Operations: []string{"DELETE " + record},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			return c.DNSRecords.Delete(ctx, f.Zone, f.Record)
		},
	},
	"Hostnames.Publish": {
		Operations: []string{"GET " + tunnel},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := c.Hostnames.Publish(ctx, f.Tunnel, cftunnel.PublishParams{
				Hostname: f.Free + "." + f.ZoneName, Service: "http://localhost",
			})
			return err
		},
	},
	"Hostnames.Unpublish": {
		Operations: []string{"GET " + tunnel + "/configurations"},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			return c.Hostnames.Unpublish(ctx, f.Tunnel, f.Hostname)
		},
	},
	"Hostnames.List": {
		Operations:  []string{"GET " + tunnel + "/configurations"},
		Dispensable: []string{"GET " + zones, "GET " + records},
		Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := c.Hostnames.List(ctx, f.Tunnel)
			return err
		},
	},
}

// addHostname publishes a hostname through the fixture's tunnel.
func (f *Fixture) addHostname(
	ctx context.Context, srv *tunneltest.Server, c *cftunnel.Client,
) error {
	f.ZoneName, f.Hostname = "example.com", "taken.example.com"
	f.Zone = srv.SeedZone(f.ZoneName)
	published, err := c.Hostnames.Publish(ctx, f.Tunnel, cftunnel.PublishParams{
		Hostname: f.Hostname, Service: "http://localhost",
	})
	if err == nil {
		f.Record = published.RecordID
	}
	return err
}
