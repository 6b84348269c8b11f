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

// operation is an endpoint of the API.
type operation struct {
	call, method, template string
	label                  string // method and template
	// permissions are those that the credentials need, for the error text of a 403.
	permissions string
	// secret means that the result may hold a secret: nothing of a response that cannot be read may be
	// shown.
	secret bool
	// once means that the request must not be repeated, although its method is idempotent.
	once bool
	// anyEnvelope accepts a response that has a result and neither success nor errors.
	anyEnvelope bool
}

func op(call, method, template, permissions string) operation {
	return operation{
		call: call, method: method, template: template, label: method + " " + template, permissions: permissions,
	}
}

// secretOp is op for a response that may hold a secret.
func secretOp(call, method, template, permissions string) operation {
	return operation{
		call: call, method: method, template: template, label: method + " " + template, permissions: permissions,
		secret: true,
	}
}

// once returns an operation whose requests must not be repeated, although their method is idempotent.
func once(o operation) operation {
	o.once = true
	return o
}

// request is an operation and its arguments.
type request struct {
	operation operation
	ids       []string                   // of the template's variables behind {account_id}, in their order
	query     func() (url.Values, error) // nil for none
	body      any                        // nil for none
	result    any                        // what a response's result is decoded into; nil for nothing
	check     func() error
	// credentials, if set, are those of the first attempt.
	credentials credentials
}

func (r request) isWrite() bool { return r.operation.method != http.MethodGet }

// isRepeatable reports whether sending the request twice does the same as sending it once.
func (r request) isRepeatable() bool {
	return r.operation.method != http.MethodPost && !r.operation.once
}

// pathVariable is a name in the templates of paths.
type pathVariable struct {
	argument string // its name in errors
	check    func(string) error
}

var pathVariables = map[string]pathVariable{
	"account_id":   {"accountID", nil}, // was checked when the client was made
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

// path fills the operation's template with checked ids.
func (r request) path(accountID string) (string, error) {
	ids := r.ids
	return apipath.Expand(r.operation.template, func(name string) (string, error) {
		variable, ok := pathVariables[name]
		switch {
		case name == "account_id" && accountID == "":
			return "", invalid(variable.argument,
				"is missing: use WithAccountID, ForAccount, or WithEnvironment with %s set", envAccountID)
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

// queryOf encodes a struct with url tags, for a request. It is a function of its own because a program
// whose calls have no query need not link the encoder.
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

// encodeQuery returns "?" and the query, or an empty string.
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

// encodeBody encodes a body once, so that every attempt sends the same bytes.
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

// encodeCallersBody is encodeBody for a value of the caller's.
func encodeCallersBody(body any) (json.RawMessage, error) {
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
		return nil, invalid("body", "contains a Secret, which would be sent as %s; use what its Reveal returns", redact.Mark)
	}
	return encoded, err
}

// serviceType is what every service is.
type serviceType interface{ ~struct{ client *Client } }

// clientOf returns the client of a service.
func clientOf[S serviceType](s *S) (*Client, error) {
	if s == nil {
		return nil, invalid("service", "is nil; use those of a client that NewClient created")
	}
	c := service(*s).client
	return c, c.check()
}

var (
	errNoResult = errors.New("the response has no result")
	errOtherID  = errors.New("the response is about something else than what was asked for")
)

// doItem sends a request and returns the response's result. check says what is wrong with it; nil
// checks nothing. A response without a result is an error.
func doItem[T any, S serviceType](ctx context.Context, s *S, r request, check func(*T) error, opts []CallOption) (*T, error) {
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
	if _, err := send(ctx, s, r, opts); err != nil {
		return nil, err
	}
	return item, nil
}

// doDelete sends a request that deletes something, and returns the response's result, or nil if there
// is none. check is asked only about a result.
func doDelete[T any, S serviceType](ctx context.Context, s *S, r request, check func(*T) error, opts []CallOption) (*T, error) {
	return doOptional(ctx, s, r, check, opts)
}

// doOptional is doItem for a response that may have no result: it then returns nil.
func doOptional[T any, S serviceType](ctx context.Context, s *S, r request, check func(*T) error, opts []CallOption) (*T, error) {
	var item *T
	r.result = &item
	r.check = func() error {
		if item == nil {
			return nil
		}
		return check(item)
	}
	if _, err := send(ctx, s, r, opts); err != nil {
		return nil, err
	}
	return item, nil
}

// doPage sends a request for a page of a list that has at most so many items. check says what is wrong
// with one of them.
func doPage[T any, S serviceType](ctx context.Context, s *S, r request, mostItems int, check func(*T) error, opts []CallOption) (*Page[T], error) {
	page := &Page[T]{}
	r.result = &page.Items
	r.check = func() error {
		if len(page.Items) > mostItems {
			return fmt.Errorf("the response has %d items; a page has at most %d", len(page.Items), mostItems)
		}
		return checkItems(page.Items, check)
	}
	info, err := send(ctx, s, r, opts)
	if err != nil {
		return nil, err
	}
	page.Info = info
	return page, nil
}

// doList sends a request for a list that has no pages.
func doList[T any, S serviceType](ctx context.Context, s *S, r request, check func(*T) error, opts []CallOption) ([]T, error) {
	var items []T
	r.result = &items
	r.check = func() error { return checkItems(items, check) }
	if _, err := send(ctx, s, r, opts); err != nil {
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

// doNothing sends a request whose response has nothing to return.
func doNothing[S serviceType](ctx context.Context, s *S, r request, opts []CallOption) error {
	_, err := send(ctx, s, r, opts)
	return err
}

func send[S serviceType](ctx context.Context, s *S, r request, opts []CallOption) (PageInfo, error) {
	c, err := clientOf(s)
	if err != nil {
		return PageInfo{}, err
	}
	return c.send(ctx, r, opts)
}

// checkID says that an object is not the one that was asked for. Any id is right if asked is empty.
func checkID(got, asked string) error {
	switch {
	case got == "":
		return errors.New("the response has no id")
	case asked != "" && !strings.EqualFold(got, asked):
		return errOtherID
	}
	return nil
}

// checkDeletedID is checkID for the response to a deletion, which may be about nothing.
func checkDeletedID(got, asked string) error {
	if got == "" {
		return nil
	}
	return checkID(got, asked)
}

// checkPathID says that an id cannot be used in a path.
func checkPathID(id string) error {
	if err := apipath.OpaqueID(id); err != nil {
		return fmt.Errorf("its id %w", err)
	}
	return nil
}
