package main

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Times of the faults that take some.
const (
	shortDelay   = 30 * time.Millisecond  // at most
	longDelay    = 150 * time.Millisecond // beyond the client's time-out
	holdInterval = 5 * time.Second        // between two faults that hold everybody back
)

// kind is a kind of fault. None of them lies: an answer that says that nothing was done, or that something was, is true. It may also say
// nothing of use.
type kind struct {
	name   string
	weight int
	fault  tunneltest.Fault
	either bool // half of them with the work done
	holds  bool
	stormy bool // it also comes in hundreds
}

var kinds = []kind{
	{name: "cut before", weight: 4, fault: tunneltest.Fault{Cut: tunneltest.CutBefore}, stormy: true},
	{name: "cut after", weight: 4, fault: tunneltest.Fault{Cut: tunneltest.CutAfter}, stormy: true},
	{name: "cut inside", weight: 4, fault: tunneltest.Fault{Cut: tunneltest.CutInside}},
	{name: "cut inside a 502", weight: 1, fault: tunneltest.Fault{Status: 502, Body: html, Cut: tunneltest.CutInside}, either: true},
	{name: "408", weight: 2, fault: tunneltest.Fault{Status: 408, Body: refusal}},
	{name: "425", weight: 2, fault: tunneltest.Fault{Status: 425, Body: refusal}},
	{name: "429", weight: 3, fault: tunneltest.Fault{Status: 429, Body: refusal}, stormy: true},
	{name: "429 with Retry-After", weight: 3, fault: tunneltest.Fault{Status: 429, Body: refusal, Header: retryAfter("1")}, holds: true},
	{name: "500", weight: 2, fault: tunneltest.Fault{Status: 500, Body: refusal}, either: true},
	{name: "502 in HTML", weight: 2, fault: tunneltest.Fault{Status: 502, Body: html, Header: contentType("text/html")},
		either: true, stormy: true},
	{name: "503 empty", weight: 2, fault: tunneltest.Fault{Status: 503}, either: true, stormy: true},
	{name: "504", weight: 2, fault: tunneltest.Fault{Status: 504, Body: "upstream timed out"}, either: true},
	{name: "200 success false", weight: 2, fault: tunneltest.Fault{Body: refusal}},
	{name: "200 truncated", weight: 2, fault: tunneltest.Fault{Body: `{"success":true,"errors":[],"result":{"id":"f7`}, either: true},
	{name: "200 empty", weight: 1, fault: tunneltest.Fault{Status: 200}, either: true},
	{name: "200 in HTML", weight: 1, fault: tunneltest.Fault{Body: html, Header: contentType("text/html")}, either: true},
	{name: "200 wrong success", weight: 1, fault: tunneltest.Fault{Body: `{"success":"true","result":null}`}, either: true},
	{name: "200 wrong result", weight: 2, fault: tunneltest.Fault{Body: `{"success":true,"result":17}`, Work: true}},
	{name: "200 gzip cut short", weight: 1, fault: tunneltest.Fault{Body: halfZipped(), Header: http.Header{"Content-Encoding": {"gzip"}}},
		either: true},
	{name: "wrong content type", weight: 1, fault: tunneltest.Fault{Header: contentType("text/plain")}},
	{name: "no content type", weight: 1, fault: tunneltest.Fault{Header: contentType("")}},
	{name: "delay", weight: 3, fault: tunneltest.Fault{Delay: shortDelay}},
	{name: "delay and cut", weight: 1, fault: tunneltest.Fault{Delay: shortDelay, Cut: tunneltest.CutAfter}},
	{name: "delay and 503", weight: 1, fault: tunneltest.Fault{Delay: shortDelay, Status: 503}, either: true},
	{name: "too slow", weight: 1, fault: tunneltest.Fault{Delay: longDelay}},
}

// Answers in the place of the right one.
const (
	refusal = `{"success":false,"errors":[{"code":10001,"message":"not now"}],"messages":[],"result":null}`
	html    = "<html><head><title>trouble</title></head><body>The edge is in trouble.</body></html>"
)

func contentType(value string) http.Header { return http.Header{"Content-Type": {value}} }
func retryAfter(value string) http.Header  { return http.Header{"Retry-After": {value}} }

func halfZipped() string {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte(`{"success":true,"result":"` + strings.Repeat("never mind ", 20) + `"}`))
	_ = w.Close()
	return zipped.String()[:zipped.Len()/2]
}

// faults injects faults at random.
type faults struct {
	srv     *tunneltest.Server
	tally   *tally
	rate    float64       // of calls
	timeout time.Duration // of the client's attempts

	mu     sync.Mutex
	lastly time.Time // a fault that holds
}

// withWork ends the name of a fault that does not keep the work from being done.
const withWork = ", done"

// stormEvery is how many faults come alone for one that comes in hundreds.
const stormEvery = 2000

// strike makes one of the next requests meet a fault, whoever sends it, or hundreds of them, or most of the time none.
func (f *faults) strike(rng *rand.Rand) {
	if rng.Float64() >= f.rate {
		return
	}
	k := pick(rng)
	if k.holds && !f.mayHold() {
		return
	}
	name, fault := k.name, k.fault
	if k.either && rng.IntN(2) == 0 {
		name, fault.Work = name+withWork, true
	}
	if fault.Delay == shortDelay {
		fault.Delay = time.Duration(rng.Int64N(int64(shortDelay)))
	}
	if fault.Delay == longDelay {
		fault.Delay += f.timeout
	}
	fault.Times = 1
	if k.stormy && rng.IntN(stormEvery) == 0 {
		fault.Times = 100 + rng.IntN(200)
	}
	f.tally.fault(name, fault.Times)
	f.srv.Inject(fault)
}

// mayHold keeps the soak from standing still all the time.
func (f *faults) mayHold() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.lastly) < holdInterval {
		return false
	}
	f.lastly = time.Now()
	return true
}

func pick(rng *rand.Rand) *kind {
	all := 0
	for _, k := range kinds {
		all += k.weight
	}
	n := rng.IntN(all)
	for i := range kinds {
		if n -= kinds[i].weight; n < 0 {
			return &kinds[i]
		}
	}
	panic("unreachable")
}
