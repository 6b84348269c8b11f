package cftunnel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/google/go-querystring/query"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// operation describes an endpoint of the API.
type operation struct {
	call, method, template string
	label                  string // method and template
	// permissions are the permissions that the credentials need, for the error text of a 403.
	permissions string
	// secret means that the result may contain a secret. Errors then do not show the body.
	secret bool
	// once means that the request must not be repeated, although its HTTP method is idempotent.
	once bool
	// anyEnvelope means that a response with a result, but without success and errors, is accepted.
	anyEnvelope bool
}

// op returns an operation.
func op(call, method, template, permissions string) operation {
	return operation{
		call: call, method: method, template: template, label: method + " " + template,
		permissions: permissions,
	}
}

// secretOp returns an operation whose response may contain a secret.
func secretOp(call, method, template, permissions string) operation {
	return operation{
		call: call, method: method, template: template, label: method + " " + template,
		permissions: permissions, secret: true,
	}
}

// once returns a copy of o whose requests must not be repeated, although its HTTP method is
// idempotent.
func once(o operation) operation {
	o.once = true
	return o
}

// request is an operation and its arguments.
type request struct {
	operation operation
	// ids are the values of the template's variables, in order, without {account_id}.
	ids   []string
	query func() (url.Values, error) // nil if there is no query
	body  any                        // nil if there is no body
	// result points to what the result is decoded into. The result is ignored if it is nil.
	result any
	// check, if not nil, is called after decoding a success, to check the result.
	check func() error
	// allPages means that the page numbers of the response must lead to every page.
	allPages bool
	// credentials replace those of the client for the first attempt, if they are not nil.
	credentials credentials
}

func (r request) isWrite() bool { return r.operation.method != http.MethodGet }

// isRepeatable reports whether the request is idempotent.
func (r request) isRepeatable() bool {
	return r.operation.method != http.MethodPost && !r.operation.once
}

// pathVariable is a variable of path templates.
type pathVariable struct {
	argument string // its name in errors
	check    func(string) error
}

var pathVariables = map[string]pathVariable{
	"account_id":   {"accountID", nil}, // NewClient and ForAccount check it
	"tunnel_id":    {"tunnelID", apipath.UUID},
	"connector_id": {"connectorID", apipath.OpaqueID},
	"resource":     {"resource", apipath.OpaqueID},
	"token_id":     {"tokenID", apipath.HexID},

	"route_id":           {"routeID", apipath.UUID},
	"ip":                 {"addr", checkAddrText},
	"virtual_network_id": {"virtualNetworkID", apipath.UUID},
	"hostname_route_id":  {"hostnameRouteID", apipath.UUID},
	"zone_id":            {"zoneID", apipath.HexID},
	"dns_record_id":      {"recordID", apipath.HexID},
}

// path expands the template of the operation with the checked IDs.
func (r request) path(accountID string) (string, error) {
	ids := r.ids
	return apipath.Expand(r.operation.template, func(name string) (string, error) {
		variable, ok := pathVariables[name]
		switch {
		case name == "account_id" && accountID == "":
			return "", invalid(variable.argument,
				"is missing: use WithAccountID, ForAccount, or WithEnvironment with %s set",
				envAccountID)
		case name == "account_id":
			return accountID, nil
		case !ok || len(ids) == 0:
			return "", fmt.Errorf("cftunnel: no value for %s", name)
		}
		id := ids[0]
		ids = ids[1:]
		if err := variable.check(id); err != nil {
			return "", invalid(variable.argument, "%v", err)
		}
		return id, nil
	})
}

// queryOf returns the query of a request, from a struct with url tags. It is a separate function so
// that a program whose calls have no query does not link the encoder.
func queryOf(params any) func() (url.Values, error) {
	return func() (url.Values, error) {
		if err := checkText("query", params); err != nil {
			return nil, err
		}
		values, err := query.Values(params)
		if err != nil {
			return nil, fmt.Errorf("cftunnel: encoding the query: %w", err)
		}
		return values, nil
	}
}

// encodeQuery returns "?" and the encoded query, or an empty string if there is no query.
func encodeQuery(query func() (url.Values, error), extra url.Values) (string, error) {
	if query == nil && len(extra) == 0 {
		return "", nil
	}
	values := url.Values{}
	if query != nil {
		var err error
		if values, err = query(); err != nil {
			return "", err
		}
	}
	if err := checkText("query", extra); err != nil {
		return "", err
	}
	for key, list := range extra {
		values[key] = append(values[key], list...)
	}
	if len(values) == 0 {
		return "", nil
	}
	return "?" + values.Encode(), nil
}

// encodeBody encodes a body as JSON. It returns nil if there is no body.
func encodeBody(body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	if err := checkText("body", body); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, invalid("body", "cannot be encoded as JSON")
	}
	return encoded, nil
}

// encodeDoBody encodes the body of Do.
func encodeDoBody(body any) (json.RawMessage, error) {
	switch body := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		if !json.Valid(body) || !utf8.Valid(body) {
			return nil, invalid("body", "is not valid JSON")
		}
		return body, nil
	case io.Reader:
		return nil, invalid("body", "is an io.Reader; pass a value to encode, or JSON as a []byte")
	}
	encoded, err := encodeBody(body)
	if err == nil && bytes.Contains(encoded, []byte(`"`+redact.Mark+`"`)) {
		return nil, invalid("body",
			"contains a Secret, which would be sent as %s; use the result of Reveal", redact.Mark)
	}
	return encoded, err
}

// noService is the client of a nil service.
var noService = &Client{}

// clientOf returns the client of a service.
func clientOf[S interface{ ~struct{ client *Client } }](s *S) *Client {
	if s == nil {
		return noService
	}
	return service(*s).client
}

var (
	errNoResult = errors.New("the response has no result")
	errOtherID  = errors.New("the response is about something else than the requested object")
)

// doItem sends a request and returns the result of the response. It returns an error if the
// response has no result. If check is not nil, it can refuse the result.
func doItem[T any](
	ctx context.Context, c *Client, r request, check func(*T) error, opts []CallOption,
) (*T, error) {
	var item *T
	r.result = &item
	r.check = func() error {
		switch {
		case item == nil:
			return errNoResult
		case check != nil:
			return check(item)
		}
		return nil
	}
	if _, err := c.send(ctx, r, opts); err != nil {
		return nil, err
	}
	return item, nil
}

// doDelete sends a request that deletes an object, and returns the result of the response, or nil
// if it has none. check can refuse a result.
func doDelete[T any](
	ctx context.Context, c *Client, r request, check func(*T) error, opts []CallOption,
) (*T, error) {
	return doOptional(ctx, c, r, check, opts)
}

// doOptional is like doItem, but returns nil if the response has no result.
func doOptional[T any](
	ctx context.Context, c *Client, r request, check func(*T) error, opts []CallOption,
) (*T, error) {
	var item *T
	r.result = &item
	r.check = func() error {
		if item == nil {
			return nil
		}
		return check(item)
	}
	if _, err := c.send(ctx, r, opts); err != nil {
		return nil, err
	}
	return item, nil
}

// doPage sends a request for one page of a list. It returns an error if the page has more than
// maxItems items. check can refuse an item.
func doPage[T any](
	ctx context.Context, c *Client, r request,
	maxItems int, check func(*T) error, opts []CallOption,
) (*Page[T], error) {
	page := &Page[T]{}
	r.result = &page.Items
	r.check = func() error {
		if len(page.Items) > maxItems {
			return fmt.Errorf("the response has %d items; a page has at most %d",
				len(page.Items), maxItems)
		}
		return checkItems(page.Items, check)
	}
	info, err := c.send(ctx, r, opts)
	if err != nil {
		return nil, err
	}
	page.Info = info
	return page, nil
}

// doList sends a request for a list without pages. check can refuse an item.
func doList[T any](
	ctx context.Context, c *Client, r request, check func(*T) error, opts []CallOption,
) ([]T, error) {
	var items []T
	r.result = &items
	r.check = func() error { return checkItems(items, check) }
	if _, err := c.send(ctx, r, opts); err != nil {
		return nil, err
	}
	return items, nil
}

func checkItems[T any](items []T, check func(*T) error) error {
	for i := range items {
		if err := check(&items[i]); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

// doNoResult sends a request and ignores the result of the response.
func doNoResult(ctx context.Context, c *Client, r request, opts []CallOption) error {
	_, err := c.send(ctx, r, opts)
	return err
}

// checkID returns an error if the ID of an object is not the requested one. If requested is empty,
// every ID is accepted.
func checkID(got, requested string) error {
	switch {
	case got == "":
		return errors.New("the response has no ID")
	case requested != "" && !strings.EqualFold(got, requested):
		return errOtherID
	}
	return nil
}

// checkDeletedID is checkID for the response to a deletion, which may have no ID.
func checkDeletedID(got, requested string) error {
	if got == "" {
		return nil
	}
	return checkID(got, requested)
}

// checkPathID returns an error if an ID cannot be used in a path.
func checkPathID(id string) error {
	if err := apipath.OpaqueID(id); err != nil {
		return fmt.Errorf("its ID %w", err)
	}
	return nil
}
