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

// FuzzSequence compares the result of each call with what the fake carried out. After a success,
// the write was carried out. After an error that is not ErrOutcomeUnknown, it was not. A request
// that must not be repeated was carried out at most once. The input describes a sequence of calls,
// each with faults of the server and the network.
func FuzzSequence(f *testing.F) {
	methods := slices.Sorted(maps.Keys(cases.Methods))
	for i := range 25 {
		f.Add([]byte{11, byte(i)})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			input := newBytesReader(data)
			steps := 1 + input.below(12)
			s := newSequence(t, input)
			for range steps {
				s.step(methods)
			}
			s.srv.Close() // ends the delays of the fake
		})
	})
}

// bytesReader reads the input of a fuzz target. After its end, it returns random bytes that are
// seeded with the input.
type bytesReader struct {
	rest []byte
	more *rand.Rand
}

func newBytesReader(data []byte) *bytesReader {
	hash := fnv.New64a()
	_, _ = hash.Write(data)
	return &bytesReader{data, rand.New(rand.NewPCG(hash.Sum64(), 0))} //nolint:gosec // a test's choices
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

// sequence is one run of FuzzSequence.
type sequence struct {
	t              *testing.T
	srv            *tunneltest.Server
	input          *bytesReader
	client, oracle *cftunnel.Client // client meets the faults; oracle reads the state of the fake
	fixture        cases.Fixture
	refuse         int // number of connections that are still to be refused
	maxAttempts    int
	claimed        bool     // a fault sends a false success, which calls without a result accept
	calls          []string // the calls so far, for the report of a failure
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
		cftunnel.WithBaseURL(network.URL()+"/client/v4"),
		cftunnel.WithAPIToken(s.srv.APIToken().Reveal()),
		cftunnel.WithAccountID(s.srv.AccountID()),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	s.check(err)
	return s
}

func (s *sequence) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// fail ends the test. The report lists the calls so far.
func (s *sequence) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s: %s", strings.Join(s.calls, "; "), fmt.Sprintf(format, args...))
}

// step makes one call with faults and checks its result.
func (s *sequence) step(methods []string) {
	s.t.Helper()
	choice := int(s.input.next()) % (len(methods) + len(sequenceSteps))
	before := s.state()
	s.pickFixture(before)
	s.maxAttempts = 1 + s.input.below(5)
	ctx, cancel := s.context()
	defer cancel()
	var name string
	var call func(context.Context) error
	check := func(error) {}
	if choice < len(methods) {
		name = methods[choice]
		call = func(ctx context.Context) error {
			return cases.Methods[name].Call(ctx, s.client, s.fixture)
		}
	} else {
		step := sequenceSteps[choice-len(methods)]
		name = step.name
		call, check = step.prepare(s)
	}
	faults := s.inject()
	s.calls = append(s.calls,
		fmt.Sprintf("%s with %d attempts and %v", name, s.maxAttempts, faults))

	first := len(s.srv.Requests())
	err := call(ctx)
	synctest.Wait()
	requests := s.srv.Requests()[first:]
	s.srv.ClearFaults()
	s.refuse = 0
	if err != nil {
		s.calls[len(s.calls)-1] += fmt.Sprintf(" (%v)", err)
	}
	name = strings.TrimPrefix(name, "checked ")
	s.checkRecord(name, requests, err)
	if err != nil && !isUncertain(err) && !comesWithResult(err) {
		if after := s.state(); after != before && !severalWrites[name] {
			s.fail("the error is certain, but the state changed from\n%s\nto\n%s", before, after)
		}
	}
	if !s.claimed {
		check(err)
	}
	time.Sleep([]time.Duration{0, time.Second, time.Minute, 10 * time.Minute}[s.input.below(4)])
}

// context returns the context of a call: it is canceled after a time, or has a near or a far
// deadline.
func (s *sequence) context() (context.Context, context.CancelFunc) {
	quarters := (1 + s.input.below(64)) * (1 + s.input.below(4))
	d := time.Duration(quarters) * 250 * time.Millisecond
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

// comesWithResult reports whether a method returns this error together with the result of a write
// that was carried out.
func comesWithResult(err error) bool {
	return errors.Is(err, cftunnel.ErrLocallyManaged) ||
		errors.Is(err, cftunnel.ErrConcurrentUpdate)
}

// severalWrites are the methods that send several writes and may fail between them. Their errors
// say what was carried out.
var severalWrites = map[string]bool{"Hostnames.Publish": true, "Hostnames.Unpublish": true}

// skipsNoChange are the methods that send no write if nothing changes.
var skipsNoChange = map[string]bool{"Ensure": true, "Modify": true, "ModifyConfiguration": true}

// mustNotRepeat reports whether a request for an operation must not be repeated.
func mustNotRepeat(operation string) bool {
	return strings.HasPrefix(operation, "POST ") ||
		strings.HasSuffix(operation, "/tokens/{token_id}/value")
}

// checkRecord compares the error of a call with the requests that the fake recorded.
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
		case n > 1 && mustNotRepeat(operation):
			s.fail("%s was carried out %d times", operation, n)
		case severalWrites[name]:
		case err == nil || isUncertain(err) || comesWithResult(err):
		case name == "Tunnels.CleanupAndDelete" && operation == opCleanup:
		default:
			s.fail("the error is certain, but %s was carried out", operation)
		}
	}
	if err != nil || s.claimed || severalWrites[name] ||
		skipsNoChange[name[strings.Index(name, ".")+1:]] {
		return
	}
	for operation, r := range last {
		switch {
		case done[operation] > 0:
		case r.Method == http.MethodDelete && r.Status == http.StatusNotFound:
			// An attempt whose response was lost deleted it.
		case r.Method == http.MethodPatch && r.Status == http.StatusInternalServerError:
			// The fake responds with 500 to an update that changes nothing.
		case name == "Tunnels.ManagementToken" && len(done) > 0:
			// The method tries two operations. The other one was carried out.
		default:
			s.fail("the call succeeded, but %s was not carried out", operation)
		}
	}
}
