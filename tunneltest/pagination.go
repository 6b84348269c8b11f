package tunneltest

import (
	"errors"
	"net/url"
	"strconv"
	"time"
)

// maxPerPage is the largest and the default number of items per page.
const maxPerPage = 1000

// pageResponse returns the page of items that the query selects.
func pageResponse[T, J any](query url.Values, items []T, toJSON func(T) J) *response {
	number, perPage := int64(1), int64(maxPerPage)
	for name, value := range map[string]*int64{"page": &number, "per_page": &perPage} {
		if query.Get(name) == "" {
			continue
		}
		n, err := strconv.ParseInt(query.Get(name), 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) || n < 1 {
			return badRequest(name + " must be a whole number from 1")
		}
		*value = n // the largest int64 if the number is out of range
	}
	perPage = min(perPage, maxPerPage)
	total := int64(len(items))
	from := total
	if number-1 <= total/perPage {
		from = min((number-1)*perPage, total)
	}
	result := allJSON(items[from:min(from+perPage, total)], toJSON)
	info := resultInfo{Count: len(result), Page: number, PerPage: perPage, TotalCount: total}
	return successPage(result, info)
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
