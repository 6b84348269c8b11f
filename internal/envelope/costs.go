package envelope

import (
	"reflect"
	"strings"

	"github.com/go-faster/jx"
)

// Other decoders, such as encoding/json, have no memory limit. This file estimates how much memory
// a value needs before another decoder decodes it.

// costs is an upper bound, in bytes, of the memory that the parts of a value need.
type costs struct {
	object int // an object, without its members
	member int // a member of an object
	item   int // an item of a list
	// mapped reports whether an object is decoded into a map, or keeps its unknown members in one.
	mapped bool
	known  map[string]bool // the names of members that need no map; nil if there are none
}

const (
	wordSize = 16  // the allocation of a string or a list, without its content
	callCost = 256 // a call of encoding/json
	// mapRoom is the number of members that a map has room for. With more members, it is copied.
	// The other constants are the cost of an empty map, of one with up to mapRoom members, and of
	// each further member.
	mapRoom, emptyMap, mapSize, mapMember = 8, 48, 296, 120
	// unknownSize is the cost of a map with one unknown member, unknownMember that of each further
	// one. An unknown member is copied with its name.
	unknownSize, unknownMember = 400, 220
	// growth is the factor for the copies of a list that grows.
	growth = 3
)

// costsOf returns the costs of a type that this package does not decode itself. It counts every
// part as if it were the largest type inside t. keepsUnknown is set for a type that keeps its
// unknown members, and whose inner types do too.
func costsOf(t reflect.Type, keepsUnknown bool) costs {
	c := costs{}
	if keepsUnknown {
		c.known = map[string]bool{}
	}
	largest := wordSize
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		switch t.Kind() {
		case reflect.Interface:
			c.mapped = true
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			c.mapped = c.mapped || t.Kind() == reflect.Map
			largest = max(largest, int(t.Elem().Size()))
			visit(t.Elem())
		case reflect.Struct:
			for i := range t.NumField() {
				f := t.Field(i)
				if keepsUnknown && f.IsExported() {
					name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
					c.known[name] = true
				}
				if !keepsUnknown || f.IsExported() {
					visit(f.Type)
				}
			}
		default:
		}
	}
	visit(t)
	c.object, c.member, c.item = largest, wordSize, growth*largest
	if keepsUnknown {
		c.item = largest // such a list is not copied
	}
	if c.mapped && largest <= 2*wordSize {
		c.object, c.member = 0, wordSize/2
	}
	return c
}

// ofMember returns the cost of an object's nth member, counted from 1, and the number of members
// that need a map so far.
func (c *costs) ofMember(n, inMap int, key []byte) (cost, nowInMap int) {
	cost = len(key) + c.member
	if n == 1 {
		cost += c.object
	}
	size, more := mapSize, 0
	switch {
	case c.known != nil:
		if c.known[string(key)] {
			return cost, inMap
		}
		size, more = unknownSize, unknownMember
	case !c.mapped:
		return cost, inMap
	case inMap >= mapRoom:
		more = mapMember
	}
	if inMap == 0 {
		return cost + size, 1
	}
	return cost + more, inMap + 1
}

// spendFor counts the memory for a value that another decoder decodes.
func (r *reader) spendFor(data []byte, c *costs) error {
	if data[0] != '{' && data[0] != '[' {
		return r.spend(callCost + 2*len(data))
	}
	if err := r.spend(callCost); err != nil {
		return err
	}
	return r.spendForValue(jx.DecodeBytes(data), c)
}

func (r *reader) spendForValue(d *jx.Decoder, c *costs) error {
	n, inMap := 0, 0
	switch d.Next() {
	case jx.Array:
		if err := r.spend(2 * wordSize); err != nil {
			return err
		}
		return d.Arr(func(d *jx.Decoder) error {
			if n++; n > maxItems {
				return errTooMany
			}
			if err := r.spend(c.item); err != nil {
				return err
			}
			return r.spendForValue(d, c)
		})
	case jx.Object:
		if c.mapped {
			if err := r.spend(emptyMap); err != nil {
				return err
			}
		}
		return d.ObjBytes(func(d *jx.Decoder, key []byte) error {
			n++
			var cost int
			cost, inMap = c.ofMember(n, inMap, key)
			if err := r.spend(cost); err != nil {
				return err
			}
			return r.spendForValue(d, c)
		})
	case jx.String:
		data, err := d.Raw()
		if err != nil {
			return err
		}
		return r.spend(len(data) + wordSize)
	default:
		if err := r.spend(wordSize); err != nil {
			return err
		}
		return d.Skip()
	}
}
