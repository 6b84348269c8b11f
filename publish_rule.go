package cftunnel

import (
	"slices"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

func catchAllRule() IngressRule { return IngressRule{Service: "http_status:404"} }

func (r IngressRule) match() ingress.Match {
	return ingress.Match{Hostname: r.Hostname, Path: r.Path}
}

func matchesOf(rules []IngressRule) []ingress.Match {
	matches := make([]ingress.Match, len(rules))
	for i, rule := range rules {
		matches[i] = rule.match()
	}
	return matches
}

// setRule adds or changes the rule to publish, at a position at which it gets requests. All other
// rules keep their order.
func (p *PublishParams) setRule(config *TunnelConfig, hostname string) {
	wanted := ingress.Match{Hostname: hostname, Path: p.Path}
	rules := slices.Clone(config.Ingress)
	rule := IngressRule{Path: p.Path}
	position := -1
	isWanted := func(r IngressRule) bool { return r.match().Same(wanted) }
	if i := slices.IndexFunc(rules, isWanted); i >= 0 {
		rule = rules[i]
		if ingress.Reached(matchesOf(rules[:i]), wanted) {
			position = i
		}
		rules = slices.Delete(rules, i, i+1)
	}
	if position < 0 {
		position = ingress.Place(matchesOf(rules), wanted)
	}
	rule.Hostname, rule.Service = hostname, p.Service
	if p.OriginRequest != nil {
		rule.OriginRequest = p.OriginRequest
	}
	config.Ingress = withCatchAll(slices.Insert(rules, position, rule))
}

// removeRules removes the rules of a hostname from a configuration, whatever their path.
func removeRules(config *TunnelConfig, hostname string) {
	rules := slices.DeleteFunc(slices.Clone(config.Ingress), isRuleOf(hostname))
	config.Ingress = withCatchAll(rules)
}

// isRuleOf returns a function that reports whether a rule is for the hostname.
func isRuleOf(hostname string) func(IngressRule) bool {
	return func(r IngressRule) bool {
		return !ingress.AnyHost(r.Hostname) && ingress.SameHostname(r.Hostname, hostname)
	}
}

// withCatchAll adds a catch-all rule if the last rule is not one. The API refuses rules without a
// catch-all rule.
func withCatchAll(rules []IngressRule) []IngressRule {
	if n := len(rules); n > 0 && rules[n-1].match().CatchAll() {
		return rules
	}
	return append(rules, catchAllRule())
}
