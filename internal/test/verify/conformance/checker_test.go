package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/openapi"
	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
)

const (
	account = "/accounts/0123456789abcdef0123456789abcdef"
	tunnel  = account + "/cfd_tunnel/f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
)

// published returns the published schema, without the differences.
func published(t *testing.T) openapi.Document {
	t.Helper()
	d, err := openapi.Load(openapi.Covered...)
	require.NoError(t, err)
	return d
}

func amendedChecker(t *testing.T) *checker {
	t.Helper()
	c, err := newChecker(t.Context(), amended(published(t), -1))
	require.NoError(t, err)
	return c
}

func newExchange(method, path, query, body string, status int, response string) *wirelog.Exchange {
	e := &wirelog.Exchange{
		Method: method, Path: basePath + path, Query: query, Body: []byte(body),
		Header: http.Header{
			"User-Agent": {"cftunnel-go/0.1.0"}, "Accept": {"application/json"},
			"Authorization": {"[REDACTED]"},
		},
		Response: &wirelog.Response{
			Status: status, Header: http.Header{"Content-Type": {"application/json"}},
			Body: []byte(response),
		},
	}
	if body != "" {
		e.Header.Set("Content-Type", "application/json")
	}
	return e
}

func success(result string) string {
	return `{"success":true,"errors":[],"messages":[],"result":` + result + `}`
}

const (
	aTunnel = `{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","created_at":"2026-10-05T12:00:00.000001Z","deleted_at":null,` +
		`"status":"inactive","metadata":{}}`
	aFailure = `{"success":false,"errors":[{"code":1003,"message":"m"}],"messages":[],"result":null}`
)

func get() *wirelog.Exchange {
	return newExchange("GET", tunnel, "", "", 200, success(aTunnel))
}

func list() *wirelog.Exchange {
	const query = "is_deleted=false&per_page=1000"
	return newExchange("GET", account+"/cfd_tunnel", query, "", 200, success("["+aTunnel+"]"))
}

func create() *wirelog.Exchange {
	const body = `{"name":"web","config_src":"local"}`
	created := strings.Replace(aTunnel, "}", `},"token":"t"`, 1)
	return newExchange("POST", account+"/cfd_tunnel", "", body, 200, success(created))
}

func unknown() *wirelog.Exchange { return newExchange("GET", tunnel, "", "", 404, aFailure) }

// createToken returns a request that creates an API token whose policy has these resources.
func createToken(resources string) *wirelog.Exchange {
	policies := `[{"effect":"allow","permission_groups":[{"id":"c07321b023e944ff818fec44d8203567"}],` +
		`"resources":{` + resources + `}}]`
	return newExchange("POST", "/user/tokens", "", `{"name":"ci","policies":`+policies+`}`, 200,
		success(
			`{"id":"ed17574386854bf78a67040be0a770b0","name":"ci","status":"active","issued_on":"2026-10-05T12:00:00Z",`+
				`"modified_on":"2026-10-05T12:00:00Z","policies":[],"value":"8M7wS6hCpXVc-DoRnPPY_UCWPgy8aea4Wy6kCe5T"}`))
}

func TestChecker_MembersOfAnyName(t *testing.T) {
	t.Parallel()
	e := createToken(`"com.cloudflare.new":"*","com.cloudflare.newer":{"a":"*"}`)
	result := amendedChecker(t).check(t.Context(), e)
	assert.Empty(t, result.problems)
	for _, name := range []string{"policies[].resources.*", "policies[].resources.*.*"} {
		assert.Contains(t, result.uses, item{"POST /user/tokens", partBody, name})
		assert.Contains(t, amendedChecker(t).items(), item{"POST /user/tokens", partBody, name})
	}
}

func TestChecker_Conforming(t *testing.T) {
	t.Parallel()
	c := amendedChecker(t)
	for name, e := range map[string]*wirelog.Exchange{
		"get": get(), "list": list(), "create": create(), "failure": unknown(),
		"no operation": newExchange("GET", "/radar", "", "", 404, aFailure),
	} {
		if name == "no operation" {
			e.Header.Set("User-Agent", "another")
		}
		assert.Empty(t, c.check(t.Context(), e).problems, name)
	}
}

func TestChecker_Problems(t *testing.T) {
	t.Parallel()
	c := amendedChecker(t)
	respond := func(base func() *wirelog.Exchange, old, new string) *wirelog.Exchange {
		e := base()
		require.Contains(t, string(e.Response.Body), old)
		e.Response.Body = []byte(strings.Replace(string(e.Response.Body), old, new, 1))
		return e
	}
	with := func(e *wirelog.Exchange, change func(*wirelog.Exchange)) *wirelog.Exchange {
		change(e)
		return e
	}
	for name, test := range map[string]struct {
		exchange *wirelog.Exchange
		want     []string // parts of one problem's text
	}{
		"unknown query parameter": {
			newExchange("GET", account+"/cfd_tunnel", "is_deletd=false", "", 200, success("[]")), []string{"query", "is_deletd is not documented"},
		},
		"query parameter of a wrong type": {
			newExchange("GET", account+"/cfd_tunnel", "is_deleted=perhaps", "", 200, success("[]")), []string{"request", "is_deleted in the query"},
		},
		"query parameter out of range": {
			newExchange("GET", account+"/cfd_tunnel", "per_page=1001", "", 200, success("[]")), []string{"request", "per_page in the query"},
		},
		"query parameter that is not a time": {
			newExchange("GET", account+"/cfd_tunnel", "existed_at=noon", "", 200, success("[]")), []string{"request", "existed_at in the query"},
		},
		"query parameter not in the enumeration": {
			newExchange("GET", account+"/cfd_tunnel", "status=dead", "", 200, success("[]")), []string{"request", "status in the query"},
		},
		"query parameter twice": {
			newExchange("GET", account+"/cfd_tunnel", "name=a&name=b", "", 200, success("[]")), []string{"query", "name occurs more than once"},
		},
		"invalid query": {newExchange("GET", account+"/cfd_tunnel", "name=%zz", "", 200, success("[]")), []string{"query", "the query is invalid"}},
		"path parameter that is not an ID": {
			newExchange("GET", account+"/cfd_tunnel/web", "", "", 200, success(aTunnel)), []string{"request", "tunnel_id in the path"},
		},
		"no such path":   {newExchange("GET", account+"/cfd_tunnels", "", "", 404, aFailure), []string{"no such operation"}},
		"no such method": {newExchange("PUT", tunnel, "", "", 405, aFailure), []string{"no such operation"}},
		"body of a wrong type": {
			newExchange("POST", account+"/cfd_tunnel", "", `{"name":1}`, 200, success(aTunnel)), []string{"request", "name: value must be a string"},
		},
		"body without a required member": {
			newExchange("POST", account+"/cfd_tunnel", "", `{}`, 200, success(aTunnel)), []string{"request", `property "name" is missing`},
		},
		"body with an unknown member": {
			newExchange("POST", account+"/cfd_tunnel", "", `{"name":"web","nam":"web"}`, 200, success(aTunnel)), []string{"body", "nam is not documented"},
		},
		"body that is not JSON": {newExchange("POST", account+"/cfd_tunnel", "", `{`, 200, success(aTunnel)), []string{"request", "body"}},
		"missing body":          {newExchange("POST", account+"/cfd_tunnel", "", "", 200, success(aTunnel)), []string{"request", "body", "missing"}},
		"body of a GET":         {newExchange("GET", tunnel, "", "{}", 200, success(aTunnel)), []string{"request", "body not allowed"}},
		"body of an unknown type": {
			with(create(), func(e *wirelog.Exchange) { e.Header.Set("Content-Type", "text/plain") }), []string{"request", "Content-Type"},
		},
		"no Accept":      {with(get(), func(e *wirelog.Exchange) { e.Header.Del("Accept") }), []string{"request", "does not accept JSON"}},
		"no credentials": {with(get(), func(e *wirelog.Exchange) { e.Header.Del("Authorization") }), []string{"request", "no credentials"}},

		"response of a wrong type":           {respond(get, `"deleted_at":null`, `"deleted_at":false`), []string{"200", "result"}},
		"response in a list of a wrong type": {respond(list, `"status":"inactive"`, `"status":1`), []string{"200", "result"}},
		"response that only an alternative without the member accepts": {
			respond(get, `"metadata"`, `"config_src":"elsewhere","metadata"`), []string{"200", "result.config_src", "not one of the allowed values"},
		},
		"response with a time in another form": {respond(get, "2026-10-05T12:00:00.000001Z", "2026-10-05 12:00"), []string{"200", "result"}},
		"response with an ID in another form":  {respond(get, "f70ff985-a4ef", "f70ff985"), []string{"200", "result"}},
		"response with an unknown member": {
			respond(get, `"metadata"`, `"token":"eyJ","metadata"`), []string{"200", "result.token is not documented"},
		},
		"response with a member in an object without properties": {
			respond(get, `"metadata":{}`, `"metadata":{"a":1}`), []string{"200", "result.metadata.a is not documented"},
		},
		"response without a required member": {respond(get, `"messages":[],`, ""), []string{"200", `property "messages" is missing`}},
		"response of a wrong type deep inside": {
			newExchange("GET", tunnel+"/configurations", "", "", 200,
				success(`{"config":{"ingress":[{"service":"a"},{"service":1}],"originRequest":{"tlsTimeout":"a"}}}`)),
			[]string{"200: result.config.ingress[].service: value must be a string"},
		},
		"member of any name of a wrong type": {
			createToken(`"com.cloudflare.new":1`), []string{"request", "policies[].resources"},
		},
		"nested member of any name of a wrong type": {
			createToken(`"com.cloudflare.new":{"a":1}`), []string{"request", "policies[].resources"},
		},
		"response that is not JSON":      {respond(get, success(aTunnel), "<html>"), []string{"200", "decode"}},
		"200 with success false":         {respond(get, `"success":true`, `"success":false`), []string{"200", "success"}},
		"failure with success true":      {respond(unknown, `"success":false`, `"success":true`), []string{"404", "success"}},
		"failure with a result":          {respond(unknown, `"result":null`, `"result":[]`), []string{"404", "result"}},
		"failure without a code":         {respond(unknown, `"code":1003,`, ""), []string{"404", `property "code" is missing`}},
		"failure with an unknown member": {respond(unknown, `"code"`, `"reason":"r","code"`), []string{"4XX", "errors[].reason is not documented"}},
		"undocumented status":            {with(get(), func(e *wirelog.Exchange) { e.Response.Status = 201 }), []string{"201", "status is not supported"}},
		"status 500":                     {with(unknown(), func(e *wirelog.Exchange) { e.Response.Status = 500 }), []string{"500", "status is not supported"}},
		"Content-Type with a charset": {
			with(get(), func(e *wirelog.Exchange) { e.Response.Header.Set("Content-Type", "application/json; charset=utf-8") }), []string{"200", "Content-Type"},
		},
		"no Content-Type": {with(get(), func(e *wirelog.Exchange) { e.Response.Header.Del("Content-Type") }), []string{"200", "Content-Type"}},
		"success without an operation": {
			with(newExchange("GET", "/radar", "", "", 200, success("[]")),
				func(e *wirelog.Exchange) { e.Header.Del("User-Agent") }),
			[]string{noOperation, "succeeds"},
		},
		"failure without an operation": {
			with(newExchange("GET", "/radar", "", "", 404, `{"success":false}`),
				func(e *wirelog.Exchange) { e.Header.Del("User-Agent") }),
			[]string{noOperation, `property "errors" is missing`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := c.check(t.Context(), test.exchange).problems
			found := false
			for _, f := range problems {
				all := true
				for _, want := range test.want {
					all = all && strings.Contains(f.String(), want)
				}
				found = found || all
			}
			assert.True(t, found, "%v", problems)
		})
	}
}

func TestChecker_RequestsOfOthers(t *testing.T) {
	t.Parallel()
	c := amendedChecker(t)
	e := newExchange("POST", account+"/cfd_tunnel", "odd=1", `{"name":1}`, 400, aFailure)
	require.NotEmpty(t, c.check(t.Context(), e).problems)
	e.Header = http.Header{"User-Agent": {"curl/8"}}
	assert.Empty(t, c.check(t.Context(), e).problems)
	e.Response.Body = []byte(`{}`)
	assert.NotEmpty(t, c.check(t.Context(), e).problems)
}

// The values of requests and responses may be secrets.
func TestChecker_ProblemsHaveNoValues(t *testing.T) {
	t.Parallel()
	c := amendedChecker(t)
	for _, e := range []*wirelog.Exchange{
		newExchange("POST", account+"/cfd_tunnel", "status=planted", `{"name":"n","config_src":"planted","tunnel_secret":["planted"]}`, 200,
			success(`{"id":"planted"}`)),
		newExchange("GET", tunnel+"/token", "", "", 200, success(`["planted"]`)),
		newExchange("GET", tunnel+"/token", "", "", 404, `{"success":"planted"}`),
	} {
		problems := c.check(t.Context(), e).problems
		require.NotEmpty(t, problems)
		for _, f := range problems {
			assert.NotContains(t, f.String(), "planted")
		}
	}
}

func TestChecker_Uses(t *testing.T) {
	t.Parallel()
	c := amendedChecker(t)
	var uses []string
	for _, i := range c.check(t.Context(), list()).uses {
		uses = append(uses, i.String())
	}
	assert.Subset(t, uses, []string{
		opList + " request", opList + " path account_id", opList + " query is_deleted", opList + " 200", opList + " 200 result[].deleted_at",
	})
	assert.NotContains(t, uses, opList+" query name")
	assert.NotContains(t, uses, opList+" 200 result[].token")

	uses = nil
	refused := list()
	refused.Response.Status, refused.Response.Body = 401, []byte(aFailure)
	for _, i := range c.check(t.Context(), refused).uses {
		uses = append(uses, i.String())
	}
	assert.Subset(t, uses, []string{opList + " 4XX", opList + " 4XX errors[].code"})
	assert.NotContains(t, uses, opList+" query is_deleted", "a refused request uses no parameters")

	assert.Empty(t, c.check(t.Context(), newExchange("GET", "/radar", "", "", 404, aFailure)).uses)
}
