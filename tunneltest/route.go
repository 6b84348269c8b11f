package tunneltest

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// route is an operation and what carries it out. The handler runs under the server's mutex.
type route struct {
	method, template string
	handle           func(*Server, *call) answer
	needs            permission
}

// routes is every operation of the fake.
var routes = slices.Concat(
	tunnelRoutes, tokenRoutes, virtualNetworkRoutes, ipRouteRoutes, hostnameRouteRoutes, zoneRoutes, dnsRecordRoutes,
	tunnelRouteRoutes,
)

// call is a request on its way to its handler.
type call struct {
	route   *route
	values  map[string]string // of the template's names
	query   url.Values
	body    []byte
	account *account
	token   *apiToken // which the request is made with
}

// operation names the route as Request and Fault do.
func (r *route) operation() string { return r.method + " " + r.template }

// match finds the route of a request. Where there is none, problem says why.
func match(method, path string) (found *route, values map[string]string, problem answer) {
	parts := strings.Split(path, "/")
	problem = failure(http.StatusNotFound, 7000, "No route for that URI")
	for i := range routes {
		values, fits := fit(routes[i].template, parts)
		switch {
		case !fits:
		case routes[i].method == method:
			return &routes[i], values, answer{}
		default:
			problem = failure(http.StatusMethodNotAllowed, 10000, "Method not allowed for this authentication scheme")
		}
	}
	for _, part := range parts[1:] {
		if part == "" {
			problem = failure(http.StatusMethodNotAllowed, 10000, "Method not allowed for this authentication scheme")
		}
	}
	return nil, nil, problem
}

func fit(template string, parts []string) (map[string]string, bool) {
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

// serve takes a request through what the real API has on the way: the network's faults, the quota, authentication, the account.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path, underBase := strings.CutPrefix(r.URL.EscapedPath(), basePath)
	routed, noToken := emptyTokenID(r.Method, path)
	found, values, problem := match(r.Method, routed)
	if noToken != nil {
		problem = *noToken
	}
	if own, ownValues := s.findOwn(r); own != nil {
		found, values = own, ownValues
	}
	if !underBase {
		found, problem = nil, failure(http.StatusNotFound, 7000, "No route for that URI")
	}
	record, fault := s.arrive(r, path, found)
	if fault.Cut == CutBefore {
		s.sleep(s.latency)
		panic(http.ErrAbortHandler)
	}
	if r.Body == nil { // where a RoundTripper hands over a client's request
		r.Body = http.NoBody
	}
	body, tooLarge := readBody(w, r)
	s.sleep(s.latency)
	if s.isClosed() {
		panic(http.ErrAbortHandler)
	}

	a := s.work(record, fault, credential(r.Header), body, func() answer {
		if tooLarge {
			return failure(http.StatusRequestEntityTooLarge, 1001, "The request's body is too large")
		}
		token, refused := s.authenticate(r.Header)
		if refused == nil && found != nil {
			refused = s.authorize(token, found, values, s.addressOf(r))
		}
		switch {
		case refused != nil:
			return *refused
		case found == nil:
			return problem
		}
		token.lastUsed = s.stamp()
		c := &call{route: found, values: values, query: r.URL.Query(), body: body, token: token}
		if id, ok := values["account_id"]; ok {
			if !isAccountID(id) {
				return failure(http.StatusNotFound, 7003, "Could not route to "+path+", perhaps your object identifier is invalid?")
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
		record.Status = a.status
		s.mu.Unlock()
	}
	a.write(w, fault)
}

// arrive records the request and picks its fault.
func (s *Server) arrive(r *http.Request, path string, found *route) (*Request, Fault) {
	record := &Request{Method: r.Method, Path: path, Query: r.URL.Query(), Header: r.Header.Clone()}
	for _, name := range []string{"Authorization", "X-Auth-Key", "X-Auth-User-Service-Key", "Proxy-Authorization", "Cookie"} {
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
	s.keepRequest(record)
	return record, s.takeFault(record.Operation)
}

// work counts the request for its credential, and does it unless the quota or the fault is before it.
func (s *Server) work(record *Request, fault Fault, credential cftunnel.Secret, body []byte, do func() answer) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	record.Body = cftunnel.NewSecret(string(body))
	now := s.now()
	quota := s.quotaOf(credential)
	rest := quota.admit(now)
	header := quota.header(now)
	if rest > 0 && !fault.replaces() {
		return refusal(rest, header)
	}
	a := answer{status: http.StatusOK}
	s.comeBack()
	if rest == 0 && (fault.Work || !fault.replaces()) {
		a = do()
		record.Done = a.succeeded()
	}
	if fault.replaces() {
		a.status, a.body = cmp.Or(fault.Status, http.StatusOK), []byte(fault.Body)
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	maps.Copy(a.header, header)
	return a
}

// maxBody bounds the body of a request, in bytes. The real limit is not known.
const maxBody = 1 << 20

// readBody reads the body of a request, or reports that it is too large. A body that ends with an
// error ends the connection.
func readBody(w http.ResponseWriter, r *http.Request) (body []byte, tooLarge bool) {
	limit := int64(maxBody)
	if r.ContentLength > limit {
		limit = 0 // read nothing; the reader has the server send the response before it hangs up
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

func isAccountID(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdefABCDEF") == ""
}
