package tunneltest

import (
	"errors"
	"net/url"
	"strconv"
	"time"
)

// maxPerPage is the largest and the default number of items per page of most lists.
const maxPerPage = 1000

// pageResponse returns the page of items that the query selects.
func pageResponse[T, J any](query url.Values, items []T, toJSON func(T) J) *response {
	page, info, problem := selectPage(query, pageLimits{1, maxPerPage, maxPerPage}, items)
	if problem != nil {
		return problem
	}
	return successPage(allJSON(page, toJSON), info)
}

// pageWithTotalPages is pageResponse with other limits and with total_pages in result_info, as in
// lists of zones and records.
func pageWithTotalPages[T, J any](
	query url.Values, limits pageLimits, items []T, toJSON func(T) J,
) *response {
	page, info, problem := selectPage(query, limits, items)
	if problem != nil {
		return problem
	}
	info.TotalPages = new((info.TotalCount + info.PerPage - 1) / info.PerPage)
	return successPage(allJSON(page, toJSON), info)
}

// pageLimits are the limits and the default of per_page.
type pageLimits struct{ least, byDefault, most int64 }

// selectPage returns the page of items that the query selects, or the error response to an invalid
// query.
func selectPage[T any](
	query url.Values, limits pageLimits, items []T,
) (page []T, info resultInfo, problem *response) {
	number, perPage := int64(1), limits.byDefault
	for name, value := range map[string]*int64{"page": &number, "per_page": &perPage} {
		if query.Get(name) == "" {
			continue
		}
		n, err := strconv.ParseInt(query.Get(name), 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) || n < 1 {
			return nil, info, badRequest(name + " must be a whole number from 1")
		}
		*value = n // the largest int64 if the number is out of range
	}
	perPage = min(max(perPage, limits.least), limits.most)
	total := int64(len(items))
	from := total
	if number-1 <= total/perPage {
		from = min((number-1)*perPage, total)
	}
	page = items[from:min(from+perPage, total)]
	info = resultInfo{Count: len(page), Page: number, PerPage: perPage, TotalCount: total}
	return page, info, nil
}

// filter returns the items to keep.
func filter[T any](items []T, keep func(T) bool) []T {
	kept := []T{}
	for _, item := range items {
		if keep(item) {
			kept = append(kept, item)
		}
	}
	return kept
}

func allJSON[T, J any](items []T, toJSON func(T) J) []J {
	list := make([]J, len(items))
	for i, item := range items {
		list[i] = toJSON(item)
	}
	return list
}

// existed reports whether an object with these times of creation and deletion existed at a time.
func existed(created, deleted, at time.Time) bool {
	return !created.After(at) && (deleted.IsZero() || deleted.After(at))
}
