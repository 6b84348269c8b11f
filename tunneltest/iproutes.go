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

// ipRouteRoutes are the operations on IP routes. The API removed the endpoints by CIDR,
// /teamnet/routes/network/…, in September 2025.
var ipRouteRoutes = []route{
	{http.MethodPost, ipRoutesPath, (*Server).createIPRoute, networksWrite},
	{http.MethodGet, ipRoutesPath, (*Server).listIPRoutes, networksRead},
	{http.MethodGet, ipRoutePath, (*Server).getIPRoute, networksRead},
	{http.MethodPatch, ipRoutePath, (*Server).updateIPRoute, networksWrite},
	{http.MethodDelete, ipRoutePath, (*Server).deleteIPRoute, networksWrite},
	{http.MethodGet, ipRoutesPath + "/ip/{ip}", (*Server).lookUpIPRoute, networksRead},
}

// ipRoute routes a CIDR of a virtual network to a tunnel.
type ipRoute struct {
	networkRoute
	network   netip.Prefix // masked
	networkID string       // ID of the virtual network
}

// networkRoute is what IP routes and hostname routes have in common.
type networkRoute struct {
	id, comment      string
	tunnel           *tunnel
	created, deleted time.Time
}

// ipRouteJSON is a route in a response.
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
		ID: r.id, Comment: r.comment,
		CreatedAt: timestamp{r.created}, DeletedAt: nullTime(r.deleted),
		Network: r.network.String(), TunnelID: r.tunnel.id, VirtualNetworkID: r.networkID,
	}
}

// namedRouteJSON is a route in a response to a list or a lookup.
type namedRouteJSON struct {
	ipRouteJSON
	TunnelType         string `json:"tun_type"`
	TunnelName         string `json:"tunnel_name"`
	VirtualNetworkName string `json:"virtual_network_name"`
}

func (a *account) namedRoute(r *ipRoute) namedRouteJSON {
	return namedRouteJSON{r.json(), r.tunnel.kind, r.tunnel.name, a.networkName(r.networkID)}
}

// deleteRoutesOf deletes the IP routes and hostname routes of a deleted tunnel.
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

// liveTunnelByID returns the tunnel of any type with this ID, or nil if there is none or it is
// deleted.
func (a *account) liveTunnelByID(id string) *tunnel {
	if t := a.byID[strings.ToLower(id)]; t != nil && t.deleted.IsZero() {
		return t
	}
	return nil
}

// ipRouteBody is the body of a create or an update.
type ipRouteBody struct {
	readOnlyMembers
	Network          *string `json:"network"`
	TunnelID         *string `json:"tunnel_id"`
	VirtualNetworkID *string `json:"virtual_network_id"` // "" is ignored
	Comment          *string `json:"comment"`
}

// apply sets the fields of r that the body has.
func (b *ipRouteBody) apply(a *account, r *ipRoute) *response {
	if b.Network != nil {
		network, ok := parseNetwork(*b.Network)
		if !ok {
			return badRequest("Could not parse input: invalid address")
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
			return networkNotFound()
		}
		r.networkID = network.id
	}
	if tooLong(b.Comment, maxRouteComment) {
		return badRequest("comment must have at most 100 characters")
	}
	setIfPresent(&r.comment, b.Comment)
	return nil
}

// conflict returns an error response if another route, which is not deleted, has the CIDR in the
// virtual network.
func (b *ipRouteBody) conflict(a *account, wanted *ipRoute) *response {
	for _, r := range a.ipRoutes {
		if r.id != wanted.id && r.deleted.IsZero() &&
			r.network == wanted.network && r.networkID == wanted.networkID {
			return failure(http.StatusConflict, 1014,
				"You already have a route defined for this exact IP subnet")
		}
	}
	return nil
}

// parseNetwork parses a CIDR and clears its host bits. It accepts an address without a prefix
// length as a network of one address. Whether the API does so is not known.
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

func (s *Server) createIPRoute(c *call) *response {
	var body ipRouteBody
	if problem := readObject(c.body, &body); problem != nil {
		return problem
	}
	if body.Network == nil || body.TunnelID == nil {
		return badRequest("network and tunnel_id are required")
	}
	r := &ipRoute{networkID: c.account.defaultNetwork().id}
	r.id, r.created = randomUUID(), s.currentTime()
	if problem := body.apply(c.account, r); problem != nil {
		return problem
	}
	if problem := body.conflict(c.account, r); problem != nil {
		return problem
	}
	c.account.ipRoutes = append(c.account.ipRoutes, r)
	return success(r.json())
}

func (s *Server) listIPRoutes(c *call) *response {
	keep, problem := routeFilter(c.query)
	if problem != nil {
		return problem
	}
	return pageResponse(c.query, filter(c.account.ipRoutes, keep), c.account.namedRoute)
}

// routeFilter returns the filter in the query of a list. If there is no is_deleted, the list
// includes deleted routes.
func routeFilter(query url.Values) (func(*ipRoute) bool, *response) {
	var within, containing netip.Prefix
	for name, prefix := range map[string]*netip.Prefix{
		"network_subset": &within, "network_superset": &containing,
	} {
		if query.Get(name) == "" {
			continue
		}
		var ok bool
		if *prefix, ok = parseNetwork(query.Get(name)); !ok {
			return nil, badRequest("Could not parse input: invalid address")
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
			!matches(query, "virtual_network_id", r.networkID),
			query.Get("tun_types") != "" && !slices.Contains(types, r.tunnel.kind),
			within.IsValid() && !contains(within, r.network),
			containing.IsValid() && !contains(r.network, containing):
			return false
		}
		return r.matches(query, at)
	}, nil
}

// matches reports whether the route matches the parameters that both lists of routes have. at is
// the parameter existed_at.
func (r *networkRoute) matches(query url.Values, at time.Time) bool {
	return matches(query, "tunnel_id", r.tunnel.id) && matchesText(query, "comment", r.comment) &&
		matchesBool(query.Get("is_deleted"), !r.deleted.IsZero()) &&
		(at.IsZero() || existed(r.created, r.deleted, at))
}

// contains reports whether inner is equal to outer or part of it.
func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// timeOf parses a parameter that is a time. It returns the zero time if the parameter is missing.
func timeOf(query url.Values, name string) (time.Time, *response) {
	if query.Get(name) == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, query.Get(name))
	if err != nil {
		return time.Time{}, badRequest(name + " must be an RFC 3339 time")
	}
	return at, nil
}

// ipRoute returns the route of the path, which can be deleted, or nil.
func (c *call) ipRoute() *ipRoute {
	for _, r := range c.account.ipRoutes {
		if strings.EqualFold(r.id, c.values["route_id"]) {
			return r
		}
	}
	return nil
}

// getIPRoute also returns deleted routes, as for tunnels. Whether the API does so is not known.
func (s *Server) getIPRoute(c *call) *response {
	r := c.ipRoute()
	if r == nil {
		return routeNotFound()
	}
	return success(r.json())
}

func (s *Server) updateIPRoute(c *call) *response {
	r := c.ipRoute()
	if r == nil || !r.deleted.IsZero() {
		return routeNotFound()
	}
	if problem := patch(c, r, &ipRouteBody{}); problem != nil {
		return problem
	}
	return success(r.json())
}

func (s *Server) deleteIPRoute(c *call) *response {
	r := c.ipRoute()
	if r == nil || !r.deleted.IsZero() {
		return routeNotFound()
	}
	r.deleted = s.currentTime()
	return success(r.json())
}

// lookUpIPRoute returns the result null if no route contains the address.
func (s *Server) lookUpIPRoute(c *call) *response {
	address, err := netip.ParseAddr(c.values["ip"])
	if err != nil || address.Zone() != "" {
		return badRequest("Could not parse input: invalid address")
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

// longestMatch returns the route with the longest prefix that contains the address, or nil.
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

func routeNotFound() *response { return failure(http.StatusNotFound, 1015, "Route not found") }

// noTunnelForRoute returns the error response for an unknown tunnel in a request body. The real
// code is not known.
func noTunnelForRoute() *response {
	return failure(http.StatusNotFound, 1002, "Tunnel not found")
}
