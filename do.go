package cftunnel

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
	"github.com/cftunnel/cftunnel-go/internal/envelope"
)

// Do calls an endpoint that this package has no method for. It uses the same authentication, rate
// limit, retries and errors as the other methods. For a list, use [DoAll].
//
// The path is relative to the base URL, such as "accounts/0123…/cfd_tunnel". A leading slash is
// allowed; a query is kept; an absolute URL, an empty segment and ".." are refused. The caller must
// escape variable parts of the path.
//
// The body is encoded as JSON. A []byte must be JSON already, and nil sends no body. To send a
// [Secret], use the result of its Reveal method.
//
// If result is not nil, it must be a pointer. If the call succeeds, the member "result" of the
// response replaces the value that result points to. If the response has no content, with status
// 204, the value is the zero value.
//
// It returns an [*InvalidArgumentError] before anything is sent, or an [*Error]. If the method is
// not GET, it can return [ErrOutcomeUnknown].
func (c *Client) Do(
	ctx context.Context, method, path string, body, result any, opts ...CallOption,
) error {
	if err := c.check(); err != nil {
		return err
	}
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return invalid("method", "is not GET, POST, PUT, PATCH or DELETE")
	}
	r, err := newDoRequest(method, path)
	if err != nil {
		return err
	}
	encoded, err := encodeDoBody(body)
	if err != nil {
		return err
	}
	if encoded != nil {
		r.body = encoded
	}
	if result == nil {
		_, err = c.send(ctx, r, opts)
		return err
	}
	target := reflect.ValueOf(result)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return invalid("result", "is not a pointer to a value")
	}
	if holdsSecret(target.Type()) {
		return invalid("result", containsSecret)
	}
	// A call that fails must not change the caller's value.
	fresh := reflect.New(target.Type().Elem())
	r.result = fresh.Interface()
	if _, err := c.send(ctx, r, opts); err != nil {
		return err
	}
	target.Elem().Set(fresh.Elem())
	return nil
}

// containsSecret is what is wrong with the type of a result.
const containsSecret = "contains a Secret, which cannot be decoded; " +
	`use a string, or the tag json:"-"`

// newDoRequest returns the request of Do or DoAll for a path.
func newDoRequest(method, path string) (request, error) {
	if err := checkText("path", path); err != nil {
		return request{}, err
	}
	relative, values, err := apipath.Relative(path)
	if err != nil {
		return request{}, invalid("path", "%v", err)
	}
	return request{
		operation: operation{
			call: "Do", method: method, template: relative, label: method + " " + relative,
			secret: true, anyEnvelope: true,
		},
		query: func() (url.Values, error) { return maps.Clone(values), checkText("query", values) },
	}, nil
}

// DoAll returns an iterator over the items of a list that this package has no method for. It
// requests all pages and decodes each item as a T.
//
// The path has the same form as that of [Client.Do]. Every request has the given query and the page
// number. The server's default for per_page applies, unless query, path or an option sets it. If a
// response has no member result_info, which describes the page, it counts as the last page. There
// is one exception: if per_page is set and the response has per_page items, DoAll requests the next
// page.
//
// DoAll does not know lists whose pages are found by a cursor: if a response has a cursor for the
// next page, it yields an error. For such lists, use [Client.Do].
//
// If a request fails, DoAll yields the error once, with a zero T, and stops.
func DoAll[T any](
	ctx context.Context, c *Client, path string, query url.Values, opts ...CallOption,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		list, err := newDoAllList(path, query, opts)
		if err == nil && holdsSecret(reflect.TypeFor[T]()) {
			err = invalid("T", containsSecret)
		}
		if err == nil {
			err = c.check()
		}
		if err != nil {
			yield(none, err)
			return
		}
		items := pager[doAllItem[T]]{
			page: list.page, perPage: list.perPage,
			hash: func(seed maphash.Seed, item *doAllItem[T]) uint64 {
				return maphash.Bytes(seed, item.raw)
			},
			fetch: func(page, _ int) (*Page[doAllItem[T]], error) {
				return doAllPage[T](ctx, c, list, page)
			},
		}.all()
		for item, err := range items {
			if err != nil {
				yield(none, err)
				return
			}
			if !yield(item.value, nil) {
				return
			}
		}
	}
}

// doAllItem is an item of DoAll.
type doAllItem[T any] struct {
	raw   json.RawMessage
	value T
}

// doAllList has the arguments that the requests of DoAll have in common.
type doAllList struct {
	request       request    // without the query
	query         url.Values // without the page number
	opts          []CallOption
	page, perPage int // 0 is the first page, and the server's default
}

// newDoAllList merges the query of the path, the given query and the options. The given query
// replaces parameters of the path. For page and per_page, the last option replaces both.
func newDoAllList(path string, query url.Values, opts []CallOption) (doAllList, error) {
	r, err := newDoRequest(http.MethodGet, path)
	if err != nil {
		return doAllList{}, err
	}
	options, err := newCallOptions(opts, 1)
	if err != nil {
		return doAllList{}, err
	}
	values, err := r.query()
	if err != nil {
		return doAllList{}, err
	}
	for name, list := range query {
		values[name] = slices.Clone(list)
	}
	paging := [2]int{}
	for i, name := range []string{"page", "per_page"} {
		if given := options.query[name]; len(given) > 0 {
			values.Set(name, given[len(given)-1])
		}
		if paging[i], err = pageNumber(values, name); err != nil {
			return doAllList{}, err
		}
	}
	opts = append(slices.Clone(opts), func(o *callOptions) error {
		o.query.Del("page")
		o.query.Del("per_page")
		return nil
	})
	return doAllList{
		request: r, query: values, opts: opts, page: paging[0], perPage: paging[1],
	}, nil
}

// doAllPage requests one page of a list.
func doAllPage[T any](
	ctx context.Context, c *Client, list doAllList, page int,
) (*Page[doAllItem[T]], error) {
	got := &Page[doAllItem[T]]{}
	var items []json.RawMessage
	r := list.request
	r.query = func() (url.Values, error) {
		query := maps.Clone(list.query)
		query.Set("page", strconv.Itoa(page))
		return query, checkText("query", query)
	}
	r.result, r.allPages = &items, true
	r.check = func() error {
		got.Items = make([]doAllItem[T], len(items))
		for i, raw := range items {
			got.Items[i].raw = raw
		}
		return envelope.DecodeItems(items, func(i int) any { return &got.Items[i].value })
	}
	info, err := c.send(ctx, r, list.opts)
	if err != nil {
		return nil, err
	}
	got.Info = info
	got.whole = info == (PageInfo{}) && (list.perPage == 0 || len(items) < list.perPage)
	return got, nil
}

var errCursor = errors.New("the next page is found by a cursor, which DoAll does not support")

// pageNumber returns a parameter that must be a positive number, or 0 if the query does not have
// it.
func pageNumber(query url.Values, name string) (int, error) {
	text := query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, invalid("query", "has a %s that is not a positive number", name)
	}
	return n, nil
}
