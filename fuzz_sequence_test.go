package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// FuzzSequence: whatever is not ErrOutcomeUnknown agrees with the fake's record. An error that is
// certain means that nothing was carried out, a success that it was, and nothing that must run once is
// carried out twice. The input is a sequence of calls, each with faults of the server and the network.
func FuzzSequence(f *testing.F) {
	methods := slices.Sorted(maps.Keys(cases.Methods))
	for i := range 25 {
		f.Add([]byte{11, byte(i)})
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		synctest.Test(t, func(t *testing.T) {
			input := newBytesReader(program)
			steps := 1 + input.below(12)
			s := newSequence(t, input)
			for range steps {
				s.step(methods)
			}
			s.srv.Close() // which ends the fake's delays
		})
	})
}

// bytesReader reads the input of a fuzz target. Behind its end there are random numbers that depend on
// it.
type bytesReader struct {
	rest []byte
	more *rand.Rand
}

func newBytesReader(program []byte) *bytesReader {
	hash := fnv.New64a()
	_, _ = hash.Write(program)
	return &bytesReader{program, rand.New(rand.NewPCG(hash.Sum64(), 0))} //nolint:gosec // a test's choices
}

func (r *bytesReader) next() byte {
	if len(r.rest) == 0 {
		return byte(r.more.Uint32())
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// below returns a number from 0 to n-1.
func (r *bytesReader) below(n int) int { return int(r.next()) % n }

// sequence is one run of the target.
type sequence struct {
	t              *testing.T
	srv            *tunneltest.Server
	input          *bytesReader
	client, oracle *cftunnel.Client
	fixture        cases.Fixture
	refuse         int // how many connections are refused
	maxAttempts    int
	claimed        bool     // a fault claims a success, which calls that need no result must believe
	calls          []string // so far, for the report of a failure
}

func newSequence(t *testing.T, input *bytesReader) *sequence {
	t.Helper()
	s := &sequence{t: t, srv: tunneltest.NewServer(), input: input}
	t.Cleanup(s.srv.Close)
	var err error
	s.fixture, err = cases.NewFixture(t.Context(), s.srv)
	s.check(err)
	s.oracle, err = cases.NewClient(s.srv)
	s.check(err)
	serve := pipenet.Serve
	if input.below(4) == 1 {
		serve = pipenet.ServeTLS
	}
	network := serve(t, s.srv.Handler())
	transport := network.Transport(t)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if s.refuse > 0 {
			s.refuse--
			return nil, errors.New("connection refused")
		}
		return dial(ctx, network, address)
	}
	s.client, err = cftunnel.NewClient(
		cftunnel.WithBaseURL(network.URL()+"/client/v4"), cftunnel.WithAPIToken(s.srv.APIToken().Reveal()),
		cftunnel.WithAccountID(s.srv.AccountID()), cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	s.check(err)
	return s
}

func (s *sequence) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sequence) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s: %s", strings.Join(s.calls, "; "), fmt.Sprintf(format, args...))
}

// step makes one call with its faults, and checks what it comes to.
func (s *sequence) step(methods []string) {
	s.t.Helper()
	choice := int(s.input.next()) % (len(methods) + len(sequenceSteps))
	before := s.world()
	s.pickFixture(before)
	s.maxAttempts = 1 + s.input.below(5)
	ctx, cancel := s.context()
	defer cancel()
	var name string
	var call func(context.Context) error
	check := func(error) {}
	if choice < len(methods) {
		name = methods[choice]
		call = func(ctx context.Context) error { return cases.Methods[name].Call(ctx, s.client, s.fixture) }
	} else {
		step := sequenceSteps[choice-len(methods)]
		name = step.name
		call, check = step.prepare(s)
	}
	faults := s.inject()
	s.calls = append(s.calls, fmt.Sprintf("%s with %d attempts and %v", name, s.maxAttempts, faults))

	first := len(s.srv.Requests())
	err := call(ctx)
	synctest.Wait()
	requests := s.srv.Requests()[first:]
	s.srv.ClearFaults()
	s.refuse = 0
	if err != nil {
		s.calls[len(s.calls)-1] += fmt.Sprintf(" (%v)", err)
	}
	name = strings.TrimPrefix(name, "own ")
	s.checkRecord(name, requests, err)
	if err != nil && !isUncertain(err) && !isBesideResult(err) {
		if after := s.world(); after != before && !partly[name] {
			s.fail("it is certain, and changes\n%s\nto\n%s", before, after)
		}
	}
	if !s.claimed {
		check(err)
	}
	time.Sleep([]time.Duration{0, time.Second, time.Minute, 10 * time.Minute}[s.input.below(4)])
}

// context returns that of a call: without an end, with a deadline, or cancelled.
func (s *sequence) context() (context.Context, context.CancelFunc) {
	d := time.Duration(1+s.input.below(64)) * time.Duration(1+s.input.below(4)) * 250 * time.Millisecond
	switch s.input.below(8) {
	case 1:
		return context.WithTimeout(s.t.Context(), d)
	case 2:
		ctx, cancel := context.WithCancel(s.t.Context())
		timer := time.AfterFunc(d, cancel)
		return ctx, func() { timer.Stop(); cancel() }
	}
	return context.WithTimeout(s.t.Context(), time.Hour)
}

// isBesideResult reports whether an error comes beside the result of a write that was carried out.
func isBesideResult(err error) bool {
	return errors.Is(err, cftunnel.ErrLocallyManaged) || errors.Is(err, cftunnel.ErrConcurrentUpdate)
}

// partly are the methods that write several things, and may fail in the middle. Their errors say what
// is done.
var partly = map[string]bool{"Hostnames.Publish": true, "Hostnames.Unpublish": true}

// unneeded are the methods that write nothing if there is nothing to do.
var unneeded = map[string]bool{"Ensure": true, "Modify": true, "ModifyConfiguration": true}

// isOnce reports whether an operation must not be repeated.
func isOnce(operation string) bool {
	return strings.HasPrefix(operation, "POST ") || strings.HasSuffix(operation, "/tokens/{token_id}/value")
}

// checkRecord compares an error with what the fake was asked and did.
func (s *sequence) checkRecord(name string, requests []tunneltest.Request, err error) {
	s.t.Helper()
	done, last := map[string]int{}, map[string]tunneltest.Request{}
	for _, r := range requests {
		if r.Method == http.MethodGet {
			continue
		}
		last[r.Operation] = r
		if r.Done {
			done[r.Operation]++
		}
	}
	for operation, n := range done {
		switch {
		case n > 1 && isOnce(operation):
			s.fail("%s is carried out %d times", operation, n)
		case partly[name]:
		case err == nil || isUncertain(err) || isBesideResult(err):
		case name == "Tunnels.CleanupAndDelete" && operation == opCleanup:
		default:
			s.fail("it is certain, and %s is carried out", operation)
		}
	}
	if err != nil || s.claimed || partly[name] || unneeded[name[strings.Index(name, ".")+1:]] {
		return
	}
	for operation, r := range last {
		switch {
		case done[operation] > 0:
		case r.Method == http.MethodDelete && r.Status == http.StatusNotFound: // after a lost response
		case r.Method == http.MethodPatch && r.Status == http.StatusInternalServerError: // it was as asked for
		case name == "Tunnels.ManagementToken" && len(done) > 0: // the other operation was
		default:
			s.fail("it succeeds, and %s is not carried out", operation)
		}
	}
}
