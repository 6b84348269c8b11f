package cftunnel

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/cftunnel/cftunnel-go/internal/unknownjson"
)

// The JSON methods of the types that keep unknown members.

// UnmarshalJSON decodes the fields and keeps unknown members, for which the type has no field.
func (c *TunnelConfig) UnmarshalJSON(data []byte) (err error) {
	c.members, err = decodeKeepingUnknown(data, (*plainConfig)(c))
	return err
}

// MarshalJSON encodes the fields and the unknown members that UnmarshalJSON kept.
func (c TunnelConfig) MarshalJSON() ([]byte, error) {
	return unknownjson.Marshal(plainConfig(c), c.members)
}

// UnmarshalJSON decodes the fields and keeps unknown members, for which the type has no field. An
// empty hostname or path counts as missing.
func (r *IngressRule) UnmarshalJSON(data []byte) (err error) {
	r.members, err = decodeKeepingUnknown(data, (*plainRule)(r))
	for _, name := range []string{"hostname", "path"} {
		if raw := string(r.members[name]); raw == `""` || raw == "null" {
			delete(r.members, name)
		}
	}
	if len(r.members) == 0 {
		r.members = nil
	}
	return err
}

// MarshalJSON encodes the fields and the unknown members that UnmarshalJSON kept.
func (r IngressRule) MarshalJSON() ([]byte, error) {
	return unknownjson.Marshal(plainRule(r), r.members)
}

// UnmarshalJSON decodes the fields and keeps unknown members, for which the type has no field.
func (o *OriginRequest) UnmarshalJSON(data []byte) (err error) {
	o.members, err = decodeKeepingUnknown(data, (*plainOrigin)(o))
	return err
}

// MarshalJSON encodes the fields and the unknown members that UnmarshalJSON kept.
func (o OriginRequest) MarshalJSON() ([]byte, error) {
	return unknownjson.Marshal(plainOrigin(o), o.members)
}

// UnmarshalJSON decodes the fields and keeps unknown members, for which the type has no field.
func (r *IPRule) UnmarshalJSON(data []byte) (err error) {
	r.members, err = decodeKeepingUnknown(data, (*plainIPRule)(r))
	return err
}

// MarshalJSON encodes the fields and the unknown members that UnmarshalJSON kept.
func (r IPRule) MarshalJSON() ([]byte, error) {
	return unknownjson.Marshal(plainIPRule(r), r.members)
}

// UnmarshalJSON decodes the fields and keeps unknown members, for which the type has no field.
func (a *Access) UnmarshalJSON(data []byte) (err error) {
	a.members, err = decodeKeepingUnknown(data, (*plainAccess)(a))
	return err
}

// MarshalJSON encodes the fields and the unknown members that UnmarshalJSON kept.
func (a Access) MarshalJSON() ([]byte, error) {
	return unknownjson.Marshal(plainAccess(a), a.members)
}

// UnmarshalJSON decodes the fields and keeps unknown members, for which the type has no field.
func (w *WARPRouting) UnmarshalJSON(data []byte) (err error) {
	w.members, err = decodeKeepingUnknown(data, (*plainRouting)(w))
	if w.members == nil && reflect.ValueOf(*w).IsZero() {
		w.members = unknownjson.Members{} // so that it is written without enabled, as it was read
	}
	return err
}

// MarshalJSON encodes the fields and the unknown members that UnmarshalJSON kept.
func (w WARPRouting) MarshalJSON() ([]byte, error) {
	if reflect.ValueOf(w).IsZero() {
		return []byte(`{"enabled":false}`), nil
	}
	return unknownjson.Marshal(plainRouting(w), w.members)
}

// turnedOff returns a copy of w that is written with "enabled":false.
func (w WARPRouting) turnedOff() *WARPRouting {
	members := unknownjson.Members{"enabled": json.RawMessage("false")}
	maps.Copy(members, w.members)
	w.members = members
	return &w
}

// The same types without their JSON methods.
type (
	plainConfig  TunnelConfig
	plainRule    IngressRule
	plainOrigin  OriginRequest
	plainIPRule  IPRule
	plainAccess  Access
	plainRouting WARPRouting
)

// decodeKeepingUnknown decodes an object and returns its unknown members. Like encoding/json, it
// accepts null.
func decodeKeepingUnknown(data []byte, v any) (unknownjson.Members, error) {
	if string(data) == "null" {
		return nil, nil
	}
	return unknownjson.Unmarshal(data, v)
}

// encode encodes c as JSON. It returns an error if a field is set whose member could not be
// decoded.
func (c TunnelConfig) encode() (json.RawMessage, error) {
	if err := checkText("config", c); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(c)
	if undecoded, ok := errors.AsType[*unknownjson.UndecodedError](err); ok {
		return nil, replacesUndecoded(undecoded.Path)
	}
	if err != nil {
		return nil, invalid("config", "cannot be encoded as JSON")
	}
	return encoded, nil
}

func replacesUndecoded(member string) error {
	return invalid("config", "would replace the member %s, which could not be decoded", member)
}

// configObject is a JSON object of a configuration.
type configObject struct {
	place   string // its path for errors, such as ingress[0].originRequest
	key     string // identifies the object before and after a change
	fields  any    // a type without JSON methods
	members unknownjson.Members
}

// objects returns the objects that may have undecoded members.
func (c TunnelConfig) objects() []configObject {
	list := []configObject{{fields: plainConfig(c), members: c.members}}
	list = append(list, c.OriginRequest.objects("originRequest", "originRequest")...)
	if w := c.WARPRouting; w != nil {
		const name = "warp-routing"
		list = append(list, configObject{name, name, plainRouting(*w), w.members})
	}
	for i, r := range c.Ingress {
		place, key := fmt.Sprintf("ingress[%d]", i), fmt.Sprintf("%q %q", r.Hostname, r.Path)
		origin := r.OriginRequest.objects(place+".originRequest", key+" originRequest")
		list = append(append(list, configObject{place, key, plainRule(r), r.members}), origin...)
	}
	return list
}

func (o *OriginRequest) objects(place, key string) []configObject {
	if o == nil {
		return nil
	}
	list := []configObject{{place, key, plainOrigin(*o), o.members}}
	if a := o.Access; a != nil {
		place, key = place+".access", key+" access"
		list = append(list, configObject{place, key, plainAccess(*a), a.members})
	}
	return list
}

// keepsUndecoded returns an error if an object of before still exists in c, but has lost a member
// that could not be decoded. Code that replaces the object cannot know of such a member.
func (c TunnelConfig) keepsUndecoded(before TunnelConfig) error {
	type member struct{ key, name, value string }
	exist, has := map[string]bool{}, map[member]bool{}
	for _, o := range c.objects() {
		exist[o.key] = true
		for name, value := range o.members {
			has[member{o.key, name, string(value)}] = true
		}
	}
	for _, old := range before.objects() {
		for _, name := range unknownjson.Undecoded(old.fields, old.members) {
			if exist[old.key] && !has[member{old.key, name, string(old.members[name])}] {
				return replacesUndecoded(strings.TrimPrefix(old.place+"."+name, "."))
			}
		}
	}
	return nil
}
