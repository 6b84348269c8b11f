// Package unknownjson decodes JSON objects into structs and encodes them again. Members without a
// field, and members that a field cannot represent, are kept unchanged.
package unknownjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Members has the members of an object that its struct would not encode as they were decoded:
// members without a field, members that a field cannot represent, and members whose field is zero.
// nil means none.
type Members map[string]json.RawMessage

// UndecodedError reports that a field is set whose member could not be decoded. Encoding the field
// would replace a value that the program does not know.
type UndecodedError struct {
	Path string // the path of the member, such as ingress[0].originRequest
}

// Error names the member.
func (e *UndecodedError) Error() string {
	return fmt.Sprintf("the member %q cannot be replaced: its value could not be decoded", e.Path)
}

// Unmarshal decodes an object into the struct that v points to and returns the members to keep. It
// uses the json tags and accepts two more forms: a string with a number for an *int, and a Go
// duration of whole seconds, such as "1m30s", for an *int with the tag unit:"seconds". It does not
// call the UnmarshalJSON method of v.
func Unmarshal(data []byte, v any) (Members, error) {
	var members Members
	target := reflect.ValueOf(v).Elem()
	target.SetZero()
	if s := (scanner{data: data}); s.next() != '{' {
		return nil, json.Unmarshal(data, &members) // its error says what data is instead
	}
	fields := fieldsOf(target.Type())
	err := eachMember(data, func(name, raw []byte) error {
		for i := range fields {
			f := &fields[i]
			if string(name) != f.name {
				continue
			}
			value := target.Field(f.index)
			value.SetZero() // a repeated member replaces the one before
			if f.decode(raw, value) != nil {
				value.SetZero()
			} else if !value.IsZero() && !f.isText(raw) {
				delete(members, f.name)
				return nil
			}
		}
		if !json.Valid(raw) {
			return errSyntax
		}
		if members == nil {
			members = Members{}
		}
		members[string(name)] = bytes.Clone(raw)
		return nil
	})
	if err != nil {
		target.SetZero()
		return nil, err
	}
	if len(members) == 0 {
		return nil, nil
	}
	return members, nil
}

// Marshal encodes the struct v and its members. It leaves out zero fields. A field that was not
// changed is encoded as its member was before decoding. Marshal returns an [*UndecodedError] if a
// field is set whose member could not be decoded.
func Marshal(v any, members Members) ([]byte, error) {
	value := reflect.ValueOf(v)
	object := make(map[string]json.RawMessage, len(members)+value.NumField())
	for name, raw := range members {
		object[name] = raw
	}
	for _, f := range fieldsOf(value.Type()) {
		field := value.Field(f.index)
		if raw, kept := members[f.name]; kept {
			was := reflect.New(f.typ).Elem()
			err := f.decode(raw, was)
			switch {
			case err != nil && field.IsZero():
				continue
			case err != nil && !f.isDuration(raw):
				return nil, &UndecodedError{Path: f.name}
			case err == nil && reflect.DeepEqual(was.Interface(), field.Interface()):
				continue
			}
			delete(object, f.name)
		}
		if field.IsZero() {
			continue
		}
		raw, err := encode(field)
		if err != nil {
			return nil, below(f.name, err)
		}
		object[f.name] = raw
	}
	return json.Marshal(object)
}

// Undecoded returns the sorted names of the members that the fields of v cannot represent.
func Undecoded(v any, members Members) []string {
	var names []string
	for _, f := range fieldsOf(reflect.TypeOf(v)) {
		if raw, ok := members[f.name]; ok && !f.isDuration(raw) {
			if err := f.decode(raw, reflect.New(f.typ).Elem()); err != nil {
				names = append(names, f.name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// encode encodes a field. It encodes the items of a list of objects one by one, so that an error
// can name the item.
func encode(field reflect.Value) (json.RawMessage, error) {
	if field.Kind() != reflect.Slice || field.Type().Elem().Kind() != reflect.Struct {
		return json.Marshal(field.Interface())
	}
	items := make([]json.RawMessage, field.Len())
	for i := range items {
		raw, err := json.Marshal(field.Index(i).Interface())
		if err != nil {
			return nil, below(fmt.Sprintf("[%d]", i), err)
		}
		items[i] = raw
	}
	return json.Marshal(items)
}

// below puts a name in front of the path of an UndecodedError.
func below(name string, err error) error {
	undecoded, ok := errors.AsType[*UndecodedError](err)
	if !ok {
		return err
	}
	if !strings.HasPrefix(undecoded.Path, "[") {
		name += "."
	}
	return &UndecodedError{Path: name + undecoded.Path}
}

// field is an exported field of a struct, with a name in JSON.
type field struct {
	index   int
	name    string
	typ     reflect.Type
	seconds bool
}

// fields caches the []field of every reflect.Type that was used so far.
var fields sync.Map

func fieldsOf(t reflect.Type) []field {
	if known, ok := fields.Load(t); ok {
		return known.([]field)
	}
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		list = append(list, field{i, name, f.Type, f.Tag.Get("unit") == "seconds"})
	}
	fields.Store(t, list)
	return list
}

// decode decodes a member into a zero value of the field's type.
func (f field) decode(raw []byte, value reflect.Value) error {
	if f.isText(raw) {
		n, err := f.number(raw)
		value.Set(reflect.ValueOf(&n))
		return err
	}
	return decode(raw, value)
}

// decode works like json.Unmarshal, but faster for the types that most fields of a configuration
// have.
func decode(raw []byte, value reflect.Value) error {
	if string(raw) == "null" {
		return nil
	}
	switch value.Kind() {
	case reflect.String:
		if text, ok := plainText(raw); ok {
			value.SetString(string(text))
			return nil
		}
		text, err := exactText(raw)
		value.SetString(text)
		return err
	case reflect.Bool:
		if text := string(raw); text == "true" || text == "false" {
			value.SetBool(text == "true")
			return nil
		}
	case reflect.Int:
		if n, err := strconv.Atoi(string(raw)); err == nil && raw[0] != '+' {
			value.SetInt(int64(n))
			return nil
		}
	case reflect.Pointer:
		inner := reflect.New(value.Type().Elem())
		value.Set(inner)
		return decode(raw, inner.Elem())
	case reflect.Slice:
		return decodeList(raw, value)
	case reflect.Struct:
		if inner, ok := value.Addr().Interface().(json.Unmarshaler); ok && raw[0] == '{' {
			return inner.UnmarshalJSON(raw)
		}
	default:
	}
	return json.Unmarshal(raw, value.Addr().Interface())
}

// decodeList decodes a list. It returns an error if an item is null, which encoding/json would
// decode as a zero value.
func decodeList(raw []byte, value reflect.Value) error {
	n := 0
	if err := eachItem(raw, func([]byte) error { n++; return nil }); err != nil {
		return err
	}
	list := reflect.MakeSlice(value.Type(), n, n)
	i := 0
	err := eachItem(raw, func(raw []byte) error {
		item := list.Index(i)
		i++
		if string(raw) == "null" {
			return fmt.Errorf("item %d is null", i-1)
		}
		return decode(raw, item)
	})
	if err == nil {
		value.Set(list)
	}
	return err
}

// isText reports whether raw is a string for a field that is a number.
func (f field) isText(raw []byte) bool {
	return f.typ == reflect.TypeFor[*int]() && bytes.HasPrefix(raw, []byte(`"`))
}

// isDuration reports whether raw is a Go duration, of whole seconds or not, for a field in seconds.
func (f field) isDuration(raw []byte) bool {
	_, err := f.duration(raw)
	return err == nil
}

func (f field) number(raw []byte) (int, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err == nil || !f.seconds {
		return n, err
	}
	d, err := f.duration(raw)
	if err == nil && d%time.Second != 0 {
		err = errors.New("not whole seconds")
	}
	return int(d / time.Second), err
}

func (f field) duration(raw []byte) (time.Duration, error) {
	if !f.seconds {
		return 0, errors.New("not in seconds")
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, err
	}
	return time.ParseDuration(text)
}
