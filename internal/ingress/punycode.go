package ingress

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// The parameters of Punycode in RFC 3492, section 5.
const (
	base        = 36
	tMin        = 1
	tMax        = 26
	skew        = 38
	damp        = 700
	initialBias = 72
	initialN    = 128
)

// punycode returns the label in Punycode with the prefix "xn--", by RFC 3492, section 6.3. The
// label must be in lower case. punycode does not normalize it.
func punycode(label string) string {
	runes := []rune(label)
	var out strings.Builder
	out.WriteString("xn--")
	for _, r := range runes {
		if r < utf8.RuneSelf {
			out.WriteRune(r)
		}
	}
	basic := out.Len() - len("xn--")
	if basic > 0 {
		out.WriteByte('-')
	}
	n, delta, bias := rune(initialN), 0, initialBias
	for handled := basic; handled < len(runes); {
		next := slices.MinFunc(runes, func(a, b rune) int { return rank(a, n) - rank(b, n) })
		delta += int(next-n) * (handled + 1)
		n = next
		for _, r := range runes {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			writeDelta(&out, delta, bias)
			bias = adapt(delta, handled+1, handled == basic)
			delta = 0
			handled++
		}
		delta++
		n++
	}
	return out.String()
}

// rank sorts the runes that are at least n before all others.
func rank(r, n rune) int {
	if r < n {
		return math.MaxInt32
	}
	return int(r)
}

// writeDelta writes delta as a generalized variable-length integer of RFC 3492, section 3.3.
func writeDelta(out *strings.Builder, delta, bias int) {
	for k := base; ; k += base {
		t := min(max(k-bias, tMin), tMax)
		if delta < t {
			out.WriteByte(digit(delta))
			return
		}
		out.WriteByte(digit(t + (delta-t)%(base-t)))
		delta = (delta - t) / (base - t)
	}
}

func digit(d int) byte { return "abcdefghijklmnopqrstuvwxyz0123456789"[d] }

func adapt(delta, points int, first bool) int {
	if first {
		delta /= damp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for delta > (base-tMin)*tMax/2 {
		delta /= base - tMin
		k += base
	}
	return k + (base-tMin+1)*delta/(delta+skew)
}
