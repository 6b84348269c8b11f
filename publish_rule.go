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

// setRule changes a configuration so that it has the rule that is to be published, at a place where
// it is reached. All other rules stay, in their order.
func (p *PublishParams) setRule(config *TunnelConfig, hostname string) {
	wanted := ingress.Match{Hostname: hostname, Path: p.Path}
	rules := slices.Clone(config.Ingress)
	rule := IngressRule{Path: p.Path}
	place := -1
	isWanted := func(r IngressRule) bool { return r.match().Same(wanted) }
	if i := slices.IndexFunc(rules, isWanted); i >= 0 {
		rule = rules[i]
		if ingress.Reached(matchesOf(rules[:i]), wanted) {
			place = i
		}
		rules = slices.Delete(rules, i, i+1)
	}
	if place < 0 {
		place = ingress.Place(matchesOf(rules), wanted)
	}
	rule.Hostname, rule.Service = hostname, p.Service
	if p.OriginRequest != nil {
		rule.OriginRequest = p.OriginRequest
	}
	config.Ingress = withCatchAll(slices.Insert(rules, place, rule))
}

// removeRules takes the rules of a hostname out of a configuration, those of every path.
func removeRules(config *TunnelConfig, hostname string) {
	rules := slices.DeleteFunc(slices.Clone(config.Ingress), isRuleOf(hostname))
	config.Ingress = withCatchAll(rules)
}

func isRuleOf(hostname string) func(IngressRule) bool {
	return func(r IngressRule) bool {
		return !ingress.AnyHost(r.Hostname) && ingress.SameHostname(r.Hostname, hostname)
	}
}

// withCatchAll adds a catch-all rule if the last rule is not one. The API refuses rules without it.
func withCatchAll(rules []IngressRule) []IngressRule {
	if n := len(rules); n > 0 && rules[n-1].match().CatchAll() {
		return rules
	}
	return append(rules, catchAllRule())
}
