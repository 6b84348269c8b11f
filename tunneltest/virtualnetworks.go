package tunneltest

import (
	"bytes"
	"crypto/rand"
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

// virtualNetworkRoutes needs "Cloudflare One Networks" or "Cloudflare Tunnel", Read for GET and
// Write for the others.
var virtualNetworkRoutes = []route{
	{http.MethodPost, virtualNetworksPath, (*Server).createVirtualNetwork, networksWrite},
	{http.MethodGet, virtualNetworksPath, (*Server).listVirtualNetworks, networksRead},
	{http.MethodGet, virtualNetworkPath, (*Server).getVirtualNetwork, networksRead},
	{http.MethodPatch, virtualNetworkPath, (*Server).updateVirtualNetwork, networksWrite},
	{http.MethodDelete, virtualNetworkPath, (*Server).deleteVirtualNetwork, networksWrite},
}

// virtualNetwork keeps routes of the same CIDR apart.
type virtualNetwork struct {
	id, name, comment string
	isDefault         bool
	created, deleted  time.Time
}

// virtualNetworkJSON is a virtual network as responses have it.
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
		CreatedAt: timestamp{n.created}, DeletedAt: orNull(n.deleted),
	}
}

// Longest texts, in characters.
const (
	maxVirtualNetworkText = 256
	maxRouteComment       = 100
)

// addDefaultNetwork gives a new account the virtual network that each one begins with.
func (a *account) addDefaultNetwork(now time.Time) {
	first := &virtualNetwork{id: randomUUID(), name: "default", isDefault: true, created: now}
	a.virtualNetworks = append(a.virtualNetworks, first)
}

func (a *account) defaultNetwork() *virtualNetwork {
	i := slices.IndexFunc(a.virtualNetworks, func(n *virtualNetwork) bool { return n.isDefault })
	return a.virtualNetworks[i] // there is always one
}

// liveNetwork returns the virtual network of this ID, or nil.
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

func (a *account) networkNameTaken(name string, but *virtualNetwork) bool {
	return slices.ContainsFunc(a.virtualNetworks, func(n *virtualNetwork) bool {
		return n != but && n.name == name && n.deleted.IsZero()
	})
}

// makeDefault takes the place of the default virtual network before.
func (a *account) makeDefault(network *virtualNetwork) {
	a.defaultNetwork().isDefault = false
	network.isDefault = true
}

// virtualNetworkBody is the body of a create or an update.
type virtualNetworkBody struct {
	computed
	Name             *string `json:"name"`
	Comment          *string `json:"comment"`
	IsDefaultNetwork *bool   `json:"is_default_network"`
	IsDefault        *bool   `json:"is_default"` // the old name
}

// read decodes the body and checks what a create and an update have in common.
func (b *virtualNetworkBody) read(c *call) *answer {
	if problem := readObject(c.body, b); problem != nil {
		return problem
	}
	if b.IsDefaultNetwork == nil {
		b.IsDefaultNetwork = b.IsDefault
	}
	switch {
	case b.Name != nil && strings.TrimSpace(*b.Name) == "":
		return bad("name must not be blank")
	case tooLong(b.Name, maxVirtualNetworkText), tooLong(b.Comment, maxVirtualNetworkText):
		return bad("name and comment have at most 256 characters")
	}
	return nil
}

func (s *Server) createVirtualNetwork(c *call) answer {
	var body virtualNetworkBody
	if problem := body.read(c); problem != nil {
		return *problem
	}
	switch {
	case body.Name == nil:
		return *bad("name is required")
	case c.account.networkNameTaken(*body.Name, nil):
		return networkNameTaken()
	}
	n := &virtualNetwork{id: randomUUID(), name: *body.Name, created: s.stamp()}
	set(&n.comment, body.Comment)
	if body.IsDefaultNetwork != nil && *body.IsDefaultNetwork {
		c.account.makeDefault(n)
	}
	c.account.virtualNetworks = append(c.account.virtualNetworks, n)
	return success(n.json())
}

// listVirtualNetworks responds with all of them at once, as the documentation says, unless the
// query asks for pages.
func (s *Server) listVirtualNetworks(c *call) answer {
	isDefault := c.query.Get("is_default_network")
	if isDefault == "" {
		isDefault = c.query.Get("is_default")
	}
	var found []*virtualNetwork
	for _, n := range c.account.virtualNetworks {
		if matches(c.query, "id", n.id) && matchesText(c.query, "name", n.name) &&
			matchesBool(isDefault, n.isDefault) &&
			matchesBool(c.query.Get("is_deleted"), !n.deleted.IsZero()) {
			found = append(found, n)
		}
	}
	if c.query.Has("page") || c.query.Has("per_page") {
		return onePage(c.query, found, (*virtualNetwork).json)
	}
	return success(allJSON(found, (*virtualNetwork).json))
}

func (s *Server) getVirtualNetwork(c *call) answer {
	n := c.account.liveNetwork(c.values["virtual_network_id"])
	if n == nil {
		return networkNotFound()
	}
	return success(n.json())
}

func (s *Server) updateVirtualNetwork(c *call) answer {
	n := c.account.liveNetwork(c.values["virtual_network_id"])
	if n == nil {
		return networkNotFound()
	}
	var body virtualNetworkBody
	if problem := body.read(c); problem != nil {
		return *problem
	}
	wanted := *n
	set(&wanted.name, body.Name)
	set(&wanted.comment, body.Comment)
	set(&wanted.isDefault, body.IsDefaultNetwork)
	switch {
	case body.any() || wanted == *n:
		return changesNothing()
	case n.isDefault && !wanted.isDefault:
		return *bad("An account has one default virtual network: make another one the default")
	case c.account.networkNameTaken(wanted.name, n):
		return networkNameTaken()
	}
	if wanted.isDefault {
		c.account.makeDefault(n)
	}
	*n = wanted
	return success(n.json())
}

// deleteVirtualNetwork deletes routes with it only if it is forced to.
func (s *Server) deleteVirtualNetwork(c *call) answer {
	n := c.account.liveNetwork(c.values["virtual_network_id"])
	if n == nil {
		return networkNotFound()
	}
	inNetwork := func(r *ipRoute) bool { return r.networkID == n.id && r.deleted.IsZero() }
	force := c.query.Get("force") == "true"
	switch {
	case n.isDefault:
		return *bad("The default virtual network cannot be deleted")
	case !force && slices.ContainsFunc(c.account.ipRoutes, inNetwork):
		return failure(http.StatusConflict, 1001, "The virtual network is in use by routes")
	}
	n.deleted = s.stamp()
	for _, r := range c.account.ipRoutes {
		if inNetwork(r) {
			r.deleted = n.deleted
		}
	}
	return success(n.json())
}

func networkNameTaken() answer {
	return failure(http.StatusConflict, 1014, "A virtual network of this name exists already")
}

func networkNotFound() answer {
	return failure(http.StatusNotFound, 1046, "Virtual network not found")
}

// changesNothing is what the API makes of a PATCH without a change, or with members that nobody can
// set.
func changesNothing() answer {
	return failure(http.StatusInternalServerError, 1000, "An internal error has occurred")
}

// computed are members of private networks that nobody can set.
type computed struct {
	ID                 json.RawMessage `json:"id"`
	CreatedAt          json.RawMessage `json:"created_at"`
	DeletedAt          json.RawMessage `json:"deleted_at"`
	TunnelType         json.RawMessage `json:"tun_type"`
	TunnelName         json.RawMessage `json:"tunnel_name"`
	VirtualNetworkName json.RawMessage `json:"virtual_network_name"`
}

func (c *computed) any() bool {
	return c.ID != nil || c.CreatedAt != nil || c.DeletedAt != nil ||
		c.TunnelType != nil || c.TunnelName != nil || c.VirtualNetworkName != nil
}

// readObject decodes a body that must be a JSON object.
func readObject(body []byte, into any) *answer {
	isObject := bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
	if !isObject || json.Unmarshal(body, into) != nil {
		return bad("Could not parse input")
	}
	return nil
}

// set sets what the body has.
func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func tooLong(
	text *string, most int,
) bool {
	return text != nil && utf8.RuneCountInString(*text) > most
}

// matches compares an ID with a parameter of a list, if it is there.
func matches(query url.Values, name, id string) bool {
	return query.Get(name) == "" || strings.EqualFold(query.Get(name), id)
}

// matchesText compares a whole text with a parameter of a list, if it is there.
func matchesText(query url.Values, name, text string) bool {
	return query.Get(name) == "" || query.Get(name) == text
}

// matchesBool compares a bool with the text of a parameter, of which any but true and false filters
// nothing.
func matchesBool(text string, value bool) bool {
	return text == fmt.Sprint(value) || text != "true" && text != "false"
}

func randomUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
