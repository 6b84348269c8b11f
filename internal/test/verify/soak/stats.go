package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// maxProblems is the maximum number of problems that are kept.
const maxProblems = 100

// stats counts calls, faults and attempts, and keeps the problems.
type stats struct {
	mu                                 sync.Mutex
	calls, failed, unknown, carriedOut int // unknown outcomes, and those of them carried out
	methods, faults                    map[string]int
	attempts, retries                  int
	problems                           []string
	problemCount                       int
}

func newStats() *stats { return &stats{methods: map[string]int{}, faults: map[string]int{}} }

func (s *stats) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d calls, %d failed, %d with an unknown outcome, %d of these carried out\n"+
		"%d attempts, %d of them retries\n%v\n%v",
		s.calls, s.failed, s.unknown, s.carriedOut, s.attempts, s.retries, s.methods, s.faults)
}

func (s *stats) call(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.methods[name]++
	if err != nil {
		s.failed++
	}
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		s.unknown++
	}
}

func (s *stats) outcomeFound() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carriedOut++
}

func (s *stats) fault(name string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[name] += times
}

func (s *stats) report(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problemCount++; s.problemCount <= maxProblems {
		s.problems = append(s.problems, fmt.Sprintf(format, args...))
	}
}

// attemptCounter counts the log records of attempts.
type attemptCounter struct{ stats *stats }

func (a attemptCounter) Enabled(context.Context, slog.Level) bool { return true }
func (a attemptCounter) WithAttrs([]slog.Attr) slog.Handler       { return a }
func (a attemptCounter) WithGroup(string) slog.Handler            { return a }

func (a attemptCounter) Handle(_ context.Context, record slog.Record) error {
	a.stats.mu.Lock()
	defer a.stats.mu.Unlock()
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "attempt" {
			a.stats.attempts++
			a.stats.retries += min(1, int(attr.Value.Int64())-1)
		}
		return attr.Key != "attempt"
	})
	return nil
}
