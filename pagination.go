package cftunnel

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"iter"
)

// maxPerPage is the most items that the API puts on one page.
const maxPerPage = 1000

// Page is one page of a list.
type Page[T any] struct {
	Items []T // in the server's order
	// Info is what the server says of the page. It is zero where the server says nothing.
	Info PageInfo
}

// PageInfo describes a page as the server does. Whether TotalCount respects the filters of the list is not known.
type PageInfo struct {
	// Page counts from 1. PerPage is the most items that a page holds, Count those on this one.
	Page, PerPage, Count, TotalCount int
}

// pager reads a list page by page.
type pager[T any] struct {
	page, perPage int // as the caller set them; zero is the first page, and the longest
	fetch         func(page, perPage int) (*Page[T], error)
	// identity names an item, so that a page that comes again is known.
	identity func(*T) string
}

// all yields every item. An error is yielded once, with no item, and ends it.
func (p pager[T]) all() iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		page, perPage := cmp.Or(p.page, 1), cmp.Or(p.perPage, maxPerPage)
		seen := 0
		known := knownPages[T]{seed: maphash.MakeSeed(), hashes: map[uint64]bool{}}
		for ; ; page++ {
			got, err := p.fetch(page, perPage)
			if err != nil {
				yield(nil, err)
				return
			}
			if known.add(got.Items, p.identity) {
				yield(nil, fmt.Errorf("cftunnel: page %d of the list repeats an earlier one: the server does not page", page))
				return
			}
			for i := range got.Items {
				if !yield(&got.Items[i], nil) {
					return
				}
			}
			if seen == 0 {
				// What lies before the first page, by the length of pages that the server keeps to.
				seen = (page - 1) * cmp.Or(max(got.Info.PerPage, 0), perPage)
			}
			seen += len(got.Items)
			if got.isLast(seen) {
				return
			}
		}
	}
}

// isLast reports whether no item can follow, seen being how many there were up to this page's end.
func (p *Page[T]) isLast(seen int) bool {
	n := len(p.Items)
	switch {
	case n == 0:
		return true
	case n < p.Info.PerPage:
		return true
	case p.Info.TotalCount < n:
		// Missing, or not a count of this list.
		return false
	}
	return seen >= p.Info.TotalCount
}

// knownPages remembers the pages of one list by a hash each: a server that ignores the page number gives the same again for ever.
type knownPages[T any] struct {
	seed   maphash.Seed
	hashes map[uint64]bool
}

// add reports whether a page of these items was there before. Pages without items are not remembered.
func (k *knownPages[T]) add(items []T, identity func(*T) string) bool {
	if len(items) == 0 {
		return false
	}
	var h maphash.Hash
	h.SetSeed(k.seed)
	for i := range items {
		_, _ = h.WriteString(identity(&items[i]))
		_ = h.WriteByte(0)
	}
	sum := h.Sum64()
	known := k.hashes[sum]
	k.hashes[sum] = true
	return known
}
