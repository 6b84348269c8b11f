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

	"github.com/cftunnel/cftunnel-go/internal/test/verify/openapi"
	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
)

// checker checks exchanges against a schema.
type checker struct {
	routes []*routers.Route
	// anyFailure is the operation whose schema of a failure is used for requests that match no
	// operation.
	anyFailure *routers.Route
}

func newChecker(ctx context.Context, d openapi.Document) (*checker, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	spec, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	err = spec.Validate(ctx, openapi3.DisableExamplesValidation(),
		openapi3.DisableSchemaDefaultsValidation(), openapi3.DisableSchemaPatternValidation())
	if err != nil {
		return nil, err
	}
	c := &checker{}
	for path, item := range spec.Paths.Map() {
		for method, operation := range item.Operations() {
			route := &routers.Route{
				Spec: spec, Path: path, PathItem: item, Method: method, Operation: operation,
			}
			c.routes = append(c.routes, route)
			if nameOf(route) == opList {
				c.anyFailure = route
			}
		}
	}
	slices.SortFunc(c.routes, func(a, b *routers.Route) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return c, nil
}

func (c *checker) operations() (names []string) {
	for _, route := range c.routes {
		names = append(names, nameOf(route))
	}
	return names
}

// noOperation is the operation of a request that matches none.
const noOperation = "no operation"

func nameOf(route *routers.Route) string { return route.Method + " " + route.Path }

// item is a part of the schema: a request, a parameter of it, a property of its body, a response,
// or a property of a response.
type item struct {
	operation string
	part      string // one of the constants, or a status
	name      string // the name of a parameter or a property; empty for the part itself
}

const (
	partRequest = "request"
	partPath    = "path"
	partQuery   = "query"
	partBody    = "body"
)

func (i item) String() string {
	return strings.TrimSpace(i.operation + " " + i.part + " " + i.name)
}

// problem is a difference between an exchange and the schema.
type problem struct{ operation, part, text string }

func (p problem) String() string { return p.operation + ": " + p.part + ": " + p.text }

// result has the parts of the schema that an exchange uses, and its differences from the schema.
type result struct {
	problems []problem
	uses     []item
}

// basePath is the path of the fake's base URL.
const basePath = "/client/v4"

// isOurs reports whether this client sent the request. Other requests are sent to check the fake's
// errors.
func isOurs(e *wirelog.Exchange) bool {
	return strings.Contains(e.Header.Get("User-Agent"), "cftunnel-go/")
}

// check checks the response, and the request if this client sent it. The parts of a request count
// as used if the request is valid and the fake responded 200.
func (c *checker) check(ctx context.Context, e *wirelog.Exchange) result {
	input := c.find(e)
	request, response := c.request(ctx, e, input), c.response(ctx, e, input)
	if isOurs(e) {
		response.problems = append(response.problems, request.problems...)
	}
	if e.Response.Status == http.StatusOK && len(request.problems) == 0 {
		response.uses = append(response.uses, request.uses...)
	}
	return response
}

// find returns the operation that matches a request, with the parameters of its path. Route is nil
// if there is none.
func (c *checker) find(e *wirelog.Exchange) *openapi3filter.RequestValidationInput {
	path := strings.TrimPrefix(e.Path, basePath)
	input := &openapi3filter.RequestValidationInput{
		Request: &http.Request{
			Method: e.Method, Header: e.Header.Clone(),
			URL:  &url.URL{Path: path, RawQuery: e.Query},
			Body: io.NopCloser(bytes.NewReader(e.Body)), ContentLength: int64(len(e.Body)),
		},
		Options: options,
	}
	for _, route := range c.routes {
		if params, fits := match(route.Path, path); fits && route.Method == e.Method {
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

// schemaOptions leave values out of errors, because they may be secrets. They also check UUIDs.
var schemaOptions = []openapi3.SchemaValidationOption{
	openapi3.DisableSchemaErrorDetails(),
	openapi3.WithStringFormatValidator("uuid",
		openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)),
}

func match(template, path string) (params map[string]string, fits bool) {
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

func (c *checker) request(
	ctx context.Context, e *wirelog.Exchange, input *openapi3filter.RequestValidationInput,
) result {
	if input.Route == nil {
		operation := e.Method + " " + strings.TrimPrefix(e.Path, basePath)
		return result{problems: []problem{{operation, partRequest, "no such operation"}}}
	}
	s := collector{operation: nameOf(input.Route), part: partRequest}
	s.use("")
	s.reportError(openapi3filter.ValidateRequest(ctx, input))
	if accept := e.Header.Get("Accept"); !strings.Contains(accept, "application/json") {
		s.report("the request does not accept JSON")
	}
	isPair := e.Header.Get("X-Auth-Key") != "" && e.Header.Get("X-Auth-Email") != ""
	if e.Header.Get("Authorization") == "" && !isPair {
		s.report("the request has no credentials")
	}
	s.part = partPath
	for _, name := range slices.Sorted(maps.Keys(input.PathParams)) {
		s.use(name)
	}
	s.part = partQuery
	query, err := url.ParseQuery(e.Query)
	if err != nil {
		s.report("the query is invalid")
	}
	parameters := parametersOf(input.Route)
	for _, name := range slices.Sorted(maps.Keys(query)) {
		parameter := parameters.GetByInAndName(openapi3.ParameterInQuery, name)
		switch {
		case parameter == nil:
			s.report(name + " is not documented")
		case len(query[name]) > 1 &&
			(parameter.Schema == nil || !parameter.Schema.Value.Type.Is(openapi3.TypeArray)):
			s.report(name + " occurs more than once")
		}
		s.use(name)
	}
	s.part = partBody
	if body := input.Route.Operation.RequestBody; body != nil {
		s.body(e.Body, body.Value.Content)
	}
	return s.result
}

func parametersOf(route *routers.Route) openapi3.Parameters {
	return slices.Concat(route.PathItem.Parameters, route.Operation.Parameters)
}

func (c *checker) response(
	ctx context.Context, e *wirelog.Exchange, input *openapi3filter.RequestValidationInput,
) result {
	route := input.Route
	s := collector{operation: noOperation, part: fmt.Sprint(e.Response.Status)}
	if route != nil {
		s.operation = nameOf(route)
	} else {
		route = c.anyFailure
	}
	requested := *input
	requested.Route = route
	s.reportError(openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &requested, Status: e.Response.Status, Header: e.Response.Header,
		Body: io.NopCloser(bytes.NewReader(e.Response.Body)), Options: options,
	}))
	documented, status := documentedStatus(route.Operation, e.Response.Status)
	if documented == nil {
		return s.result
	}
	mediaType := e.Response.Header.Get("Content-Type")
	if documented.Value.Content[mediaType] == nil {
		s.report(fmt.Sprintf("the Content-Type %q is not in the schema", mediaType))
	}
	if input.Route == nil && e.Response.Status == http.StatusOK {
		s.report("a request that matches no operation succeeds")
	}
	s.part = status
	s.use("")
	s.body(e.Response.Body, documented.Value.Content)
	if input.Route == nil {
		s.uses = nil // the response is not one of anyFailure's operation
	}
	return s.result
}

// documentedStatus returns the documented response for a status, and its key, such as 200 or 4XX.
func documentedStatus(operation *openapi3.Operation, status int) (*openapi3.ResponseRef, string) {
	for _, name := range []string{fmt.Sprint(status), fmt.Sprintf("%dXX", status/100), "default"} {
		if response := operation.Responses.Value(name); response != nil {
			return response, name
		}
	}
	return nil, ""
}

// collector collects a result.
type collector struct {
	operation, part string
	result
}

func (s *collector) use(name string) { s.uses = append(s.uses, item{s.operation, s.part, name}) }

func (s *collector) report(text string) {
	text = strings.Join(strings.Fields(text), " ")
	s.problems = append(s.problems, problem{s.operation, s.part, text})
}

// reportError reports each of the validator's errors, with paths in the same form as those of body.
func (s *collector) reportError(err error) {
	if list, ok := err.(openapi3.MultiError); ok { //nolint:errorlint // one wrapper at a time
		for _, err := range list {
			s.reportError(err)
		}
		return
	}
	if e, ok := errors.AsType[*openapi3filter.RequestError](err); ok && e.Parameter != nil {
		s.reportInnermost(e.Parameter.Name+" in the "+e.Parameter.In+": ", e.Err)
		return
	}
	s.reportInnermost("", err)
}

func (s *collector) reportInnermost(prefix string, err error) {
	if list, ok := errors.AsType[openapi3.MultiError](err); ok {
		for _, err := range list {
			s.reportInnermost(prefix, err)
		}
	} else if err != nil {
		s.report(prefix + withPath(err.Error()))
	}
}

// withPath turns `Error at "/a/0/b": text` into "a[].b: text".
func withPath(text string) string {
	return pointer.ReplaceAllStringFunc(text, func(found string) string {
		names := strings.ReplaceAll(pointer.FindStringSubmatch(found)[1], "/", ".")
		return index.ReplaceAllString(names, elements) + ":"
	})
}

var (
	pointer = regexp.MustCompile(`Error at "/([^"]*)":`)
	index   = regexp.MustCompile(`\.\d+\b`)
)

// body records every property of a JSON body as used. It reports properties that are not
// documented, which the validator accepts.
func (s *collector) body(body []byte, content openapi3.Content) {
	mediaType := content.Get("application/json")
	if mediaType == nil || mediaType.Schema == nil || len(body) == 0 {
		return
	}
	var value any
	if json.Unmarshal(body, &value) != nil {
		return // the validator has reported it
	}
	s.value("", value, parts(mediaType.Schema.Value))
}

func (s *collector) value(path string, value any, list []part) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			documented := name
			if schemas, _ := children(list, name); len(schemas) == 0 && hasAnyMember(list) {
				documented = anyMember
			}
			s.member(join(path, documented), value[name], list, documented)
		}
	case []any:
		schemas, _ := children(list, elements)
		for _, element := range value {
			s.value(path+elements, element, parts(schemas...))
		}
	}
}

func hasAnyMember(list []part) bool {
	return slices.ContainsFunc(list,
		func(p part) bool { return p.AdditionalProperties.Schema != nil })
}

func (s *collector) member(path string, value any, list []part, name string) {
	schemas, certain := children(list, name)
	if len(schemas) == 0 {
		isOpen := func(p part) bool {
			return p.AdditionalProperties.Has != nil && *p.AdditionalProperties.Has
		}
		if !slices.ContainsFunc(list, isOpen) {
			s.report(path + " is not documented")
		}
		return
	}
	s.use(path)
	// The validator accepts a value if one of several alternatives accepts it. An alternative
	// without this member accepts any value of it, so check the alternatives that have the member.
	var errs []error
	for _, schema := range schemas {
		if err := schema.VisitJSON(value, schemaOptions...); err != nil {
			errs = append(errs, err)
		}
	}
	if !certain && len(errs) == len(schemas) {
		s.report(path + ": " + errors.Join(errs...).Error())
	}
	s.value(path, value, parts(schemas...))
}
