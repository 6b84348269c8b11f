package envelope

import (
	"encoding"
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

// The decoder decodes structs, lists, pointers, strings, integers, booleans and times. It leaves
// values of other types to encoding/json. It accepts more than encoding/json does: an integer in a
// string, and an empty string for a time. If a member occurs twice, the last one counts.

// errValue says what is wrong with a value. It never wraps the error of another decoder: that error
// may quote the value, and the value may be a secret.
type errValue struct{ path, reason string }

func (e *errValue) Error() string { return strings.TrimPrefix(e.path, ".") + " " + e.reason }

// at puts a path element in front of the path of an errValue.
func at(step string, err error) error {
	if e, ok := errors.AsType[*errValue](err); ok {
		return &errValue{step + e.path, e.reason}
	}
	return err
}

func wrongType(kind string) error { return &errValue{"", "is of the wrong type, " + kind} }

const (
	// maxItems is the maximum number of items of a list.
	maxItems = 10_000
	// Decoding may use baseMemory bytes of memory, plus maxMemoryFactor bytes for each byte of the
	// response. The body itself needs about three more bytes for each byte.
	maxMemoryFactor = 5
	baseMemory      = 4 << 20
)

var (
	errTooMany  = errors.New("a list in it has too many items")
	errTooLarge = errors.New("decoding it needs too much memory")
)

// plan describes how a type is decoded.
type plan struct {
	kind   kind
	elem   *plan  // the plan of a pointer's or a list's element
	size   int    // the size of that element
	costs  *costs // set if another decoder decodes the type
	fields []field
	index  map[string]int // indexes of fields, by name
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

// plans caches the *plan of every reflect.Type that was decoded so far, as encoding/json does.
var plans sync.Map

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := newPlan(t, nil)
	plans.Store(t, p)
	return p
}

// newPlan returns the plan for t. outer are the types that contain t: a type that contains itself
// is left to encoding/json.
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
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
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
	if p.kind == kindList && p.elem.kind == kindOther &&
		(t.Elem().Kind() == reflect.Map || t.Elem().Kind() == reflect.Interface) {
		p.kind = kindOther // one call of encoding/json for the whole list
	}
	if p.kind == kindOther {
		p.costs = new(costsOf(t, false))
	}
	return p
}

// collect adds the fields of a struct. It adds the struct's own fields before those of embedded
// structs, because they hide embedded fields of the same name. It returns false for a struct that
// only encoding/json can decode.
func collect(p *plan, t reflect.Type, at []int, outer []reflect.Type) bool {
	var embedded []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		f.Index = append(slices.Clone(at), f.Index...)
		switch {
		case f.Anonymous && name == "":
			embedded = append(embedded, f)
			continue
		case !f.IsExported() || f.Tag.Get("json") == "-":
			continue
		case !slices.Contains([]string{"", "omitempty", "omitzero"}, options),
			strings.ContainsFunc(name, isNotNameRune):
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

func isNotNameRune(r rune) bool {
	return r != '_' && r != '-' &&
		!('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
}

// reader decodes one response.
type reader struct {
	json   jx.Decoder
	left   int // bytes of the text after the latest value
	memory int // bytes that may still be used
	depth  int // nesting depth of lists
	// strings are the latest strings: the next item of a list often has the same ones.
	strings []string
	// order has the index of the field for each member of the latest object. The next object
	// usually has its members in the same order.
	order [16]uint8
}

// spend counts n bytes of memory before they are used. It returns an error if too few are left.
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

// end reports whether only white space follows.
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
		return decodeInt(v, data)
	case kindTime:
		return decodeTime(v, data)
	case kindRaw:
		err := r.spend(len(data) + wordSize)
		if err == nil {
			v.SetBytes(slices.Clone(data))
		}
		return err
	case kindCustom:
		if err := r.spendFor(data, p.costs); err != nil {
			return err
		}
		return describe(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(data))
	default:
		if err := r.spendFor(data, p.costs); err != nil {
			return err
		}
		return describe(json.Unmarshal(data, v.Addr().Interface()))
	}
}

// mistyped skips a value whose type is not that of its field. A syntax error in the value is
// reported first.
func (r *reader) mistyped(t jx.Type) error {
	if err := r.json.Skip(); err != nil {
		return err
	}
	return wrongType(t.String())
}

// text decodes a string. A string without escapes is copied as it is.
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

// slots is the number of strings that are kept.
const slots = 32

// slot returns the index at which a string is kept.
func slot(data []byte) int {
	if len(data) == 0 {
		return 0
	}
	return (len(data) ^ int(data[0]) ^ int(data[len(data)-1])<<2) % slots
}

// isPlain reports whether a JSON string needs no decoding: it has no escapes and is ASCII.
func isPlain(data []byte) bool {
	for _, c := range data {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// decodeInt decodes a number, or a string that has one.
func decodeInt(v reflect.Value, data []byte) error {
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

// decodeTime decodes a time. An empty string is the zero time.
func decodeTime(v reflect.Value, data []byte) error {
	if string(data) == `""` {
		v.SetZero()
		return nil
	}
	if v.Addr().Interface().(*time.Time).UnmarshalJSON(data) != nil {
		return &errValue{"", "is not a time in RFC 3339"}
	}
	return nil
}

// maxPage bounds the number of items that are allocated when the length of the first ones is known.
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
			return errTooMany
		}
		if n == v.Cap() {
			longer := r.longerList(n, afterFirst-r.left, p)
			if n == 2 && r.depth == 1 && r.strings == nil {
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
	var seen uint64            // indexes of fields
	var embedded reflect.Value // valid once a field of the embedded struct was found
	return r.json.ObjBytes(func(_ *jx.Decoder, key []byte) error {
		i, ok := r.find(p, n, key)
		n++
		if !ok {
			return r.json.Skip()
		}
		f := &p.fields[i]
		var target reflect.Value
		if len(f.index) == 1 {
			target = v.Field(f.index[0])
		} else {
			if !embedded.IsValid() {
				embedded = v.Field(f.index[0]) // there is only one: see collect
			}
			target = embedded.Field(f.index[1])
		}
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

// find returns the index of the field for an object's nth member. If no field has exactly the name
// key, it ignores case, as encoding/json does.
func (r *reader) find(p *plan, n int, key []byte) (i int, ok bool) {
	n = min(n, len(r.order)-1)
	if i = int(r.order[n]); i < len(p.fields) && p.fields[i].name == string(key) {
		return i, true
	}
	if i, ok = p.index[string(key)]; !ok {
		sameName := func(f field) bool { return strings.EqualFold(f.name, string(key)) }
		i = slices.IndexFunc(p.fields, sameName)
		return i, i >= 0
	}
	r.order[n] = uint8(i)
	return i, true
}

// describe replaces an error of encoding/json by one that does not quote the value.
func describe(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind, _, _ := strings.Cut(e.Value, " ")
		err := wrongType(kind)
		isOther := func(r rune) bool { return r != '.' && isNotNameRune(r) }
		if e.Field != "" && len(e.Field) < 100 && !strings.ContainsFunc(e.Field, isOther) {
			err = at("."+e.Field, err)
		}
		return err
	}
	return &errValue{"", "has an invalid value"}
}

// explain replaces an error of a reader by one that does not quote the response.
func explain(err error) error {
	if e, ok := errors.AsType[*errValue](err); ok {
		return e
	}
	for _, limit := range []error{errTooMany, errTooLarge} {
		if errors.Is(err, limit) {
			return limit
		}
	}
	return errors.New("it is not valid JSON")
}

// eachMember calls f with each member of an object. It does nothing if data is not an object.
func eachMember(data []byte, f func(name, value []byte)) {
	// A decoder of jx's pool would keep data, and its next user would overwrite the bytes.
	d := jx.DecodeBytes(data)
	_ = d.ObjBytes(func(_ *jx.Decoder, name []byte) error {
		value, err := d.Raw()
		if err == nil {
			f(name, value)
		}
		return err
	})
}

// eachItem calls f with each item of a list. It does nothing if data is not a list.
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
