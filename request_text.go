package cftunnel

import (
	"reflect"
	"unicode/utf8"
)

// maxTextDepth limits the search in a value that contains itself. Such a value cannot be encoded
// either.
const maxTextDepth = 100

// checkText returns an error if a string in value is not valid UTF-8, because encoding would change
// it. The error names the struct field that contains the string, or name if there is none.
func checkText(name string, value any) error {
	return findBadText(name, reflect.ValueOf(value), 0)
}

func findBadText(name string, v reflect.Value, depth int) error {
	if depth > maxTextDepth {
		return nil
	}
	depth++
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return invalid(name, "is not UTF-8")
		}
	case reflect.Pointer, reflect.Interface:
		return findBadText(name, v.Elem(), depth)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !isDecoded(f) || f.Tag.Get("url") == "-" {
				continue
			}
			if err := findBadText(f.Name, v.Field(i), depth); err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := range v.Len() {
			if err := findBadText(name, v.Index(i), depth); err != nil {
				return err
			}
		}
	case reflect.Map:
		// Not Seq2, which links the code with which reflection calls functions.
		for items := v.MapRange(); items.Next(); {
			if err := findBadText(name, items.Key(), depth); err != nil {
				return err
			}
			if err := findBadText(name, items.Value(), depth); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}
