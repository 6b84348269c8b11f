package tunneltest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	virtualNetworksPath = "/accounts/{account_id}/teamnet/virtual_networks"
	virtualNetworkPath  = virtualNetworksPath + "/{virtual_network_id}"
)

// virtualNetworkRoutes are the operations on virtual networks.
var virtualNetworkRoutes = []route{
	{http.MethodPost, virtualNetworksPath, (*Server).createVirtualNetwork, networksWrite},
	{http.MethodGet, virtualNetworksPath, (*Server).listVirtualNetworks, networksRead},
	{http.MethodGet, virtualNetworkPath, (*Server).getVirtualNetwork, networksRead},
	{http.MethodPatch, virtualNetworkPath, (*Server).updateVirtualNetwork, networksWrite},
	{http.MethodDelete, virtualNetworkPath, (*Server).deleteVirtualNetwork, networksWrite},
}

// virtualNetwork is a set of IP routes. Several virtual networks can have routes for the same CIDR.
type virtualNetwork struct {
	id, name, comment string
	isDefault         bool
	created, deleted  time.Time
}

// virtualNetworkJSON is a virtual network in a response.
type virtualNetworkJSON struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Comment   string     `json:"comment"`
	IsDefault bool       `json:"is_default_network"`
	CreatedAt timestamp  `json:"created_at"`
	DeletedAt *timestamp `json:"deleted_at"`
}

func (n *virtualNetwork) json() virtualNetworkJSON {
	return virtualNetworkJSON{
		ID: n.id, Name: n.name, Comment: n.comment, IsDefault: n.isDefault,
		CreatedAt: timestamp{n.created}, DeletedAt: nullTime(n.deleted),
	}
}

// Maximum lengths of texts, in characters.
const (
	maxVirtualNetworkText = 256
	maxRouteComment       = 100
)

// addDefaultNetwork adds the virtual network that every account has.
func (a *account) addDefaultNetwork(now time.Time) {
	first := &virtualNetwork{id: randomUUID(), name: "default", isDefault: true, created: now}
	a.virtualNetworks = append(a.virtualNetworks, first)
}

func (a *account) defaultNetwork() *virtualNetwork {
	i := slices.IndexFunc(a.virtualNetworks, func(n *virtualNetwork) bool { return n.isDefault })
	return a.virtualNetworks[i] // every account has one
}

// liveNetwork returns the virtual network with this ID, or nil if there is none or it is deleted.
func (a *account) liveNetwork(id string) *virtualNetwork {
	for _, n := range a.virtualNetworks {
		if strings.EqualFold(n.id, id) && n.deleted.IsZero() {
			return n
		}
	}
	return nil
}

func (a *account) networkName(id string) string {
	for _, n := range a.virtualNetworks {
		if n.id == id {
			return n.name
		}
	}
	return ""
}

// makeDefault makes a virtual network the only default one.
func (a *account) makeDefault(network *virtualNetwork) {
	for _, n := range a.virtualNetworks {
		n.isDefault = n == network
	}
}

// virtualNetworkBody is the body of a create or an update.
type virtualNetworkBody struct {
	readOnlyMembers
	Name             *string `json:"name"`
	Comment          *string `json:"comment"`
	IsDefaultNetwork *bool   `json:"is_default_network"`
	IsDefault        *bool   `json:"is_default"` // deprecated name
}

// apply sets the fields of n that the body has.
func (b *virtualNetworkBody) apply(_ *account, n *virtualNetwork) *response {
	switch {
	case b.Name != nil && strings.TrimSpace(*b.Name) == "":
		return badRequest("name must not be blank")
	case tooLong(b.Name, maxVirtualNetworkText), tooLong(b.Comment, maxVirtualNetworkText):
		return badRequest("name and comment must have at most 256 characters")
	}
	setIfPresent(&n.name, b.Name)
	setIfPresent(&n.comment, b.Comment)
	setIfPresent(&n.isDefault, b.IsDefault)
	setIfPresent(&n.isDefault, b.IsDefaultNetwork)
	return nil
}

// conflict returns an error response if the account would have no default virtual network, or two
// virtual networks with the same name.
func (b *virtualNetworkBody) conflict(a *account, wanted *virtualNetwork) *response {
	if a.defaultNetwork().id == wanted.id && !wanted.isDefault {
		return badRequest("An account needs a default virtual network: " +
			"make another virtual network the default instead")
	}
	for _, n := range a.virtualNetworks {
		if n.id != wanted.id && n.deleted.IsZero() && n.name == wanted.name {
			return failure(http.StatusConflict, 1014,
				"A virtual network with this name already exists")
		}
	}
	return nil
}

func (s *Server) createVirtualNetwork(c *call) *response {
	var body virtualNetworkBody
	if problem := readObject(c.body, &body); problem != nil {
		return problem
	}
	n := &virtualNetwork{id: randomUUID(), created: s.currentTime()}
	if problem := body.apply(c.account, n); problem != nil {
		return problem
	}
	if body.Name == nil {
		return badRequest("name is required")
	}
	if problem := body.conflict(c.account, n); problem != nil {
		return problem
	}
	c.account.virtualNetworks = append(c.account.virtualNetworks, n)
	if n.isDefault {
		c.account.makeDefault(n)
	}
	return success(n.json())
}

// listVirtualNetworks returns all virtual networks, as the API documents. If the query has page or
// per_page, it returns one page.
func (s *Server) listVirtualNetworks(c *call) *response {
	isDefault := c.query.Get("is_default_network")
	if isDefault == "" {
		isDefault = c.query.Get("is_default")
	}
	found := filter(c.account.virtualNetworks, func(n *virtualNetwork) bool {
		return matches(c.query, "id", n.id) && matchesText(c.query, "name", n.name) &&
			matchesBool(isDefault, n.isDefault) &&
			matchesBool(c.query.Get("is_deleted"), !n.deleted.IsZero())
	})
	if c.query.Has("page") || c.query.Has("per_page") {
		return pageResponse(c.query, found, (*virtualNetwork).json)
	}
	return success(allJSON(found, (*virtualNetwork).json))
}

func (s *Server) getVirtualNetwork(c *call) *response {
	n := c.account.liveNetwork(c.values["virtual_network_id"])
	if n == nil {
		return networkNotFound()
	}
	return success(n.json())
}

func (s *Server) updateVirtualNetwork(c *call) *response {
	n := c.account.liveNetwork(c.values["virtual_network_id"])
	if n == nil {
		return networkNotFound()
	}
	if problem := patch(c, n, &virtualNetworkBody{}); problem != nil {
		return problem
	}
	if n.isDefault {
		c.account.makeDefault(n)
	}
	return success(n.json())
}

// deleteVirtualNetwork deletes the routes of the virtual network if the parameter force is true. If
// it is not, a virtual network with routes is not deleted.
func (s *Server) deleteVirtualNetwork(c *call) *response {
	n := c.account.liveNetwork(c.values["virtual_network_id"])
	if n == nil {
		return networkNotFound()
	}
	inNetwork := func(r *ipRoute) bool { return r.networkID == n.id && r.deleted.IsZero() }
	force := c.query.Get("force") == "true"
	switch {
	case n.isDefault:
		return badRequest("The default virtual network cannot be deleted")
	case !force && slices.ContainsFunc(c.account.ipRoutes, inNetwork):
		return failure(http.StatusConflict, 1001, "The virtual network is in use by routes")
	}
	n.deleted = s.currentTime()
	for _, r := range c.account.ipRoutes {
		if inNetwork(r) {
			r.deleted = n.deleted
		}
	}
	return success(n.json())
}

func networkNotFound() *response {
	return failure(http.StatusNotFound, 1046, "Virtual network not found")
}

// patchBody is the body of a PATCH of a virtual network or a route.
type patchBody[T any] interface {
	apply(a *account, object *T) *response
	conflict(a *account, wanted *T) *response
	isSet() bool // of readOnlyMembers
}

// patch changes an object as the body of the request says, or changes nothing and returns an error
// response. A PATCH that changes nothing or has read-only members is an internal error of the API.
func patch[T comparable](c *call, object *T, body patchBody[T]) *response {
	if problem := readObject(c.body, body); problem != nil {
		return problem
	}
	wanted := *object
	if problem := body.apply(c.account, &wanted); problem != nil {
		return problem
	}
	if body.isSet() || wanted == *object {
		return failure(http.StatusInternalServerError, 1000, "An internal error has occurred")
	}
	if problem := body.conflict(c.account, &wanted); problem != nil {
		return problem
	}
	*object = wanted
	return nil
}

// readOnlyMembers are members of routes and virtual networks that a request cannot set.
type readOnlyMembers struct {
	ID                 json.RawMessage `json:"id"`
	CreatedAt          json.RawMessage `json:"created_at"`
	DeletedAt          json.RawMessage `json:"deleted_at"`
	TunnelType         json.RawMessage `json:"tun_type"`
	TunnelName         json.RawMessage `json:"tunnel_name"`
	VirtualNetworkName json.RawMessage `json:"virtual_network_name"`
}

func (c *readOnlyMembers) isSet() bool {
	return c.ID != nil || c.CreatedAt != nil || c.DeletedAt != nil ||
		c.TunnelType != nil || c.TunnelName != nil || c.VirtualNetworkName != nil
}

// readObject decodes a body that must be a JSON object.
func readObject(body []byte, into any) *response {
	if !decodeObject(body, into) {
		return badRequest("Could not parse input")
	}
	return nil
}

// setIfPresent sets a field if the body has a value for it.
func setIfPresent[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// tooLong reports whether a text has more than limit characters.
func tooLong(text *string, limit int) bool {
	return text != nil && utf8.RuneCountInString(*text) > limit
}

// matches reports whether an ID equals a parameter of a list, or the parameter is missing.
func matches(query url.Values, name, id string) bool {
	return query.Get(name) == "" || strings.EqualFold(query.Get(name), id)
}

// matchesText reports whether a text equals a parameter of a list, or the parameter is missing.
func matchesText(query url.Values, name, text string) bool {
	return query.Get(name) == "" || query.Get(name) == text
}

// matchesBool reports whether a bool equals the text of a parameter. Texts other than true and
// false match both.
func matchesBool(text string, value bool) bool {
	return text == fmt.Sprint(value) || text != "true" && text != "false"
}
