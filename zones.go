package cftunnel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// ZonesService lists DNS zones and finds the zone of a hostname.
type ZonesService service

// Zone is a DNS zone: a domain whose records Cloudflare serves.
type Zone struct {
	ID   string // 32 hexadecimal digits
	Name string // such as example.com
	// Status is "active" if the domain uses Cloudflare's name servers, else "initializing",
	// "pending" or "moved".
	Status      string
	Type        string   // such as "full"
	Paused      bool     // records are served, but not proxied
	AccountID   string   // the account that the zone belongs to
	AccountName string   // the name of that account
	NameServers []string // the name servers that the domain must use
}

const zoneStatusActive = "active"

// ZoneListParams filters a list of zones. Zero fields do not filter.
type ZoneListParams struct {
	Name      string `url:"name,omitempty"`       // the whole name
	Status    string `url:"status,omitempty"`     // such as "active"
	AccountID string `url:"account.id,omitempty"` // the default is every account of the credentials
	// Page is the page number, from 1. The default is 1. The method All starts with this page.
	Page int `url:"page,omitempty"`
	// PerPage is 5 to 50. The default is 20 for List, set by the API, and 50 for All.
	PerPage int `url:"per_page,omitempty"`
}

const (
	minZonesPerPage = 5
	maxZonesPerPage = 50
)

// Permissions for zones and their records, for the text of a 403.
const (
	zoneRead = `"Zone Read", or the same with Write, for the zone`
	dnsRead  = `"DNS Read", or the same with Write, for the zone`
	dnsWrite = `"DNS Write" for the zone`
)

var opZoneList = op("Zones.List", http.MethodGet, "/zones", zoneRead)

// List returns one page of the zones that the credentials can read. A zone that is not in the list
// may still exist: a token that is limited to some zones can read only those. [ZonesService.All]
// returns every page.
//
// Operation: GET /zones
//
// API: https://developers.cloudflare.com/api/resources/zones/methods/list/
func (s *ZonesService) List(
	ctx context.Context, params ZoneListParams, opts ...CallOption,
) (*Page[Zone], error) {
	err := checkPages(params.Page, params.PerPage, minZonesPerPage, maxZonesPerPage)
	if err != nil {
		return nil, err
	}
	perPage := cmp.Or(params.PerPage, maxZonesPerPage)
	r := request{operation: opZoneList, query: queryOf(params)}
	page, err := doPage(ctx, clientOf(s), r, perPage, checkZone, opts)
	if err != nil {
		return nil, err
	}
	return mapPage(page, (*zoneResponse).zone), nil
}

// All returns an iterator over the zones on all pages of List. Ranging over it again sends new
// requests. An error is yielded once, with a nil zone, and ends the iteration.
//
// Operation: GET /zones
//
// API: https://developers.cloudflare.com/api/resources/zones/methods/list/
func (s *ZonesService) All(
	ctx context.Context, params ZoneListParams, opts ...CallOption,
) iter.Seq2[*Zone, error] {
	fetch := func(page, perPage int) (*Page[Zone], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.List(ctx, params, opts...)
	}
	id := func(z *Zone) string { return z.ID }
	return allPages(params.Page, params.PerPage, maxZonesPerPage, id, fetch)
}

// ForHostname returns the most specific zone that contains a hostname, such as app.example.com or
// *.example.com. It looks for a zone of that name, then of the name without its first label, and so
// on. If there are several zones of one name, it prefers an active zone, then a zone of the
// client's account.
//
// It returns [ErrNotFound] if no zone that the credentials can read contains the hostname: the zone
// does not exist, or they lack the permission Zone Read for it.
//
// Operation: GET /zones
//
// API: https://developers.cloudflare.com/api/resources/zones/methods/list/
func (s *ZonesService) ForHostname(
	ctx context.Context, hostname string, opts ...CallOption,
) (*Zone, error) {
	if err := checkHostname("hostname", hostname); err != nil {
		return nil, err
	}
	if err := clientOf(s).check(); err != nil {
		return nil, err
	}
	for zone, err := range s.containing(ctx, hostname, opts) {
		return zone, err
	}
	return nil, noZone(ingress.ASCII(hostname))
}

// noZone returns the error for a hostname whose zone cannot be read.
func noZone(hostname string) error {
	return fmt.Errorf("cftunnel: no zone contains %s, or the credentials lack the permission "+
		"Zone Read for it: %w", hostname, ErrNotFound)
}

func checkHostname(argument, hostname string) error {
	if err := ingress.CheckHostname(hostname); err != nil {
		return invalid(argument, "%v", err)
	}
	return nil
}

// containing yields the zones that contain a hostname, the best first. An error ends the iteration.
func (s *ZonesService) containing(
	ctx context.Context, hostname string, opts []CallOption,
) iter.Seq2[*Zone, error] {
	return func(yield func(*Zone, error) bool) {
		for domain := range ingress.Domains(hostname) {
			zones, err := s.named(ctx, domain, opts)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, zone := range zones {
				if !yield(zone, nil) {
					return
				}
			}
		}
	}
}

// named returns the zones of exactly this name, the best first. The server may ignore the filter.
func (s *ZonesService) named(ctx context.Context, name string, opts []CallOption) ([]*Zone, error) {
	var zones []*Zone
	for zone, err := range s.All(ctx, ZoneListParams{Name: name}, opts...) {
		if failure, ok := errors.AsType[*Error](err); ok {
			failure.listMissing = true // a 404 of the list does not mean that the zone is missing
		}
		if err != nil {
			return nil, err
		}
		if ingress.SameHostname(zone.Name, name) {
			zones = append(zones, zone)
		}
	}
	slices.SortStableFunc(zones, func(a, b *Zone) int { return s.rank(b) - s.rank(a) })
	return zones, nil
}

// rank returns a higher number for a zone that is better to publish in.
func (s *ZonesService) rank(zone *Zone) (rank int) {
	if zone.Status == zoneStatusActive {
		rank += 2
	}
	if s.client.owns(zone) {
		rank++
	}
	return rank
}

// zoneResponse is a zone in a response.
type zoneResponse struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Status  string `json:"status"`
	Type    string `json:"type"`
	Paused  bool   `json:"paused"`
	Account struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"account"`
	NameServers []string `json:"name_servers"`
}

func (r *zoneResponse) zone() Zone {
	return Zone{
		ID: r.ID, Name: r.Name, Status: r.Status, Type: r.Type, Paused: r.Paused,
		AccountID: r.Account.ID, AccountName: r.Account.Name, NameServers: r.NameServers,
	}
}

func checkZone(r *zoneResponse) error {
	if r.Name == "" {
		return errors.New("it has no name")
	}
	return checkPathID(r.ID)
}
