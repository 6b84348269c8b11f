package tunneltest

import (
	"slices"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// permissionGroup is a set of permissions that a policy can allow or deny. Its ID is the same for
// all accounts.
type permissionGroup struct {
	ID           string                `json:"id"`
	Name         string                `json:"name"`
	Scopes       []cftunnel.TokenScope `json:"scopes"`
	Category     string                `json:"category"`
	Label        string                `json:"label"`
	Description  string                `json:"description"`
	Visibility   string                `json:"visibility"`
	Editable     bool                  `json:"editable"`
	IsSelectable bool                  `json:"is_selectable"`
	Deprecated   bool                  `json:"deprecated"`
	EOLAt        *timestamp            `json:"eol_at"`
}

// Categories of permission groups.
const (
	categoryZeroTrust = "cloudflare_one_and_zero_trust"
	categoryDNS       = "dns_and_zones"
	categoryAccount   = "account"
	categoryNetwork   = "network_services"
)

// permissionGroups are the groups for work with tunnels. The API has several hundred more.
var permissionGroups = slices.Concat(
	groupsOf(cftunnel.TokenScopeAccount, categoryZeroTrust, [][3]string{
		{productTunnel, "efea2ab8357b47888938f101ae5e053f", "c07321b023e944ff818fec44d8203567"},
		{productConnectors, "07cf1c1952a84b13b2cd542f3d2f29ab", "a7030c9c98d544e092d8b099fabb1f06"},
		{productCloudflared, "c1968d31028d4239976ec3bc4750bbf6", "037b9e348b3b42d4b46ea2fcb1cfb3e7"},
		{productWARP, "1cd960c063a0448481343372c963d8c7", "5b5c774a5d174ca88d046c8889648b3f"},
		{productNetworks, "4f1276d1e7e34c32a5012bbe02ece86d", "e2980d9241cf4939bbbd74fdc43b9651"},
		{"Access: Apps and Policies", "7ea222f6d5064cfa89ea366d7c1fee89", "1e13c5124ca64b72b1969a67e8829049"},
		{"Access: Service Tokens", "", "a1c0fec57cf94af79479a6d827fa518c"},
	}),
	groupsOf(cftunnel.TokenScopeAccount, categoryAccount, [][3]string{
		{"Account Settings", "c1fde68c7bcc44588cbb6ddbc16d6480", ""},
		{productAccountTokens, "eb56a6953c034b9d97dd838155666f06", "5bc3f8b21c554832afc660159ab75fa4"},
	}),
	groupsOf(cftunnel.TokenScopeAccount, categoryNetwork, [][3]string{
		{"Load Balancing: Monitors and Pools", "9d24387c6e8544e2bc4024a03991339f", "d2a1802cc9a34e30852f8b33869b2f3c"},
	}),
	groupsOf(cftunnel.TokenScopeZone, categoryDNS, [][3]string{
		{"DNS", "82e64a83756745bbbb1c9c2701bf816b", "4755a26eedb94da69e1066d98aa820be"},
		{"Zone", "c8fed203ed3043cba015a93ad1616f1f", "e6d2666161e84845a636613608cee8d5"},
		{"Zone Settings", "", "3030687196b94b638145a3953da2b699"},
	}),
	// Several groups can have the same name. The real IDs of these two are not known.
	groupsOf(cftunnel.TokenScopeZone, categoryZeroTrust, [][3]string{
		{"Access: Apps and Policies", "fa4e0000000000000000000000000001", "fa4e0000000000000000000000000002"},
	}),
	groupsOf(cftunnel.TokenScopeZone, categoryNetwork, [][3]string{
		{"Load Balancers", "e9a975f628014f1d85b723993116f7d5", "6d7f2f5f5b1d4a0e9081fdc98d432fd1"},
	}),
	groupsOf(cftunnel.TokenScopeUser, categoryAccount, [][3]string{
		{productUserTokens, "0cc3a61731504c89b99ec1be78b77aa0", "686d18d5ac6c441c867cbf6771e58a0a"},
	}),
)

// groupsOf returns the groups of products. A product is a name and the IDs of its Read and Write
// groups, which are empty if they are not known.
func groupsOf(scope cftunnel.TokenScope, category string, products [][3]string) []*permissionGroup {
	var groups []*permissionGroup
	for _, product := range products {
		for i, access := range []string{"Read", "Write"} {
			if product[i+1] == "" {
				continue
			}
			name := product[0] + " " + access
			groups = append(groups, &permissionGroup{
				ID: product[i+1], Name: name, Scopes: []cftunnel.TokenScope{scope},
				Category: category, Label: name,
				Description: "Grants " + access + " to " + product[0],
				Visibility:  "public", Editable: true, IsSelectable: true,
			})
		}
	}
	return groups
}

// permissionGroupByID returns the group with this ID, or nil.
func permissionGroupByID(id string) *permissionGroup {
	for _, group := range permissionGroups {
		if group.ID == id {
			return group
		}
	}
	return nil
}

// listPermissionGroups filters by exact name and by scope. The list is not paginated.
func (s *Server) listPermissionGroups(c *call) *response {
	name, scope := c.query.Get("name"), cftunnel.TokenScope(c.query.Get("scope"))
	result := filter(permissionGroups, func(group *permissionGroup) bool {
		return (name == "" || group.Name == name) &&
			(scope == "" || slices.Contains(group.Scopes, scope))
	})
	n := int64(len(result))
	return successPage(result, resultInfo{Count: len(result), Page: 1, PerPage: n, TotalCount: n})
}
