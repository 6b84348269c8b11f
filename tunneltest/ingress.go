package tunneltest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// remoteConfig is what cloudflared's rules are about in a configuration. The types of other members
// are not checked, so that tests can store what a client cannot decode.
type remoteConfig struct {
	Ingress       []ingressRule   `json:"ingress"`
	OriginRequest originRequest   `json:"originRequest"`
	WARPRouting   json.RawMessage `json:"warp-routing"`
}

type ingressRule struct {
	Hostname, Path, Service string
	OriginRequest           originRequest `json:"originRequest"`
}

// originRequest holds undecoded members, because those of another type are ignored.
type originRequest map[string]json.RawMessage

// UnmarshalJSON ignores what is not an object.
func (o *originRequest) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(data, &members)
	*o = members
	return nil
}

// refusal returns why the API refuses the configuration, in words like cloudflared's, or nothing.
func (c remoteConfig) refusal() string {
	if len(c.Ingress) == 0 {
		return "The configuration has no ingress rules"
	}
	if reason := c.OriginRequest.refusal(); reason != "" {
		return reason
	}
	for i, rule := range c.Ingress {
		reason := rule.refusal(member[bool](c.OriginRequest, "bastionMode"), i == len(c.Ingress)-1)
		if reason != "" {
			return fmt.Sprintf("Ingress rule #%d: %s", i+1, reason)
		}
	}
	var routing originRequest
	_ = json.Unmarshal(c.WARPRouting, &routing)
	return routing.refusal()
}

func (r ingressRule) refusal(isBastion, isLast bool) string {
	if r.OriginRequest["bastionMode"] != nil {
		isBastion = member[bool](r.OriginRequest, "bastionMode")
	}
	if reason := serviceRefusal(r.Service, isBastion); reason != "" {
		return reason
	}
	if r.Service == "socks-proxy" {
		if reason := r.OriginRequest.ipRefusal(); reason != "" {
			return reason
		}
	}
	if reason := r.OriginRequest.refusal(); reason != "" {
		return reason
	}
	if _, _, err := net.SplitHostPort(r.Hostname); err == nil {
		return "the hostname contains a port"
	}
	if len(r.Hostname) > 1 && strings.Contains(r.Hostname[1:], "*") {
		return `the hostname has a wildcard that is not its first character, as in "*.example.com"`
	}
	matchesAll := (r.Hostname == "" || r.Hostname == "*") && r.Path == ""
	switch {
	case isLast && !matchesAll:
		return "the last rule must match all requests: it cannot have a hostname or a path"
	case !isLast && matchesAll:
		return "it matches all requests, so the rules after it are never reached"
	}
	if _, err := regexp.Compile(r.Path); err != nil {
		return "the path is an invalid regex: " + err.Error()
	}
	return ""
}

func serviceRefusal(service string, isBastion bool) string {
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

// refusal is about the members that an originRequest and warp-routing have.
func (o originRequest) refusal() string {
	var seconds int
	if json.Unmarshal(o["connectTimeout"], &seconds) != nil {
		d, _ := time.ParseDuration(member[string](o, "connectTimeout"))
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
	access := member[originRequest](o, "access")
	hasTags, team := len(member[[]string](access, "audTag")) > 0, member[string](access, "teamName")
	if member[bool](access, "required") && hasTags && team == "" {
		return "access.teamName cannot be blank if access.required and access.audTag are set"
	}
	return ""
}

func (o originRequest) ipRefusal() string {
	for _, rule := range member[[]originRequest](o, "ipRules") {
		if _, err := netip.ParsePrefix(member[string](rule, "prefix")); err != nil {
			return "unable to create the IP rule: its prefix is not a CIDR"
		}
		for _, port := range member[[]int](rule, "ports") {
			if port < 1 || port > 65535 {
				return fmt.Sprintf("unable to create the IP rule: %d is not a port", port)
			}
		}
	}
	return ""
}

// member decodes a member. It returns the zero value if there is none of this type.
func member[T any](object originRequest, name string) T {
	var value, zero T
	if json.Unmarshal(object[name], &value) != nil {
		return zero
	}
	return value
}

// tidied returns a configuration as the API stores it: without a warp-routing that is off, and
// without empty hostnames and paths. One that needs no tidying stays as it was sent, byte for byte.
func tidied(config json.RawMessage) json.RawMessage {
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

// isOff reports whether a warp-routing is null, empty or disabled.
func isOff(routing json.RawMessage) bool {
	var members map[string]json.RawMessage
	isObject := json.Unmarshal(routing, &members) == nil
	return isObject && (len(members) == 0 || string(members["enabled"]) == "false")
}
