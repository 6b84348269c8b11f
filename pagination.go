package cftunnel

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"iter"
)

// Page is one page of a list.
type Page[T any] struct {
	// Items are in the order of the server.
	Items []T
	// Info is the server's description of the page. It is zero if the response has none.
	Info PageInfo

	whole bool // the page is the whole list
}

// PageInfo describes a page of a list, as the server reports it.
type PageInfo struct {
	// Page is the number of the page, from 1.
	Page int
	// PerPage is the maximum number of items on a page.
	PerPage int
	// Count is the number of items on this page.
	Count int
	// TotalCount is the number of items on all pages. The API does not document whether it respects
	// the filters of the list.
	TotalCount int
}

// mapPage converts the items of a page.
func mapPage[W, T any](page *Page[W], convert func(*W) T) *Page[T] {
	mapped := &Page[T]{Items: make([]T, len(page.Items)), Info: page.Info, whole: page.whole}
	for i := range page.Items {
		mapped.Items[i] = convert(&page.Items[i])
	}
	return mapped
}

// pager reads a list page by page.
type pager[T any] struct {
	page, perPage int // set by the caller; 0 is the first page, and the longest pages
	maxPerPage    int // allowed by the endpoint
	fetch         func(page, perPage int) (*Page[T], error)
	// hash identifies an item, to detect repeated pages.
	hash func(seed maphash.Seed, item *T) uint64
}

// allPages yields every item of a list, beginning with the given page. identity returns the text
// that identifies an item.
func allPages[T any](
	page, perPage, maxPerPage int, identity func(*T) string,
	fetch func(page, perPage int) (*Page[T], error),
) iter.Seq2[*T, error] {
	return pager[T]{
		page: page, perPage: perPage, maxPerPage: maxPerPage, fetch: fetch,
		hash: func(seed maphash.Seed, item *T) uint64 {
			return maphash.String(seed, identity(item))
		},
	}.all()
}

// all yields every item. It yields an error once, with a nil item, and stops.
func (p pager[T]) all() iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		page, perPage := cmp.Or(p.page, 1), cmp.Or(p.perPage, p.maxPerPage)
		seen := 0
		seed := maphash.MakeSeed()
		// checkpoint moves to pages 1, 2, 4, 8 and so on, so that it detects a cycle of any length.
		var first, previous, checkpoint digest
		for n := 0; ; n++ {
			got, err := p.fetch(page+n, perPage)
			if err != nil {
				yield(nil, err)
				return
			}
			d := p.digest(seed, got.Items)
			if d.count > 0 && n > 0 && (d == first || d == previous || d == checkpoint) {
				yield(nil, fmt.Errorf("cftunnel: page %d of the list repeats an earlier one: "+
					"the server ignores the page number", page+n))
				return
			}
			if n == 0 {
				first = d
				// The items before the first page. The server's page length may differ from
				// perPage. If it is not known, too few are counted rather than too many.
				perPage := got.Info.PerPage
				if perPage <= 0 {
					perPage = len(got.Items)
				}
				seen = (page - 1) * perPage
			}
			if previous = d; n&(n-1) == 0 {
				checkpoint = d
			}
			for i := range got.Items {
				if !yield(&got.Items[i], nil) {
					return
				}
			}
			seen += len(got.Items)
			if got.isLast(seen) {
				return
			}
		}
	}
}

// isLast reports whether no item can follow. seen is the number of items up to the end of this
// page.
func (p *Page[T]) isLast(seen int) bool {
	n := len(p.Items)
	switch {
	case n == 0 || p.whole:
		return true
	case n < p.Info.PerPage:
		return true
	case p.Info.TotalCount < n:
		// The count is missing or is not about this list.
		return false
	}
	return seen >= p.Info.TotalCount
}

// digest identifies the items of a page, independent of their order.
type digest struct {
	count int
	sum   uint64
}

func (p pager[T]) digest(seed maphash.Seed, items []T) digest {
	d := digest{count: len(items)}
	for i := range items {
		d.sum += p.hash(seed, &items[i])
	}
	return d
}
