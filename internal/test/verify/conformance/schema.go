package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// document is an OpenAPI document as JSON has it.
type document map[string]any

// family is the paths that are about tunnels. Cloudflare's whole schema has thousands of others.
var family = regexp.MustCompile(`^/accounts/\{[^/]*\}/(cfd_tunnel|warp_connector|tunnels|tokens/verify)(/|$)|^/user/tokens/verify$`)

// readDocument reads the paths of the family, and what they refer to. Nothing else of the file is looked into.
func readDocument(name string) (document, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	d, err := prune(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

func prune(raw []byte) (document, error) {
	var whole struct {
		OpenAPI    string
		Paths      map[string]json.RawMessage
		Components map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, err
	}
	if whole.OpenAPI == "" {
		return nil, errors.New("no OpenAPI document")
	}
	paths := map[string]any{}
	components := map[string]any{}
	var need func(ref string) error
	keep := func(raw json.RawMessage) (any, error) {
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, err
		}
		value = plainReferences(value)
		for ref := range references(value) {
			if err := need(ref); err != nil {
				return nil, err
			}
		}
		return value, nil
	}
	need = func(ref string) error {
		kind, name, ok := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
		raw, there := whole.Components[kind][name]
		if !ok || !there {
			return fmt.Errorf("%s refers to nothing", ref)
		}
		kept, _ := components[kind].(map[string]any)
		if kept == nil {
			kept = map[string]any{}
			components[kind] = kept
		}
		if _, done := kept[name]; done {
			return nil
		}
		kept[name] = nil // under way: it may refer to itself
		value, err := keep(raw)
		kept[name] = value
		return err
	}
	for path, raw := range whole.Paths {
		if !family.MatchString(path) {
			continue
		}
		value, err := keep(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		paths[path] = value
	}
	if len(paths) == 0 {
		return nil, errors.New("no path is about tunnels")
	}
	return document{
		"openapi": whole.OpenAPI, "info": map[string]any{"title": "tunnels", "version": "0"}, "paths": paths, "components": components,
	}, nil
}

// references yields what a value refers to.
func references(value any) map[string]bool {
	found := map[string]bool{}
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if ref, ok := value["$ref"].(string); ok {
				found[ref] = true
			}
			for _, v := range value {
				walk(v)
			}
		case []any:
			for _, v := range value {
				walk(v)
			}
		}
	}
	walk(value)
	return found
}

// plainReferences leaves out what stands beside a $ref, which says nothing in OpenAPI 3.0 and makes a document invalid, and what operations say
// of credentials, which no exchange holds.
func plainReferences(value any) any {
	switch value := value.(type) {
	case map[string]any:
		if ref, ok := value["$ref"].(string); ok {
			return map[string]any{"$ref": ref}
		}
		if _, ok := value["responses"].(map[string]any); ok {
			delete(value, "security")
		}
		for name, v := range value {
			value[name] = plainReferences(v)
		}
	case []any:
		for i, v := range value {
			value[i] = plainReferences(v)
		}
	}
	return value
}

// amended is a copy with the differences applied, but for the one to leave out, if any.
func (d document) amended(list []difference, but int) document {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err) // it came from JSON
	}
	var amended document
	if err := json.Unmarshal(raw, &amended); err != nil {
		panic(err)
	}
	for i, difference := range list {
		if i != but {
			difference.amend(amended)
		}
	}
	return amended
}

// load makes a document one to validate by.
func (d document) load(ctx context.Context) (*openapi3.T, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	spec, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	return spec, spec.Validate(ctx,
		openapi3.DisableExamplesValidation(), openapi3.DisableSchemaDefaultsValidation(), openapi3.DisableSchemaPatternValidation())
}

// object returns the member of a member of a member, or nil where there is none.
func (d document) object(names ...string) map[string]any {
	at := map[string]any(d)
	for _, name := range names {
		at, _ = at[name].(map[string]any)
	}
	return at
}

// operation returns "GET /user/tokens/verify" of the document, or nil.
func (d document) operation(name string) map[string]any {
	method, path, _ := strings.Cut(name, " ")
	return d.object("paths", path, strings.ToLower(method))
}

// content returns the JSON schema of what an operation answers with a status.
func (d document) content(operation, status string) map[string]any {
	return document(d.operation(operation)).object("responses", status, "content", "application/json")
}

// operations yields every operation's name.
func (d document) operations(yield func(name string) bool) {
	for path, item := range d.object("paths") {
		item, _ := item.(map[string]any)
		for method := range maps.Keys(item) {
			if item, ok := item[method].(map[string]any); ok && item["responses"] != nil && !yield(strings.ToUpper(method)+" "+path) {
				return
			}
		}
	}
}
