package cftunnel

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// canonicalPrefix returns a CIDR as the API stores it: without host bits, and IPv4-mapped CIDRs as
// IPv4.
func canonicalPrefix(argument string, prefix netip.Prefix) (netip.Prefix, error) {
	if !prefix.IsValid() {
		return netip.Prefix{}, invalid(argument, "is not a valid CIDR")
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 128-32 {
			return netip.Prefix{}, invalid(argument, "is IPv4-mapped and shorter than /96")
		}
		prefix = unmapped(prefix)
	}
	return prefix.Masked(), nil
}

// optionalPrefix returns the canonical CIDR for a query, or "" for the zero prefix.
func optionalPrefix(argument string, prefix netip.Prefix) (string, error) {
	if prefix == (netip.Prefix{}) {
		return "", nil
	}
	prefix, err := canonicalPrefix(argument, prefix)
	if err != nil {
		return "", err
	}
	return prefix.String(), nil
}

// canonicalAddr returns an address as the API expects it: IPv4-mapped addresses as IPv4.
func canonicalAddr(argument string, addr netip.Addr) (netip.Addr, error) {
	switch {
	case !addr.IsValid():
		return netip.Addr{}, invalid(argument, "is not a valid IP address")
	case addr.Zone() != "":
		return netip.Addr{}, invalid(argument, "has a zone, which the API does not support")
	}
	return addr.Unmap(), nil
}

// checkAddrText checks an address in a path.
func checkAddrText(text string) error {
	if _, err := netip.ParseAddr(text); err != nil {
		return errors.New("is not a valid IP address")
	}
	return nil
}

// parseNetwork parses the network of a route. Old routes may have a bare address, which is a
// network of one address.
func parseNetwork(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err == nil {
		return unmapped(prefix), nil
	}
	addr, addrErr := netip.ParseAddr(text)
	if addrErr != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("network: %w", err)
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

// unmapped returns an IPv4-mapped CIDR as IPv4, and any other unchanged.
func unmapped(prefix netip.Prefix) netip.Prefix {
	if prefix.Addr().Is4In6() && prefix.Bits() >= 128-32 {
		return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-(128-32))
	}
	return prefix
}

// networkResponse is the network of a route in a response.
type networkResponse netip.Prefix

// UnmarshalJSON decodes a CIDR or a bare address. Null and an empty text are no network.
func (n *networkResponse) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil || text == "" {
		return err
	}
	prefix, err := parseNetwork(text)
	*n = networkResponse(prefix)
	return err
}

// isNetwork compares a network with a canonical CIDR, without its host bits.
func isNetwork(n networkResponse, prefix netip.Prefix) bool {
	return netip.Prefix(n).Masked() == prefix
}
