package cftunnel

import (
	"encoding"
	"encoding/json"
	"reflect"
)

// holdsSecret reports whether a value of type t can contain a [Secret], which cannot be decoded
// from JSON. It ignores fields that encoding/json ignores, types that decode themselves, and the
// values of interfaces.
func holdsSecret(t reflect.Type) bool {
	return findSecret(t, map[reflect.Type]bool{})
}

var (
	secretType          = reflect.TypeFor[Secret]()
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// findSecret implements holdsSecret. It skips the types in seen, so that recursive types end.
func findSecret(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	if t == secretType {
		return true
	}
	pointer := reflect.PointerTo(t)
	if pointer.Implements(unmarshalerType) || pointer.Implements(textUnmarshalerType) {
		return false
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return findSecret(t.Elem(), seen)
	case reflect.Map:
		return findSecret(t.Key(), seen) || findSecret(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); isDecoded(f) && findSecret(f.Type, seen) {
				return true
			}
		}
	default:
	}
	return false
}

// isDecoded reports whether encoding/json decodes into a field. It decodes into the exported fields
// of an embedded struct, even if the type of the struct is unexported.
func isDecoded(f reflect.StructField) bool {
	embedded := f.Type
	if embedded.Kind() == reflect.Pointer {
		embedded = embedded.Elem()
	}
	return f.Tag.Get("json") != "-" &&
		(f.IsExported() || f.Anonymous && embedded.Kind() == reflect.Struct)
}
