package tunneltest

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
)

// condition restricts the client addresses that may use a token. nil allows all addresses.
type condition struct {
	members map[string]json.RawMessage // as in responses
	// in and notIn are the lists of request_ip. in is nil if request_ip has no such list.
	in, notIn []netip.Prefix
}

// requestIP is the only member of a condition that the API knows.
const requestIP = "request_ip"

// parseCondition parses the condition in a request or of AddToken. It renames the deprecated
// request.ip to request_ip.
func parseCondition(raw json.RawMessage) (*condition, *response) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	c := &condition{}
	if json.Unmarshal(raw, &c.members) != nil {
		return nil, badTokenRequest("condition must be an object")
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
		return nil, badTokenRequest("condition.request_ip must be an object")
	}
	for name, list := range map[string]*[]netip.Prefix{"in": &c.in, "not_in": &c.notIn} {
		raw, ok := lists[name]
		if !ok {
			continue
		}
		var texts []string
		if json.Unmarshal(raw, &texts) != nil {
			return nil, badTokenRequest("condition.request_ip." + name + " must be a list of CIDRs")
		}
		*list = []netip.Prefix{}
		for _, text := range texts {
			prefix, err := netip.ParsePrefix(text)
			if err != nil || prefix.Bits() == 0 {
				return nil, badTokenRequest("condition.request_ip." + name + " has an invalid CIDR")
			}
			*list = append(*list, prefix.Masked())
		}
	}
	if _, ok := lists["not_in"]; !ok && len(lists) > 0 {
		lists = maps.Clone(lists)
		lists["not_in"] = json.RawMessage("[]") // responses always have it
	}
	c.members[requestIP], _ = json.Marshal(lists)
	return c, nil
}

// allows reports whether the condition allows a client address. An empty condition allows none, and
// neither does an empty list.
func (c *condition) allows(from netip.Addr) bool {
	if c == nil {
		return true
	}
	if _, ok := c.members[requestIP]; !ok {
		return len(c.members) > 0
	}
	isIn := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(from) })
	}
	if c.in == nil {
		return len(c.notIn) > 0 && !isIn(c.notIn)
	}
	return isIn(c.in) && !isIn(c.notIn)
}

// MarshalJSON encodes the condition as in a response.
func (c *condition) MarshalJSON() ([]byte, error) { return json.Marshal(c.members) }
