// Package openapi has the parts of Cloudflare's published schema that this client uses.
package openapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

//go:embed *.json
var files embed.FS

// Covered has the files whose operations the client supports.
var Covered = []string{
	"tunnels.json",
	"tokens.json",
	"networks.json",
}

// Document is a decoded OpenAPI document.
type Document map[string]any

// Load returns one document with the paths and components of the named files.
func Load(names ...string) (Document, error) {
	paths, components := map[string]any{}, map[string]any{}
	info := map[string]any{"title": "Cloudflare", "version": "0"}
	d := Document{"info": info, "paths": paths, "components": components}
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var one Document
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		d["openapi"] = one["openapi"]
		maps.Copy(paths, one.Object("paths"))
		for kind, members := range one.Object("components") {
			if components[kind] == nil {
				components[kind] = map[string]any{}
			}
			all := d.Object("components", kind)
			for component, value := range members.(map[string]any) {
				if there, ok := all[component]; ok && !reflect.DeepEqual(there, value) {
					return nil, fmt.Errorf("%s: another file has a different %s", name, component)
				}
				all[component] = value
			}
		}
	}
	return d, nil
}

// Object returns the object at a path of member names, or nil if there is none.
func (d Document) Object(names ...string) map[string]any {
	at := map[string]any(d)
	for _, name := range names {
		at, _ = at[name].(map[string]any)
	}
	return at
}

// Operation returns an operation such as "GET /user/tokens/verify", or nil if there is none.
func (d Document) Operation(name string) map[string]any {
	method, path, _ := strings.Cut(name, " ")
	return d.Object("paths", path, strings.ToLower(method))
}

// Operations yields the name of every operation.
func (d Document) Operations(yield func(name string) bool) {
	for path, item := range d.Object("paths") {
		for method := range item.(map[string]any) {
			if method != "parameters" && !yield(strings.ToUpper(method)+" "+path) {
				return
			}
		}
	}
}
