package tunneltest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault describes how the server fails a request. See [Server.Inject].
//
// The zero Fault applies to the next request, whatever its operation, and does not change it.
type Fault struct {
	// Operation is the operation that the fault applies to, in the form of [Request.Operation],
	// such as "POST /accounts/{account_id}/cfd_tunnel". If it is empty, the fault applies to
	// requests of every operation.
	Operation string
	// Times is how many requests the fault applies to. 0 means one. [Always] means no limit.
	Times int

	// Delay is how long the server waits before it sends the response, after the request is carried
	// out.
	Delay time.Duration
	// Status and Body replace the status and the body of the response. If either is set, both are
	// replaced: a Status of 0 then means 200. The request is not carried out, unless Work is set.
	Status int
	Body   string
	// Header is added to the header of the response, even if Status and Body are not set. A header
	// whose only value is "" is removed from the response.
	Header http.Header
	// Work makes the server carry out the request even if Status or Body is set.
	Work bool
	// Cut is when the server cuts the connection. The default is never.
	Cut Cut
}

// Always is the value of [Fault.Times] for a fault that applies to all further requests.
const Always = -1

// Cut says when the server cuts the connection of a request.
type Cut int

// The values of [Fault.Cut].
const (
	// CutNever sends the whole response.
	CutNever Cut = iota
	// CutBefore cuts the connection before the request is read. The request is not carried out.
	CutBefore
	// CutAfter cuts the connection after the request is carried out, before the response is sent.
	CutAfter
	// CutInside cuts the connection after the request is carried out, in the middle of the response
	// body.
	CutInside
)

// Inject makes later requests fail as f describes.
//
// If several faults match a request, only the one that was injected first applies. Inject panics in
// these cases:
//   - f.Status is neither 0 nor from 200 to 599
//   - f.Times is negative and not [Always]
//   - f.Delay is negative
//   - f.Cut is not one of the constants of type [Cut]
//   - the server has no operation f.Operation
func (s *Server) Inject(f Fault) {
	switch {
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		panic(fmt.Sprintf("tunneltest: Inject: invalid status %d", f.Status))
	case f.Times < Always:
		panic("tunneltest: Inject: the number of times must not be negative, except for Always")
	case f.Delay < 0:
		panic("tunneltest: Inject: the delay must not be negative")
	case f.Cut < CutNever || f.Cut > CutInside:
		panic(fmt.Sprintf("tunneltest: Inject: unknown cut %d", f.Cut))
	}
	f.Header = f.Header.Clone()
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Operation != "" && !s.hasOperation(f.Operation) {
		panic(fmt.Sprintf("tunneltest: Inject: unknown operation %q", f.Operation))
	}
	s.faults = append(s.faults, &f)
}

// hasOperation reports whether the server has an operation. The caller holds s.mu.
func (s *Server) hasOperation(operation string) bool {
	_, template, _ := strings.Cut(operation, " ")
	return operation == opLogs ||
		slices.ContainsFunc(routes, func(r route) bool { return r.operation() == operation }) ||
		slices.ContainsFunc(s.customRoutes, func(r route) bool {
			return r.operation() == operation || r.method == "" && r.template == template
		})
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault returns the first fault that matches the operation, and counts this use of it. The
// caller holds s.mu.
func (s *Server) nextFault(operation string) Fault {
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

// replaces reports whether the fault replaces the response.
func (f *Fault) replaces() bool { return f.Status != 0 || f.Body != "" }
