package tunneltest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// zoneRoutes are the operations on zones.
var zoneRoutes = []route{
	{http.MethodGet, "/zones", (*Server).listZones, zonesRead},
}

// zone is a DNS zone.
type zone struct {
	id, name string
	account  string // ID
	created  time.Time
	records  []*dnsRecord // in the order of creation
	// balancers has the names of the pools of each load balancer, by the name of the load balancer.
	balancers map[string][]string
}

// SeedZone creates an active zone, such as "example.com", without a request and returns its ID.
//
// The zone belongs to the account of [Server.AccountID]. If the account already has the zone,
// SeedZone returns its ID. SeedZone panics if name is not a valid zone name.
func (s *Server) SeedZone(name string) (zoneID string) {
	return s.seedZone("SeedZone", s.AccountID(), name)
}

// SeedZoneIn is [Server.SeedZone] for another account. It also panics if accountID is not 32
// hexadecimal digits.
func (s *Server) SeedZoneIn(accountID, name string) (zoneID string) {
	if !isHexID(accountID) {
		panic("tunneltest: SeedZoneIn: the account ID is not 32 hexadecimal digits")
	}
	return s.seedZone("SeedZoneIn", accountID, name)
}

func (s *Server) seedZone(method, accountID, name string) (zoneID string) {
	name = ingress.ASCII(name)
	if ingress.CheckHostname(name) != nil || strings.Contains(name, "*") {
		panic("tunneltest: " + method + ": the name must be a domain name such as example.com")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	account := strings.ToLower(accountID)
	for _, z := range s.zones {
		if z.name == name && z.account == account {
			return z.id
		}
	}
	z := &zone{
		id: randomHex(16), name: name, account: account, created: s.currentTime(),
		balancers: map[string][]string{},
	}
	s.zones = append(s.zones, z)
	return z.id
}

// zoneByID returns the zone with this ID, or nil. The caller holds s.mu.
func (s *Server) zoneByID(id string) *zone {
	for _, z := range s.zones {
		if strings.EqualFold(z.id, id) {
			return z
		}
	}
	return nil
}

// canRead reports whether a token may read a zone. Lists have only the zones that their token may
// read.
func (s *Server) canRead(token *apiToken, z *zone) bool {
	return token.allows(zonesRead, s.zoneResource(z.id))
}

// zone returns the zone of the path, or an error response.
func (s *Server) zone(c *call) (*zone, *response) {
	if z := s.zoneByID(c.values["zone_id"]); z != nil {
		return z, nil
	}
	return nil, cannotRoute(c.route.template)
}

// zoneJSON is a zone in a response.
type zoneJSON struct {
	ID                  string            `json:"id"`
	Name                string            `json:"name"`
	Status              string            `json:"status"`
	Paused              bool              `json:"paused"`
	Type                string            `json:"type"`
	DevelopmentMode     int               `json:"development_mode"`
	NameServers         []string          `json:"name_servers"`
	OriginalNameServers []string          `json:"original_name_servers"`
	OriginalRegistrar   *string           `json:"original_registrar"`
	OriginalDNSHost     *string           `json:"original_dnshost"`
	ModifiedOn          timestamp         `json:"modified_on"`
	CreatedOn           timestamp         `json:"created_on"`
	ActivatedOn         timestamp         `json:"activated_on"`
	Meta                map[string]any    `json:"meta"`
	Owner               map[string]any    `json:"owner"`
	Account             map[string]string `json:"account"`
	Permissions         []string          `json:"permissions"`
	Plan                map[string]any    `json:"plan"`
}

func (z *zone) json() zoneJSON {
	return zoneJSON{
		ID: z.id, Name: z.name, Status: "active", Type: "full",
		NameServers:         []string{"ada.ns.cloudflare.com", "bob.ns.cloudflare.com"},
		OriginalNameServers: []string{"ns1.example.net", "ns2.example.net"},
		ModifiedOn:          timestamp{z.created},
		CreatedOn:           timestamp{z.created},
		ActivatedOn:         timestamp{z.created},
		Meta: map[string]any{
			"step": 2, "custom_certificate_quota": 0, "page_rule_quota": 3,
			"phishing_detected": false,
		},
		Owner:       map[string]any{"id": nil, "type": "user", "email": nil},
		Account:     map[string]string{"id": z.account, "name": z.accountName()},
		Permissions: []string{"#dns_records:edit", "#dns_records:read", "#zone:read"},
		Plan: map[string]any{
			"id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "name": "Free Website", "price": 0,
			"currency": "USD", "frequency": "", "is_subscribed": false, "can_subscribe": false,
			"legacy_id": "free", "legacy_discount": false, "externally_managed": false,
		},
	}
}

func (z *zone) accountName() string { return "Account " + z.account[:8] }

// zoneOrders are the sort orders of zones, by the value of the order parameter.
var zoneOrders = map[string]func(a, b *zone) int{
	"name":         func(a, b *zone) int { return cmp.Compare(a.name, b.name) },
	"status":       func(_, _ *zone) int { return 0 }, // all zones are active
	"account.id":   func(a, b *zone) int { return cmp.Compare(a.account, b.account) },
	"account.name": func(a, b *zone) int { return cmp.Compare(a.account, b.account) },
}

// Limits of per_page for zones.
const (
	minZonesPerPage     = 5
	defaultZonesPerPage = 20
	maxZonesPerPage     = 50
)

func (s *Server) listZones(c *call) *response {
	tests := queryTests[*zone]{
		"name":   func(z *zone, value string) bool { return matchesOperator(z.name, value) },
		"status": func(_ *zone, value string) bool { return value == "active" },
		"account.id": func(z *zone, value string) bool {
			return strings.EqualFold(z.account, value)
		},
		"account.name": func(z *zone, value string) bool {
			return matchesOperator(z.accountName(), value)
		},
	}
	keep := tests.filter(c.query)
	found := filter(s.zones, func(z *zone) bool { return s.canRead(c.token, z) && keep(z) })
	sortByQuery(found, c.query, zoneOrders, "")
	limits := pageLimits{minZonesPerPage, defaultZonesPerPage, maxZonesPerPage}
	return pageWithTotalPages(c.query, limits, found, (*zone).json)
}

// matchesOperator compares a text with a value that can have an operator, such as
// "contains:example".
func matchesOperator(text, value string) bool {
	operator, operand, found := strings.Cut(value, ":")
	if !found {
		return strings.EqualFold(text, value)
	}
	text, operand = strings.ToLower(text), strings.ToLower(operand)
	switch operator {
	case "equal":
		return text == operand
	case "not_equal":
		return text != operand
	case "starts_with":
		return strings.HasPrefix(text, operand)
	case "ends_with":
		return strings.HasSuffix(text, operand)
	case "contains":
		return strings.Contains(text, operand)
	}
	return false
}

// queryTests are the filters of a list, by the name of the parameter.
type queryTests[T any] map[string]func(item T, value string) bool

// filter returns a function that reports whether an item matches the query: all of its filters, or
// one of them if the query has match=any.
func (tests queryTests[T]) filter(query url.Values) func(T) bool {
	var filters []func(T) bool
	for name, test := range tests {
		if value := query.Get(name); value != "" {
			filters = append(filters, func(item T) bool { return test(item, value) })
		}
	}
	return func(item T) bool {
		passes := func(test func(T) bool) bool { return test(item) }
		if query.Get("match") == "any" && len(filters) > 0 {
			return slices.ContainsFunc(filters, passes)
		}
		return !slices.ContainsFunc(filters, func(test func(T) bool) bool { return !test(item) })
	}
}

// sortByQuery sorts items by the parameters order and direction. byDefault is the default order.
func sortByQuery[T any](
	items []T, query url.Values, orders map[string]func(a, b T) int, byDefault string,
) {
	order := orders[cmp.Or(query.Get("order"), byDefault)]
	if order == nil {
		return
	}
	slices.SortStableFunc(items, func(a, b T) int {
		if query.Get("direction") == "desc" {
			return order(b, a)
		}
		return order(a, b)
	})
}
