package cftunnel

import (
	"context"
	"encoding/json"
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

// Do calls an endpoint that has no method here, with the same authentication, pacing, retries and
// errors.
//
// The path is relative to the base URL: "accounts/0123…/cfd_tunnel". A leading slash is allowed; a query
// is kept; an absolute URL, an empty segment and ".." are refused. The caller escapes what it puts into
// the path. The body is encoded as JSON, except a []byte, which must be JSON already; nil sends none. A
// [Secret] in it must be revealed. The value that result points to is replaced by the response's
// result; nil leaves that unread. For a list, see [DoAll].
//
// It returns an [*InvalidArgumentError] before anything is sent, otherwise an [*Error]. Any method but
// GET can be an [ErrOutcomeUnknown].
func (c *Client) Do(ctx context.Context, method, path string, body, result any, opts ...CallOption) error {
	if err := c.check(); err != nil {
		return err
	}
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return invalid("method", "is none of GET, POST, PUT, PATCH and DELETE")
	}
	r, err := newCallersRequest(method, path)
	if err != nil {
		return err
	}
	encoded, err := encodeCallersBody(body)
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
		return invalid("result", "contains a Secret, which cannot be decoded; use a string, or the tag json:\"-\"")
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

// newCallersRequest returns a request for a path that the caller wrote.
func newCallersRequest(method, path string) (request, error) {
	if err := checkText("path", path); err != nil {
		return request{}, err
	}
	relative, values, err := apipath.Relative(path)
	if err != nil {
		return request{}, invalid("path", "%v", err)
	}
	return request{
		operation: operation{
			call: "Do", method: method, template: relative, label: method + " " + relative, secret: true, anyEnvelope: true,
		},
		query: func() (url.Values, error) { return maps.Clone(values), checkText("query", values) },
	}, nil
}

// DoAll reads every page of a list that has no method here, each item as a T. The path is that of
// [Client.Do]; the query is sent with every request, and page is added. The server's default of
// per_page applies unless query, the path or an option has it.
//
// It returns an error once, and ends with it. A response without result_info is the whole list, unless
// it has as many items as per_page says.
func DoAll[T any](ctx context.Context, c *Client, path string, query url.Values, opts ...CallOption) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		list, err := newCallersList(path, query, opts)
		if err == nil && holdsSecret(reflect.TypeFor[T]()) {
			err = invalid("T", "contains a Secret, which cannot be decoded; use a string, or the tag json:\"-\"")
		}
		if err == nil {
			err = c.check()
		}
		if err != nil {
			yield(none, err)
			return
		}
		items := pager[callersItem[T]]{
			page: list.page, perPage: list.perPage,
			hash: func(seed maphash.Seed, item *callersItem[T]) uint64 { return maphash.Bytes(seed, item.raw) },
			fetch: func(page, _ int) (*Page[callersItem[T]], error) {
				return doCallersPage[T](ctx, c, list, page)
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

// callersItem is an item of DoAll.
type callersItem[T any] struct {
	raw   json.RawMessage
	value T
}

// callersList is what every page of DoAll is asked for with.
type callersList struct {
	request       request    // without a page
	query         url.Values // without a page
	opts          []CallOption
	page, perPage int // 0 is the first, and what the server chooses
}

// newCallersList gathers the query. Of a parameter that the query has, the path's does not count, and
// of page and per_page the last option's does.
func newCallersList(path string, query url.Values, opts []CallOption) (callersList, error) {
	r, err := newCallersRequest(http.MethodGet, path)
	if err != nil {
		return callersList{}, err
	}
	options, err := newCallOptions(opts, 1)
	if err != nil {
		return callersList{}, err
	}
	values, err := r.query()
	if err != nil {
		return callersList{}, err
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
			return callersList{}, err
		}
	}
	opts = append(slices.Clone(opts), func(o *callOptions) error {
		o.query.Del("page")
		o.query.Del("per_page")
		return nil
	})
	return callersList{request: r, query: values, opts: opts, page: paging[0], perPage: paging[1]}, nil
}

// doCallersPage reads one page of a list.
func doCallersPage[T any](ctx context.Context, c *Client, list callersList, page int) (*Page[callersItem[T]], error) {
	got := &Page[callersItem[T]]{}
	var items []json.RawMessage
	r := list.request
	r.query = func() (url.Values, error) {
		query := maps.Clone(list.query)
		query.Set("page", strconv.Itoa(page))
		return query, checkText("query", query)
	}
	r.result = &items
	r.check = func() error {
		got.Items = make([]callersItem[T], len(items))
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

// pageNumber reads a parameter of a query that counts from 1; 0 is none.
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
