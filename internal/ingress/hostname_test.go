package ingress_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/ingress"
)

func TestCheckHostname(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"app.example.com", "example.com", "*.example.com", "*.a.example.com", "App.Example.COM", "app.example.com.",
		"xn--bcher-kva.example.com", "_x.example.com", "1.example.com", "a-b.example.com",
		strings.Repeat("a", 63) + ".example.com",
	} {
		assert.NoError(t, ingress.CheckHostname(name), name)
	}
	for name, reason := range map[string]string{
		"":                                       "empty",
		".":                                      "empty",
		"*":                                      "has a *",
		"*.":                                     "has a *",
		"*.com":                                  "no domain",
		"localhost":                              "no domain",
		"bücher.example.com":                     "Punycode",
		"\xff.example.com":                       "Punycode",
		"https://app.example.com":                "slash",
		"app.example.com/":                       "slash",
		"app.example.com:443":                    "colon",
		"a.*.example.com":                        "has a *",
		"*a.example.com":                         "has a *",
		"a*.example.com":                         "has a *",
		"*.*.example.com":                        "has a *",
		"a..example.com":                         "empty label",
		".example.com":                           "empty label",
		"*..example.com":                         "empty label",
		"app.example.com..":                      "empty label",
		"-a.example.com":                         "hyphen",
		"a-.example.com":                         "hyphen",
		"a b.example.com":                        "characters other than",
		"a?.example.com":                         "characters other than",
		"a\x00.example.com":                      "characters other than",
		strings.Repeat("a", 64) + ".example.com": "63",
		strings.Repeat("abc.", 64) + "com":       "253",
	} {
		require.ErrorContains(t, ingress.CheckHostname(name), reason, "%q", name)
	}
}

// Names in other scripts than Latin are samples of RFC 3492, section 7.1.
func TestASCII(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                          "",
		"*":                         "*",
		"App.Example.COM.":          "app.example.com",
		"bücher.example.com":        "xn--bcher-kva.example.com",
		"BÜCHER.Example.com":        "xn--bcher-kva.example.com",
		"*.bücher.example.com":      "*.xn--bcher-kva.example.com",
		"xn--bcher-kva.example.com": "xn--bcher-kva.example.com",
		"他们为什么不说中文":                 "xn--ihqwcrb4cv8a8dqg056pqjye",
		"почемужеонинеговорятпорусски":   "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l",
		"ليهمابتكلموشعربي؟":              "xn--egbpdaj6bu4bxfgehfvwxn",
		"安室奈美恵-with-super-monkeys":       "xn---with-super-monkeys-pc58ag80a8qai00g7n9n",
		"😀.example.com":                  "xn--e28h.example.com",           // outside the Basic Multilingual Plane
		strings.Repeat("ü", 64) + ".com": strings.Repeat("ü", 64) + ".com", // too long for DNS
	} {
		assert.Equal(t, want, ingress.ASCII(name), name)
	}
	assert.True(t, ingress.SameHostname("bücher.example.com", "XN--BCHER-KVA.example.com."))
	assert.False(t, ingress.SameHostname("a.example.com", "b.example.com"))
}

func TestCoversHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		outer, inner string
		covers       bool
	}{
		{"", "", true},
		{"", "*", true},
		{"*", "", true},
		{"*", "a.example.com", true},
		{"", "*.example.com", true},
		{"a.example.com", "", false},
		{"*.example.com", "*", false},
		{"a.example.com", "A.Example.com.", true},
		{"a.example.com", "b.example.com", false},
		{"a.example.com", "*.example.com", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "*.b.example.com", true},
		{"*.example.com", "*.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "aexample.com", false},
		{"*.b.example.com", "*.example.com", false},
		{"*.b.example.com", "a.example.com", false},
		{"*b.example.com", "ab.example.com", false}, // matches no host
		{"*.bücher.example.com", "a.xn--bcher-kva.example.com", true},
		{"*.xn--bcher-kva.example.com", "a.bücher.example.com", true},
	} {
		got := ingress.CoversHost(test.outer, test.inner)
		assert.Equal(t, test.covers, got, "%q covers %q", test.outer, test.inner)
	}
}

func TestDomains(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"example.com":             {"example.com"},
		"a.b.Example.com.":        {"a.b.example.com", "b.example.com", "example.com"},
		"*.b.example.com":         {"b.example.com", "example.com"},
		"bücher.example.com":      {"xn--bcher-kva.example.com", "example.com"},
		"localhost":               nil,
		strings.Repeat("a.", 130): nil, // too long for DNS
		"*":                       nil,
		"":                        nil,
	} {
		assert.Equal(t, want, slices.Collect(ingress.Domains(name)), name)
	}
	for domain := range ingress.Domains("a.b.example.com") {
		assert.Equal(t, "a.b.example.com", domain)
		break
	}
}
