package tunneltest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// tunnelRouteRoutes has the operation of `cloudflared tunnel route dns` and `tunnel route lb`.
var tunnelRouteRoutes = []route{
	{http.MethodPut, "/zones/{zone_id}/tunnels/{tunnel_id}/routes", (*Server).routeTunnel, dnsWrite},
}

// Results for the parts of a route.
const (
	routeNew       = "new"
	routeUpdated   = "updated"
	routeUnchanged = "unchanged"
)

func (s *Server) routeTunnel(c *call) *response {
	z, problem := s.zone(c)
	if problem != nil {
		return problem
	}
	account := s.account(z.account)
	t := account.liveTunnelByID(c.values["tunnel_id"])
	if t == nil {
		return notFound()
	}
	var body struct {
		Type      string `json:"type"`
		Hostname  string `json:"user_hostname"`
		Overwrite bool   `json:"overwrite_existing"`
		Balancer  string `json:"lb_name"`
		Pool      string `json:"lb_pool"`
	}
	if json.Unmarshal(c.body, &body) != nil {
		return badRequest("The request's body is not a valid JSON object")
	}
	switch {
	case body.Type == "dns" && body.Hostname != "":
		return s.routeDNS(z, t, body.Hostname, body.Overwrite)
	case body.Type == "lb" && body.Balancer != "" && body.Pool != "":
		return s.routeBalancer(z, account, t, body.Balancer, body.Pool)
	}
	return badRequest("type must be dns, with user_hostname, or lb, with lb_name and lb_pool")
}

// routeDNS points a hostname to a tunnel. It never overwrites the records of a hostname that was
// given without a dot.
func (s *Server) routeDNS(z *zone, t *tunnel, hostname string, overwrite bool) *response {
	name := z.fullName(hostname)
	if ingress.CheckHostname(name) != nil {
		return badRequest("user_hostname is invalid")
	}
	fields := recordFields{
		Type: "CNAME", Name: name, Content: cftunnel.TunnelHostname(t.id), Proxied: true,
	}
	if problem := fields.normalize(z); problem != nil {
		return problem
	}
	result := routeNew
	for _, r := range z.addressRecords(name) {
		if r.Type == "CNAME" && r.Content == fields.Content && r.Proxied {
			return success(map[string]string{"cname": routeUnchanged, "name": name})
		}
		if !overwrite || !strings.Contains(hostname, ".") {
			return failure(http.StatusBadRequest, 1003,
				"An A, AAAA, or CNAME record with that host already exists.")
		}
		z.removeRecord(r)
		result = routeUpdated
	}
	z.addRecord(fields, s.currentTime())
	return success(map[string]string{"cname": result, "name": name})
}

// routeBalancer adds a tunnel to a pool of a load balancer.
func (s *Server) routeBalancer(z *zone, a *account, t *tunnel, balancer, pool string) *response {
	name := z.fullName(balancer)
	result := map[string]string{"load_balancer": routeUnchanged, "pool": routeUnchanged}
	switch origins, exists := a.pools[pool]; {
	case !exists:
		result["pool"] = routeNew
	case !slices.Contains(origins, t.id):
		result["pool"] = routeUpdated
	}
	if result["pool"] != routeUnchanged {
		if a.pools == nil {
			a.pools = map[string][]string{}
		}
		a.pools[pool] = append(a.pools[pool], t.id)
	}
	switch pools, exists := z.balancers[name]; {
	case !exists:
		result["load_balancer"] = routeNew
	case !slices.Contains(pools, pool):
		result["load_balancer"] = routeUpdated
	}
	if result["load_balancer"] != routeUnchanged {
		z.balancers[name] = append(z.balancers[name], pool)
	}
	return success(result)
}
