package ingress

import "sort"

// Match is the condition of a rule: the hostname and the path of the requests that it matches.
type Match struct {
	Hostname string // empty or * matches every host, *.example.com every subdomain
	Path     string // a regular expression; empty matches every path
}

// CatchAll reports whether m matches every request.
func (m Match) CatchAll() bool { return AnyHost(m.Hostname) && m.Path == "" }

// Same reports whether two rules have the same hostname and path.
func (m Match) Same(other Match) bool {
	return SameHostname(m.Hostname, other.Hostname) && m.Path == other.Path
}

// Place returns the index at which to insert a new rule into rules: that of the first rule which,
// together with the rules before it, matches all requests of the new rule. If there is none, Place
// returns len(rules).
//
// At this index the new rule gets requests, and every later rule that got requests before still
// gets some. The only exception is the rule now at the index, if it matches exactly the same
// requests as the new rule with a different path, such as .* instead of no path.
func Place(rules []Match, rule Match) int {
	place := len(rules)
	left := newBudget()
	var indexes []int // of the rules that match all hosts of the new one
	var paths []string
	for i, other := range rules {
		if !coversHost(other.Hostname, rule.Hostname) {
			continue
		}
		if left.coversPath([]string{other.Path}, rule.Path) {
			place = i
			break
		}
		indexes, paths = append(indexes, i), append(paths, other.Path)
	}
	together := sort.Search(len(paths), func(n int) bool {
		return left.coversPath(paths[:n+1], rule.Path)
	})
	if together < len(paths) {
		return indexes[together]
	}
	return place
}

// Reached reports whether rule can get requests if it is placed after the rules before.
func Reached(before []Match, rule Match) bool { return Place(before, rule) == len(before) }
