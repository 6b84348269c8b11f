package cftunnel

import (
	"encoding"
	"encoding/json"
	"reflect"
)

// holdsSecret reports whether decoding JSON into a value of type t could reach a [Secret], which
// cannot be decoded. Fields that encoding/json ignores do not count, nor does what is inside a type
// that decodes itself. What an interface holds is not known from its type.
func holdsSecret(t reflect.Type) bool {
	return findSecret(t, map[reflect.Type]bool{})
}

var (
	secretType          = reflect.TypeFor[Secret]()
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// findSecret is holdsSecret for the types that are not in seen, which ends the recursion of types
// that contain themselves.
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

// isDecoded reports whether encoding/json decodes into a field. It does for the exported fields of
// an embedded struct, even if the type of the struct is not exported.
func isDecoded(f reflect.StructField) bool {
	embedded := f.Type
	if embedded.Kind() == reflect.Pointer {
		embedded = embedded.Elem()
	}
	return f.Tag.Get("json") != "-" &&
		(f.IsExported() || f.Anonymous && embedded.Kind() == reflect.Struct)
}
