package main

import (
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// universe is everything that the schema has, in the order to report it.
func (j *judge) universe() []item {
	var list []item
	for _, route := range j.routes {
		c := collector{operation: nameOf(route), part: partRequest}
		c.add("")
		for _, place := range []string{partPath, partQuery} {
			c.part = place
			for _, p := range parametersOf(route) {
				if p.Value.In == place {
					c.add(p.Value.Name)
				}
			}
		}
		if body := route.Operation.RequestBody; body != nil {
			c.part = partBody
			c.all(body.Value.Content)
		}
		answers := route.Operation.Responses.Map()
		for _, status := range slices.Sorted(maps.Keys(answers)) {
			c.part = status
			c.add("")
			c.all(answers[status].Value.Content)
		}
		list = append(list, c.has...)
	}
	return list
}

// all adds every property of a body.
func (c *collector) all(content openapi3.Content) {
	if mediaType := content.Get("application/json"); mediaType != nil && mediaType.Schema != nil {
		c.below("", parts(mediaType.Schema.Value), nil)
	}
}

// below adds the properties of a schema. One that is inside itself is not gone into again.
func (c *collector) below(path string, list []part, above []*openapi3.Schema) {
	if slices.ContainsFunc(list, func(p part) bool { return slices.Contains(above, p.Schema) }) {
		return
	}
	names := map[string]bool{}
	for _, p := range list {
		above = append(above, p.Schema)
		for name := range p.Properties {
			names[name] = true
		}
	}
	if schemas, _ := children(list, elements); len(schemas) > 0 {
		c.below(path+elements, parts(schemas...), slices.Clip(above))
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		schemas, _ := children(list, name)
		c.add(join(path, name))
		c.below(join(path, name), parts(schemas...), slices.Clip(above))
	}
}
