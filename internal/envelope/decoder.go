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

// The decoder finds out by type what it can decode: structs, lists, pointers, strings, integers,
// booleans and times. Whatever else a type has is left to encoding/json, value by value. It differs
// from encoding/json in what it accepts: an integer as text, an empty text for a time. Of a member that
// comes twice, the last one counts.

// errValue is what is wrong with a value, in words of this package: those of a decoder may quote the
// value, and the value may be a secret.
type errValue struct{ path, reason string }

func (e *errValue) Error() string { return strings.TrimPrefix(e.path, ".") + " " + e.reason }

// at adds what surrounds the value of an error to its path.
func at(step string, err error) error {
	if e, ok := errors.AsType[*errValue](err); ok {
		return &errValue{step + e.path, e.reason}
	}
	return err
}

func wrongType(kind string) error { return &errValue{"", "is of the wrong type, " + kind} }

const (
	// maxItems bounds every list.
	maxItems = 10_000
	// A response may need so many bytes of memory for each of its own, and the base in any case. The
	// body itself needs about three more.
	maxMemoryFactor = 5
	baseMemory      = 4 << 20
)

var errTooLarge = errors.New("a list in it has too many items")

// plan is how a type is decoded.
type plan struct {
	kind   kind
	elem   *plan  // of a pointer or a list
	size   int    // of an item of a list, or of what a pointer points to
	costs  *costs // of what is decoded elsewhere
	fields []field
	index  map[string]int // of the fields, by name
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
)

// plans are of every type that was decoded so far, like those of encoding/json: *plan by reflect.Type.
var plans sync.Map

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := newPlan(t, nil)
	plans.Store(t, p)
	return p
}

// newPlan leaves a type that contains itself to encoding/json; outer are those that contain t.
func newPlan(t reflect.Type, outer []reflect.Type) *plan {
	p := &plan{}
	if slices.Contains(outer, t) {
		p.costs = new(costsOf(t, false))
		return p
	}
	outer = append(outer, t)
	switch {
	case t == reflect.TypeFor[time.Time]():
		p.kind = kindTime
	case t == reflect.TypeFor[json.RawMessage]():
		p.kind = kindRaw
	case t.Kind() == reflect.Pointer:
		p.kind, p.elem, p.size = kindPointer, newPlan(t.Elem(), outer), int(t.Elem().Size())
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
		p.kind, p.costs = kindCustom, new(costsOf(t, true))
	case reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()):
	case t.Kind() == reflect.String && t != reflect.TypeFor[json.Number]():
		p.kind = kindText
	case t.Kind() == reflect.Bool:
		p.kind = kindBool
	case reflect.Int <= t.Kind() && t.Kind() <= reflect.Int64:
		p.kind = kindInt
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		p.kind, p.elem, p.size = kindList, newPlan(t.Elem(), outer), max(1, int(t.Elem().Size()))
	case t.Kind() == reflect.Struct:
		p.index = map[string]int{}
		if collect(p, t, nil, outer) && len(p.fields) <= 64 {
			p.kind = kindObject
		}
	}
	if p.kind == kindList && p.elem.kind == kindOther && (t.Elem().Kind() == reflect.Map || t.Elem().Kind() == reflect.Interface) {
		p.kind = kindOther // one call for all of them
	}
	if p.kind == kindOther {
		p.costs = new(costsOf(t, false))
	}
	return p
}

// collect adds the fields of a struct, its own before those of structs that it embeds, which they
// hide. It reports false for what only encoding/json knows the rules of.
func collect(p *plan, t reflect.Type, at []int, outer []reflect.Type) bool {
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
		if _, hidden := p.index[name]; hidden {
			if len(at) == 0 {
				return false
			}
			continue
		}
		p.index[name] = len(p.fields)
		p.fields = append(p.fields, field{name, f.Index, newPlan(f.Type, outer)})
	}
	if len(embedded) > 0 && len(at) > 0 || len(embedded) > 1 {
		return false
	}
	for _, f := range embedded {
		if f.Type.Kind() != reflect.Struct || !collect(p, f.Type, f.Index, outer) {
			return false
		}
	}
	return true
}

func isNoLetter(r rune) bool {
	return r != '_' && r != '-' && !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
}

// reader decodes one response.
type reader struct {
	json    jx.Decoder
	left    int       // of the text, after the latest value
	memory  int       // that may still be used
	depth   int       // of lists
	strings []string  // that were read, to be found again in the next item of a list
	order   [16]uint8 // of the members of the latest object, as indexes of fields: the next one has the same
}

// spend counts memory before it is used.
func (r *reader) spend(n int) error {
	if r.memory -= n; r.memory < 0 {
		return errTooLarge
	}
	return nil
}

func (r *reader) reset(data []byte) {
	*r = reader{left: len(data), memory: maxMemoryFactor*len(data) + baseMemory}
	r.json.ResetBytes(slices.Clip(data))
}

// end reports whether nothing follows.
func (r *reader) end() bool { return errors.Is(r.json.Skip(), io.EOF) }

func (r *reader) value(v reflect.Value, p *plan) error {
	switch p.kind {
	case kindObject, kindList, kindPointer, kindBool:
		switch next := r.json.Next(); {
		case next == jx.Null:
			return r.json.Null()
		case p.kind == kindPointer:
			if err := r.spend(p.size); err != nil {
				return err
			}
			v.Set(reflect.New(v.Type().Elem()))
			return r.value(v.Elem(), p.elem)
		case p.kind == kindObject && next == jx.Object:
			return r.object(v, p)
		case p.kind == kindList && next == jx.Array:
			return r.list(v, p)
		case p.kind == kindBool && next == jx.Bool:
			b, err := r.json.Bool()
			v.SetBool(b)
			return err
		default:
			return r.mistyped(next)
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
		return integer(v, data)
	case kindTime:
		return moment(v, data)
	case kindRaw:
		err := r.spend(len(data) + wordSize)
		if err == nil {
			v.SetBytes(slices.Clone(data))
		}
		return err
	case kindCustom:
		if err := r.weigh(data, p.costs); err != nil {
			return err
		}
		return describe(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(data))
	default:
		if err := r.weigh(data, p.costs); err != nil {
			return err
		}
		return describe(json.Unmarshal(data, v.Addr().Interface()))
	}
}

// mistyped reads a value that is of another type than its field, so that bad syntax is reported first.
func (r *reader) mistyped(t jx.Type) error {
	if err := r.json.Skip(); err != nil {
		return err
	}
	return wrongType(t.String())
}

// text copies a string without escapes as it is.
func (r *reader) text(v reflect.Value, data []byte) error {
	if data[0] != '"' || !isPlain(data) {
		if err := r.spend(2*len(data) + callCost); err != nil {
			return err
		}
		return describe(json.Unmarshal(data, v.Addr().Interface()))
	}
	data = data[1 : len(data)-1]
	var known *string
	if r.strings != nil {
		if known = &r.strings[slot(data)]; *known == string(data) {
			v.SetString(*known)
			return nil
		}
	}
	if err := r.spend(len(data) + wordSize); err != nil {
		return err
	}
	v.SetString(string(data))
	if known != nil {
		*known = v.String()
	}
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

// integer reads a number, or a text that is one.
func integer(v reflect.Value, data []byte) error {
	kind := "number"
	switch data[0] {
	case 'n':
		return nil
	case '"':
		data, kind = data[1:len(data)-1], "string"
	case '{':
		kind = "object"
	case '[':
		kind = "array"
	case 't', 'f':
		kind = "bool"
	}
	n, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil || v.OverflowInt(n) {
		return wrongType(kind)
	}
	v.SetInt(n)
	return nil
}

// moment reads a time. An empty text is none.
func moment(v reflect.Value, data []byte) error {
	if string(data) == `""` {
		v.SetZero()
		return nil
	}
	if v.Addr().Interface().(*time.Time).UnmarshalJSON(data) != nil {
		return &errValue{"", "is not a time in RFC 3339"}
	}
	return nil
}

// maxPage bounds what is allocated because of a list's first items.
const maxPage = 1000

// longerList returns how long a list with n items should become, of which all but the first take so
// many bytes. The items of a page are of about the same length.
func (r *reader) longerList(n, bytes int, p *plan) int {
	longer := max(1, 2*n)
	if r.depth > 1 || n < 2 {
		return longer
	}
	needed := n + 1 + r.left/max(1, bytes/(n-1))*9/8
	if n == 2 {
		return max(longer, min(needed, maxPage, r.memory/2/p.size))
	}
	return min(needed, longer)
}

func (r *reader) list(v reflect.Value, p *plan) error {
	r.depth++
	n, afterFirst := 0, 0
	err := r.json.Arr(func(*jx.Decoder) error {
		if n == maxItems {
			return errTooLarge
		}
		if n == v.Cap() {
			longer := r.longerList(n, afterFirst-r.left, p)
			if n == 2 && r.strings == nil {
				r.strings = make([]string, slots)
			}
			if err := r.spend(longer * p.size); err != nil {
				return err
			}
			v.Grow(longer - n)
		}
		n++
		v.SetLen(n)
		if err := r.value(v.Index(n-1), p.elem); err != nil {
			return at("["+strconv.Itoa(n-1)+"]", err)
		}
		if n == 1 {
			afterFirst = r.left
		}
		return nil
	})
	r.depth--
	if n == 0 {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	return err
}

func (r *reader) object(v reflect.Value, p *plan) error {
	n := 0
	var seen uint64 // indexes of fields
	return r.json.ObjBytes(func(_ *jx.Decoder, key []byte) error {
		i, ok := r.find(p, n, key)
		n++
		if !ok {
			return r.json.Skip()
		}
		f := &p.fields[i]
		target := v.FieldByIndex(f.index)
		if seen&(1<<i) != 0 {
			target.SetZero()
		}
		seen |= 1 << i
		if err := r.value(target, f.plan); err != nil {
			return at("."+f.name, err)
		}
		return nil
	})
}

// find returns the index of the field for an object's nth member. Like encoding/json, it ignores the
// case of names if no field has exactly this one.
func (r *reader) find(p *plan, n int, key []byte) (i int, ok bool) {
	n = min(n, len(r.order)-1)
	if i = int(r.order[n]); i < len(p.fields) && p.fields[i].name == string(key) {
		return i, true
	}
	if i, ok = p.index[string(key)]; !ok {
		i = slices.IndexFunc(p.fields, func(f field) bool { return strings.EqualFold(f.name, string(key)) })
		return i, i >= 0
	}
	r.order[n] = uint8(i)
	return i, true
}

// describe says in words of this package why encoding/json cannot decode a value.
func describe(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind, _, _ := strings.Cut(e.Value, " ")
		err := wrongType(kind)
		if e.Field != "" && len(e.Field) < 100 && !strings.ContainsFunc(e.Field, func(r rune) bool { return r != '.' && isNoLetter(r) }) {
			err = at("."+e.Field, err)
		}
		return err
	}
	return &errValue{"", "has a value of the wrong form"}
}

// explain returns an error in words of this package for one of a reader.
func explain(err error) error {
	if e, ok := errors.AsType[*errValue](err); ok {
		return e
	}
	if errors.Is(err, errTooLarge) {
		return errTooLarge
	}
	return errors.New("it is not valid JSON")
}

// eachMember calls f with what an object has. Anything else has nothing.
func eachMember(data []byte, f func(name, value []byte)) {
	d := jx.DecodeBytes(data) // not one of jx's pool, which keeps the bytes for its next user to read into
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
	d := jx.DecodeBytes(data)
	_ = d.Arr(func(*jx.Decoder) error {
		value, err := d.Raw()
		if err == nil {
			f(value)
		}
		return err
	})
}
