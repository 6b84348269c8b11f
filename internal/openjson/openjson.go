// Package openjson decodes JSON objects whose members are not all known, and encodes them again without losing one.
package openjson

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Rest is what an object has beside the fields of its struct: members that no field is for, and those whose value a field cannot hold,
// or would not be encoded again. nil is nothing.
type Rest map[string]json.RawMessage

// Unmarshal decodes an object into the struct that v points to, by its json tags, and returns the rest. v's own UnmarshalJSON is not
// called.
func Unmarshal(data []byte, v any) (Rest, error) {
	var members map[string]json.RawMessage
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
		value := target.Field(f.index)
		fresh := reflect.New(value.Type())
		if json.Unmarshal(raw, fresh.Interface()) != nil {
			continue // a form that the field cannot hold stays as it is
		}
		value.Set(fresh.Elem())
		if !f.omitted || !value.IsZero() {
			delete(members, f.name)
		}
	}
	if len(members) == 0 {
		return nil, nil
	}
	return members, nil
}

// Marshal encodes the struct v with the rest. A field that is set wins over a member of the rest.
func Marshal(v any, rest Rest) ([]byte, error) {
	value := reflect.ValueOf(v)
	members := make(map[string]any, len(rest)+value.NumField())
	for name, raw := range rest {
		members[name] = raw
	}
	for _, f := range fieldsOf(value.Type()) {
		field := value.Field(f.index)
		_, kept := members[f.name]
		if field.IsZero() && (f.omitted || kept) {
			continue
		}
		members[f.name] = field.Interface()
	}
	return json.Marshal(members)
}

// field is a struct's field that JSON has.
type field struct {
	index   int
	name    string
	omitted bool // where it is zero
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" || !t.Field(i).IsExported() {
			continue
		}
		fields = append(fields, field{i, name, strings.Contains(options, "omit")})
	}
	return fields
}
