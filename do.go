package cftunnel

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
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
	relative, values, err := apipath.Relative(path)
	if err != nil {
		return invalid("path", "%v", err)
	}
	encoded, err := encodeCallersBody(body)
	if err != nil {
		return err
	}
	r := request{
		operation: operation{
			call: "Do", method: method, template: relative, label: method + " " + relative, secret: true, anyEnvelope: true,
		},
		query: values,
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

// DoAll reads every page of a list that has no method here, each item as a T. The path is that of
// [Client.Do]; the query is sent with every request, and page is added. The server's default of
// per_page applies unless query has it.
//
// It returns an error once, and ends with it. A response without result_info is the whole list, unless
// it has as many items as query's per_page.
func DoAll[T any](ctx context.Context, c *Client, path string, query url.Values, opts ...CallOption) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		first, err := pageNumber(query, "page")
		if holdsSecret(reflect.TypeFor[T]()) {
			err = invalid("T", "contains a Secret, which cannot be decoded; use a string, or the tag json:\"-\"")
		}
		if err == nil {
			_, err = pageNumber(query, "per_page")
		}
		if err != nil {
			yield(none, err)
			return
		}
		perPage, _ := pageNumber(query, "per_page")
		items := pager[json.RawMessage]{
			page: first, perPage: perPage,
			hash: func(seed maphash.Seed, item *json.RawMessage) uint64 { return maphash.Bytes(seed, *item) },
			fetch: func(page, _ int) (*Page[json.RawMessage], error) {
				return doPageAt(ctx, c, path, query, page, perPage, opts)
			},
		}.all()
		for raw, err := range items {
			item := none
			if err == nil && json.Unmarshal(*raw, &item) != nil {
				err = fmt.Errorf("cftunnel: an item of %s cannot be decoded as a %T", path, none)
			}
			if err != nil {
				yield(none, err)
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// doPageAt reads one page of a list.
func doPageAt(
	ctx context.Context, c *Client, path string, query url.Values, page, perPage int, opts []CallOption,
) (*Page[json.RawMessage], error) {
	var info ResponseInfo
	var items []json.RawMessage
	paged := func(o *callOptions) error {
		for key, values := range query {
			o.query[key] = slices.Clone(values)
		}
		o.query.Set("page", strconv.Itoa(page))
		return nil
	}
	opts = append(slices.Clone(opts), paged, CaptureResponse(&info))
	if err := c.Do(ctx, http.MethodGet, path, nil, &items, opts...); err != nil {
		return nil, err
	}
	got := &Page[json.RawMessage]{Items: items, Info: info.Page}
	got.whole = info.Page == (PageInfo{}) && (perPage == 0 || len(items) < perPage)
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
