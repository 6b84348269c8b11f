package ingress

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"unicode"
)

// loadAlphabet collects one character of each set of characters that the instructions do not
// distinguish. It leaves out control characters. It reports whether enough steps were left.
func (s *search) loadAlphabet() bool {
	// begins has the first character of each range, and the first one after it.
	begins := []rune{' ', 0x7f, 0x80}
	add := func(from, to rune) { begins = append(begins, from, to+1) }
	for _, ranges := range [][2]rune{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}} {
		add(ranges[0], ranges[1])
	}
	var consuming []*syntax.Inst
	sets := map[string]bool{}
	for i := range s.insts {
		inst := &s.insts[i]
		switch inst.Op {
		case syntax.InstRune, syntax.InstRune1:
		default:
			continue
		}
		if s.steps -= len(inst.Rune); s.steps < 0 {
			return false
		}
		set := fmt.Sprint(inst.Arg, inst.Rune)
		if sets[set] {
			continue
		}
		sets[set] = true
		consuming = append(consuming, inst)
		if len(inst.Rune) == 1 {
			first := inst.Rune[0]
			add(first, first)
			for r := unicode.SimpleFold(first); r != first; r = unicode.SimpleFold(r) {
				add(r, r)
			}
			continue
		}
		for j := 0; j+1 < len(inst.Rune); j += 2 {
			add(inst.Rune[j], inst.Rune[j+1])
		}
	}
	slices.Sort(begins)
	begins = slices.Compact(begins)
	if s.steps -= len(begins) * (1 + len(consuming)); s.steps < 0 {
		return false
	}

	known := map[string]bool{}
	for _, r := range begins {
		if r < ' ' || r == 0x7f || r > unicode.MaxRune {
			continue
		}
		matching := make([]byte, 1+len(consuming))
		if syntax.IsWordChar(r) {
			matching[0] = 1
		}
		for i, inst := range consuming {
			if inst.MatchRune(r) {
				matching[1+i] = 1
			}
		}
		if key := string(matching); !known[key] {
			known[key] = true
			s.alphabet = append(s.alphabet, r)
		}
	}
	return true
}
