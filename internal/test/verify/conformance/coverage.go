package main

import (
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// items returns all parts of the schema, in the order of the report.
func (c *checker) items() (list []item) {
	for _, route := range c.routes {
		s := collector{operation: nameOf(route), part: partRequest}
		s.use("")
		for _, place := range []string{partPath, partQuery} {
			s.part = place
			for _, p := range parametersOf(route) {
				if p.Value.In == place {
					s.use(p.Value.Name)
				}
			}
		}
		if body := route.Operation.RequestBody; body != nil {
			s.part = partBody
			s.properties(body.Value.Content)
		}
		responses := route.Operation.Responses.Map()
		for _, status := range slices.Sorted(maps.Keys(responses)) {
			s.part = status
			s.use("")
			s.properties(responses[status].Value.Content)
		}
		list = append(list, s.uses...)
	}
	return list
}

// properties adds every property of a body.
func (s *collector) properties(content openapi3.Content) {
	if mediaType := content.Get("application/json"); mediaType != nil && mediaType.Schema != nil {
		s.below("", parts(mediaType.Schema.Value), nil)
	}
}

// below adds the properties of schemas. above are the enclosing schemas: a schema that contains
// itself is not visited again.
func (s *collector) below(path string, list []part, above []*openapi3.Schema) {
	if slices.ContainsFunc(list, func(p part) bool { return slices.Contains(above, p.Schema) }) {
		return
	}
	names := map[string]bool{}
	for _, p := range list {
		above = append(above, p.Schema)
		for name := range p.Properties {
			names[name] = true
		}
		if p.AdditionalProperties.Schema != nil {
			names[anyMember] = true
		}
	}
	if schemas, _ := children(list, elements); len(schemas) > 0 {
		s.below(path+elements, parts(schemas...), slices.Clip(above))
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		schemas, _ := children(list, name)
		s.use(join(path, name))
		s.below(join(path, name), parts(schemas...), slices.Clip(above))
	}
}

// part is a schema that another one is composed of.
type part struct {
	*openapi3.Schema
	alternative bool // whether it is one of several schemas, one of which must match
}

// parts returns the schemas and all schemas that they are composed of.
func parts(schemas ...*openapi3.Schema) []part {
	var list []part
	var add func(s *openapi3.Schema, alternative bool)
	add = func(s *openapi3.Schema, alternative bool) {
		list = append(list, part{s, alternative})
		for _, other := range s.AllOf {
			add(other.Value, alternative)
		}
		for _, other := range slices.Concat(s.AnyOf, s.OneOf) {
			add(other.Value, true)
		}
	}
	for _, s := range schemas {
		add(s, false)
	}
	return list
}

// elements is the name of an array's elements in a path.
const elements = "[]"

// anyMember is the name, in a path, of members that only additionalProperties has a schema for.
const anyMember = "*"

// children returns the schemas of a member, or of an array's elements. certain reports whether one
// of them is not part of an alternative.
func children(list []part, name string) (schemas []*openapi3.Schema, certain bool) {
	for _, p := range list {
		child := p.Properties[name]
		switch name {
		case elements:
			child = p.Items
		case anyMember:
			child = p.AdditionalProperties.Schema
		}
		if child != nil && child.Value != nil {
			schemas = append(schemas, child.Value)
			certain = certain || !p.alternative
		}
	}
	return schemas, certain
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
