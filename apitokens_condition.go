package cftunnel

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/cftunnel/cftunnel-go/internal/unknownjson"
)

// TokenCondition restricts the IP addresses that a token works from. A condition without addresses
// is no restriction. The API does not apply conditions to [TokensService.Verify].
//
// JSON members that this type has no field for are kept when a token is read, changed and written.
type TokenCondition struct {
	// AllowedIPs are the addresses that may use the token. The default is every address.
	AllowedIPs []netip.Prefix
	// DeniedIPs are excluded from AllowedIPs. The default is none.
	DeniedIPs []netip.Prefix

	members   unknownjson.Members // of the condition
	ipMembers unknownjson.Members // of its member request_ip
	shutsOut  bool                // read without addresses that may use the token
}

// isEmpty reports whether there is nothing to send. A condition without addresses must not be sent:
// the API would refuse every address.
func (c *TokenCondition) isEmpty() bool {
	return c == nil || len(c.AllowedIPs)+len(c.DeniedIPs)+len(c.members)+len(c.ipMembers) == 0
}

// check returns an error if the condition cannot be sent.
func (c *TokenCondition) check() error {
	if c == nil {
		return nil
	}
	for _, list := range []struct {
		name, member string
		prefixes     []netip.Prefix
	}{{"AllowedIPs", memberIn, c.AllowedIPs}, {"DeniedIPs", memberNotIn, c.DeniedIPs}} {
		name := "Condition." + list.name
		if _, unread := c.ipMembers[list.member]; unread && len(list.prefixes) > 0 {
			return invalid(name,
				"would replace a list that cannot be read; use a new TokenCondition")
		}
		for i, prefix := range list.prefixes {
			if !prefix.IsValid() {
				return invalid(fmt.Sprintf("%s[%d]", name, i), "is not a valid prefix")
			}
		}
	}
	return nil
}

// clone returns a copy, or nil if there is nothing to send.
func (c *TokenCondition) clone() *TokenCondition {
	if c.isEmpty() {
		return nil
	}
	copied := *c
	copied.AllowedIPs = append([]netip.Prefix(nil), c.AllowedIPs...)
	copied.DeniedIPs = append([]netip.Prefix(nil), c.DeniedIPs...)
	return &copied
}

// Members of a condition. The API stores both spellings of request_ip as the first.
const (
	memberRequestIP    = "request_ip"
	memberRequestIPOld = "request.ip"
	memberIn           = "in"
	memberNotIn        = "not_in"
)

// UnmarshalJSON decodes the addresses from the member request_ip or request.ip, its older name, and
// keeps the members that the type has no field for.
func (c *TokenCondition) UnmarshalJSON(data []byte) error {
	*c = TokenCondition{}
	var members unknownjson.Members
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	for _, name := range []string{memberRequestIP, memberRequestIPOld} {
		var lists unknownjson.Members
		raw, exists := members[name]
		if !exists || json.Unmarshal(raw, &lists) != nil && !isEmptyJSON(raw) {
			continue // if it is not an object, it stays as it is
		}
		delete(members, name)
		// The current spelling has priority.
		if len(c.AllowedIPs)+len(c.DeniedIPs)+len(c.ipMembers) == 0 {
			_, listed := lists[memberIn]
			listed = listed || len(lists) == 0 // an empty object means the same as an empty list
			c.AllowedIPs = takePrefixes(lists, memberIn)
			c.DeniedIPs = takePrefixes(lists, memberNotIn)
			c.ipMembers = nonEmpty(lists)
			_, unread := lists[memberIn]
			c.shutsOut = listed && !unread && len(c.AllowedIPs) == 0
		}
	}
	c.members = nonEmpty(members)
	c.shutsOut = c.shutsOut || c.isEmpty()
	return nil
}

// takePrefixes removes a list of CIDRs from an object and returns it. A single address counts as a
// CIDR. If the list has anything else, it stays in the object.
func takePrefixes(object unknownjson.Members, name string) []netip.Prefix {
	var texts []string
	if json.Unmarshal(object[name], &texts) != nil && !isEmptyJSON(object[name]) {
		return nil
	}
	var prefixes []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil
		}
		prefixes = append(prefixes, prefix)
	}
	delete(object, name)
	return prefixes
}

// isEmptyJSON reports whether a value is missing or empty.
func isEmptyJSON(value json.RawMessage) bool {
	switch string(value) {
	case "", "null", "[]", "{}", `""`:
		return true
	}
	return false
}

func nonEmpty(members unknownjson.Members) unknownjson.Members {
	if len(members) == 0 {
		return nil
	}
	return members
}

// MarshalJSON encodes the condition as the API expects it, without empty members.
func (c TokenCondition) MarshalJSON() ([]byte, error) {
	addresses := map[string]any{}
	for name, value := range c.ipMembers {
		addresses[name] = value
	}
	if len(c.AllowedIPs) > 0 {
		addresses[memberIn] = c.AllowedIPs
	}
	if len(c.DeniedIPs) > 0 {
		addresses[memberNotIn] = c.DeniedIPs
	}
	condition := map[string]any{}
	for name, value := range c.members {
		condition[name] = value
	}
	if len(addresses) > 0 {
		condition[memberRequestIP] = addresses
	}
	return json.Marshal(condition)
}
