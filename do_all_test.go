package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// listServer serves a list of numbers.
type listServer struct {
	total      int
	perPage    int    // the default of per_page
	maxPerPage int    // the limit of per_page; 0 if there is none
	info       string // a format of page, per_page, count and total; empty: no result_info
	queries    []url.Values
	contexts   []context.Context
}

const fullInfo = `,"result_info":{"page":%d,"per_page":%d,"count":%d,"total_count":%d}`

func (s *listServer) respond(r *http.Request) (int, string) {
	query := r.URL.Query()
	s.queries = append(s.queries, query)
	s.contexts = append(s.contexts, r.Context())
	page, _ := strconv.Atoi(query.Get("page"))
	perPage, err := strconv.Atoi(query.Get("per_page"))
	if err != nil {
		perPage = s.perPage
	}
	if s.maxPerPage != 0 {
		perPage = min(perPage, s.maxPerPage)
	}
	from := min((page-1)*perPage, s.total)
	var items []string
	for n := from; n < min(from+perPage, s.total); n++ {
		items = append(items, fmt.Sprintf(`{"n":%d}`, n))
	}
	info := ""
	if s.info != "" {
		info = fmt.Sprintf(s.info, page, perPage, len(items), s.total)
	}
	return 200, `{"success":true,"errors":[],"messages":[],"result":[` +
		strings.Join(items, ",") + `]` + info + `}`
}

type number struct {
	N int `json:"n"`
}

// numbers ranges over a list. It returns the numbers, and the error that the list ended with.
func numbers(
	ctx context.Context, c *cftunnel.Client, path string, query url.Values,
	opts ...cftunnel.CallOption,
) (got []int, err error) {
	for item, itemErr := range cftunnel.DoAll[number](ctx, c, path, query, opts...) {
		if err != nil {
			return got, errors.New("the list goes on after an error")
		}
		if err = itemErr; err == nil {
			got = append(got, item.N)
		}
	}
	return got, err
}

// upTo returns the numbers from 0 to n-1.
func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func TestDoAll_Pages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		server   listServer
		path     string
		query    url.Values
		opts     []cftunnel.CallOption
		want     []int
		requests int
		perPage  []string // the per_page that is sent
	}{
		"server's own pages":             {listServer{total: 45, perPage: 20, info: fullInfo}, "x", nil, nil, upTo(45), 3, nil},
		"exactly full pages":             {listServer{total: 40, perPage: 20, info: fullInfo}, "x", nil, nil, upTo(40), 2, nil},
		"one page":                       {listServer{total: 3, perPage: 20, info: fullInfo}, "x", nil, nil, upTo(3), 1, nil},
		"empty":                          {listServer{total: 0, perPage: 20, info: fullInfo}, "x", nil, nil, nil, 1, nil},
		"without pages":                  {listServer{total: 700, perPage: 1000}, "x", nil, nil, upTo(700), 1, nil},
		"per_page of the query":          {listServer{total: 25, perPage: 20, info: fullInfo}, "x", url.Values{"per_page": {"10"}}, nil, upTo(25), 3, []string{"10"}},
		"per_page of the path":           {listServer{total: 25, perPage: 20, info: fullInfo}, "x?per_page=10", nil, nil, upTo(25), 3, []string{"10"}},
		"per_page of an option":          {listServer{total: 25, perPage: 20, info: fullInfo}, "x", nil, []cftunnel.CallOption{cftunnel.AddQuery("per_page", "10")}, upTo(25), 3, []string{"10"}},
		"per_page three times":           {listServer{total: 25, perPage: 20, info: fullInfo}, "x?per_page=5", url.Values{"per_page": {"7"}}, []cftunnel.CallOption{cftunnel.AddQuery("per_page", "10")}, upTo(25), 3, []string{"10"}},
		"clamped per_page":               {listServer{total: 45, perPage: 20, maxPerPage: 20, info: fullInfo}, "x", url.Values{"per_page": {"1000"}}, nil, upTo(45), 3, []string{"1000"}},
		"per_page, no info":              {listServer{total: 25, perPage: 20}, "x", url.Values{"per_page": {"10"}}, nil, upTo(25), 3, []string{"10"}},
		"per_page of the path, no info":  {listServer{total: 25, perPage: 20}, "x?per_page=10", nil, nil, upTo(25), 3, []string{"10"}},
		"per_page of an option, no info": {listServer{total: 25, perPage: 20}, "x", nil, []cftunnel.CallOption{cftunnel.AddQuery("per_page", "10")}, upTo(25), 3, []string{"10"}},
		"full pages, no info":            {listServer{total: 20, perPage: 20}, "x", url.Values{"per_page": {"10"}}, nil, upTo(20), 3, []string{"10"}},
		"page of the query":              {listServer{total: 45, perPage: 20, info: fullInfo}, "x", url.Values{"page": {"2"}}, nil, upTo(45)[20:], 2, nil},
		"page of the path":               {listServer{total: 45, perPage: 20, info: fullInfo}, "x?page=2", nil, nil, upTo(45)[20:], 2, nil},
		"page of an option":              {listServer{total: 45, perPage: 20, info: fullInfo}, "x", nil, []cftunnel.CallOption{cftunnel.AddQuery("page", "2")}, upTo(45)[20:], 2, nil},
		"page past the end":              {listServer{total: 45, perPage: 20, info: fullInfo}, "x", url.Values{"page": {"9"}}, nil, nil, 1, nil},
		"total only":                     {listServer{total: 45, perPage: 20, info: `,"result_info":{"x":[%d,%d,%d],"total_count":%d}`}, "x", nil, nil, upTo(45), 3, nil},
		"per_page only":                  {listServer{total: 45, perPage: 20, info: `,"result_info":{"x":%d,"per_page":%d,"y":[%d,%d]}`}, "x", nil, nil, upTo(45), 3, nil},
		"total of something else":        {listServer{total: 45, perPage: 20, info: `,"result_info":{"page":%d,"per_page":%d,"count":%d,"total_count":1,"x":%d}`}, "x", nil, nil, upTo(45), 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &test.server
			client := canned(t, server.respond)
			type key struct{}
			ctx := context.WithValue(t.Context(), key{}, "the caller's")
			for range 2 { // the list can be ranged over again
				server.queries, server.contexts = nil, nil
				before := test.query.Encode()
				opts := append([]cftunnel.CallOption{cftunnel.AddQuery("name", "a b")}, test.opts...)
				got, err := numbers(ctx, client, test.path, test.query, opts...)
				require.NoError(t, err)
				assert.Equal(t, test.want, got)
				assert.Len(t, server.queries, test.requests)
				assert.Equal(t, before, test.query.Encode(), "the caller's query changes")
				for i, query := range server.queries {
					assert.Len(t, query["page"], 1)
					assert.Equal(t, test.perPage, query["per_page"])
					assert.Equal(t, []string{"a b"}, query["name"])
					assert.Equal(t, "the caller's", server.contexts[i].Value(key{}))
				}
			}
		})
	}
}

// DoAll cannot request the next page of such a list. To stop would look like the end of the list.
func TestDoAll_Cursor(t *testing.T) {
	t.Parallel()
	for info, isLast := range map[string]bool{
		`{"cursor":"abc","count":1}`:                       false,
		`{"cursors":{"before":"x","after":"y"}}`:           false,
		`{"page":1,"per_page":1,"count":1,"cursor":"abc"}`: false,
		`{"cursor":""}`:              true,
		`{"cursors":{"before":"x"}}`: true,
		`{}`:                         true,
	} {
		client := clientOf(t, respond(200, `{"success":true,"result":[1],"result_info":`+info+`}`))
		var got []int
		var failure error
		for item, err := range cftunnel.DoAll[int](t.Context(), client, "x", nil) {
			if failure = err; err == nil {
				got = append(got, item)
			}
		}
		if isLast {
			require.NoError(t, failure, info)
			assert.Equal(t, []int{1}, got)
		} else {
			require.ErrorContains(t, failure, "cursor", info)
			assert.Empty(t, got)
		}
	}
	// Do returns such a page.
	client := clientOf(t, respond(200, `{"success":true,"result":[1],"result_info":{"cursor":"a"}}`))
	var list []int
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "x", nil, &list))
	assert.Equal(t, []int{1}, list)
}

func TestDoAll_MergesQueries(t *testing.T) {
	t.Parallel()
	server := &listServer{total: 1, perPage: 20, info: fullInfo}
	client := canned(t, server.respond)
	query := make(url.Values)
	query["tag"] = append(make([]string, 0, 10), "one")
	_, err := numbers(t.Context(), client, "x?status=a&tag=zero", query,
		cftunnel.AddQuery("tag", "two"))
	require.NoError(t, err)
	want := url.Values{"status": {"a"}, "tag": {"one", "two"}, "page": {"1"}}
	assert.Equal(t, want, server.queries[0])
	assert.Equal(t, []string{"one", "", ""}, query["tag"][:3], "the caller's memory changes")
}

func TestDoAll_RepeatedPage(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]func(n int) []int{
		"same":        func(int) []int { return []int{1, 2, 3} },
		"other order": func(n int) []int { return [][]int{{1, 2, 3}, {3, 1, 2}, {2, 3, 1}}[n%3] },
		"first again": func(n int) []int { return [][]int{{1, 2, 3}, {4, 5, 6}}[n%2] },
		"one item":    func(n int) []int { return [][]int{{1}, {1}}[n%2] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			client := canned(t, func(*http.Request) (int, string) {
				var items []string
				for _, n := range page(requests) {
					items = append(items, fmt.Sprintf(`{"n":%d}`, n))
				}
				requests++
				return 200, `{"success":true,"result":[` + strings.Join(items, ",") +
					`],"result_info":{"page":1}}`
			})
			_, err := numbers(t.Context(), client, "x", nil)
			require.ErrorContains(t, err, "repeats an earlier one")
			assert.LessOrEqual(t, requests, 3)
		})
	}
}

func TestDoAll_ErrorOnLaterPage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		is     error // nil if no sentinel matches
	}{
		"refused":     {403, refusalBody(10000), cftunnel.ErrForbidden},
		"down":        {502, loginPage, cftunnel.ErrServer},
		"not a list":  {200, ok(`{"n":1}`), nil},
		"wrong item":  {200, ok(`[{"n":9},{"n":"nine"}]`), nil},
		"in HTML":     {200, loginPage, nil},
		"a failure":   {200, refusalBody(1), nil},
		"not an item": {200, ok(`[7]`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &listServer{total: 45, perPage: 20, info: fullInfo}
			client := canned(t, func(r *http.Request) (int, string) {
				if status, body := server.respond(r); len(server.queries) != 2 {
					return status, body
				}
				return test.status, test.body
			})
			got, err := numbers(t.Context(), client, "x", nil, cftunnel.AsOperation("/things"))
			failure, isError := errors.AsType[*cftunnel.Error](err)
			require.True(t, isError, "%#v", err)
			assert.Equal(t, test.status, failure.StatusCode)
			assert.Equal(t, "GET /things", failure.Operation)
			assert.Equal(t, upTo(20), got)
			assert.Len(t, server.queries, 2)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
		})
	}
}

func TestDoAll_EarlyEnd(t *testing.T) {
	t.Parallel()
	server := &listServer{total: 45, perPage: 20, info: fullInfo}
	client := canned(t, server.respond)
	for item, err := range cftunnel.DoAll[number](t.Context(), client, "x", nil) {
		require.NoError(t, err)
		if item.N == 10 {
			break
		}
	}
	assert.Len(t, server.queries, 1)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []int
	var last error
	for item, err := range cftunnel.DoAll[number](ctx, client, "x", nil) {
		if last = err; err == nil {
			got = append(got, item.N)
		}
		if item.N == 10 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	assert.Equal(t, upTo(20), got, "items of pages that were read are yielded")
}

func TestDoAll_Items(t *testing.T) {
	t.Parallel()
	client := cannedOK(t, `[{"id":"a","at":"","n":"5"},{"id":"b","at":"2026-01-02T03:04:05Z","n":6},null]`)
	type thing struct {
		ID string    `json:"id"`
		At time.Time `json:"at"`
		N  *int      `json:"n"`
	}
	var things []thing
	for item, err := range cftunnel.DoAll[thing](t.Context(), client, "x", nil) {
		require.NoError(t, err)
		things = append(things, item)
	}
	assert.Equal(t, []thing{{ID: "a", N: new(5)}, {ID: "b", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), N: new(6)}, {}}, things)

	var pointers []*thing
	for item, err := range cftunnel.DoAll[*thing](t.Context(), client, "x", nil) {
		require.NoError(t, err)
		pointers = append(pointers, item)
	}
	require.Len(t, pointers, 3)
	assert.Equal(t, "b", pointers[1].ID)
	assert.Nil(t, pointers[2])

	for item, err := range cftunnel.DoAll[map[string]any](t.Context(), client, "x", nil) {
		require.NoError(t, err)
		assert.Equal(t, "a", item["id"])
		break
	}

	_, err := numbers(t.Context(), cannedOK(t, `[{"n":1},{"n":"`+planted+`"}]`), "x", nil)
	require.ErrorContains(t, err, "item 1: n is of the wrong type")
	assert.NotContains(t, err.Error(), planted)
}

func TestDoAll_InvalidArguments(t *testing.T) {
	t.Parallel()
	client := canned(t, func(*http.Request) (int, string) {
		t.Error("a request was sent")
		return 200, ok(`[]`)
	})
	all := func(path string, query url.Values, opts ...cftunnel.CallOption) error {
		_, err := numbers(t.Context(), client, path, query, opts...)
		return err
	}
	for _, text := range []string{"0", "-1", "x", "1.5"} {
		for _, name := range []string{"page", "per_page"} {
			requireInvalid(t, all("x", url.Values{name: {text}}), "query")
			requireInvalid(t, all("x?"+name+"="+text, nil), "query")
			requireInvalid(t, all("x", nil, cftunnel.AddQuery(name, text)), "query")
		}
	}
	requireInvalid(t, all("", nil), "path")
	requireInvalid(t, all("../x", nil), "path")
	requireInvalid(t, all("https://example.com/x", nil), "path")
	requireInvalid(t, all("x", nil, nil), "opts")
	type withSecret struct{ Token cftunnel.Secret }
	for _, err := range cftunnel.DoAll[withSecret](t.Context(), client, "x", nil) {
		requireInvalid(t, err, "T")
	}
}

// ResponseInfo has the page numbers of result_info, for DoAll and for Do.
func TestResponseInfo_Page(t *testing.T) {
	t.Parallel()
	server := &listServer{total: 45, perPage: 20, info: fullInfo}
	client := canned(t, server.respond)
	var info cftunnel.ResponseInfo
	var pages []cftunnel.PageInfo
	capture := cftunnel.CaptureResponse(&info)
	for _, err := range cftunnel.DoAll[number](t.Context(), client, "x", nil, capture) {
		require.NoError(t, err)
		pages = append(pages, info.Page)
	}
	want := []cftunnel.PageInfo{{1, 20, 20, 45}, {2, 20, 20, 45}, {3, 20, 5, 45}}
	assert.Equal(t, want, slices.Compact(pages))

	var items []number
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "x?page=3", nil, &items, capture))
	assert.Equal(t, want[2], info.Page)

	client = cannedOK(t, `[]`)
	require.NoError(t, client.Do(t.Context(), http.MethodGet, "x", nil, &items, capture))
	assert.Zero(t, info.Page, "values of an earlier call")
}
