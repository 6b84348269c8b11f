package tunneltest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// post creates a tunnel.
func (f *fake) post(name string) (response, error) {
	f.t.Helper()
	return f.try(http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"`+name+`"}`)
}

func TestInject_ZeroFault(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{})
	r, err := f.post("web")
	require.NoError(t, err)
	assert.Equal(t, "web", r.stringField("name"))
	assert.True(t, f.lastRequest().Done)
}

func TestFault_StatusAndBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  tunneltest.Fault
		status int
		body   string
		done   bool
	}{
		{"status", tunneltest.Fault{Status: 503}, 503, "", false},
		{"body", tunneltest.Fault{Body: `{"success":false}`}, 200, `{"success":false}`, false},
		{"both", tunneltest.Fault{Status: 502, Body: "<html>"}, 502, "<html>", false},
		{"status after the work", tunneltest.Fault{Status: 500, Work: true}, 500, "", true},
		{"body after the work", tunneltest.Fault{Body: "{}", Work: true}, 200, "{}", true},
		{"both after the work", tunneltest.Fault{Status: 520, Body: "no", Work: true}, 520, "no", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.Inject(c.fault)
			r, err := f.post("web")
			require.NoError(t, err)
			assert.Equal(t, c.status, r.status)
			assert.Equal(t, c.body, string(r.body))
			assert.Equal(t, "application/json", r.header.Get("Content-Type"))
			assert.NotEmpty(t, r.header.Get("cf-ray"))
			assert.Equal(t, c.done, f.lastRequest().Done)
			assert.Equal(t, c.status, f.lastRequest().Status)
			assert.Equal(t, c.done, len(f.names("/cfd_tunnel")) == 1)
		})
	}
}

// A request that fails is not done.
func TestFault_WorkFails(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.create("web")
	f.Inject(tunneltest.Fault{Status: 500, Work: true})
	r, err := f.post("web")
	require.NoError(t, err)
	assert.Equal(t, 500, r.status)
	assert.False(t, f.lastRequest().Done)
}

func TestFault_WorkOnly(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{Work: true})
	r, err := f.post("web")
	require.NoError(t, err)
	assert.Equal(t, "web", r.stringField("name"))
}

func TestFault_Header(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{Header: http.Header{
		"Content-Type": {"text/html"}, "cf-ray": {""}, "X-One": {"1", "2"}, "Retry-After": {"7"},
	}})
	r, err := f.post("web")
	require.NoError(t, err)
	assert.Equal(t, "web", r.stringField("name"), "a header does not replace the response")
	assert.Equal(t, []string{"text/html"}, r.header["Content-Type"])
	assert.NotContains(t, r.header, "Cf-Ray")
	assert.Equal(t, []string{"1", "2"}, r.header["X-One"])
	assert.Equal(t, "7", r.header.Get("Retry-After"))
}

func TestFault_HeaderRemovesContentType(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{Status: 502, Body: "<html>",
		Header: http.Header{"Content-Type": {""}}})
	r, err := f.post("web")
	require.NoError(t, err)
	assert.NotContains(t, r.header, "Content-Type", "net/http must not guess one")
}

func TestFault_Delay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startInBubble(t)
		f.Inject(tunneltest.Fault{Delay: time.Minute})
		began := time.Now()
		responded := make(chan response)
		go func() {
			r, err := f.post("web")
			assert.NoError(t, err)
			responded <- r
		}()
		synctest.Wait()
		assert.True(t, f.lastRequest().Done, "the request is carried out before the delay")
		assert.Zero(t, f.lastRequest().Status, "there is no response yet")
		// Other requests are not delayed.
		assert.Equal(t, []string{"web"}, f.names("/cfd_tunnel"))
		assert.Zero(t, time.Since(began))
		r := <-responded
		assert.Equal(t, time.Minute, time.Since(began))
		assert.Equal(t, "web", r.stringField("name"))
		assert.Equal(t, http.StatusOK, f.Requests()[0].Status)
	})
}

func TestFault_DelayWithOtherFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  tunneltest.Fault
		status int
		done   bool
	}{
		{"with a status", tunneltest.Fault{Delay: time.Minute, Status: 503}, 503, false},
		{"with a status and work", tunneltest.Fault{Delay: time.Minute, Status: 504, Work: true}, 504, true},
		{"with a cut", tunneltest.Fault{Delay: time.Minute, Cut: tunneltest.CutAfter}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := startInBubble(t, tunneltest.WithLatency(time.Second))
				f.Inject(c.fault)
				began := time.Now()
				r, err := f.post("web")
				assert.Equal(t, c.status == 0, err != nil)
				assert.Equal(t, time.Minute+time.Second, time.Since(began))
				assert.Equal(t, c.status, r.status)
				assert.Equal(t, c.status, f.lastRequest().Status)
				assert.Equal(t, c.done, f.lastRequest().Done)
			})
		})
	}
}

func TestFault_Cut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault tunneltest.Fault
		done  bool
	}{
		{"before", tunneltest.Fault{Cut: tunneltest.CutBefore}, false},
		{"before, with work", tunneltest.Fault{Cut: tunneltest.CutBefore, Status: 500, Work: true}, false},
		{"after", tunneltest.Fault{Cut: tunneltest.CutAfter}, true},
		{"after, with a status", tunneltest.Fault{Cut: tunneltest.CutAfter, Status: 500}, false},
		{"after, with a status and work", tunneltest.Fault{Cut: tunneltest.CutAfter, Status: 500, Work: true}, true},
		{"inside", tunneltest.Fault{Cut: tunneltest.CutInside}, true},
		{"inside, with a body", tunneltest.Fault{Cut: tunneltest.CutInside, Body: `{"success":true}`}, false},
		{"inside, with a body and work", tunneltest.Fault{Cut: tunneltest.CutInside, Body: `{"success":true}`, Work: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.Inject(c.fault)
			_, err := f.post("web")
			require.Error(t, err)
			last := f.lastRequest()
			assert.Equal(t, opCreate, last.Operation)
			assert.Equal(t, c.done, last.Done)
			assert.Zero(t, last.Status)
			assert.Equal(t, c.done, len(f.names("/cfd_tunnel")) == 1)
			// The server still works.
			_, err = f.post("other")
			require.NoError(t, err)
		})
	}
}

func TestFault_CutInsideSendsHalfTheBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, half string }{{"0123456789", "01234"}, {"012", "0"}, {"0", ""}} {
		t.Run(c.body, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.Inject(tunneltest.Fault{
				Cut: tunneltest.CutInside, Status: 502, Body: c.body,
				Header: http.Header{"Retry-After": {"7"}},
			})
			r, err := f.try(http.MethodGet, f.accountPath("/cfd_tunnel"), "")
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, 502, r.status)
			assert.Equal(t, "7", r.header.Get("Retry-After"))
			assert.Equal(t, strconv.Itoa(len(c.body)), r.header.Get("Content-Length"),
				"the length of the whole body")
			assert.Equal(t, c.half, string(r.body))
		})
	}
}

func TestFault_CutOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for _, cut := range []tunneltest.Cut{tunneltest.CutBefore, tunneltest.CutAfter, tunneltest.CutInside} {
		f := start(t)
		f.Inject(tunneltest.Fault{Operation: opCreate, Cut: cut})
		_, err := f.client().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	}
}

// Another HTTP server must handle this panic as net/http does.
func TestFault_CutAbortsHandler(t *testing.T) {
	t.Parallel()
	for _, cut := range []tunneltest.Cut{tunneltest.CutBefore, tunneltest.CutAfter, tunneltest.CutInside} {
		srv := tunneltest.NewServer()
		srv.Inject(tunneltest.Fault{Cut: cut})
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
			srv.Handler().ServeHTTP(httptest.NewRecorder(),
				httptest.NewRequest(http.MethodGet, "/client/v4/", nil))
		})
		srv.Close()
	}
}

func TestFault_Times(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		times, hits int
	}{{"zero means one", 0, 1}, {"one", 1, 1}, {"three", 3, 3}, {"always", tunneltest.Always, 6}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.Inject(tunneltest.Fault{Times: c.times, Status: 503})
			hits := 0
			for range 6 {
				if r := f.fetch(f.accountPath("/cfd_tunnel")); r.status == 503 {
					hits++
					assert.Len(t, f.Requests(), hits, "the fault applies to the next requests")
				}
			}
			assert.Equal(t, c.hits, hits)
		})
	}
}

func TestFault_Operation(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{opCreate, opList, opGet, opUpdate, opDelete, opToken, opAllTypes} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			id, _ := f.create("web")
			f.Inject(tunneltest.Fault{Operation: operation, Status: 418})
			for _, r := range []struct{ operation, method, path, body string }{
				{opList, http.MethodGet, "/cfd_tunnel", ""},
				{opAllTypes, http.MethodGet, "/tunnels", ""},
				{opCreate, http.MethodPost, "/cfd_tunnel", `{"name":"other"}`},
				{opGet, http.MethodGet, "/cfd_tunnel/" + id, ""},
				{opToken, http.MethodGet, "/cfd_tunnel/" + id + "/token", ""},
				{opUpdate, http.MethodPatch, "/cfd_tunnel/" + id, `{"name":"renamed"}`},
				{opDelete, http.MethodDelete, "/cfd_tunnel/" + id, ""},
			} {
				status := http.StatusOK
				if r.operation == operation {
					status = 418
				}
				assert.Equal(t, status, f.send(r.method, f.accountPath(r.path), r.body).status,
					r.operation)
				assert.Equal(t, r.operation, f.lastRequest().Operation)
			}
		})
	}
}

func TestFault_UnknownRoute(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{Status: 503})
	assert.Equal(t, 503, f.fetch("/zones").status)
}

// Only the matching fault that was injected first applies.
func TestInject_Order(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{Operation: opGet, Status: 501})
	f.Inject(tunneltest.Fault{Status: 502, Times: 2})
	f.Inject(tunneltest.Fault{Operation: opList, Status: 503,
		Header: http.Header{"X-Third": {"1"}}})
	f.Inject(tunneltest.Fault{Times: tunneltest.Always, Status: 504})
	list := func() int { return f.fetch(f.accountPath("/cfd_tunnel")).status }
	get := func() int { return f.fetch(f.accountPath("/cfd_tunnel/" + unknownID)).status }
	assert.Equal(t, []int{502, 501, 502, 504, 503, 504, 504}, []int{list(), get(), get(), get(), list(), list(), get()})
}

func TestClearFaults(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{Status: 503, Times: 2})
	f.Inject(tunneltest.Fault{Operation: opList, Status: 504, Times: tunneltest.Always})
	assert.Equal(t, 503, f.fetch(f.accountPath("/cfd_tunnel")).status)
	f.ClearFaults()
	f.fetch(f.accountPath("/cfd_tunnel")).result()
	f.Inject(tunneltest.Fault{Status: 505})
	assert.Equal(t, 505, f.fetch(f.accountPath("/cfd_tunnel")).status, "later faults apply")
}

// Faults are network faults, so they apply before the credentials are checked.
func TestFault_BeforeCredentials(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{Status: 502})
	r, err := f.tryWith(http.MethodGet, f.accountPath("/cfd_tunnel"), "", http.Header{})
	require.NoError(t, err)
	assert.Equal(t, 502, r.status)
}

// Inject copies the fault, so one value can be injected twice.
func TestInject_SameFaultTwice(t *testing.T) {
	t.Parallel()
	f := start(t)
	fault := tunneltest.Fault{Status: 503, Times: 1}
	f.Inject(fault)
	f.Inject(fault)
	assert.Equal(t, 1, fault.Times)
	for _, status := range []int{503, 503, 200} {
		assert.Equal(t, status, f.fetch(f.accountPath("/cfd_tunnel")).status)
	}
}

func TestClient_RetriesAfterFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startInBubble(t)
		id, _ := f.create("web")
		f.Inject(tunneltest.Fault{Operation: opDelete, Status: 500, Work: true})
		f.Inject(tunneltest.Fault{Operation: opDelete, Cut: tunneltest.CutAfter})
		client := f.client(cftunnel.WithRetry(cftunnel.RetryPolicy{}))
		deleted, err := client.Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
		require.NoError(t, err)
		assert.True(t, deleted.IsDeleted())
		assert.Len(t, f.Requests(), 4)
	})
}

func TestFault_PastQuota(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(1, time.Hour))
	f.fetch(f.accountPath("/cfd_tunnel"))
	f.Inject(tunneltest.Fault{Status: http.StatusBadGateway, Work: true})
	assert.Equal(t, http.StatusBadGateway,
		f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"n"}`).status)
	assert.False(t, f.lastRequest().Done, "the quota still prevents the work")
}

func TestFault_CutInsideEmptyBody(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable, Cut: tunneltest.CutInside})
	_, err := f.try(http.MethodGet, f.accountPath("/cfd_tunnel"), "")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestInject_CopiesHeader(t *testing.T) {
	t.Parallel()
	f := start(t)
	header := http.Header{"X-A": {"1"}}
	f.Inject(tunneltest.Fault{Header: header})
	header.Set("X-A", "2")
	assert.Equal(t, "1", f.fetch(f.accountPath("/cfd_tunnel")).header.Get("X-A"))
}

func TestInject_InvalidStatus(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, status := range []int{-1, 42, 101, 600} {
		assert.Panics(t, func() { f.Inject(tunneltest.Fault{Status: status}) })
	}
}
