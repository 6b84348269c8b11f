// Package ingress compares ingress rules by the requests that they match in cloudflared.
package ingress

import (
	"errors"
	"iter"
	"strings"
	"unicode/utf8"
)

const (
	maxName  = 253
	maxLabel = 63
	wildcard = "*."
)

// CheckHostname returns an error if a hostname cannot be published. A wildcard such as
// *.example.com is allowed, and so are upper case and one final dot, which [ASCII] removes.
func CheckHostname(name string) error {
	name = strings.TrimSuffix(name, ".")
	rest := strings.TrimPrefix(name, wildcard)
	switch {
	case name == "":
		return errors.New("is empty")
	case !isASCII(name):
		return errors.New("is not ASCII; use Punycode, such as xn--bcher-kva.example.com")
	case strings.Contains(name, "/"):
		return errors.New("is not a bare hostname: it has a slash")
	case strings.Contains(name, ":"):
		return errors.New("is not a bare hostname: it has a colon")
	case len(name) > maxName:
		return errors.New("is longer than 253 characters")
	case strings.Contains(rest, "*"):
		return errors.New("has a * that is not its first label; use a name such as *.example.com")
	case !strings.Contains(rest, "."):
		return errors.New("has no domain; use a name such as app.example.com")
	}
	for label := range strings.SplitSeq(rest, ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errors.New("has an empty label")
	case len(label) > maxLabel:
		return errors.New("has a label of more than 63 characters")
	case label[0] == '-' || label[len(label)-1] == '-':
		return errors.New("has a label that begins or ends with a hyphen")
	}
	for _, c := range []byte(strings.ToLower(label)) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return errors.New(
				"has characters other than letters, digits, hyphens and underscores")
		}
	}
	return nil
}

// ASCII returns a hostname in the form of DNS and of requests: in lower case, in Punycode, and
// without a final dot. A label that is too long for DNS stays as it is.
func ASCII(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if isASCII(name) {
		return name
	}
	labels := strings.Split(name, ".")
	for i, label := range labels {
		if !isASCII(label) && utf8.RuneCountInString(label) <= maxLabel {
			labels[i] = punycode(label)
		}
	}
	return strings.Join(labels, ".")
}

// SameHostname reports whether two hostnames are the same in DNS.
func SameHostname(a, b string) bool { return ASCII(a) == ASCII(b) }

// AnyHost reports whether the hostname of a rule matches every host.
func AnyHost(hostname string) bool { return hostname == "" || hostname == "*" }

// coversHost reports whether outer matches every host that inner matches. The hostname
// *.example.com matches a.example.com and a.b.example.com, but not example.com.
func coversHost(outer, inner string) bool {
	if AnyHost(outer) {
		return true
	}
	if AnyHost(inner) {
		return false
	}
	outer, inner = ASCII(outer), ASCII(inner)
	if outer == inner {
		return true
	}
	suffix, isWildcard := strings.CutPrefix(outer, "*")
	return isWildcard && strings.HasPrefix(suffix, ".") && strings.HasSuffix(inner, suffix)
}

// Domains yields the names of the zones that a hostname can be in, the longest name first. For
// *.a.example.com it yields a.example.com and example.com. It leaves out top-level domains. A name
// that is too long for DNS is in no zone.
func Domains(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		domain := strings.TrimPrefix(ASCII(name), wildcard)
		for len(domain) <= maxName && strings.Contains(domain, ".") {
			if !yield(domain) {
				return
			}
			_, domain, _ = strings.Cut(domain, ".")
		}
	}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
