package tunneltest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// tunnelRoutes are the operations on tunnels and WARP connectors.
var tunnelRoutes = []route{
	{http.MethodPost, "/accounts/{account_id}/cfd_tunnel", (*Server).createTunnel, tunnelsWrite},
	{http.MethodGet, "/accounts/{account_id}/cfd_tunnel", (*Server).listTunnels, tunnelsRead},
	{http.MethodGet, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}", (*Server).getTunnel, tunnelsRead},
	{http.MethodPatch, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}", (*Server).updateTunnel, tunnelsWrite},
	{http.MethodDelete, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}", (*Server).deleteTunnel, tunnelsWrite},
	{http.MethodGet, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/token", (*Server).tunnelToken, tunnelsWrite},
	{http.MethodGet, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections", (*Server).listConnectors, tunnelsRead},
	{http.MethodDelete, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections", (*Server).cleanUp, tunnelsWrite},
	{http.MethodGet, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/connectors/{connector_id}", (*Server).getConnector, tunnelsRead},
	{http.MethodPost, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/management", (*Server).managementToken, tunnelsWrite},
	{http.MethodPost, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}", (*Server).managementToken, tunnelsWrite},
	{http.MethodGet, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations", (*Server).getConfiguration, tunnelsRead},
	{http.MethodPut, "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations", (*Server).putConfiguration, tunnelsWrite},
	{http.MethodGet, "/accounts/{account_id}/tunnels", (*Server).listTunnels, allTunnelsRead},
	{http.MethodPost, "/accounts/{account_id}/warp_connector", (*Server).createWARP, warpWrite},
	{http.MethodGet, "/accounts/{account_id}/warp_connector", (*Server).listTunnels, warpRead},
	{http.MethodGet, "/accounts/{account_id}/warp_connector/{tunnel_id}", (*Server).getTunnel, warpRead},
	{http.MethodPatch, "/accounts/{account_id}/warp_connector/{tunnel_id}", (*Server).updateTunnel, warpWrite},
	{http.MethodDelete, "/accounts/{account_id}/warp_connector/{tunnel_id}", (*Server).deleteTunnel, warpWrite},
	{http.MethodGet, "/accounts/{account_id}/warp_connector/{tunnel_id}/token", (*Server).tunnelToken, warpWrite},
	{http.MethodGet, "/accounts/{account_id}/warp_connector/{tunnel_id}/connections", (*Server).listConnectors, warpRead},
	{http.MethodGet, "/accounts/{account_id}/warp_connector/{tunnel_id}/connectors/{connector_id}", (*Server).getConnector, warpRead},
	{http.MethodPut, "/accounts/{account_id}/warp_connector/{tunnel_id}/failover", (*Server).failover, warpWrite},
	{http.MethodGet, "/accounts/{account_id}/warp_connector/{tunnel_id}/configurations", (*Server).getHA, warpRead},
	{http.MethodPut, "/accounts/{account_id}/warp_connector/{tunnel_id}/configurations", (*Server).putHA, warpWrite},
}

// tunnelJSON is a tunnel in a response. Its fields are in the order of the API.
type tunnelJSON struct {
	ID              string                `json:"id"`
	AccountTag      string                `json:"account_tag"`
	CreatedAt       timestamp             `json:"created_at"`
	DeletedAt       *timestamp            `json:"deleted_at"`
	Name            string                `json:"name"`
	Connections     *[]any                `json:"connections,omitempty"`
	ConnsActiveAt   *timestamp            `json:"conns_active_at"`
	ConnsInactiveAt *timestamp            `json:"conns_inactive_at"`
	Type            string                `json:"tun_type"`
	Metadata        json.RawMessage       `json:"metadata"`
	Status          cftunnel.TunnelStatus `json:"status"`
	RemoteConfig    *bool                 `json:"remote_config,omitempty"`
	ConfigSource    cftunnel.ConfigSource `json:"config_src,omitempty"`
	Credentials     *credentialsJSON      `json:"credentials_file,omitempty"`
	Token           string                `json:"token,omitempty"`
}

type credentialsJSON struct {
	AccountTag   string
	TunnelID     string
	TunnelName   string
	TunnelSecret string
}

// json returns the tunnel as in responses to GET and in lists. They have no connections since
// October 2026, and no config_src if the tunnel is deleted.
func (t *tunnel) json(a *account) tunnelJSON {
	j := tunnelJSON{
		ID: t.id, AccountTag: a.id, Name: t.name, Type: t.kind, Metadata: t.metadata,
		Status:    t.status(),
		CreatedAt: timestamp{t.created}, DeletedAt: nullTime(t.deleted),
		ConnsActiveAt: nullTime(t.activeAt()), ConnsInactiveAt: nullTime(t.inactiveAt()),
	}
	if t.kind == string(cftunnel.TunnelTypeCloudflared) {
		j.RemoteConfig = new(t.remote)
		if t.deleted.IsZero() {
			j.ConfigSource = t.configSource()
		}
	}
	return j
}

func (t *tunnel) configSource() cftunnel.ConfigSource {
	if t.remote {
		return cftunnel.ConfigSourceCloudflare
	}
	return cftunnel.ConfigSourceLocal
}

// tunnelBody is the body of a create or an update.
type tunnelBody struct {
	Name         string                `json:"name"`
	ConfigSource cftunnel.ConfigSource `json:"config_src"`
	Secret       string                `json:"tunnel_secret"`
}

// read decodes the body and checks the fields that a create and an update have in common.
func (c *tunnelBody) read(body []byte) *response {
	if !decodeObject(body, c) {
		return badRequest("The request's body is not a valid JSON object")
	}
	if c.Secret == "" {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(c.Secret)
	if err != nil || len(raw) < minSecretBytes {
		return badRequest(
			fmt.Sprintf("tunnel_secret must be at least %d bytes in base64", minSecretBytes),
		)
	}
	return nil
}

// minSecretBytes is the length of the shortest tunnel secret.
const minSecretBytes = 16

func badRequest(message string) *response {
	return failure(http.StatusBadRequest, 1001, message)
}

func nameTaken() *response {
	return failure(http.StatusConflict, 1013, "A tunnel with this name already exists")
}

// notFound returns the error response for an unknown tunnel. Requests for the token or the
// configuration of an unknown tunnel have other codes.
func notFound() *response { return failure(http.StatusNotFound, 1002, "Tunnel not found") }

func (s *Server) createTunnel(c *call) *response {
	var body tunnelBody
	if problem := body.read(c.body); problem != nil {
		return problem
	}
	switch {
	case strings.TrimSpace(body.Name) == "":
		return badRequest("name is required")
	case body.ConfigSource != "" && body.ConfigSource != cftunnel.ConfigSourceLocal &&
		body.ConfigSource != cftunnel.ConfigSourceCloudflare:
		return badRequest("config_src must be local or cloudflare")
	case c.account.nameTaken(body.Name, nil):
		return nameTaken()
	}
	remote := body.ConfigSource == cftunnel.ConfigSourceCloudflare
	kind := string(cftunnel.TunnelTypeCloudflared)
	t := c.account.addTunnel(body.Name, kind, remote, body.Secret, s.currentTime())
	j := t.json(c.account)
	j.ConfigSource = "" // the response to a create has only remote_config
	j.Connections = &[]any{}
	j.Credentials = &credentialsJSON{c.account.id, t.id, t.name, t.secret}
	j.Token = c.account.token(t)
	return success(j)
}

// tunnel returns the tunnel of the path, which can be deleted. It returns nil if there is no such
// tunnel or if the path is for another type of tunnel.
func (c *call) tunnel() *tunnel {
	t := c.account.byID[strings.ToLower(c.values["tunnel_id"])]
	if t == nil || !strings.Contains(c.route.template, "/"+t.kind+"/") {
		return nil
	}
	return t
}

// liveTunnel returns the tunnel of the path, or nil if there is none or it is deleted.
func (c *call) liveTunnel() *tunnel {
	if t := c.tunnel(); t != nil && t.deleted.IsZero() {
		return t
	}
	return nil
}

func (s *Server) getTunnel(c *call) *response {
	t := c.tunnel()
	if t == nil {
		return notFound()
	}
	return success(t.json(c.account))
}

func (s *Server) updateTunnel(c *call) *response {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	var body tunnelBody
	if problem := body.read(c.body); problem != nil {
		return problem
	}
	switch {
	case body.Name != "" && strings.TrimSpace(body.Name) == "":
		return badRequest("name must not be blank")
	case c.account.nameTaken(body.Name, t):
		return nameTaken()
	}
	t.name, t.secret = cmp.Or(body.Name, t.name), cmp.Or(body.Secret, t.secret)
	j := t.json(c.account)
	j.Token = c.account.token(t)
	return success(j)
}

// deleteTunnel succeeds if the tunnel is already deleted, so that a request can be repeated.
func (s *Server) deleteTunnel(c *call) *response {
	t := c.tunnel()
	switch {
	case t == nil:
		return notFound()
	case t.connections() > 0 && c.query.Get("cascade") != "true":
		return failure(http.StatusBadRequest, 1022,
			"The tunnel has active connections. Clean them up before you delete it.")
	case t.deleted.IsZero():
		t.removeConnectors(func(*connector) bool { return true }, s.currentTime())
		t.deleted = s.currentTime()
		c.account.deleteRoutesOf(t)
	}
	return success(t.json(c.account))
}

func (s *Server) tunnelToken(c *call) *response {
	t := c.liveTunnel()
	if t == nil {
		return failure(http.StatusNotFound, 1054, "Tunnel token not found")
	}
	return success(c.account.token(t))
}

// listTunnels serves the lists of one type of tunnel and of all types.
func (s *Server) listTunnels(c *call) *response {
	keep, problem := tunnelFilter(c.query, c.route.template)
	if problem != nil {
		return problem
	}
	toJSON := func(t *tunnel) tunnelJSON { return t.json(c.account) }
	return pageResponse(c.query, filter(c.account.tunnels, keep), toJSON)
}

// tunnelFilter returns the filter in the query of a list. Like the API, it ignores unknown
// parameters.
func tunnelFilter(query url.Values, template string) (func(*tunnel) bool, *response) {
	var tests []func(*tunnel) bool
	// Since December 2025 a list has deleted tunnels only if is_deleted is true.
	deleted := query.Get("is_deleted") == "true"
	tests = append(tests, func(t *tunnel) bool { return t.deleted.IsZero() != deleted })
	types := query.Get("tun_types")
	if _, kind, _ := strings.Cut(template, "{account_id}/"); kind != "tunnels" {
		types = kind
	}
	if types != "" {
		tests = append(tests, func(t *tunnel) bool {
			return slices.Contains(strings.Split(types, ","), t.kind)
		})
	}
	for name, test := range map[string]func(t *tunnel, value string) bool{
		"name":           func(t *tunnel, value string) bool { return t.name == value },
		"uuid":           func(t *tunnel, value string) bool { return strings.EqualFold(t.id, value) },
		"status":         func(t *tunnel, value string) bool { return string(t.status()) == value },
		"include_prefix": func(t *tunnel, value string) bool { return strings.HasPrefix(t.name, value) },
		"name_prefix":    func(t *tunnel, value string) bool { return strings.HasPrefix(t.name, value) },
		"exclude_prefix": func(t *tunnel, value string) bool { return !strings.HasPrefix(t.name, value) },
	} {
		if value := query.Get(name); value != "" {
			tests = append(tests, func(t *tunnel) bool { return test(t, value) })
		}
	}
	for name, test := range map[string]func(t *tunnel, at time.Time) bool{
		"existed_at":    (*tunnel).existedAt,
		"was_active_at": (*tunnel).wasActiveAt,
		"was_inactive_at": func(t *tunnel, at time.Time) bool {
			return t.existedAt(at) && !t.wasActiveAt(at)
		},
	} {
		if query.Get(name) == "" {
			continue
		}
		at, problem := timeOf(query, name)
		if problem != nil {
			return nil, problem
		}
		tests = append(tests, func(t *tunnel) bool { return test(t, at) })
	}
	return func(t *tunnel) bool {
		return !slices.ContainsFunc(tests, func(test func(*tunnel) bool) bool { return !test(t) })
	}, nil
}
