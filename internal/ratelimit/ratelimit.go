// Package ratelimit reads what an answer's headers tell of quotas.
package ratelimit

import (
	"math"
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"
)

// Unknown is the Remaining of a quota of which only the policy is told.
const Unknown = -1

// Limit is one quota.
type Limit struct {
	Name      string
	Quota     int           // requests in a window, 0 where not told
	Window    time.Duration // 0 where not told
	Remaining int           // or Unknown
	Reset     time.Duration // until the count begins anew, 0 where not told
}

// Parse reads Ratelimit and Ratelimit-Policy, which are lists of structured fields, and puts what they tell of the same name together: the
// policies first, in their order. A header that is malformed, or a number that makes no sense, is not there.
func Parse(header http.Header) []Limit {
	var limits []Limit
	place := map[string]int{}
	of := func(item httpsfv.Item) *Limit {
		name, ok := nameOf(item)
		if !ok {
			return nil
		}
		i, ok := place[name]
		if !ok {
			i = len(limits)
			place[name] = i
			limits = append(limits, Limit{Name: name, Remaining: Unknown})
		}
		return &limits[i]
	}
	for _, item := range items(header, "Ratelimit-Policy") {
		if limit := of(item); limit != nil {
			limit.Quota = int(number(item, "q", math.MaxInt32, 0))
			limit.Window = seconds(item, "w")
		}
	}
	for _, item := range items(header, "Ratelimit") {
		if limit := of(item); limit != nil {
			limit.Remaining = int(number(item, "r", math.MaxInt32, Unknown))
			limit.Reset = seconds(item, "t")
		}
	}
	return limits
}

func items(header http.Header, name string) []httpsfv.Item {
	values := header.Values(name)
	if len(values) == 0 {
		return nil
	}
	list, err := httpsfv.UnmarshalList(values)
	if err != nil {
		return nil
	}
	var items []httpsfv.Item
	for _, member := range list {
		if item, ok := member.(httpsfv.Item); ok {
			items = append(items, item)
		}
	}
	return items
}

// nameOf takes a token for a string, as servers mix them up.
func nameOf(item httpsfv.Item) (string, bool) {
	switch name := item.Value.(type) {
	case string:
		return name, true
	case httpsfv.Token:
		return string(name), true
	}
	return "", false
}

// number returns a parameter that is a whole number from 0 to most, or otherwise.
func number(item httpsfv.Item, name string, most, otherwise int64) int64 {
	value, _ := item.Params.Get(name)
	if n, ok := value.(int64); ok && 0 <= n && n <= most {
		return n
	}
	return otherwise
}

func seconds(item httpsfv.Item, name string) time.Duration {
	return time.Duration(number(item, name, int64(math.MaxInt64/time.Second), 0)) * time.Second
}
