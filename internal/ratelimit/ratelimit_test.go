package ratelimit_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cftunnel/cftunnel-go/internal/ratelimit"
)

func header(limit, policy string) http.Header {
	h := http.Header{}
	if limit != "" {
		h.Set("Ratelimit", limit)
	}
	if policy != "" {
		h.Set("Ratelimit-Policy", policy)
	}
	return h
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limit, policy string
		want          []ratelimit.Limit
	}{
		"none": {},
		"as documented": {
			`"default";r=1199;t=1`, `"default";q=1200;w=300`,
			[]ratelimit.Limit{{Name: "default", Quota: 1200, Window: 5 * time.Minute, Remaining: 1199, Reset: time.Second}},
		},
		"nothing left": {
			`"default";r=0;t=300`, "",
			[]ratelimit.Limit{{Name: "default", Remaining: 0, Reset: 5 * time.Minute}},
		},
		"a policy alone": {
			"", `"default";q=1200;w=300`,
			[]ratelimit.Limit{{Name: "default", Quota: 1200, Window: 5 * time.Minute, Remaining: ratelimit.Unknown}},
		},
		"two, in another order": {
			`"hour";r=5, "default";r=7`, `"default";q=1200;w=300, "hour";q=10;w=3600`,
			[]ratelimit.Limit{
				{Name: "default", Quota: 1200, Window: 5 * time.Minute, Remaining: 7},
				{Name: "hour", Quota: 10, Window: time.Hour, Remaining: 5},
			},
		},
		"a token for a name":                   {`default;r=3`, "", []ratelimit.Limit{{Name: "default", Remaining: 3}}},
		"parameters that nobody knows":         {`"a";r=3;x="y";z`, "", []ratelimit.Limit{{Name: "a", Remaining: 3}}},
		"numbers that make no sense":           {`"a";r=-3;t=1.5`, `"a";q="x";w=-1`, []ratelimit.Limit{{Name: "a", Remaining: ratelimit.Unknown}}},
		"numbers beyond a duration":            {`"a";r=1;t=999999999999999`, "", []ratelimit.Limit{{Name: "a", Remaining: 1}}},
		"an inner list and a number for names": {`("a" "b");r=1, 5;r=2`, "", nil},
		"another draft's dictionary":           {`limit=100, remaining=50, reset=5`, `100;w=60`, nil},
		"malformed beside well formed": {
			`"default";r=`, `"default";q=1200;w=300`,
			[]ratelimit.Limit{{Name: "default", Quota: 1200, Window: 5 * time.Minute, Remaining: ratelimit.Unknown}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, ratelimit.Parse(header(test.limit, test.policy)))
		})
	}
}

func TestHeadersInSeveralLinesAreOneList(t *testing.T) {
	t.Parallel()
	got := ratelimit.Parse(http.Header{"Ratelimit": {`"a";r=1`, `"b";r=2`}})
	assert.Equal(t, []ratelimit.Limit{{Name: "a", Remaining: 1}, {Name: "b", Remaining: 2}}, got)
}

// FuzzParse: whatever the headers say, names are told once and no number is out of its range.
func FuzzParse(f *testing.F) {
	f.Add(`"default";r=1199;t=1`, `"default";q=1200;w=300`)
	f.Add(`"default";r=0;t=300, "burst";r=3`, `"default";q=1200;w=300;qu="requests", "burst";q=200;w=1;pk=:AAE=:`)
	f.Add(`limit=100, remaining=50, reset=5`, `100;w=60`)
	f.Add(`("a" "b");r=1`, `a;q=1.5;w=?1;x=@1;y=%"f%c3%bc"`)
	f.Fuzz(func(t *testing.T, limit, policy string) {
		seen := map[string]bool{}
		for _, l := range ratelimit.Parse(header(limit, policy)) {
			if seen[l.Name] {
				t.Fatalf("%q twice", l.Name)
			}
			seen[l.Name] = true
			if l.Quota < 0 || l.Window < 0 || l.Remaining < ratelimit.Unknown || l.Reset < 0 {
				t.Fatalf("%+v", l)
			}
			if !strings.Contains(limit, ";") && !strings.Contains(policy, ";") && (l.Quota > 0 || l.Remaining > 0) {
				t.Fatalf("%+v from nothing", l)
			}
		}
	})
}
