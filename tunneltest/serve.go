package tunneltest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// route is an operation with its handler. The handler runs while the server's mutex is locked.
type route struct {
	method, template string
	handle           func(*Server, *call) *response
	needs            permission
}

// routes are all operations of the fake.
var routes = slices.Concat(
	tunnelRoutes, tokenRoutes, virtualNetworkRoutes, ipRouteRoutes, hostnameRouteRoutes, zoneRoutes,
	dnsRecordRoutes, tunnelRouteRoutes,
)

// call is a request that a handler serves.
type call struct {
	route   *route
	values  map[string]string // of the variables in the path template
	query   url.Values
	body    []byte
	account *account
	token   *apiToken // the token of the request
}

// operation returns the operation as in Request and Fault.
func (r *route) operation() string { return r.method + " " + r.template }

// findRoute returns the route of a request, or the error response if there is none.
func findRoute(method, path string) (found *route, values map[string]string, problem *response) {
	parts := strings.Split(path, "/")
	problem = noRoute()
	for i := range routes {
		values, fits := matchTemplate(routes[i].template, parts)
		switch {
		case !fits:
		case routes[i].method == method:
			return &routes[i], values, nil
		default:
			problem = methodNotAllowed()
		}
	}
	for _, part := range parts[1:] {
		if part == "" {
			problem = methodNotAllowed()
		}
	}
	return nil, nil, problem
}

func noRoute() *response { return failure(http.StatusNotFound, 7000, "No route for that URI") }

// cannotRoute returns the error response to a path with an invalid ID.
func cannotRoute(path string) *response {
	return failure(http.StatusNotFound, 7003,
		"Could not route to "+path+", perhaps your object identifier is invalid?")
}

func methodNotAllowed() *response {
	return failure(http.StatusMethodNotAllowed, 10000,
		"Method not allowed for this authentication scheme")
}

// matchTemplate returns the values of the template's variables in a path that was split at its
// slashes. ok is false if the path does not match.
func matchTemplate(template string, parts []string) (map[string]string, bool) {
	names := strings.Split(template, "/")
	if len(names) != len(parts) {
		return nil, false
	}
	values := map[string]string{}
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
		values[strings.Trim(name, "{}")] = value
	}
	return values, true
}

// serve handles a request to the API. Its order is that of the real API: network faults, quota,
// authentication, account, operation.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, underBase := strings.CutPrefix(r.URL.EscapedPath(), basePath)
	routed, noToken := emptyTokenID(r.Method, path)
	found, values, problem := findRoute(r.Method, routed)
	if noToken != nil {
		problem = noToken
	}
	if custom, customValues := s.findCustom(r); custom != nil {
		found, values = custom, customValues
	}
	if !underBase {
		found, problem = nil, noRoute()
	}
	record, fault := s.receive(r, path, found)
	if fault.Cut == CutBefore {
		s.sleep(s.latency)
		panic(http.ErrAbortHandler)
	}
	if r.Body == nil { // possible if a RoundTripper passes a client's request to the handler
		r.Body = http.NoBody
	}
	body, tooLarge := readBody(w, r)
	s.sleep(s.latency)
	if s.isClosed() {
		panic(http.ErrAbortHandler)
	}

	resp := s.carryOut(record, fault, credential(r.Header), body, func() *response {
		if tooLarge {
			return failure(http.StatusRequestEntityTooLarge, 1001,
				"The request's body is too large")
		}
		token, refused := s.authenticate(r.Header)
		if refused == nil && found != nil {
			refused = s.authorize(token, found, values, s.addressOf(r))
		}
		switch {
		case refused != nil:
			return refused
		case found == nil:
			return problem
		}
		token.lastUsed = s.currentTime()
		c := &call{route: found, values: values, query: r.URL.Query(), body: body, token: token}
		if id, ok := values["account_id"]; ok {
			if !isHexID(id) {
				return cannotRoute(path)
			}
			c.account = s.account(id)
		}
		return found.handle(s, c)
	})

	s.sleep(fault.Delay)
	if fault.Cut == CutAfter || s.isClosed() {
		panic(http.ErrAbortHandler)
	}
	if fault.Cut != CutInside {
		s.mu.Lock()
		record.Status = resp.status
		s.mu.Unlock()
	}
	resp.write(w, fault)
}

// credentialHeaders are redacted in the recorded requests.
var credentialHeaders = []string{
	"Authorization", "X-Auth-Key", "X-Auth-User-Service-Key", "Proxy-Authorization", "Cookie",
}

// receive records the request and returns the fault that applies to it.
func (s *Server) receive(r *http.Request, path string, found *route) (*Request, Fault) {
	record := &Request{Method: r.Method, Path: path, Query: r.URL.Query(), Header: r.Header.Clone()}
	for _, name := range credentialHeaders {
		if _, ok := record.Header[name]; ok {
			record.Header.Set(name, cftunnel.Secret{}.String())
		}
	}
	if found != nil {
		record.Operation = found.operation()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	record.Time = s.now()
	s.recordRequest(record)
	return record, s.nextFault(record.Operation)
}

// carryOut counts the request against the quota of its credential, and calls do unless the quota or
// the fault prevents it.
func (s *Server) carryOut(
	record *Request, fault Fault, credential cftunnel.Secret, body []byte, do func() *response,
) *response {
	s.mu.Lock()
	defer s.mu.Unlock()
	record.Body = cftunnel.NewSecret(string(body))
	now := s.now()
	quota := s.quotaOf(credential)
	wait := quota.allow(now)
	header := quota.header(now)
	if wait > 0 && !fault.replaces() {
		return tooManyRequests(wait, header)
	}
	resp := &response{status: http.StatusOK}
	s.reconnectDue()
	if wait == 0 && (fault.Work || !fault.replaces()) {
		resp = do()
		record.Done = resp.succeeded()
	}
	if fault.replaces() {
		resp.status, resp.body = cmp.Or(fault.Status, http.StatusOK), []byte(fault.Body)
	}
	if resp.header == nil {
		resp.header = http.Header{}
	}
	maps.Copy(resp.header, header)
	return resp
}

// maxBody is the largest accepted body of a request, in bytes. The real limit is not known.
const maxBody = 1 << 20

// readBody reads the body of a request, or reports that it is too large. If reading fails, readBody
// cuts the connection.
func readBody(w http.ResponseWriter, r *http.Request) (body []byte, tooLarge bool) {
	limit := int64(maxBody)
	if r.ContentLength > limit {
		limit = 0 // MaxBytesReader makes net/http close the connection after the response
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, true
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return body, false
}

// isObject reports whether a body begins like a JSON object.
func isObject(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) }

// decodeObject decodes a body, and reports whether it is a JSON object that fits.
func decodeObject(body []byte, into any) bool {
	return isObject(body) && json.Unmarshal(body, into) == nil
}

// isHexID reports whether id has the form of the IDs of accounts, zones and API tokens: 32
// hexadecimal digits.
func isHexID(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdefABCDEF") == ""
}
