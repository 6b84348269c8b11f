package cftunnel

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"iter"
)

// Page is one page of a list.
type Page[T any] struct {
	Items []T // in the server's order
	// Info is what the server says about the page. It is zero if the server says nothing.
	Info PageInfo

	whole bool // there are no other pages
}

// PageInfo describes a page as the server does. Whether TotalCount respects the filters of the list is
// not known.
type PageInfo struct {
	// Page counts from 1. PerPage is the most items of a page, Count the number of items on this one.
	Page, PerPage, Count, TotalCount int
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
	page, perPage int // as the caller set them; 0 is the first page, and the longest
	mostPerPage   int // what the endpoint allows
	fetch         func(page, perPage int) (*Page[T], error)
	// hash identifies an item, so that a page that comes again is recognized.
	hash func(seed maphash.Seed, item *T) uint64
}

// allPages reads every page of a list, from page on. identity tells the items apart.
func allPages[T any](
	page, perPage, mostPerPage int, identity func(*T) string, fetch func(page, perPage int) (*Page[T], error),
) iter.Seq2[*T, error] {
	return pager[T]{
		page: page, perPage: perPage, mostPerPage: mostPerPage, fetch: fetch,
		hash: func(seed maphash.Seed, item *T) uint64 { return maphash.String(seed, identity(item)) },
	}.all()
}

// all yields every item. An error is yielded once, with no item, and ends it.
func (p pager[T]) all() iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		page, perPage := cmp.Or(p.page, 1), cmp.Or(p.perPage, p.mostPerPage)
		seen := 0
		seed := maphash.MakeSeed()
		var first, before, mark digest // mark is moved on ever more rarely, and found in any cycle of pages
		for n := 0; ; n++ {
			got, err := p.fetch(page+n, perPage)
			if err != nil {
				yield(nil, err)
				return
			}
			d := p.digest(seed, got.Items)
			if d.count > 0 && n > 0 && (d == first || d == before || d == mark) {
				yield(nil, fmt.Errorf("cftunnel: page %d of the list repeats an earlier one: the server ignores the page number", page+n))
				return
			}
			if n == 0 {
				first = d
				// What is before the first page, by the length of pages that the server keeps to.
				seen = (page - 1) * cmp.Or(max(got.Info.PerPage, 0), perPage)
			}
			if before = d; n&(n-1) == 0 {
				mark = d
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

// isLast reports whether no item can follow; seen is the number of items up to this page's end.
func (p *Page[T]) isLast(seen int) bool {
	n := len(p.Items)
	switch {
	case n == 0 || p.whole:
		return true
	case n < p.Info.PerPage:
		return true
	case p.Info.TotalCount < n:
		// Missing, or not a count of this list.
		return false
	}
	return seen >= p.Info.TotalCount
}

// digest identifies the items of a page, whatever their order.
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
