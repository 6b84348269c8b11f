package cftunnel

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/cftunnel/cftunnel-go/internal/unknownjson"
)

// UnmarshalJSON decodes the fields and keeps unknown members, for which the type has no field.
func (p *TokenPolicy) UnmarshalJSON(data []byte) (err error) {
	p.members, err = decodeKeepingUnknown(data, (*plainPolicy)(p))
	return err
}

// MarshalJSON encodes the fields and the unknown members that UnmarshalJSON kept.
func (p TokenPolicy) MarshalJSON() ([]byte, error) {
	return unknownjson.Marshal(plainPolicy(p), p.members)
}

// UnmarshalJSON decodes the fields and keeps unknown members, for which the type has no field.
func (g *PermissionGroup) UnmarshalJSON(data []byte) (err error) {
	g.members, err = decodeKeepingUnknown(data, (*plainGroup)(g))
	return err
}

// MarshalJSON encodes the fields and the unknown members that UnmarshalJSON kept.
func (g PermissionGroup) MarshalJSON() ([]byte, error) {
	return unknownjson.Marshal(plainGroup(g), g.members)
}

// UnmarshalJSON decodes "*" or an object of names, and keeps any other JSON unchanged.
func (r *TokenResource) UnmarshalJSON(data []byte) error {
	*r = TokenResource{}
	switch {
	case string(data) == `"*"`:
	case bytes.HasPrefix(data, []byte("{")) && json.Unmarshal(data, &r.Within) == nil:
	default:
		r.Within, r.other = nil, string(data)
	}
	return nil
}

// MarshalJSON encodes Within. If Within is nil, it encodes the JSON that UnmarshalJSON kept,
// unchanged, or "*" if UnmarshalJSON kept none.
func (r TokenResource) MarshalJSON() ([]byte, error) {
	switch {
	case r.Within != nil:
		return json.Marshal(r.Within)
	case r.other != "":
		return []byte(r.other), nil
	}
	return []byte(`"*"`), nil
}

// The types without their methods, so that encoding them does not call the methods again.
type (
	plainPolicy TokenPolicy
	plainGroup  PermissionGroup
)

// groupDescription has the members that only describe a permission group. They are not sent.
var groupDescription = []string{
	"name", "scopes", "category", "deprecated", "label", "description", "visibility", "editable",
	"eol_at", "is_selectable",
}

// inRequest returns the policy as requests have it, without what the API sets itself.
func (p TokenPolicy) inRequest() TokenPolicy {
	p.ID = ""
	if _, kept := p.members["effect"]; p.Effect == "" && !kept {
		p.Effect = PolicyEffectAllow
	}
	groups := make([]PermissionGroup, len(p.PermissionGroups))
	for i, g := range p.PermissionGroups {
		groups[i] = PermissionGroup{ID: g.ID, members: unknownjson.Members{}}
		for name, value := range g.members {
			if !slices.Contains(groupDescription, name) && !isEmptyJSON(value) {
				groups[i].members[name] = value
			}
		}
	}
	p.PermissionGroups = groups
	return p
}
