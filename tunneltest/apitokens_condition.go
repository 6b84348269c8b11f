package tunneltest

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
)

// condition restricts the addresses that a token is used from. nil restricts nothing.
type condition struct {
	members map[string]json.RawMessage // as responses have it
	// in and notIn are of request_ip. in is nil if that has none.
	in, notIn []netip.Prefix
}

// requestIP is the member of a condition that the API knows.
const requestIP = "request_ip"

// parseCondition reads what a request or AddToken sets. The older name request.ip is stored as
// request_ip.
func parseCondition(raw json.RawMessage) (*condition, *answer) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	c := &condition{}
	if json.Unmarshal(raw, &c.members) != nil {
		return nil, malformed("condition must be an object")
	}
	if old, ok := c.members["request.ip"]; ok {
		if _, both := c.members[requestIP]; !both {
			c.members[requestIP] = old
		}
		delete(c.members, "request.ip")
	}
	restriction, ok := c.members[requestIP]
	if !ok {
		return c, nil
	}
	var lists map[string]json.RawMessage
	if json.Unmarshal(restriction, &lists) != nil || lists == nil {
		return nil, malformed("condition.request_ip must be an object")
	}
	for name, list := range map[string]*[]netip.Prefix{"in": &c.in, "not_in": &c.notIn} {
		raw, ok := lists[name]
		if !ok {
			continue
		}
		var texts []string
		if json.Unmarshal(raw, &texts) != nil {
			return nil, malformed("condition.request_ip." + name + " must be a list of CIDRs")
		}
		*list = []netip.Prefix{}
		for _, text := range texts {
			prefix, err := netip.ParsePrefix(text)
			if err != nil || prefix.Bits() == 0 {
				return nil, malformed("condition.request_ip." + name + " has an invalid CIDR")
			}
			*list = append(*list, prefix.Masked())
		}
	}
	if _, ok := lists["not_in"]; !ok && len(lists) > 0 {
		lists = maps.Clone(lists)
		lists["not_in"] = json.RawMessage("[]") // responses have it, even if no request did
	}
	c.members[requestIP], _ = json.Marshal(lists)
	return c, nil
}

// allows reports whether a token with this condition may be used from an address. A condition that
// is empty in any part allows none.
func (c *condition) allows(from netip.Addr) bool {
	if c == nil {
		return true
	}
	if _, ok := c.members[requestIP]; !ok {
		return len(c.members) > 0
	}
	holds := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(from) })
	}
	if c.in == nil {
		return len(c.notIn) > 0 && !holds(c.notIn)
	}
	return holds(c.in) && !holds(c.notIn)
}

// MarshalJSON writes the condition as responses have it.
func (c *condition) MarshalJSON() ([]byte, error) { return json.Marshal(c.members) }
