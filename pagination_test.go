package cftunnel_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// collect returns the names of the tunnels that All yields.
func collect(
	t *testing.T, client *cftunnel.Client, params cftunnel.TunnelListParams,
) (names []string, err error) {
	t.Helper()
	for tunnel, err := range client.Tunnels.All(t.Context(), params) {
		if err != nil {
			assert.Nil(t, tunnel)
			return names, err
		}
		names = append(names, tunnel.Name)
	}
	return names, nil
}

func TestTunnelsAll_RequestCount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ tunnels, perPage, requests int }{
		{0, 0, 1}, {1, 0, 1}, {999, 0, 1}, {1000, 0, 1}, {1001, 0, 2}, {2000, 0, 2}, {2001, 0, 3},
		{10, 3, 4}, {9, 3, 3}, {1, 1, 1},
	} {
		name := fmt.Sprintf("%d tunnels, per_page %d", test.tunnels, test.perPage)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t)
			seeded := srv.SeedTunnels(test.tunnels)
			names, err := collect(t, client, cftunnel.TunnelListParams{PerPage: test.perPage})
			require.NoError(t, err)
			require.Len(t, names, len(seeded))
			for i, tunnel := range seeded {
				assert.Equal(t, tunnel.Name, names[i])
			}
			requests := srv.Requests()
			assert.Len(t, requests, test.requests)
			for i, request := range requests {
				assert.Equal(t, strconv.Itoa(i+1), request.Query.Get("page"))
				want := "1000"
				if test.perPage > 0 {
					want = strconv.Itoa(test.perPage)
				}
				assert.Equal(t, want, request.Query.Get("per_page"))
			}
		})
	}
}

func TestTunnelsList_OnePage(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(5)
	page, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{Page: 2, PerPage: 3})
	require.NoError(t, err)
	assert.Len(t, page.Items, 2)
	assert.Equal(t, cftunnel.PageInfo{Page: 2, PerPage: 3, Count: 2, TotalCount: 5}, page.Info)

	page, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{Page: 9})
	require.NoError(t, err)
	assert.Empty(t, page.Items)
	assert.Len(t, srv.Requests(), 2)
}

func TestTunnelsAll_FirstPage(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(6)
	names, err := collect(t, client, cftunnel.TunnelListParams{Page: 2, PerPage: 2})
	require.NoError(t, err)
	assert.Equal(t, []string{"seed-00003", "seed-00004", "seed-00005", "seed-00006"}, names)
	assert.Len(t, srv.Requests(), 2)
}

func TestTunnelsAllTypes_Pages(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(5)
	n := 0
	params := cftunnel.AllTypesListParams{PerPage: 2}
	for _, err := range client.Tunnels.AllTypes(t.Context(), params) {
		require.NoError(t, err)
		n++
	}
	assert.Equal(t, 5, n)
	assert.Len(t, srv.Requests(), 3)
}

func TestTunnelsAll_RangedTwice(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(3)
	all := client.Tunnels.All(t.Context(), cftunnel.TunnelListParams{PerPage: 2})
	for range 2 {
		n := 0
		for _, err := range all {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 3, n)
	}
	assert.Len(t, srv.Requests(), 4)
}

func TestTunnelsAll_Break(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(4)
	n := 0
	for _, err := range client.Tunnels.All(t.Context(), cftunnel.TunnelListParams{PerPage: 2}) {
		require.NoError(t, err)
		if n++; n == 2 {
			break
		}
	}
	assert.Len(t, srv.Requests(), 1)
}

func TestTunnelsAll_CancelledContext(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(4)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got int
	var failures []error
	for _, err := range client.Tunnels.All(ctx, cftunnel.TunnelListParams{PerPage: 2}) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		got++
		cancel()
	}
	assert.Equal(t, 2, got, "the items of the first page")
	require.Len(t, failures, 1)
	require.ErrorIs(t, failures[0], context.Canceled)
	assert.Len(t, srv.Requests(), 1)
}

func TestTunnelsAll_ErrorOnLaterPage(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(4)
	var failures []error
	n := 0
	for _, err := range client.Tunnels.All(t.Context(), cftunnel.TunnelListParams{PerPage: 2}) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if n++; n == 2 {
			srv.Inject(tunneltest.Fault{Status: 403, Body: refusalBody(10000)})
		}
	}
	assert.Equal(t, 2, n)
	require.Len(t, failures, 1)
	require.ErrorIs(t, failures[0], cftunnel.ErrForbidden)
}

// pagedServer serves a list. A function returns the items and the result_info of each page.
type pagedServer struct {
	mu       sync.Mutex
	requests int
}

func (s *pagedServer) serve(
	pageOf func(page, perPage int) (items []int, info any),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests++
		s.mu.Unlock()
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		perPage, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
		items, info := pageOf(page, perPage)
		result := make([]map[string]any, len(items))
		for i, item := range items {
			result[i] = map[string]any{"id": fmt.Sprint("id-", item), "name": fmt.Sprint(item)}
		}
		response := map[string]any{"success": true, "result": result}
		if info != nil {
			response["result_info"] = info
		}
		_ = json.NewEncoder(w).Encode(response)
	}
}

// slice returns the items of a page of the list of 0 to n-1.
func slice(n, page, perPage int) []int {
	var items []int
	for i := (page - 1) * perPage; i < min(page*perPage, n); i++ {
		items = append(items, i)
	}
	return items
}

type m = map[string]any

func TestTunnelsAll_WrongResultInfo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		page            func(page, perPage int) ([]int, any)
		items, requests int
		fails           bool
	}{
		"no result_info, short page": {func(page, _ int) ([]int, any) { return slice(3, page, 10), nil }, 3, 2, false},
		"no result_info, many pages": {func(page, _ int) ([]int, any) { return slice(25, page, 10), nil }, 25, 4, false},
		"result_info of a wrong type": {func(page, _ int) ([]int, any) {
			return slice(3, page, 10), "none"
		}, 3, 2, false},
		"clamped per_page": {func(page, _ int) ([]int, any) {
			return slice(250, page, 100), m{"page": page, "per_page": 100, "total_count": 250}
		}, 250, 3, false},
		"clamped per_page, no total": {func(page, _ int) ([]int, any) {
			return slice(200, page, 100), m{"page": page, "per_page": 100}
		}, 200, 3, false},
		"clamped per_page, exact total": {func(page, _ int) ([]int, any) {
			return slice(200, page, 100), m{"per_page": 100, "total_count": 200}
		}, 200, 2, false},
		"total_count without the filter": {func(page, _ int) ([]int, any) {
			return slice(15, page, 10), m{"per_page": 10, "total_count": 1000}
		}, 15, 2, false},
		"total_count smaller than a page": {func(page, _ int) ([]int, any) {
			return slice(15, page, 10), m{"per_page": 10, "total_count": 3}
		}, 15, 2, false},
		"numbers as strings": {func(page, _ int) ([]int, any) {
			return slice(20, page, 10), m{"per_page": "10", "total_count": "20"}
		}, 20, 2, false},
		"negative numbers": {func(page, _ int) ([]int, any) {
			return slice(15, page, 10), m{
				"page": -1, "per_page": -10, "count": -5, "total_count": -1,
			}
		}, 15, 3, false},
		"more items than total_count": {func(page, _ int) ([]int, any) {
			return slice(1<<20, page, 10), m{"per_page": 10, "total_count": 25}
		}, 30, 3, false},
		"same page again and again": {func(int, int) ([]int, any) { return slice(10, 1, 10), nil }, 10, 2, true},
		"same page again and again, with a total": {func(int, int) ([]int, any) {
			return slice(10, 1, 10), m{"per_page": 10, "total_count": 1000}
		}, 10, 2, true},
		"two pages in turn": {func(page, _ int) ([]int, any) { return slice(20, (page-1)%2+1, 10), nil }, 20, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var server pagedServer
			client := clientOf(t, server.serve(test.page))
			names, err := collect(t, client, cftunnel.TunnelListParams{})
			assert.Equal(t, test.fails, err != nil, "%v", err)
			if test.fails {
				assert.Contains(t, err.Error(), "repeats")
			}
			assert.Len(t, names, test.items)
			for i, name := range names {
				assert.Equal(t, strconv.Itoa(i), name)
			}
			assert.Equal(t, test.requests, server.requests)
		})
	}
}

func TestTunnelsList_NullResult(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(200, `{"success":true,"errors":[],"messages":[],"result":null}`))
	page, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	assert.Empty(t, page.Items)
	names, err := collect(t, client, cftunnel.TunnelListParams{})
	require.NoError(t, err)
	assert.Empty(t, names)
}

func TestTunnelsList_WrongResultType(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`{}`, `"x"`, `[1]`} {
		client := clientOf(t, respond(200, `{"success":true,"result":`+result+`}`))
		_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		_, ok := errors.AsType[*cftunnel.Error](err)
		assert.True(t, ok, "%s: %v", result, err)
	}
}

func TestTunnelsAll_ItemsAreNotReused(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(4)
	var kept []*cftunnel.Tunnel
	params := cftunnel.TunnelListParams{PerPage: 2}
	for tunnel, err := range client.Tunnels.All(t.Context(), params) {
		require.NoError(t, err)
		kept = append(kept, tunnel)
	}
	var names []string
	for _, tunnel := range kept {
		names = append(names, tunnel.Name)
	}
	assert.Equal(t, "seed-00001 seed-00002 seed-00003 seed-00004", strings.Join(names, " "))
}

func TestTunnelsAll_LaterPageWithClampedPerPage(t *testing.T) {
	t.Parallel()
	for _, info := range []m{
		{"per_page": 100, "total_count": 500}, {"total_count": 500}, {"per_page": -1, "total_count": 500},
	} {
		var server pagedServer
		client := clientOf(t, server.serve(func(page, _ int) ([]int, any) {
			return slice(500, page, 100), info
		}))
		names, err := collect(t, client, cftunnel.TunnelListParams{Page: 2})
		require.NoError(t, err)
		assert.Len(t, names, 400)
		assert.Equal(t, 4, server.requests)
	}
}

func TestTunnelsAll_RangedConcurrently(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	srv.SeedTunnels(10)
	all := client.Tunnels.All(t.Context(), cftunnel.TunnelListParams{PerPage: 3})
	allTypes := client.Tunnels.AllTypes(t.Context(), cftunnel.AllTypesListParams{PerPage: 3})
	var group sync.WaitGroup
	for range 4 {
		for _, list := range []iter.Seq2[*cftunnel.Tunnel, error]{all, allTypes} {
			group.Go(func() {
				n := 0
				for _, err := range list {
					assert.NoError(t, err)
					n++
				}
				assert.Equal(t, 10, n)
			})
		}
	}
	group.Wait()
}
