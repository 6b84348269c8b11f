package cftunnel

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// Validate checks a configuration by the rules of the API and of cloudflared. It returns an
// [*InvalidArgumentError] that names the field, what is wrong, and what to write instead.
//
// UpdateConfiguration calls Validate before it sends a request. ModifyConfiguration checks only
// what modify changed.
func (c TunnelConfig) Validate() error {
	if list := c.problems(); len(list) > 0 {
		return list[0].err()
	}
	return nil
}

// validateChange is like Validate, but ignores the problems that before has too.
func (c TunnelConfig) validateChange(before TunnelConfig) error {
	old := map[problem]bool{}
	for _, p := range before.problems() {
		old[p.anywhere()] = true
	}
	for _, p := range c.problems() {
		if !old[p.anywhere()] {
			return p.err()
		}
	}
	return nil
}

// problem is a reason why the API refuses a configuration.
type problem struct {
	place  string // such as Ingress[0], empty if it is not in a rule
	field  string // in place, such as Service
	value  string // the refused value, never shown
	reason string
}

func (p problem) err() error {
	return invalid(strings.Trim(p.place+"."+p.field, "."), "%s", p.reason)
}

// anywhere returns the problem without the index of the rule, because a change can move rules.
func (p problem) anywhere() problem {
	if p.place != "" {
		p.place = "a rule"
	}
	return p
}

func (c TunnelConfig) problems() []problem {
	var found problemList
	if len(c.Ingress) == 0 {
		found.add("Ingress", "", "has no rules: add at least one that matches every request, "+
			`such as one whose Service is "http_status:404", without Hostname and Path`)
	}
	isBastion := c.OriginRequest.isBastion(false)
	for i, rule := range c.Ingress {
		found.place = fmt.Sprintf("Ingress[%d]", i)
		found.addRule(rule, rule.OriginRequest.isBastion(isBastion))
		found.addPosition(rule, i == len(c.Ingress)-1)
	}
	found.place = ""
	found.addOrigin(c.OriginRequest)
	if w := c.WARPRouting; w != nil {
		found.checkNotNegative("WARPRouting.ConnectTimeout", w.ConnectTimeout)
		found.checkNotNegative("WARPRouting.MaxActiveFlows", w.MaxActiveFlows)
	}
	return found.list
}

// problemList collects the problems at place.
type problemList struct {
	place string
	list  []problem
}

// add adds a problem. It does nothing if reason is empty.
func (l *problemList) add(field, value, reason string) {
	if reason != "" {
		l.list = append(l.list, problem{l.place, field, value, reason})
	}
}

func (l *problemList) addRule(r IngressRule, isBastion bool) {
	l.add("Service", r.Service, serviceProblem(r.Service, isBastion))
	if r.Service == "socks-proxy" && r.OriginRequest != nil {
		for i, rule := range r.OriginRequest.IPRules {
			l.addIPRule(fmt.Sprintf("OriginRequest.IPRules[%d]", i), rule)
		}
	}
	l.addOrigin(r.OriginRequest)
	l.add("Hostname", r.Hostname, hostnameProblem(r.Hostname))
	l.add("Path", r.Path, pathProblem(r.Path))
}

func (l *problemList) addPosition(r IngressRule, isLast bool) {
	const notCatchAll = "is set, but the last rule must match every request: leave it empty, or " +
		`add a rule after this one, such as one whose Service is "http_status:404"`
	everyHost := r.Hostname == "" || r.Hostname == "*"
	value := r.Hostname + " " + r.Path + " " + r.Service
	switch {
	case isLast && !everyHost:
		l.add("Hostname", value, notCatchAll)
	case isLast && r.Path != "":
		l.add("Path", value, notCatchAll)
	case !isLast && everyHost && r.Path == "":
		l.add("", value, "matches every request, so the rules after it are never used: "+
			"give it a Hostname or a Path, or move it to the end")
	}
}

func (l *problemList) addOrigin(o *OriginRequest) {
	if o == nil {
		return
	}
	l.checkNotNegative("OriginRequest.ConnectTimeout", o.ConnectTimeout)
	l.checkNotNegative("OriginRequest.ProxyPort", o.ProxyPort)
	if a := o.Access; a != nil && a.Required && len(a.AUDTag) > 0 && a.TeamName == "" {
		l.add("OriginRequest.Access.TeamName", fmt.Sprintf("%q", a.AUDTag),
			"is empty, but Required and AUDTag are set: write the team's name, "+
				"as in its domain TeamName.cloudflareaccess.com")
	}
}

func (l *problemList) addIPRule(field string, r IPRule) {
	if _, _, err := net.ParseCIDR(r.Prefix); err != nil {
		l.add(field+".Prefix", r.Prefix, "is not a CIDR: write one such as 192.0.2.0/24")
	}
	for i, port := range r.Ports {
		if port < 1 || port > 65535 {
			l.add(fmt.Sprintf("%s.Ports[%d]", field, i), strconv.Itoa(port),
				"is not a port: write a number from 1 to 65535")
		}
	}
}

func (l *problemList) checkNotNegative(field string, n *int) {
	if n != nil && *n < 0 {
		l.add(field, strconv.Itoa(*n),
			"is negative: write 0 or more, or leave it nil for cloudflared's default")
	}
}

// isBastion returns BastionMode, or inherited if o does not set it.
func (o *OriginRequest) isBastion(inherited bool) bool {
	if o == nil || o.BastionMode == nil {
		return inherited
	}
	return *o.BastionMode
}

// cloudflaredServices are the services that cloudflared itself implements.
var cloudflaredServices = []string{"hello_world", "hello-world", "bastion", "socks-proxy"}

func serviceProblem(service string, isBastion bool) string {
	status, isStatus := strings.CutPrefix(service, "http_status:")
	switch {
	case isBastion, slices.Contains(cloudflaredServices, service),
		strings.HasPrefix(service, "unix:"), strings.HasPrefix(service, "unix+tls:"):
		return ""
	case isStatus:
		if n, err := strconv.ParseUint(status, 10, 16); err != nil || n < 100 || n > 999 {
			return "is http_status without a status from 100 to 999: " +
				"write a status, such as http_status:404"
		}
		return ""
	case service == "":
		return "is empty: write a URL such as http://localhost:8080, or http_status:404"
	case service == "helloworld":
		return "is not a service of cloudflared: write hello_world"
	}
	u, err := url.Parse(service)
	switch {
	case err != nil, u.Scheme == "", u.Hostname() == "":
		return "is not a URL with a scheme and a host: " +
			"write one such as http://localhost:8080 or ssh://localhost:22"
	case u.Path != "":
		return "has a path, which cloudflared cannot add to a request: " +
			"write only scheme, host and port, such as http://localhost:8080"
	}
	return ""
}

func hostnameProblem(hostname string) string {
	if _, _, err := net.SplitHostPort(hostname); err == nil {
		return "has a port: write the name alone, such as app.example.com"
	}
	if strings.LastIndexByte(hostname, '*') > 0 {
		return "has a * that is not its first character: write a name such as *.example.com"
	}
	return ""
}

func pathProblem(path string) string {
	// Unlike regexp.Compile, this takes little time and memory for a path such as x{1000}.
	_, err := syntax.Parse(path, syntax.Perl)
	if err == nil {
		return ""
	}
	what := "is not a regular expression"
	if syntaxErr, ok := errors.AsType[*syntax.Error](err); ok {
		what += " (" + syntaxErr.Code.String() + ")"
	}
	return what + ": write one in RE2 syntax, such as ^/api/, " +
		`with \ before a special character that is meant literally`
}
