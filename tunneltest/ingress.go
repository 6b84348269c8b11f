package tunneltest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp/syntax"
	"strconv"
	"strings"
	"time"
)

// remoteConfig has the members of a configuration that cloudflared validates. The types of other
// members are not checked, so that tests can store values that a client cannot decode.
type remoteConfig struct {
	Ingress       []ingressRule   `json:"ingress"`
	OriginRequest originRequest   `json:"originRequest"`
	WARPRouting   json.RawMessage `json:"warp-routing"`
}

type ingressRule struct {
	Hostname, Path, Service string
	OriginRequest           originRequest `json:"originRequest"`
}

// originRequest has undecoded members, because members of an unexpected type are ignored.
type originRequest map[string]json.RawMessage

// UnmarshalJSON ignores values that are not objects.
func (o *originRequest) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(data, &members)
	*o = members
	return nil
}

// invalidReason returns why the API refuses the configuration, or "". The texts are similar to
// those of cloudflared.
func (c remoteConfig) invalidReason() string {
	if len(c.Ingress) == 0 {
		return "The configuration has no ingress rules"
	}
	if reason := c.OriginRequest.invalidReason(); reason != "" {
		return reason
	}
	for i, rule := range c.Ingress {
		isBastion := decodeMember[bool](c.OriginRequest, "bastionMode")
		if reason := rule.invalidReason(isBastion, i == len(c.Ingress)-1); reason != "" {
			return fmt.Sprintf("Ingress rule #%d: %s", i+1, reason)
		}
	}
	var routing originRequest
	_ = json.Unmarshal(c.WARPRouting, &routing)
	return routing.invalidReason()
}

func (r ingressRule) invalidReason(isBastion, isLast bool) string {
	if r.OriginRequest["bastionMode"] != nil {
		isBastion = decodeMember[bool](r.OriginRequest, "bastionMode")
	}
	if reason := invalidServiceReason(r.Service, isBastion); reason != "" {
		return reason
	}
	if r.Service == "socks-proxy" {
		if reason := r.OriginRequest.invalidIPRuleReason(); reason != "" {
			return reason
		}
	}
	if reason := r.OriginRequest.invalidReason(); reason != "" {
		return reason
	}
	if _, _, err := net.SplitHostPort(r.Hostname); err == nil {
		return "the hostname contains a port"
	}
	if len(r.Hostname) > 1 && strings.Contains(r.Hostname[1:], "*") {
		return `a wildcard must be the first character of the hostname, as in "*.example.com"`
	}
	matchesAll := (r.Hostname == "" || r.Hostname == "*") && r.Path == ""
	switch {
	case isLast && !matchesAll:
		return "the last rule must match all requests: it cannot have a hostname or a path"
	case !isLast && matchesAll:
		return "the rule matches all requests, so the rules after it never apply"
	}
	if _, err := syntax.Parse(r.Path, syntax.Perl); err != nil {
		return "the path is an invalid regex: " + err.Error()
	}
	return ""
}

func invalidServiceReason(service string, isBastion bool) string {
	kind, rest, _ := strings.Cut(service, ":")
	switch {
	case isBastion:
		return ""
	case kind == "http_status":
		if n, err := strconv.ParseUint(rest, 10, 32); err != nil || n < 100 || n > 999 {
			return "invalid HTTP status code " + strconv.Quote(rest)
		}
		return ""
	case strings.HasPrefix(service, "unix:"), strings.HasPrefix(service, "unix+tls:"):
		return ""
	}
	switch service {
	case "hello_world", "hello-world", "bastion", "socks-proxy":
		return ""
	}
	u, err := url.Parse(service)
	switch {
	case err != nil:
		return "invalid service: " + err.Error()
	case u.Scheme == "" || u.Hostname() == "":
		return service + " is an invalid address: it needs a scheme and a hostname"
	case u.Path != "":
		return service + " is an invalid address: a service cannot have a path"
	}
	return ""
}

// invalidReason checks the members that originRequest and warp-routing have in common.
func (o originRequest) invalidReason() string {
	var seconds int
	if json.Unmarshal(o["connectTimeout"], &seconds) != nil {
		d, _ := time.ParseDuration(decodeMember[string](o, "connectTimeout"))
		seconds = int(d.Seconds())
	}
	if seconds < 0 {
		return "connectTimeout cannot be negative"
	}
	for _, name := range []string{"proxyPort", "maxActiveFlows"} {
		if strings.HasPrefix(string(o[name]), "-") {
			return name + " cannot be negative"
		}
	}
	access := decodeMember[originRequest](o, "access")
	hasTags := len(decodeMember[[]string](access, "audTag")) > 0
	team := decodeMember[string](access, "teamName")
	if decodeMember[bool](access, "required") && hasTags && team == "" {
		return "access.teamName cannot be blank if access.required and access.audTag are set"
	}
	return ""
}

func (o originRequest) invalidIPRuleReason() string {
	for _, rule := range decodeMember[[]originRequest](o, "ipRules") {
		if _, err := netip.ParsePrefix(decodeMember[string](rule, "prefix")); err != nil {
			return "unable to create the IP rule: its prefix is not a CIDR"
		}
		for _, port := range decodeMember[[]int](rule, "ports") {
			if port < 1 || port > 65535 {
				return fmt.Sprintf("unable to create the IP rule: %d is not a port", port)
			}
		}
	}
	return ""
}

// decodeMember decodes a member of an object. It returns the zero value if the member is missing or
// has another type.
func decodeMember[T any](object originRequest, name string) T {
	var value, zero T
	if json.Unmarshal(object[name], &value) != nil {
		return zero
	}
	return value
}

// normalizedConfig returns a configuration as the API stores it. It removes warp-routing if that is
// disabled, and empty hostnames and paths. If there is nothing to remove, the bytes are unchanged.
func normalizedConfig(config json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(config, &members) != nil {
		return config
	}
	changed := false
	if routing, ok := members["warp-routing"]; ok && isOff(routing) {
		delete(members, "warp-routing")
		changed = true
	}
	var rules []map[string]json.RawMessage
	_ = json.Unmarshal(members["ingress"], &rules)
	for _, rule := range rules {
		for _, name := range []string{"hostname", "path"} {
			if raw := string(rule[name]); raw == `""` || raw == "null" {
				delete(rule, name)
				changed = true
			}
		}
	}
	if !changed {
		return config
	}
	members["ingress"], _ = json.Marshal(rules)
	config, _ = json.Marshal(members)
	return config
}

// isOff reports whether warp-routing is null, empty or disabled.
func isOff(routing json.RawMessage) bool {
	var members map[string]json.RawMessage
	isObject := json.Unmarshal(routing, &members) == nil
	return isObject && (len(members) == 0 || string(members["enabled"]) == "false")
}
