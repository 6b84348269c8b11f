package ingress

import (
	"regexp/syntax"
	"slices"
)

// budget bounds the work of one comparison. Ordinary paths need less than a hundredth of it.
const budget = 4_000_000

// coversPath reports whether every request path that the expression inner matches is matched by
// one of outer. An empty expression matches every path. A path begins with a slash and has no
// control characters.
//
// It returns false if it cannot decide: if an expression does not compile, or if the comparison
// would take too long.
func coversPath(outer []string, inner string) bool {
	if slices.Contains(outer, "") || slices.Contains(outer, inner) {
		return true
	}
	s := search{budget: budget, seen: map[string]bool{}}
	if !s.load(inner) {
		return false
	}
	s.inner = len(s.insts)
	for _, pattern := range outer {
		// One that does not compile matches nothing.
		s.load(pattern)
	}
	s.alphabet = alphabetOf(s.insts)
	return s.exhausted()
}

// search looks for a path that inner matches and outer does not, through the sets of instructions
// that the expressions can be at.
type search struct {
	insts  []syntax.Inst // of all expressions, one after the other
	starts []int         // of each expression
	inner  int           // the number of inner's instructions, which come first

	alphabet []rune
	seen     map[string]bool
	queue    []state
	budget   int
}

// state is where the expressions are between two characters of a path.
type state struct {
	previous rune  // -1 at the beginning
	matched  bool  // inner has matched
	at       []int // the instructions to continue with, sorted
}

// load adds an expression, and reports whether it compiles.
func (s *search) load(pattern string) bool {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return false
	}
	offset := len(s.insts)
	for _, inst := range program.Inst {
		inst.Out += uint32(offset)
		if inst.Op == syntax.InstAlt || inst.Op == syntax.InstAltMatch {
			inst.Arg += uint32(offset)
		}
		s.insts = append(s.insts, inst)
	}
	s.starts = append(s.starts, offset+program.Start)
	return true
}

// exhausted reports whether there is certainly no path that inner matches and outer does not.
func (s *search) exhausted() bool {
	s.queue = []state{{previous: -1}}
	for len(s.queue) > 0 {
		current := s.queue[len(s.queue)-1]
		s.queue = s.queue[:len(s.queue)-1]
		next := s.alphabet
		if current.previous < 0 {
			next = []rune{'/'}
		} else if _, matched, covered := s.follow(current, -1); matched && !covered {
			return false
		}
		for _, r := range next {
			if s.advance(current, r); s.budget < 0 {
				return false
			}
		}
	}
	return true
}

// advance adds the state after one more character, unless nothing more is to be found there.
func (s *search) advance(current state, r rune) {
	at, matched, covered := s.follow(current, r)
	if covered {
		return
	}
	next := state{previous: '-', matched: matched}
	if syntax.IsWordChar(r) {
		next.previous = 'a'
	}
	for _, pc := range at {
		if s.insts[pc].MatchRune(r) {
			next.at = append(next.at, int(s.insts[pc].Out))
		}
	}
	slices.Sort(next.at)
	next.at = slices.Compact(next.at)
	if key := next.key(); !s.seen[key] {
		s.seen[key] = true
		s.queue = append(s.queue, next)
	}
}

// follow goes from a state to the instructions that consume the character r, or with -1 to the end
// of the path. It reports whether inner has matched then, and whether one of outer has.
func (s *search) follow(current state, r rune) (at []int, matched, covered bool) {
	holds := syntax.EmptyOpContext(current.previous, r)
	visited := make([]bool, len(s.insts))
	matched = current.matched
	// A match can begin anywhere.
	stack := slices.Concat(current.at, s.starts)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		s.budget--
		if visited[pc] {
			continue
		}
		visited[pc] = true
		switch inst := &s.insts[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, int(inst.Out), int(inst.Arg))
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, int(inst.Out))
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^holds == 0 {
				stack = append(stack, int(inst.Out))
			}
		case syntax.InstMatch:
			if pc >= s.inner {
				return nil, matched, true
			}
			matched = true
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			at = append(at, pc)
		case syntax.InstFail:
		}
	}
	return at, matched, false
}

// key is the same for equal states alone.
func (s state) key() string {
	key := make([]byte, 0, 2+3*len(s.at))
	key = append(key, byte(s.previous))
	if s.matched {
		key = append(key, 1)
	} else {
		key = append(key, 0)
	}
	for _, pc := range s.at {
		key = append(key, byte(pc), byte(pc>>8), byte(pc>>16))
	}
	return string(key)
}
