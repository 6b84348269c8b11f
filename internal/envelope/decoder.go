package envelope

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// Decoder decodes as encoding/json does, several times as fast. It leaves the syntax to jx and every value that is not plain to
// encoding/json, and where anything is odd, encoding/json decodes the whole anew: what comes out, and each error, is always its own. That holds
// for the models of this module; of types that others declare, encoding/json has rules that are not looked for here. The zero Decoder is ready
// for use, by several goroutines at once.
type Decoder struct {
	// Slow leaves everything to encoding/json: for other types, and to compare with.
	Slow bool

	plans sync.Map // of *plan by reflect.Type
}

// errOdd says that encoding/json must have a look.
var errOdd = errors.New("odd")

// unmarshal is json.Unmarshal for an answer that is zero, but for the pointer to a zero result that it may hold.
func (d *Decoder) unmarshal(data []byte, answer, result any) error {
	if !d.Slow && d.fast(data, reflect.ValueOf(answer).Elem()) == nil {
		return nil
	}
	if result != nil {
		reflect.ValueOf(result).Elem().SetZero()
	}
	return json.Unmarshal(data, answer)
}

func (d *Decoder) fast(data []byte, v reflect.Value) error {
	r := reader{decoder: d, left: len(data)}
	r.json.ResetBytes(slices.Clip(data))
	if err := r.value(v, d.plan(v.Type())); err != nil {
		return err
	}
	if !errors.Is(r.json.Skip(), io.EOF) {
		return errOdd // something follows
	}
	return nil
}

// plan is how a type is decoded.
type plan struct {
	kind   kind
	elem   *plan // of a pointer or a list
	fields []field
	places map[string]int // of the fields, by name
}

type field struct {
	name  string
	index []int
	plan  *plan
}

type kind int

const (
	kindOther kind = iota // left to encoding/json
	kindText
	kindBool
	kindInt
	kindTime
	kindRaw
	kindCustom
	kindPointer
	kindList
	kindObject
	kindHolder // of a pointer, in an interface
)

func (d *Decoder) plan(t reflect.Type) *plan {
	if p, ok := d.plans.Load(t); ok {
		return p.(*plan)
	}
	p := d.newPlan(t, nil)
	d.plans.Store(t, p)
	return p
}

// newPlan leaves a type that holds itself to encoding/json; outer are those that hold t.
func (d *Decoder) newPlan(t reflect.Type, outer []reflect.Type) *plan {
	p := &plan{}
	if slices.Contains(outer, t) {
		return p
	}
	outer = append(outer, t)
	switch {
	case t == reflect.TypeFor[time.Time]():
		p.kind = kindTime
	case t == reflect.TypeFor[json.RawMessage]():
		p.kind = kindRaw
	case t.Kind() == reflect.Pointer:
		p.kind, p.elem = kindPointer, d.newPlan(t.Elem(), outer)
	case t.Kind() == reflect.Interface && t.NumMethod() == 0:
		p.kind = kindHolder
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
		p.kind = kindCustom
	case reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()):
	case t.Kind() == reflect.String && t != reflect.TypeFor[json.Number]():
		p.kind = kindText
	case t.Kind() == reflect.Bool:
		p.kind = kindBool
	case reflect.Int <= t.Kind() && t.Kind() <= reflect.Int64:
		p.kind = kindInt
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		p.kind, p.elem = kindList, d.newPlan(t.Elem(), outer)
	case t.Kind() == reflect.Struct:
		p.places = map[string]int{}
		if d.collect(p, t, nil, outer) && len(p.fields) <= 64 {
			p.kind = kindObject
		}
	}
	return p
}

// collect adds the fields of a struct, its own before those of structs that it embeds, which they hide. It reports false for what only
// encoding/json knows the rules of.
func (d *Decoder) collect(p *plan, t reflect.Type, at []int, outer []reflect.Type) bool {
	var embedded []reflect.StructField
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		f.Index = append(slices.Clone(at), f.Index...)
		switch {
		case f.Anonymous && name == "":
			embedded = append(embedded, f)
			continue
		case !f.IsExported() || f.Tag.Get("json") == "-":
			continue
		case !slices.Contains([]string{"", "omitempty", "omitzero"}, options) || strings.ContainsFunc(name, isNoLetter):
			return false
		case name == "":
			name = f.Name
		}
		if _, hidden := p.places[name]; hidden {
			if len(at) == 0 {
				return false
			}
			continue
		}
		p.places[name] = len(p.fields)
		p.fields = append(p.fields, field{name, f.Index, d.newPlan(f.Type, outer)})
	}
	if len(embedded) > 0 && len(at) > 0 || len(embedded) > 1 {
		return false
	}
	for _, f := range embedded {
		if f.Type.Kind() != reflect.Struct || !d.collect(p, f.Type, f.Index, outer) {
			return false
		}
	}
	return true
}

func isNoLetter(r rune) bool {
	return r != '_' && r != '-' && !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
}

// reader decodes one text.
type reader struct {
	decoder *Decoder
	json    jx.Decoder
	left    int       // of the text, after the latest value
	depth   int       // of lists
	strings []string  // that were met, to be met again in the next item of a list
	order   [16]uint8 // of the members of the latest object, as places of fields: the next one will have the same
}

func (r *reader) value(v reflect.Value, p *plan) error {
	switch p.kind {
	case kindObject, kindList, kindPointer, kindBool:
		if r.json.Next() == jx.Null {
			return r.json.Null()
		}
		return r.structure(v, p)
	case kindHolder:
		if pointer := v.Elem(); pointer.Kind() == reflect.Pointer && !pointer.IsNil() {
			return r.value(pointer.Elem(), r.decoder.plan(pointer.Type().Elem()))
		}
	default:
	}
	data, err := r.json.Raw()
	if err != nil {
		return err
	}
	r.left = cap(data) - len(data)
	switch p.kind {
	case kindText:
		return r.text(v, data)
	case kindInt:
		if n, err := strconv.ParseInt(string(data), 10, 64); err == nil && !v.OverflowInt(n) {
			v.SetInt(n)
			return nil
		}
	case kindTime:
		return v.Addr().Interface().(*time.Time).UnmarshalJSON(data)
	case kindRaw:
		v.SetBytes(slices.Clone(data))
		return nil
	case kindCustom:
		return v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(data)
	default:
	}
	return json.Unmarshal(data, v.Addr().Interface())
}

// structure decodes what is not null.
func (r *reader) structure(v reflect.Value, p *plan) error {
	switch p.kind {
	case kindObject:
		return r.object(v, p)
	case kindList:
		return r.list(v, p)
	case kindPointer:
		v.Set(reflect.New(v.Type().Elem()))
		return r.value(v.Elem(), p.elem)
	default:
		b, err := r.json.Bool()
		v.SetBool(b)
		return err
	}
}

// text takes a string without escapes as it stands.
func (r *reader) text(v reflect.Value, data []byte) error {
	if data[0] != '"' || !isPlain(data) {
		return json.Unmarshal(data, v.Addr().Interface())
	}
	data = data[1 : len(data)-1]
	if r.strings == nil {
		v.SetString(string(data))
		return nil
	}
	met := &r.strings[slot(data)]
	if *met != string(data) {
		*met = string(data)
	}
	v.SetString(*met)
	return nil
}

// slots is how many strings are kept.
const slots = 32

// slot is where a string is kept, so that it is found with one look.
func slot(data []byte) int {
	if len(data) == 0 {
		return 0
	}
	return (len(data) ^ int(data[0]) ^ int(data[len(data)-1])<<2) % slots
}

// isPlain reports whether a string means what it shows, byte for byte.
func isPlain(data []byte) bool {
	for _, c := range data {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// maxPage bounds what is allocated on the word of a list's first item.
const maxPage = 1000

func (r *reader) list(v reflect.Value, p *plan) error {
	r.depth++
	n, before := 0, r.left
	err := r.json.Arr(func(*jx.Decoder) error {
		switch {
		case n == 1 && r.depth == 1:
			// A page has many more of about the same length.
			v.Grow(min(1+r.left/max(before-r.left, 1)*9/8, maxPage))
			r.strings = make([]string, slots)
		case n == v.Cap():
			v.Grow(1)
		}
		n++
		v.SetLen(n)
		return r.value(v.Index(n-1), p.elem)
	})
	r.depth--
	if n == 0 {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	return err
}

func (r *reader) object(v reflect.Value, p *plan) error {
	var seen uint64 // of places
	n := 0
	return r.json.ObjBytes(func(_ *jx.Decoder, key []byte) error {
		place, ok := r.find(p, n, key)
		n++
		if !ok {
			// encoding/json takes a name in letters of the other case too, where no field has just this one.
			if slices.ContainsFunc(p.fields, func(f field) bool { return strings.EqualFold(f.name, string(key)) }) {
				return errOdd
			}
			return r.json.Skip()
		}
		if seen&(1<<place) != 0 {
			return errOdd // of a name that comes twice, encoding/json makes one value of both
		}
		seen |= 1 << place
		f := &p.fields[place]
		return r.value(v.FieldByIndex(f.index), f.plan)
	})
}

// find returns the place of the field that an object's nth member is for.
func (r *reader) find(p *plan, n int, key []byte) (place int, ok bool) {
	n = min(n, len(r.order)-1)
	if place = int(r.order[n]); place < len(p.fields) && p.fields[place].name == string(key) {
		return place, true
	}
	place, ok = p.places[string(key)]
	r.order[n] = uint8(place)
	return place, ok
}

// eachMember calls f with what an object has. Anything else has nothing.
func eachMember(data []byte, f func(name, value []byte)) {
	d := jx.DecodeBytes(data) // and not one of jx's pool, which keeps the bytes for its next user to read into
	_ = d.ObjBytes(func(_ *jx.Decoder, name []byte) error {
		value, err := d.Raw()
		if err == nil {
			f(name, value)
		}
		return err
	})
}

// eachItem calls f with what a list has.
func eachItem(data []byte, f func(value []byte)) {
	d := jx.DecodeBytes(data) // and not one of jx's pool, which keeps the bytes for its next user to read into
	_ = d.Arr(func(*jx.Decoder) error {
		value, err := d.Raw()
		if err == nil {
			f(value)
		}
		return err
	})
}
