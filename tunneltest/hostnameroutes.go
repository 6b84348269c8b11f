package tunneltest

import (
	"net/http"
	"strings"
)

const (
	hostnameRoutesPath = "/accounts/{account_id}/zerotrust/routes/hostname"
	hostnameRoutePath  = hostnameRoutesPath + "/{hostname_route_id}"
)

// hostnameRouteRoutes are the operations on hostname routes.
var hostnameRouteRoutes = []route{
	{http.MethodPost, hostnameRoutesPath, (*Server).createHostnameRoute, networksWrite},
	{http.MethodGet, hostnameRoutesPath, (*Server).listHostnameRoutes, networksRead},
	{http.MethodGet, hostnameRoutePath, (*Server).getHostnameRoute, networksRead},
	{http.MethodPatch, hostnameRoutePath, (*Server).updateHostnameRoute, networksWrite},
	{http.MethodDelete, hostnameRoutePath, (*Server).deleteHostnameRoute, networksWrite},
}

// hostnameRoute routes a private hostname to a tunnel.
type hostnameRoute struct {
	networkRoute
	hostname string
}

// hostnameRouteJSON is a hostname route in a response.
type hostnameRouteJSON struct {
	ID         string     `json:"id"`
	Comment    string     `json:"comment"`
	CreatedAt  timestamp  `json:"created_at"`
	DeletedAt  *timestamp `json:"deleted_at"`
	Hostname   string     `json:"hostname"`
	TunnelType string     `json:"tun_type"`
	TunnelID   string     `json:"tunnel_id"`
	TunnelName string     `json:"tunnel_name"`
}

func (r *hostnameRoute) json() hostnameRouteJSON {
	return hostnameRouteJSON{
		ID: r.id, Comment: r.comment,
		CreatedAt: timestamp{r.created}, DeletedAt: nullTime(r.deleted),
		Hostname: r.hostname,
		TunnelID: r.tunnel.id, TunnelName: r.tunnel.name, TunnelType: r.tunnel.kind,
	}
}

const maxHostname = 255

// hostnameRouteBody is the body of a create or an update.
type hostnameRouteBody struct {
	readOnlyMembers
	Hostname *string `json:"hostname"`
	TunnelID *string `json:"tunnel_id"`
	Comment  *string `json:"comment"`
}

// apply sets the fields of r that the body has.
func (b *hostnameRouteBody) apply(a *account, r *hostnameRoute) *response {
	switch {
	case b.Hostname != nil && strings.TrimSpace(*b.Hostname) == "":
		return badRequest("hostname must not be blank")
	case tooLong(b.Hostname, maxHostname):
		return badRequest("hostname must have at most 255 characters")
	case tooLong(b.Comment, maxRouteComment):
		return badRequest("comment must have at most 100 characters")
	}
	if b.TunnelID != nil {
		if r.tunnel = a.liveTunnelByID(*b.TunnelID); r.tunnel == nil {
			return noTunnelForRoute()
		}
	}
	setIfPresent(&r.hostname, b.Hostname)
	setIfPresent(&r.comment, b.Comment)
	return nil
}

// conflict returns an error response if another route, which is not deleted, has the hostname. The
// real error code is not known.
func (b *hostnameRouteBody) conflict(a *account, wanted *hostnameRoute) *response {
	for _, r := range a.hostnameRoutes {
		if r.id != wanted.id && r.deleted.IsZero() &&
			strings.EqualFold(r.hostname, wanted.hostname) {
			return failure(http.StatusConflict, 1001, "A route for this hostname already exists")
		}
	}
	return nil
}

func (s *Server) createHostnameRoute(c *call) *response {
	var body hostnameRouteBody
	if problem := readObject(c.body, &body); problem != nil {
		return problem
	}
	if body.Hostname == nil || body.TunnelID == nil {
		return badRequest("hostname and tunnel_id are required")
	}
	r := &hostnameRoute{}
	r.id, r.created = randomUUID(), s.currentTime()
	if problem := body.apply(c.account, r); problem != nil {
		return problem
	}
	if problem := body.conflict(c.account, r); problem != nil {
		return problem
	}
	c.account.hostnameRoutes = append(c.account.hostnameRoutes, r)
	return success(r.json())
}

// listHostnameRoutes lists routes. The parameter hostname matches parts of hostnames. If there is
// no is_deleted, the list includes deleted routes.
func (s *Server) listHostnameRoutes(c *call) *response {
	at, problem := timeOf(c.query, "existed_at")
	if problem != nil {
		return problem
	}
	part := strings.ToLower(c.query.Get("hostname"))
	found := filter(c.account.hostnameRoutes, func(r *hostnameRoute) bool {
		return matches(c.query, "id", r.id) && r.matches(c.query, at) &&
			strings.Contains(strings.ToLower(r.hostname), part)
	})
	return pageResponse(c.query, found, (*hostnameRoute).json)
}

// liveHostnameRoute returns the route of the path, or nil if there is none or it is deleted.
func (c *call) liveHostnameRoute() *hostnameRoute {
	for _, r := range c.account.hostnameRoutes {
		if strings.EqualFold(r.id, c.values["hostname_route_id"]) && r.deleted.IsZero() {
			return r
		}
	}
	return nil
}

func (s *Server) getHostnameRoute(c *call) *response {
	r := c.liveHostnameRoute()
	if r == nil {
		return hostnameRouteNotFound()
	}
	return success(r.json())
}

func (s *Server) updateHostnameRoute(c *call) *response {
	r := c.liveHostnameRoute()
	if r == nil {
		return hostnameRouteNotFound()
	}
	if problem := patch(c, r, &hostnameRouteBody{}); problem != nil {
		return problem
	}
	return success(r.json())
}

func (s *Server) deleteHostnameRoute(c *call) *response {
	r := c.liveHostnameRoute()
	if r == nil {
		return hostnameRouteNotFound()
	}
	r.deleted = s.currentTime()
	return success(r.json())
}

// hostnameRouteNotFound returns an error response whose real code is not known.
func hostnameRouteNotFound() *response {
	return failure(http.StatusNotFound, 1001, "Hostname route not found")
}
