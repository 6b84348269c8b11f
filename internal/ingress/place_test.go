package ingress_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

// match parses a hostname and a path that are separated by a space.
func match(text string) ingress.Match {
	name, path, _ := strings.Cut(text, " ")
	return ingress.Match{Hostname: name, Path: path}
}

func matches(texts ...string) []ingress.Match {
	var list []ingress.Match
	for _, text := range texts {
		list = append(list, match(text))
	}
	return list
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		rules []string // without the catch-all, which is last
		rule  string
		place int
	}{
		{"no rules", nil, "a.example.com", 0},
		{"other hosts", []string{"b.example.com", "c.example.com"}, "a.example.com", 2},
		{"a host before its wildcard", []string{"b.example.com", "*.example.com"}, "a.example.com", 1},
		{"a host before the closest wildcard", []string{"*.a.example.com", "*.example.com"}, "b.a.example.com", 0},
		{"the apex after its wildcard", []string{"*.example.com"}, "example.com", 1},
		{"a wildcard after its hosts", []string{"a.example.com", "b.example.com"}, "*.example.com", 2},
		{"a wildcard before a wider one", []string{"a.b.example.com", "*.example.com"}, "*.b.example.com", 1},
		{"a wildcard after a narrower one", []string{"*.b.example.com"}, "*.example.com", 1},
		{"a path before its host", []string{"a.example.com"}, "a.example.com /api", 0},
		{"a host after its paths", []string{"a.example.com /api", "a.example.com /img"}, "a.example.com", 2},
		{"a host after paths of its wildcard", []string{"*.example.com /api", "*.example.com"}, "a.example.com", 1},
		{"a host after paths of every host", []string{" /healthz", "*.example.com"}, "a.example.com", 1},
		{"a path before its wildcard", []string{"*.example.com /img", "*.example.com"}, "a.example.com /api", 1},
		{"a path before the same path of a wildcard", []string{"*.example.com /api", "*.example.com"}, "a.example.com /api", 0},
		{"a path before the same path of every host", []string{"b.example.com", "* /api"}, "a.example.com /api", 1},
		{"a longer path before a shorter one", []string{"a.example.com /api", "a.example.com"}, "a.example.com /api/v2", 0},
		{"a shorter path after a longer one", []string{"a.example.com /api/v2", "a.example.com"}, "a.example.com /api", 1},
		{"an anchored path before one that is not", []string{"a.example.com /api"}, "a.example.com ^/api", 0},
		{"a path of a wildcard after paths of a host", []string{"a.example.com /api", "a.example.com"}, "*.example.com /api", 2},
		{"a path that two others match together", []string{"a.example.com ^/x", "a.example.com ^/[^x]", "b.example.com"}, "a.example.com ^/.", 1},
		{"upper case", []string{"*.Example.com"}, "a.example.com", 0},
		{"Unicode", []string{"*.bücher.example.com"}, "a.xn--bcher-kva.example.com", 0},
		{"a catch-all too early", []string{"", "b.example.com"}, "a.example.com", 0},
		{"a host that was hidden before", []string{"*.example.com", "a.example.com /api"}, "a.example.com", 0},
		// If the new rule and an old one match the same requests, the new one is placed first.
		{"no path and every path", []string{"a.example.com /api", "a.example.com .*"}, "a.example.com", 1},
		{"every path and no path", []string{"a.example.com"}, "a.example.com ^/", 0},
		// A path that does not compile matches nothing.
		{"a broken path", []string{"a.example.com ["}, "a.example.com", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rules := append(matches(test.rules...), ingress.Match{})
			assert.Equal(t, test.place, ingress.Place(rules, match(test.rule)))
			withoutCatchAll := ingress.Place(rules[:len(rules)-1], match(test.rule))
			assert.Equal(t, test.place, min(test.place, withoutCatchAll))
		})
	}
}

func TestReached(t *testing.T) {
	t.Parallel()
	assert.True(t, ingress.Reached(nil, match("a.example.com")))
	before := matches("a.example.com /api", "b.example.com")
	assert.True(t, ingress.Reached(before, match("a.example.com")))
	assert.False(t, ingress.Reached(matches("*.example.com"), match("a.example.com")))
	allPaths := matches("a.example.com ^/x", "a.example.com ^/[^x]", "a.example.com ^/$")
	assert.False(t, ingress.Reached(allPaths, match("a.example.com")))
}

func TestMatch(t *testing.T) {
	t.Parallel()
	assert.True(t, match("").CatchAll())
	assert.True(t, match("*").CatchAll())
	assert.False(t, match("* /api").CatchAll())
	assert.False(t, match("*.example.com").CatchAll())
	assert.True(t, match("A.example.com /Api").Same(match("a.example.com /Api")))
	assert.False(t, match("a.example.com /Api").Same(match("a.example.com /api")))
	assert.False(t, match("a.example.com").Same(match("*.example.com")))
}

// servingRule returns the index of the rule that serves a request in cloudflared, by an independent
// implementation. fits says which expressions match which paths.
func servingRule(rules []ingress.Match, fits map[[2]string]bool, host, path string) int {
	return slices.IndexFunc(rules, func(rule ingress.Match) bool {
		suffix, isWildcard := strings.CutPrefix(rule.Hostname, "*")
		hostFits := rule.Hostname == "" || rule.Hostname == host ||
			isWildcard && strings.HasSuffix(host, suffix)
		return hostFits && fits[[2]string{rule.Path, path}]
	})
}

// Among random rules, the new rule gets requests, and no old rule loses all of its requests.
func TestPlace_ReachedAndHidesNothing(t *testing.T) {
	t.Parallel()
	hosts := []string{
		"x.test", "a.x.test", "b.x.test", "a.a.x.test", "b.a.x.test", "c.b.a.x.test",
		"y.test", "a.y.test", "b.y.test", "c.x.test", "c.a.x.test",
	}
	requestPaths := []string{"/c/ab", "/c/ba"}
	for _, word := range words("/abc", 3) {
		requestPaths = append(requestPaths, "/"+word)
	}
	names := []string{
		"", "*", "*.x.test", "*.a.x.test", "*.b.a.x.test", "*.y.test",
		"x.test", "a.x.test", "b.x.test", "a.a.x.test", "b.a.x.test", "a.y.test",
	}
	paths := []string{
		"", "", "", "/", ".*", "/a", "/b", "^/a", "^/a$", "/ab", "^/a/", "^/(a|b)", "^/[^a]", "b$",
		"^/$", "[ab]", "^/.", "a",
	}
	fits := map[[2]string]bool{}
	for _, expression := range paths {
		for _, path := range requestPaths {
			fits[[2]string{expression, path}] = regexp.MustCompile(expression).MatchString(path)
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	conflicts := 0
	for range 400 {
		var rules []ingress.Match
		for range random.IntN(7) {
			rule := ingress.Match{
				Hostname: names[random.IntN(len(names))], Path: paths[random.IntN(len(paths))],
			}
			if !rule.CatchAll() {
				rules = append(rules, rule)
			}
		}
		rules = append(rules, ingress.Match{})
		rule := ingress.Match{
			Hostname: names[2+random.IntN(len(names)-2)], Path: paths[random.IntN(len(paths))],
		}
		if slices.ContainsFunc(rules, rule.Same) {
			continue
		}
		place := ingress.Place(rules, rule)
		described := fmt.Sprintf("%q into %q at %d", rule, rules, place)
		require.Less(t, place, len(rules), described)
		changed := slices.Insert(slices.Clone(rules), place, rule)

		before, after := make([]int, len(rules)), make([]int, len(changed))
		for _, host := range hosts {
			for _, path := range requestPaths {
				before[servingRule(rules, fits, host, path)]++
				after[servingRule(changed, fits, host, path)]++
			}
		}
		require.NotZero(t, after[place], "%s: it is not reached", described)
		for i := range rules {
			moved := i
			if i >= place {
				moved++
			}
			if before[i] == 0 || after[moved] > 0 {
				continue
			}
			// The only exception: both rules match the same requests.
			conflicts++
			require.Equal(t, place, i, "%s: rule %d is hidden", described, i)
			require.Equal(t, before[i], after[place], "%s: rule %d is hidden", described, i)
		}
	}
	assert.Less(t, conflicts, 40)
}

func TestPlace_ManyRules(t *testing.T) {
	t.Parallel()
	var rules []ingress.Match
	for i := range 1000 {
		rules = append(rules, ingress.Match{
			Hostname: "a.example.com", Path: fmt.Sprintf("^/service-%03d/", i),
		})
	}
	begin := time.Now()
	rule := ingress.Match{Hostname: "a.example.com", Path: "^/shop/"}
	assert.Equal(t, 1000, ingress.Place(rules, rule))
	assert.Less(t, time.Since(begin), 20*time.Second)
}

// All comparisons of a Place share one limit.
func TestPlace_ManyComplexRules(t *testing.T) {
	t.Parallel()
	var rules []ingress.Match
	for i := range 1000 {
		path := fmt.Sprintf("q%d", i) + strings.Repeat("x{1000}", 100)
		rules = append(rules, ingress.Match{Hostname: "a.example.com", Path: path})
	}
	begin := time.Now()
	rule := ingress.Match{Hostname: "a.example.com", Path: `(a|b)*a(a|b){17}$`}
	assert.Equal(t, 1000, ingress.Place(rules, rule))
	assert.Less(t, time.Since(begin), 20*time.Second)
}
