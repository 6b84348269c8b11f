package envelope

import (
	"reflect"
	"strings"

	"github.com/go-faster/jx"
)

// What is decoded elsewhere is weighed before: no decoder but this package's own has a limit.

// costs are how much memory the parts of a value need at most.
type costs struct {
	object int // besides its members
	member int
	item   int // of a list
	// A map is what an object becomes, or what it keeps its unknown members in.
	mapped bool
	known  map[string]bool // the names of members that need no map; nil if there are none
}

const (
	wordSize = 16  // of a string's or a list's allocation, besides its content
	callCost = 256 // of encoding/json
	// A map has room for so many members, and is copied when it gets more.
	mapRoom, emptyMap, mapSize, mapMember = 8, 48, 296, 120
	// An unknown member is copied with its name.
	unknownSize, unknownMember = 400, 220
	// growth is how much more a list needs in all, since it is copied when it gets longer.
	growth = 3
)

// costsOf returns those of a type that this package does not decode itself. It counts as if everything
// were the largest thing inside. keepsUnknown is for a type that keeps members that it does not know,
// as the types inside it do.
func costsOf(t reflect.Type, keepsUnknown bool) costs {
	c := costs{}
	if keepsUnknown {
		c.known = map[string]bool{}
	}
	largest := wordSize
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(t reflect.Type) {
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
			look(t.Elem())
		case reflect.Struct:
			for f := range t.Fields() {
				if keepsUnknown && f.IsExported() {
					name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
					c.known[name] = true
				}
				if !keepsUnknown || f.IsExported() {
					look(f.Type)
				}
			}
		default:
		}
	}
	look(t)
	c.object, c.member, c.item = largest, wordSize, growth*largest
	if keepsUnknown {
		c.item = largest // which is not copied
	}
	if c.mapped && largest <= 2*wordSize {
		c.object, c.member = 0, wordSize/2
	}
	return c
}

// of returns the cost of an object's nth member, from 1, and how many members need a map so far.
func (c *costs) of(n, inMap int, key []byte) (cost, nowInMap int) {
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

// weigh counts the memory for a value that is decoded elsewhere.
func (r *reader) weigh(data []byte, c *costs) error {
	if data[0] != '{' && data[0] != '[' {
		return r.spend(callCost + 2*len(data))
	}
	if err := r.spend(callCost); err != nil {
		return err
	}
	return r.weighValue(jx.DecodeBytes(data), c)
}

func (r *reader) weighValue(d *jx.Decoder, c *costs) error {
	n, inMap := 0, 0
	switch d.Next() {
	case jx.Array:
		if err := r.spend(2 * wordSize); err != nil {
			return err
		}
		return d.Arr(func(d *jx.Decoder) error {
			if n++; n > maxItems {
				return errTooLarge
			}
			if err := r.spend(c.item); err != nil {
				return err
			}
			return r.weighValue(d, c)
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
			cost, inMap = c.of(n, inMap, key)
			if err := r.spend(cost); err != nil {
				return err
			}
			return r.weighValue(d, c)
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
