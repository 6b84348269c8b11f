package tunneltest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// countingReader is an endless body that counts the bytes that are read.
type countingReader struct{ read atomic.Int64 }

func (e *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

func TestServer_BodyTooLarge(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int64{"of a known length": 200 << 20, "of an unknown length": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := tunneltest.NewServer(tunneltest.InMemory())
			defer srv.Close()
			body := &countingReader{}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				srv.URL()+"/accounts/"+srv.AccountID()+"/cfd_tunnel", io.LimitReader(body, 200<<20))
			require.NoError(t, err)
			request.ContentLength = length
			request.Header.Set("Authorization", "Bearer "+srv.APIToken().Reveal())
			response, err := srv.HTTPClient().Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Contains(t, string(text), `"success":false`)
			requests := srv.Requests()
			require.Len(t, requests, 1)
			assert.False(t, requests[0].Done)
			assert.True(t, requests[0].Body.IsZero())
			assert.Equal(t, http.StatusRequestEntityTooLarge, requests[0].Status)
			assert.Less(t, body.read.Load(), int64(3<<20))
		})
	}
}

func TestServer_BodyLimit(t *testing.T) {
	t.Parallel()
	f := start(t)
	body := `{"name":"web"}`
	f.send(http.MethodPost, f.accountPath("/cfd_tunnel"),
		body+strings.Repeat(" ", 1<<20-len(body))).result()
	r := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"),
		body+strings.Repeat(" ", 1<<20-len(body)+1))
	assert.Equal(t, http.StatusRequestEntityTooLarge, r.status)
}

func TestWithRecordLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			f := start(t, tunneltest.WithRecordLimit(limit))
			for i := range 11 {
				f.fetch(fmt.Sprintf("/zones/%d", i))
				kept := f.Requests()
				require.Len(t, kept, min(i+1, limit))
				for j, r := range kept {
					assert.Equal(t, fmt.Sprintf("/zones/%d", i+1-len(kept)+j), r.Path)
					assert.Equal(t, http.StatusNotFound, r.Status)
				}
			}
		})
	}
}

func TestWithQuota_UnknownCredentials(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(2, time.Hour))
	for i, status := range []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusTooManyRequests} {
		r, err := f.tryWith(http.MethodGet, "/zones", "",
			http.Header{"Authorization": {fmt.Sprint("Bearer unknown-", i)}})
		require.NoError(t, err)
		assert.Equal(t, status, r.status)
	}
	f.assertAllowed()
}
