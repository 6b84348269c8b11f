package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
)

// judge holds exchanges against a schema.
type judge struct {
	routes []*routers.Route
	// refusal is what a request for no operation is answered with: what all failures have in common.
	refusal *routers.Route
}

func newJudge(ctx context.Context, d document) (*judge, error) {
	spec, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	j := &judge{}
	for path, item := range spec.Paths.Map() {
		for method, operation := range item.Operations() {
			route := &routers.Route{Spec: spec, Path: path, PathItem: item, Method: method, Operation: operation}
			j.routes = append(j.routes, route)
			if nameOf(route) == anyFailure {
				j.refusal = route
			}
		}
	}
	slices.SortFunc(j.routes, func(a, b *routers.Route) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	if j.refusal == nil {
		return nil, fmt.Errorf("the schema has no %s", anyFailure)
	}
	return j, nil
}

// anyFailure is the operation whose failures say how all look.
const anyFailure = "GET /accounts/{account_id}/cfd_tunnel"

// noOperation is where the answer to a request stands that no operation of the schema fits.
const noOperation = "no operation"

func nameOf(route *routers.Route) string { return route.Method + " " + route.Path }

// item is something of the schema: an operation's request, a parameter of it, a property of its body, an answer, a property of that.
type item struct {
	operation string
	part      string // partPath, partQuery, partBody or an answer's status
	name      string // empty for the part itself
}

const (
	partRequest = "request"
	partPath    = "path"
	partQuery   = "query"
	partBody    = "body"
)

func (i item) String() string { return strings.TrimSpace(i.operation + " " + i.part + " " + i.name) }

// finding is what is wrong with an exchange.
type finding struct{ operation, part, text string }

func (f finding) String() string { return f.operation + ": " + f.part + ": " + f.text }

// verdict is what comes of an exchange.
type verdict struct {
	findings []finding
	has      []item // what it exercises, where nothing is wrong with it
}

// basePath is where the fake serves. Other servers of the tests serve at their root.
const basePath = "/client/v4"

// isOurs reports whether the client made a request: others may send what they like, to see what the fake makes of it.
func isOurs(e *wirelog.Exchange) bool {
	return strings.Contains(e.Header.Get("User-Agent"), "cftunnel-go/")
}

// exchange judges the request where it is the client's, and the answer whoever asked. What a request has counts as exercised where the fake
// did what it asks for.
func (j *judge) exchange(ctx context.Context, e *wirelog.Exchange) verdict {
	var v verdict
	input := j.find(e)
	request := j.request(ctx, e, input)
	if isOurs(e) {
		v.findings = request.findings
	}
	if e.Answer == nil {
		return v
	}
	answer := j.answer(ctx, e, input)
	v.findings = append(v.findings, answer.findings...)
	v.has = answer.has
	if e.Answer.Status == http.StatusOK && len(request.findings) == 0 {
		v.has = append(v.has, request.has...)
	}
	return v
}

// find returns the operation that a request is for, with its path's parameters. Route is nil where there is none.
func (j *judge) find(e *wirelog.Exchange) *openapi3filter.RequestValidationInput {
	path := strings.TrimPrefix(e.Path, basePath)
	input := &openapi3filter.RequestValidationInput{
		Request: &http.Request{
			Method: e.Method, URL: &url.URL{Path: path, RawQuery: e.Query}, Header: e.Header.Clone(), Body: io.NopCloser(bytes.NewReader(e.Body)),
			ContentLength: int64(len(e.Body)),
		},
		Options: options,
	}
	for _, route := range j.routes {
		if params, fits := fit(route.Path, path); fits && route.Method == e.Method {
			input.Route, input.PathParams = route, params
			break
		}
	}
	return input
}

var options = &openapi3filter.Options{
	MultiError:                        true,
	IncludeResponseStatus:             true,
	RejectWhenRequestBodyNotSpecified: true,
	SkipSettingDefaults:               true,
	AuthenticationFunc:                openapi3filter.NoopAuthenticationFunc,
	SchemaValidationOptions:           schemaOptions,
}

// schemaOptions keep values out of what is printed, and check ids, which the package does not by itself.
var schemaOptions = []openapi3.SchemaValidationOption{
	openapi3.DisableSchemaErrorDetails(),
	openapi3.WithStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)),
}

func fit(template, path string) (params map[string]string, fits bool) {
	names, parts := strings.Split(template, "/"), strings.Split(path, "/")
	if len(names) != len(parts) {
		return nil, false
	}
	params = map[string]string{}
	for i, name := range names {
		if !strings.HasPrefix(name, "{") {
			if name != parts[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(parts[i])
		if err != nil || value == "" {
			return nil, false
		}
		params[strings.Trim(name, "{}")] = value
	}
	return params, true
}

func (j *judge) request(ctx context.Context, e *wirelog.Exchange, input *openapi3filter.RequestValidationInput) verdict {
	if input.Route == nil {
		return verdict{findings: []finding{{e.Method + " " + strings.TrimPrefix(e.Path, basePath), partRequest, "no such operation"}}}
	}
	c := collector{operation: nameOf(input.Route), part: partRequest}
	c.add("")
	c.complain(openapi3filter.ValidateRequest(ctx, input))
	if accept := e.Header.Get("Accept"); !strings.Contains(accept, "application/json") {
		c.report("it does not accept JSON")
	}
	if e.Header.Get("Authorization") == "" && (e.Header.Get("X-Auth-Key") == "" || e.Header.Get("X-Auth-Email") == "") {
		c.report("it has no credentials")
	}
	c.part = partPath
	for _, name := range slices.Sorted(maps.Keys(input.PathParams)) {
		c.add(name)
	}
	c.part = partQuery
	query, err := url.ParseQuery(e.Query)
	if err != nil {
		c.report("it cannot be read")
	}
	parameters := parametersOf(input.Route)
	for _, name := range slices.Sorted(maps.Keys(query)) {
		parameter := parameters.GetByInAndName(openapi3.ParameterInQuery, name)
		switch {
		case parameter == nil:
			c.report(name + " is not documented")
		case len(query[name]) > 1 && (parameter.Schema == nil || !parameter.Schema.Value.Type.Is(openapi3.TypeArray)):
			c.report(name + " is there more than once")
		}
		c.add(name)
	}
	c.part = partBody
	if body := input.Route.Operation.RequestBody; body != nil {
		c.walk(e.Body, body.Value.Content)
	}
	return c.verdict
}

func parametersOf(route *routers.Route) openapi3.Parameters {
	return slices.Concat(route.PathItem.Parameters, route.Operation.Parameters)
}

func (j *judge) answer(ctx context.Context, e *wirelog.Exchange, input *openapi3filter.RequestValidationInput) verdict {
	route := input.Route
	c := collector{operation: noOperation, part: fmt.Sprint(e.Answer.Status)}
	if route != nil {
		c.operation = nameOf(route)
	} else {
		route = j.refusal
	}
	requested := *input
	requested.Route = route
	err := openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &requested, Status: e.Answer.Status, Header: e.Answer.Header,
		Body: io.NopCloser(bytes.NewReader(e.Answer.Body)), Options: options,
	})
	c.complain(err)
	documented, status := statusOf(route.Operation, e.Answer.Status)
	if documented == nil {
		return c.verdict
	}
	if mediaType := e.Answer.Header.Get("Content-Type"); documented.Value.Content[mediaType] == nil {
		c.report(fmt.Sprintf("the Content-Type %q is not literally one of the schema's", mediaType))
	}
	if input.Route == nil && e.Answer.Status == http.StatusOK {
		c.report("a request for no operation succeeds")
	}
	c.part = status
	c.add("")
	c.walk(e.Answer.Body, documented.Value.Content)
	if input.Route == nil {
		c.has = nil // it is no answer of this operation
	}
	return c.verdict
}

// statusOf returns the answer that a status is documented by, and what the schema calls it: 200, 4XX.
func statusOf(operation *openapi3.Operation, status int) (*openapi3.ResponseRef, string) {
	for _, name := range []string{fmt.Sprint(status), fmt.Sprintf("%dXX", status/100), "default"} {
		if response := operation.Responses.Value(name); response != nil {
			return response, name
		}
	}
	return nil, ""
}

// collector gathers a verdict.
type collector struct {
	operation, part string
	verdict
}

func (c *collector) add(name string) { c.has = append(c.has, item{c.operation, c.part, name}) }

func (c *collector) report(text string) {
	c.findings = append(c.findings, finding{c.operation, c.part, strings.Join(strings.Fields(text), " ")})
}

// complain reports each of the validator's errors by itself, with its place as walk names it.
func (c *collector) complain(err error) {
	if list, ok := err.(openapi3.MultiError); ok { //nolint:errorlint // layer by layer
		for _, err := range list {
			c.complain(err)
		}
		return
	}
	if e, ok := errors.AsType[*openapi3filter.RequestError](err); ok && e.Parameter != nil {
		c.errors(e.Parameter.Name+" in the "+e.Parameter.In+": ", e.Err)
		return
	}
	c.errors("", err)
}

// errors goes down to those that have no others inside.
func (c *collector) errors(where string, err error) {
	if list, ok := errors.AsType[openapi3.MultiError](err); ok {
		for _, err := range list {
			c.errors(where, err)
		}
	} else if err != nil {
		c.report(where + place(err.Error()))
	}
}

func place(text string) string {
	return pointer.ReplaceAllStringFunc(text, func(found string) string {
		names := strings.ReplaceAll(pointer.FindStringSubmatch(found)[1], "/", ".")
		return index.ReplaceAllString(names, elements) + ":"
	})
}

// pointer is how the validator names a place, and index an array's element in one.
var (
	pointer = regexp.MustCompile(`Error at "/([^"]*)":`)
	index   = regexp.MustCompile(`\.\d+\b`)
)

// walk adds every property of a JSON body, and reports those that are not documented. The validator lets them pass.
func (c *collector) walk(body []byte, content openapi3.Content) {
	mediaType := content.Get("application/json")
	if mediaType == nil || mediaType.Schema == nil || len(body) == 0 {
		return
	}
	var value any
	if json.Unmarshal(body, &value) != nil {
		return // the validator has said so
	}
	c.value("", value, parts(mediaType.Schema.Value))
}

// part is a schema that another consists of.
type part struct {
	*openapi3.Schema
	alternative bool // one of several by which a value may be valid
}

// parts returns a schema with everything that it is composed of.
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

// children returns the schemas of a member, or of an array's elements where the name is [].
func children(list []part, name string) (schemas []*openapi3.Schema, certain bool) {
	for _, p := range list {
		child := p.Properties[name]
		if name == elements {
			child = p.Items
		}
		if child != nil && child.Value != nil {
			schemas = append(schemas, child.Value)
			certain = certain || !p.alternative
		}
	}
	return schemas, certain
}

const elements = "[]"

func (c *collector) value(path string, value any, list []part) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			c.member(join(path, name), value[name], list, name)
		}
	case []any:
		schemas, _ := children(list, elements)
		for _, element := range value {
			c.value(path+elements, element, parts(schemas...))
		}
	}
}

func (c *collector) member(path string, value any, list []part, name string) {
	schemas, certain := children(list, name)
	if len(schemas) == 0 {
		if !slices.ContainsFunc(list, func(p part) bool { return p.AdditionalProperties.Has != nil && *p.AdditionalProperties.Has }) {
			c.report(path + " is not documented")
		}
		return
	}
	c.add(path)
	// Of alternatives the validator asks only that one takes the value, and one that does not know a member takes anything there.
	if !certain && !slices.ContainsFunc(schemas, func(s *openapi3.Schema) bool { return s.VisitJSON(value, schemaOptions...) == nil }) {
		var errs []error
		for _, s := range schemas {
			errs = append(errs, s.VisitJSON(value, schemaOptions...))
		}
		c.report(path + ": " + errors.Join(errs...).Error())
	}
	c.value(path, value, parts(schemas...))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
