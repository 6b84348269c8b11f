package cftunnel_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// shuffled returns the items in random order.
func shuffled(items []int) []int {
	items = slices.Clone(items)
	rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items
}

// repeatingPages are servers that repeat pages. page returns what they send as page n, and requests
// is the most requests until the client notices.
var repeatingPages = map[string]struct {
	page     func(n int) []int
	requests int
}{
	"first page, in another order": {func(int) []int { return shuffled(slice(50, 1, 50)) }, 2},
	"first page, reversed": {func(n int) []int {
		items := slice(9, 1, 9)
		if n%2 == 0 {
			slices.Reverse(items)
		}
		return items
	}, 2},
	"first page, after others":          {func(n int) []int { return shuffled(slice(500, (n-1)%4+1, 50)) }, 5},
	"previous page, at the end":         {func(n int) []int { return shuffled(slice(500, min(n, 7), 50)) }, 8},
	"two in turn, after the first page": {func(n int) []int { return shuffled(slice(500, 2+n%2, 50)) }, 3},
	"two in turn, after other pages":    {func(n int) []int { return shuffled(slice(5000, min(n, 20+n%2), 50)) }, 40},
	"three in turn, after many pages":   {func(n int) []int { return shuffled(slice(9000, min(n, 30+n%3), 50)) }, 70},
	"one item":                          {func(int) []int { return []int{7} }, 2},
	"one item, twice in a page":         {func(int) []int { return []int{7, 7} }, 2},
}

// liveHeap returns how much memory is in use.
func liveHeap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

func TestAll_RepeatedPages(t *testing.T) {
	t.Parallel()
	for name, test := range repeatingPages {
		for infoName, info := range map[string]func(n, count int) any{
			"no result_info":       func(int, int) any { return nil },
			"with the page number": func(n, count int) any { return m{"page": n, "per_page": count, "count": count} },
			"with a large total":   func(n, count int) any { return m{"page": n, "per_page": count, "total_count": 1 << 30} },
			"always page 1":        func(_, count int) any { return m{"page": 1, "per_page": count, "total_count": 1 << 30} },
			"with a total of one":  func(n, _ int) any { return m{"page": n, "total_count": 1} },
		} {
			if infoName == "with a total of one" && strings.HasPrefix(name, "one item") {
				continue // it is the whole list
			}
			t.Run(name+", "+infoName, func(t *testing.T) {
				t.Parallel()
				var server pagedServer
				client := clientOf(t, server.serve(func(n, _ int) ([]int, any) {
					if n > 500 {
						return nil, nil // in case the client does not notice
					}
					items := test.page(n)
					return items, info(n, len(items))
				}), cftunnel.WithoutRateLimit())
				_, err := collect(t, client, cftunnel.TunnelListParams{})
				require.ErrorContains(t, err, "repeats an earlier one")
				assert.LessOrEqual(t, server.requests, test.requests)

				server.requests = 0
				errs := 0
				query := url.Values{"per_page": {"1"}}
				all := cftunnel.DoAll[json.RawMessage](t.Context(), client, "x", query)
				for _, err := range all {
					if err != nil {
						require.ErrorContains(t, err, "repeats an earlier one")
						errs++
					}
				}
				assert.Equal(t, 1, errs)
				assert.LessOrEqual(t, server.requests, test.requests)
			})
		}
	}
}

// If a list changes while it is read, items move from one page to the next.
func TestAll_ItemsOnSeveralPages(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]func(n int) []int{
		"last item of the previous page":         func(n int) []int { return slice(1000, 1, 1000)[(n-1)*9 : (n-1)*9+10] },
		"all items of the previous page but one": func(n int) []int { return slice(1000, 1, 1000)[n-1 : n-1+10] },
		"a part of the previous page":            func(n int) []int { return slice(10, 1, 10)[:11-n] },
		"first item on every page":               func(n int) []int { return append([]int{0}, slice(1000, n+1, 9)...) },
		"other numbers with the same sum":        func(n int) []int { return []int{100 - n, 100 + n, 500 + n, 500 - n} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const pages = 10
			var server pagedServer
			client := clientOf(t, server.serve(func(n, _ int) ([]int, any) {
				if n > pages {
					return nil, nil
				}
				return page(n), nil
			}), cftunnel.WithoutRateLimit())
			names, err := collect(t, client, cftunnel.TunnelListParams{})
			require.NoError(t, err)
			var want []string
			for n := range pages {
				for _, item := range page(n + 1) {
					want = append(want, strconv.Itoa(item))
				}
			}
			assert.Equal(t, want, names)
			assert.Equal(t, pages+1, server.requests)
		})
	}
}

// Equal items are accepted as long as their pages differ.
func TestDoAll_EqualItems(t *testing.T) {
	t.Parallel()
	pages := [][]string{{"a", "a", "b"}, {"a", "b", "b"}, {"b", "b", "b"}, {"a", "a"}, {"c"}}
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("page"))
		var items []string
		if n <= len(pages) {
			items = pages[n-1]
		}
		info := m{"page": n}
		_ = json.NewEncoder(w).Encode(m{"success": true, "result": items, "result_info": info})
	}, cftunnel.WithoutRateLimit())
	var got []string
	for item, err := range cftunnel.DoAll[string](t.Context(), client, "x", nil) {
		require.NoError(t, err)
		got = append(got, item)
	}
	assert.Equal(t, slices.Concat(pages...), got)
}

// The memory that All needs must not grow with the list.
//
//nolint:paralleltest // the memory of other tests would be counted too
func TestAll_MemoryOfLongList(t *testing.T) {
	read := func(pages int) int {
		client := canned(t, func(r *http.Request) (int, string) {
			n, _ := strconv.Atoi(r.URL.Query().Get("page"))
			if n > pages {
				return 200, `{"success":true,"result":[]}`
			}
			return 200, fmt.Sprintf(`{"success":true,"result":[{"id":"%d"},{"id":"%d-"}]}`, n, n)
		})
		live := 0
		n := 0
		for _, err := range client.Tunnels.All(t.Context(), cftunnel.TunnelListParams{}) {
			require.NoError(t, err)
			if n++; n == 2*pages {
				live = liveHeap()
			}
		}
		require.Equal(t, 2*pages, n)
		return live
	}
	short, long := read(10), read(5000)
	assert.Less(t, long-short, 256<<10)
}
