package tunneltest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong. The zero Fault has no effect, and is used up by one request.
type Fault struct {
	// Operation is the one that it befalls, as in [Request]: "POST /accounts/{account_id}/cfd_tunnel". Empty is any.
	Operation string
	// Times is how many requests it befalls, 0 is one. [Always] has no end.
	Times int

	// Delay passes between the work and the answer.
	Delay time.Duration
	// Status and Body take the place of the answer where either is set; a Status of 0 is 200 then. The work is not done unless Work is set.
	Status int
	Body   string
	// Header is added to the answer, whichever it is. An empty value takes away a header that the answer would have had.
	Header http.Header
	// Work does the work although Status or Body take the place of its answer.
	Work bool
	// Cut ends the connection.
	Cut Cut
}

// Always is the Times of a fault that does not go away.
const Always = -1

// Cut is where a connection is cut.
type Cut int

// The places of a cut.
const (
	// CutNever lets the answer through.
	CutNever Cut = iota
	// CutBefore cuts before the request is read. Nothing is done.
	CutBefore
	// CutAfter cuts after the work, and before the answer.
	CutAfter
	// CutInside cuts in the middle of the answer's body.
	CutInside
)

// Inject makes the next requests meet f. Of several faults that fit a request, the one that was injected first befalls it. It panics for a
// Status that no answer can have and for an Operation that the server does not know: such a fault would never show.
func (s *Server) Inject(f Fault) {
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		panic(fmt.Sprintf("tunneltest: a fault with the status %d", f.Status))
	}
	f.Header = f.Header.Clone()
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Operation != "" && !s.knows(f.Operation) {
		panic(fmt.Sprintf("tunneltest: a fault of the unknown operation %q", f.Operation))
	}
	s.faults = append(s.faults, &f)
}

// knows reports whether the server has an operation. The caller holds s.mu.
func (s *Server) knows(operation string) bool {
	_, template, _ := strings.Cut(operation, " ")
	return operation == opLogs ||
		slices.ContainsFunc(routes, func(r route) bool { return r.operation() == operation }) ||
		slices.ContainsFunc(s.ownRoutes, func(r route) bool {
			return r.operation() == operation || r.method == "" && r.template == template
		})
}

// ClearFaults takes away every fault that was injected.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault uses up the first fault that fits. The caller holds s.mu.
func (s *Server) takeFault(operation string) Fault {
	for i, f := range s.faults {
		if f.Operation != "" && f.Operation != operation {
			continue
		}
		taken := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return taken
	}
	return Fault{}
}

// replaces reports whether the fault has an answer of its own.
func (f *Fault) replaces() bool { return f.Status != 0 || f.Body != "" }
