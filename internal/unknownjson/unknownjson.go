// Package unknownjson decodes JSON objects into structs and encodes them again without losing,
// adding or changing a member that the struct does not know or cannot hold.
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
	"time"
)

// Members holds the members of an object that its struct would not encode as they were read: those
// without a field, those that a field cannot hold, and those whose field is zero. nil means none.
type Members map[string]json.RawMessage

// UndecodedError reports that a field is set whose member could not be decoded. Encoding the field
// would replace a value that nobody has seen.
type UndecodedError struct {
	Path string // of the member, such as ingress[0].originRequest
}

// Error names the member.
func (e *UndecodedError) Error() string {
	return fmt.Sprintf("the member %q could not be decoded, and would be replaced", e.Path)
}

// Unmarshal decodes an object into the struct that v points to and returns the members to keep. It
// goes by the json tags, with two additions: an *int is also read from a number in text, and one
// with the tag unit:"seconds" also from whole seconds as a Go duration, such as "1m30s". It does
// not call v's UnmarshalJSON.
func Unmarshal(data []byte, v any) (Members, error) {
	var members Members
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	target := reflect.ValueOf(v).Elem()
	target.SetZero()
	for _, f := range fieldsOf(target.Type()) {
		raw, ok := members[f.name]
		if !ok {
			continue
		}
		value, err := f.decode(raw)
		if err != nil {
			continue
		}
		target.Field(f.index).Set(value)
		if !value.IsZero() && !f.isText(raw) {
			delete(members, f.name)
		}
	}
	if len(members) == 0 {
		return nil, nil
	}
	return members, nil
}

// Marshal encodes the struct v and its members. Zero fields are left out. A field that still has
// the value that its member was decoded to is written as it was read. If a field is set whose
// member could not be decoded, the error is an [*UndecodedError].
func Marshal(v any, members Members) ([]byte, error) {
	value := reflect.ValueOf(v)
	object := make(map[string]json.RawMessage, len(members)+value.NumField())
	for name, raw := range members {
		object[name] = raw
	}
	for _, f := range fieldsOf(value.Type()) {
		field := value.Field(f.index)
		if raw, kept := members[f.name]; kept {
			was, err := f.decode(raw)
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

// Undecoded returns the sorted names of those members that the fields of v cannot hold.
func Undecoded(v any, members Members) []string {
	var names []string
	for _, f := range fieldsOf(reflect.TypeOf(v)) {
		if raw, ok := members[f.name]; ok && !f.isDuration(raw) {
			if _, err := f.decode(raw); err != nil {
				names = append(names, f.name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// encode encodes a field. It encodes the items of a list of objects one by one, so that an error
// can name one.
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

// field is an exported field of a struct with a name in JSON.
type field struct {
	index   int
	name    string
	typ     reflect.Type
	seconds bool
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		fields = append(fields, field{i, name, f.Type, f.Tag.Get("unit") == "seconds"})
	}
	return fields
}

func (f field) decode(raw json.RawMessage) (reflect.Value, error) {
	if f.isText(raw) {
		n, err := f.number(raw)
		return reflect.ValueOf(&n), err
	}
	if f.typ.Kind() == reflect.Slice {
		return decodeList(raw, f.typ)
	}
	value := reflect.New(f.typ)
	err := json.Unmarshal(raw, value.Interface())
	return value.Elem(), err
}

// decodeList refuses lists in which an item is null: encoding/json would make a zero value of it.
func decodeList(raw json.RawMessage, t reflect.Type) (reflect.Value, error) {
	pointers := reflect.New(reflect.SliceOf(reflect.PointerTo(t.Elem())))
	if err := json.Unmarshal(raw, pointers.Interface()); err != nil || pointers.Elem().IsNil() {
		return reflect.Zero(t), err
	}
	list := reflect.MakeSlice(t, pointers.Elem().Len(), pointers.Elem().Len())
	for i := range list.Len() {
		item := pointers.Elem().Index(i)
		if item.IsNil() {
			return reflect.Zero(t), fmt.Errorf("item %d is null", i)
		}
		list.Index(i).Set(item.Elem())
	}
	return list, nil
}

// isText reports whether a number came as a text.
func (f field) isText(raw json.RawMessage) bool {
	return f.typ == reflect.TypeFor[*int]() && bytes.HasPrefix(raw, []byte(`"`))
}

// isDuration reports whether raw is a Go duration for a field in seconds, whole seconds or not.
func (f field) isDuration(raw json.RawMessage) bool {
	_, err := f.duration(raw)
	return err == nil
}

func (f field) number(raw json.RawMessage) (int, error) {
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

func (f field) duration(raw json.RawMessage) (time.Duration, error) {
	if !f.seconds {
		return 0, errors.New("not in seconds")
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, err
	}
	return time.ParseDuration(text)
}
