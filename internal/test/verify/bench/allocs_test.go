package bench_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
)

// maxAllocations is what a Get may allocate, those of the transport below included. Lower it when there are fewer; where more are worth it, say
// why.
const maxAllocations = 47

// memory answers with the same body again and again, and allocates the same each time.
type memory struct{ body []byte }

func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}, "Cf-Ray": {"8f2ab4c1d2e3f405-FRA"}},
		Body: io.NopCloser(bytes.NewReader(m.body)), ContentLength: int64(len(m.body)), Request: r,
	}, nil
}

// A Get over sockets allocates now more, now less; this one does not.
//
//nolint:paralleltest // what other tests allocate would count
func TestAllocationsOfAGet(t *testing.T) {
	server, err := bench.NewServer(1)
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	path := bench.BasePath + "/accounts/" + bench.AccountOf(1) + "/cfd_tunnel/" + bench.TunnelID
	server.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	client, err := cftunnel.NewClient(cftunnel.WithAPIToken(bench.Token), cftunnel.WithAccountID(bench.AccountOf(1)), cftunnel.WithoutRateLimit(),
		cftunnel.WithHTTPClient(&http.Client{Transport: memory{recorder.Body.Bytes()}}))
	if err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(1000, func() {
		if tunnel, err := client.Tunnels.Get(t.Context(), bench.TunnelID); err != nil || tunnel.Name != "blog" {
			t.Fatal(tunnel, err)
		}
	})
	if allocations > maxAllocations {
		t.Errorf("a Get makes %v allocations, more than %d", allocations, maxAllocations)
	}
	t.Logf("%v allocations", allocations)
}
