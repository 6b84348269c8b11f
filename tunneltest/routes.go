package tunneltest

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	ipRoutesPath = "/accounts/{account_id}/teamnet/routes"
	ipRoutePath  = ipRoutesPath + "/{route_id}"
)

// ipRouteRoutes needs "Cloudflare One Networks" or "Cloudflare Tunnel", Read for GET and Write for
// the others. The endpoints by CIDR, /teamnet/routes/network/…, ended in September 2025.
var ipRouteRoutes = []route{
	{http.MethodPost, ipRoutesPath, (*Server).createIPRoute, networksWrite},
	{http.MethodGet, ipRoutesPath, (*Server).listIPRoutes, networksRead},
	{http.MethodGet, ipRoutePath, (*Server).getIPRoute, networksRead},
	{http.MethodPatch, ipRoutePath, (*Server).updateIPRoute, networksWrite},
	{http.MethodDelete, ipRoutePath, (*Server).deleteIPRoute, networksWrite},
	{http.MethodGet, ipRoutesPath + "/ip/{ip}", (*Server).lookUpIPRoute, networksRead},
}

// ipRoute leads a CIDR of a virtual network to a tunnel.
type ipRoute struct {
	id, comment      string
	network          netip.Prefix // masked
	tunnel           *tunnel
	networkID        string // of the virtual network
	created, deleted time.Time
}

// ipRouteJSON is a route as responses have it.
type ipRouteJSON struct {
	ID               string     `json:"id"`
	Comment          string     `json:"comment"`
	CreatedAt        timestamp  `json:"created_at"`
	DeletedAt        *timestamp `json:"deleted_at"`
	Network          string     `json:"network"`
	TunnelID         string     `json:"tunnel_id"`
	VirtualNetworkID string     `json:"virtual_network_id"`
}

func (r *ipRoute) json() ipRouteJSON {
	return ipRouteJSON{
		ID: r.id, Comment: r.comment, CreatedAt: timestamp{r.created}, DeletedAt: orNull(r.deleted),
		Network: r.network.String(), TunnelID: r.tunnel.id, VirtualNetworkID: r.networkID,
	}
}

// namedRouteJSON is a route as lists and the lookup have it.
type namedRouteJSON struct {
	ipRouteJSON
	TunnelType         string `json:"tun_type"`
	TunnelName         string `json:"tunnel_name"`
	VirtualNetworkName string `json:"virtual_network_name"`
}

func (a *account) namedRoute(r *ipRoute) namedRouteJSON {
	return namedRouteJSON{r.json(), r.tunnel.kind, r.tunnel.name, a.networkName(r.networkID)}
}

// deleteRoutesOf deletes the routes of both kinds that lead to a deleted tunnel.
func (a *account) deleteRoutesOf(t *tunnel) {
	for _, r := range a.ipRoutes {
		if r.tunnel == t && r.deleted.IsZero() {
			r.deleted = t.deleted
		}
	}
	for _, r := range a.hostnameRoutes {
		if r.tunnel == t && r.deleted.IsZero() {
			r.deleted = t.deleted
		}
	}
}

// liveTunnelByID returns the tunnel of any kind that a route can lead to, or nil.
func (a *account) liveTunnelByID(id string) *tunnel {
	if t := a.byID[strings.ToLower(id)]; t != nil && t.deleted.IsZero() {
		return t
	}
	return nil
}

// routeExists reports whether another live route has the CIDR in the virtual network.
func (a *account) routeExists(wanted *ipRoute) bool {
	return slices.ContainsFunc(a.ipRoutes, func(r *ipRoute) bool {
		return r.id != wanted.id && r.deleted.IsZero() &&
			r.network == wanted.network && r.networkID == wanted.networkID
	})
}

// ipRouteBody is the body of a create or an update.
type ipRouteBody struct {
	computed
	Network          *string `json:"network"`
	TunnelID         *string `json:"tunnel_id"`
	VirtualNetworkID *string `json:"virtual_network_id"` // "" is as if it were absent
	Comment          *string `json:"comment"`
}

// apply sets what the body has.
func (b *ipRouteBody) apply(a *account, r *ipRoute) *answer {
	if b.Network != nil {
		network, ok := parseNetwork(*b.Network)
		if !ok {
			return bad("Could not parse input: invalid address")
		}
		r.network = network
	}
	if b.TunnelID != nil {
		if r.tunnel = a.liveTunnelByID(*b.TunnelID); r.tunnel == nil {
			return noTunnelForRoute()
		}
	}
	if b.VirtualNetworkID != nil && *b.VirtualNetworkID != "" {
		network := a.liveNetwork(*b.VirtualNetworkID)
		if network == nil {
			problem := networkNotFound()
			return &problem
		}
		r.networkID = network.id
	}
	if tooLong(b.Comment, maxRouteComment) {
		return bad("comment has at most 100 characters")
	}
	set(&r.comment, b.Comment)
	return nil
}

// parseNetwork masks host bits and reads a bare address as a network of its own. Whether the API
// does is not known.
func parseNetwork(text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, false
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), true
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), true
}

func (s *Server) createIPRoute(c *call) answer {
	var body ipRouteBody
	if problem := readObject(c.body, &body); problem != nil {
		return *problem
	}
	if body.Network == nil || body.TunnelID == nil {
		return *bad("network and tunnel_id are required")
	}
	r := &ipRoute{id: randomUUID(), networkID: c.account.defaultNetwork().id, created: s.stamp()}
	if problem := body.apply(c.account, r); problem != nil {
		return *problem
	}
	if c.account.routeExists(r) {
		return routeExists()
	}
	c.account.ipRoutes = append(c.account.ipRoutes, r)
	return success(r.json())
}

func (s *Server) listIPRoutes(c *call) answer {
	keep, problem := routeFilter(c.query)
	if problem != nil {
		return *problem
	}
	var found []*ipRoute
	for _, r := range c.account.ipRoutes {
		if keep(r) {
			found = append(found, r)
		}
	}
	return onePage(c.query, found, c.account.namedRoute)
}

// routeFilter reads the query of a list. Without is_deleted a list has live and deleted routes.
func routeFilter(query url.Values) (func(*ipRoute) bool, *answer) {
	var within, containing netip.Prefix
	for name, prefix := range map[string]*netip.Prefix{
		"network_subset": &within, "network_superset": &containing,
	} {
		if query.Get(name) == "" {
			continue
		}
		var ok bool
		if *prefix, ok = parseNetwork(query.Get(name)); !ok {
			return nil, bad("Could not parse input: invalid address")
		}
	}
	at, problem := timeOf(query, "existed_at")
	if problem != nil {
		return nil, problem
	}
	types := strings.Split(query.Get("tun_types"), ",")
	return func(r *ipRoute) bool {
		switch {
		case !matches(query, "route_id", r.id),
			!matches(query, "tunnel_id", r.tunnel.id),
			!matches(query, "virtual_network_id", r.networkID),
			!matchesBool(query.Get("is_deleted"), !r.deleted.IsZero()),
			!matchesText(query, "comment", r.comment),
			query.Get("tun_types") != "" && !slices.Contains(types, r.tunnel.kind),
			within.IsValid() && !contains(within, r.network),
			containing.IsValid() && !contains(r.network, containing):
			return false
		}
		return at.IsZero() || existed(r.created, r.deleted, at)
	}, nil
}

// contains reports whether inner is outer or a part of it.
func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// timeOf reads a parameter that is a time, zero if it is absent.
func timeOf(query url.Values, name string) (time.Time, *answer) {
	if query.Get(name) == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, query.Get(name))
	if err != nil {
		return time.Time{}, bad(name + " must be a time as in RFC 3339")
	}
	return at, nil
}

// ipRoute returns the one that the path names, or nil.
func (c *call) ipRoute() *ipRoute {
	for _, r := range c.account.ipRoutes {
		if strings.EqualFold(r.id, c.values["route_id"]) {
			return r
		}
	}
	return nil
}

// getIPRoute responds with a deleted route too, as for tunnels. Whether the API does is not known.
func (s *Server) getIPRoute(c *call) answer {
	r := c.ipRoute()
	if r == nil {
		return routeNotFound()
	}
	return success(r.json())
}

func (s *Server) updateIPRoute(c *call) answer {
	r := c.ipRoute()
	if r == nil || !r.deleted.IsZero() {
		return routeNotFound()
	}
	var body ipRouteBody
	if problem := readObject(c.body, &body); problem != nil {
		return *problem
	}
	wanted := *r
	if problem := body.apply(c.account, &wanted); problem != nil {
		return *problem
	}
	switch {
	case body.any() || wanted == *r:
		return changesNothing()
	case c.account.routeExists(&wanted):
		return routeExists()
	}
	*r = wanted
	return success(r.json())
}

func (s *Server) deleteIPRoute(c *call) answer {
	r := c.ipRoute()
	if r == nil || !r.deleted.IsZero() {
		return routeNotFound()
	}
	r.deleted = s.stamp()
	return success(r.json())
}

// lookUpIPRoute responds with null if no route contains the address.
func (s *Server) lookUpIPRoute(c *call) answer {
	address, err := netip.ParseAddr(c.values["ip"])
	if err != nil || address.Zone() != "" {
		return *bad("Could not parse input: invalid address")
	}
	networks := []*virtualNetwork{c.account.defaultNetwork()}
	if id := c.query.Get("virtual_network_id"); id != "" {
		network := c.account.liveNetwork(id)
		switch {
		case network == nil:
			return networkNotFound()
		case c.query.Get("default_virtual_network_fallback") == "false":
			networks = nil
		}
		networks = append([]*virtualNetwork{network}, networks...)
	}
	for _, network := range networks {
		if r := c.account.longestMatch(network, address.Unmap()); r != nil {
			return success(c.account.namedRoute(r))
		}
	}
	return success(nil)
}

// longestMatch returns the route of the longest prefix that contains the address, or nil.
func (a *account) longestMatch(network *virtualNetwork, address netip.Addr) *ipRoute {
	var best *ipRoute
	for _, r := range a.ipRoutes {
		if r.deleted.IsZero() && r.networkID == network.id && r.network.Contains(address) &&
			(best == nil || r.network.Bits() > best.network.Bits()) {
			best = r
		}
	}
	return best
}

func routeExists() answer {
	return failure(http.StatusConflict, 1014,
		"You already have a route defined for this exact IP subnet")
}

func routeNotFound() answer { return failure(http.StatusNotFound, 1015, "Route not found") }

// noTunnelForRoute has the code that an unknown tunnel has elsewhere. Which one it has here is not
// known.
func noTunnelForRoute() *answer {
	a := failure(http.StatusNotFound, 1002, "Tunnel not found")
	return &a
}
