package ingress

import (
	"regexp/syntax"
	"slices"
)

// maxPattern is the maximum number of bytes of an expression that is compared. The compiled form of
// a longer one could need much memory, since "x{1000}" stands for 1,000 characters.
const maxPattern = 4096

// budget is the number of steps that comparisons may still take. One of all paths of a usual
// configuration needs less than 1% of the steps of newBudget.
type budget struct{ steps int }

// minSteps is the number of steps below which no comparison begins.
const minSteps = 10_000

func newBudget() *budget { return &budget{steps: 8_000_000} }

// coversPath reports whether every request path that the expression inner matches is also matched
// by one of the expressions outer. An empty expression matches every path. A path begins with a
// slash and has no control characters.
//
// It returns false if it cannot decide, because inner does not compile or because the comparison
// would take more than half of the steps that are left.
func (b *budget) coversPath(outer []string, inner string) bool {
	if slices.Contains(outer, "") || slices.Contains(outer, inner) {
		return true
	}
	if b.steps < minSteps {
		return false
	}
	limit := b.steps / 2
	s := search{steps: limit, seen: map[string]bool{}}
	covers := s.covers(outer, inner)
	b.steps -= limit - max(s.steps, 0)
	return covers
}

func (s *search) covers(outer []string, inner string) bool {
	if !s.load(inner) {
		return false
	}
	s.inner = len(s.insts)
	for _, pattern := range outer {
		// An expression that does not compile matches nothing.
		s.load(pattern)
	}
	s.visited = make([]int, len(s.insts))
	return s.loadAlphabet() && s.exhausted()
}

// search looks for a path that inner matches and outer does not. It visits the sets of instructions
// that the compiled expressions can reach.
type search struct {
	insts  []syntax.Inst // of all expressions, one after the other
	starts []int         // the first instruction of each expression
	inner  int           // the number of instructions of inner, which are the first ones in insts

	alphabet []rune
	seen     map[string]bool
	queue    []state
	steps    int // that are left

	// visited has, for each instruction, the number of the last call of follow that visited it.
	visited []int
	follows int
}

// state is the state of the expressions between two characters of a path.
type state struct {
	previous rune  // the character before; -1 at the beginning
	matched  bool  // whether inner has matched
	at       []int // the instructions to continue with, sorted
}

// load adds an expression. It reports whether the expression compiles and is not too long.
func (s *search) load(pattern string) bool {
	if len(pattern) > maxPattern || s.steps < 0 {
		return false
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return false
	}
	s.steps -= 4 * len(program.Inst) // compiling one takes as long as four steps
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

// exhausted reports whether the whole search found no path that inner matches and outer does not.
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
			if s.advance(current, r); s.steps < 0 {
				return false
			}
		}
	}
	return true
}

// advance adds the state after the character r, unless outer has matched or the state is known.
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

// follow returns the instructions, reachable from a state, that may consume the character r. If r
// is -1, the path ends. follow reports whether inner has matched, and whether one of outer has.
func (s *search) follow(current state, r rune) (at []int, matched, covered bool) {
	holds := syntax.EmptyOpContext(current.previous, r)
	s.follows++
	matched = current.matched
	// A match can begin anywhere.
	stack := slices.Concat(current.at, s.starts)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		s.steps--
		if s.visited[pc] == s.follows {
			continue
		}
		s.visited[pc] = s.follows
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

// key returns a string that is different for each state.
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
