package ingress

import "sort"

// Match is what a rule matches: the requests of a hostname whose path matches a regular expression.
type Match struct {
	Hostname string // empty or * for every host; *.example.com for every subdomain
	Path     string // empty for every path
}

// CatchAll reports whether m matches every request.
func (m Match) CatchAll() bool { return AnyHost(m.Hostname) && m.Path == "" }

// Same reports whether two rules have the same hostname and path.
func (m Match) Same(other Match) bool {
	return SameHostname(m.Hostname, other.Hostname) && m.Path == other.Path
}

// Place returns the index in rules before which a new rule goes: the first of those that, with the
// ones before it, match all of its requests, or len(rules).
//
// There the new rule gets requests. It takes all requests of no rule after it, unless these had
// none before. The one exception is the rule at the index itself, if it gets the very same requests
// by another path, such as / or .* instead of none.
func Place(rules []Match, rule Match) int {
	place := len(rules)
	var indexes []int // of the rules that match all hosts of the new one
	var paths []string
	for i, other := range rules {
		if !coversHost(other.Hostname, rule.Hostname) {
			continue
		}
		if coversPath([]string{other.Path}, rule.Path) {
			place = i
			break
		}
		indexes, paths = append(indexes, i), append(paths, other.Path)
	}
	together := sort.Search(len(paths), func(n int) bool {
		return coversPath(paths[:n+1], rule.Path)
	})
	if together < len(paths) {
		return indexes[together]
	}
	return place
}

// Reached reports whether a rule after others can get requests.
func Reached(before []Match, rule Match) bool { return Place(before, rule) == len(before) }
