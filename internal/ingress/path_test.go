package ingress_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

func TestCoversPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		outer  string // expressions, separated by spaces
		inner  string
		covers bool
	}{
		{`/api`, `/api`, true},
		{`/api`, `/api/v2`, true},
		{`/api/v2`, `/api`, false},
		{`/api`, `^/api/v2$`, true},
		{`^/api`, `/api`, false}, // /x/api
		{`^/api`, `^/api/v2`, true},
		{`^/api/`, `^/api`, false},
		{`^/api(/|$)`, `^/api/`, true},
		{`^/api(/|$)`, `^/api$`, true},
		{`^/api(/|$)`, `^/apis`, false},
		{`/`, ``, true},
		{`^/`, ``, true},
		{`.*`, ``, true},
		{`^/.*$`, ``, true},
		{`^.`, ``, true},
		{`^/.`, ``, false},
		{`/api`, ``, false},
		{`^$`, ``, false},
		{`.*`, `/api`, true},
		{`(?i)/API`, `/api`, true},
		{`/API`, `(?i)/api`, false},
		{`\.(jpg|png)$`, `\.png$`, true},
		{`\.(jpg|png)$`, `\.(png|gif)$`, false},
		{`\.png$`, `\.(png|gif)$`, false},
		{`[a-z]+`, `/[a-f]{2,3}$`, true},
		{`[a-f]`, `[a-z]`, false},
		{`\d`, `/v[0-9]+/`, true},
		{`\bapi\b`, `/api/`, true},
		{`\bapi\b`, `/api`, false},
		{`\Bpi`, `/api`, true},
		{`/api/`, `\bapi\b`, false},
		{`\p{L}`, `ü`, true},
		{`[^/]`, ``, false},
		{`a*`, `b`, true},
		{`x^`, `/`, false},
		{`/`, `x^`, true},
		{`/never`, `x^`, true}, // x^ matches nothing
		{`/a|/b`, `/b`, true},
		{`/a /b`, `/a|/b`, true},
		{`/a /b`, `/(a|b|c)`, false},
		{`^/x ^/[^x] ^/$`, ``, true},
		{`^/x ^/[^x]`, ``, false},
		{`^/x ^/[^x]`, `^/.`, true},
		{`^/a{0,3}$ ^/a{4,}$`, `^/a*$`, true},
		{`[`, `/a`, false},
		{`[ /`, `/a`, true},
		{`/a`, `[`, false},
		{``, `[`, true},
	} {
		got := ingress.CoversPath(strings.Split(test.outer, " "), test.inner)
		assert.Equal(t, test.covers, got, "%q covers %q", test.outer, test.inner)
	}
	assert.False(t, ingress.CoversPath(nil, ""))
	assert.True(t, ingress.CoversPath(nil, `x^`))
}

// The result must agree with a test of many paths. The expressions are so small that every
// difference between two of them shows in one of these paths.
func TestCoversPath_AgreesWithRegexp(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, path := range words("/ab", 5) {
		paths = append(paths, "/"+path)
	}
	random := rand.New(rand.NewPCG(1, 2))
	covered := 0
	for range 400 {
		inner := expression(random, 2)
		outer := []string{expression(random, 2)}
		if random.IntN(3) == 0 {
			outer = append(outer, expression(random, 2))
		}
		missed := counterexample(t, outer, inner, paths)
		got := ingress.CoversPath(outer, inner)
		require.Equal(t, missed == "", got, "%q covers %q; counterexample %q", outer, inner, missed)
		if got {
			covered++
		}
	}
	assert.Greater(t, covered, 50)
}

func counterexample(t *testing.T, outer []string, inner string, paths []string) string {
	t.Helper()
	innerRegexp, err := regexp.Compile(inner)
	require.NoError(t, err)
	union := regexp.MustCompile("(?:" + strings.Join(outer, ")|(?:") + ")")
	for _, path := range paths {
		if innerRegexp.MatchString(path) && !union.MatchString(path) {
			return path
		}
	}
	return ""
}

// words returns every word of at most n letters.
func words(letters string, n int) []string {
	all := []string{""}
	for begin := 0; n > 0; n-- {
		end := len(all)
		for _, word := range all[begin:end] {
			for _, letter := range letters {
				all = append(all, word+string(letter))
			}
		}
		begin = end
	}
	return all
}

// expression returns a random expression over the letters a, b and slash.
func expression(random *rand.Rand, depth int) string {
	if depth == 0 {
		leaves := []string{"a", "b", "/", "/a", "[ab]", "[^a]", ".", "^", "$", `\b`}
		return leaves[random.IntN(len(leaves))]
	}
	one := expression(random, depth-1)
	switch random.IntN(6) {
	case 0:
		return one + expression(random, depth-1)
	case 1:
		return "(" + one + "|" + expression(random, depth-1) + ")"
	case 2:
		return "(" + one + ")*"
	case 3:
		return "(" + one + ")?"
	case 4:
		return "^/" + one
	default:
		return one
	}
}

func TestCoversPath_GivesUp(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	const outer, inner = `^/(.*a.{30}|.*b.{31})$`, `^/(.*a.{30}|.*b.{31}|x)$`
	assert.False(t, ingress.CoversPath([]string{outer}, inner))
	assert.False(t, ingress.CoversPath([]string{`((a{100}){10})+b`}, `((a{100}){9})+b`))
	long := "/q" + strings.Repeat("x{1000}", 200)
	assert.False(t, ingress.CoversPath([]string{long}, `(a|b)*a(a|b){17}$`))
	assert.True(t, ingress.CoversPath([]string{"^/q"}, "^"+long))
	assert.False(t, ingress.CoversPath([]string{"^/q"}, "^"+strings.Repeat(long, 3))) // not compiled
	assert.Less(t, time.Since(begin), 10*time.Second)
}

func TestCoversPath_Performance(t *testing.T) {
	t.Parallel()
	var outer []string
	for _, word := range words("abcd", 3) {
		outer = append(outer, "/"+word+"-"+word)
	}
	assert.False(t, ingress.CoversPath(outer, "^/shop"))
}

func FuzzCoversPath(f *testing.F) {
	f.Add("/api", "/api/v2", "/api/v2/x")
	f.Add(`^/\w+$`, `(?i)^/[A-Z]`, "/ſ")
	f.Fuzz(func(t *testing.T, outer, inner, path string) {
		isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
		if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, isControl) {
			return
		}
		innerRegexp, innerErr := regexp.Compile(inner)
		outerRegexp, outerErr := regexp.Compile(outer)
		covers := ingress.CoversPath([]string{outer}, inner)
		if innerErr != nil || outerErr != nil {
			return
		}
		if covers && innerRegexp.MatchString(path) && !outerRegexp.MatchString(path) {
			t.Errorf("%q does not cover %q: %q", outer, inner, path)
		}
	})
}
