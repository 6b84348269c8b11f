package envelope

import (
	"reflect"

	"github.com/go-faster/jx"
)

// What is decoded elsewhere is weighed before: no decoder but this package's own has a limit.

// costs are how much memory the parts of a value need at most.
type costs struct {
	object int // besides its members
	member int
	more   int // of a member besides that, if a map needs room for it
	item   int // of a list
}

const (
	wordSize = 16  // of a string's or a list's allocation, besides its content
	callCost = 256 // of encoding/json
	// A map has room for so many members, and is copied when it gets more.
	mapRoom, mapSize, mapMember = 8, 400, 120
	// growth is how much more a list needs in all, since it is copied when it gets longer.
	growth = 3
)

// customCosts are those of the types that keep members that they do not know.
var customCosts = costs{object: mapSize, member: 2 * wordSize, more: 200, item: 64}

// costsOf returns those of a type that encoding/json decodes.
func costsOf(t reflect.Type) costs {
	largest, hasMap := 2*wordSize, false // as if everything were the largest thing inside
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		switch t.Kind() {
		case reflect.Interface:
			hasMap = true
		case reflect.Map:
			hasMap = true
			largest = max(largest, int(t.Elem().Size()))
			look(t.Elem())
		case reflect.Pointer, reflect.Slice, reflect.Array:
			largest = max(largest, int(t.Elem().Size()))
			look(t.Elem())
		case reflect.Struct:
			for f := range t.Fields() {
				look(f.Type)
			}
		default:
		}
	}
	look(t)
	c := costs{object: largest, member: wordSize, item: growth * largest}
	if hasMap {
		c.object, c.member, c.more = largest+mapSize, largest, mapMember
	}
	return c
}

// weigh counts the memory for a value that is decoded elsewhere.
func (r *reader) weigh(data []byte, c costs) error {
	if data[0] != '{' && data[0] != '[' {
		return r.spend(callCost + 2*len(data))
	}
	if err := r.spend(callCost); err != nil {
		return err
	}
	return r.weighValue(jx.DecodeBytes(data), c)
}

func (r *reader) weighValue(d *jx.Decoder, c costs) error {
	n := 0
	switch d.Next() {
	case jx.Array:
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
		return d.ObjBytes(func(d *jx.Decoder, key []byte) error {
			cost := len(key) + c.member
			switch n++; {
			case n == 1:
				cost += c.object
			case n > mapRoom:
				cost += c.more
			}
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
