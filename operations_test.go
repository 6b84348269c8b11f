package cftunnel_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
)

// schemaVariable names a file with Cloudflare's published schema, or the part of it that is about tunnels.
const schemaVariable = "CFTUNNEL_OPENAPI"

const (
	opTunnels    = "GET /accounts/{account_id}/tunnels"
	opLogs       = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management"
	opManagement = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}"
)

// nowhere has nothing that a server could know.
var nowhere = cases.Fixture{
	Tunnel: tunnelID, Connector: tunnelID, Name: "n", Idle: tunnelID, WARP: tunnelID, WARPConnector: tunnelID, IdleWARP: tunnelID, Free: "n",
}

func TestEveryMethodSendsItsOperations(t *testing.T) {
	t.Parallel()
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent []string
			client := clientOf(t, answering(404, `{"success":false,"errors":[{"code":7000,"message":"m"}]}`), cftunnel.WithHTTPClient(&http.Client{
				Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					sent = append(sent, r.Method+" "+cftunnel.Operation(r.Context()))
					return http.DefaultTransport.RoundTrip(r)
				}),
			}))
			require.Error(t, method.Call(t.Context(), client, nowhere))
			assert.Equal(t, method.Operations, sent)
		})
	}
}

func TestEveryMethodIsInTheTable(t *testing.T) {
	t.Parallel()
	var methods []string
	client := reflect.TypeFor[cftunnel.Client]()
	for i := range client.NumField() {
		field := client.Field(i)
		if !field.IsExported() {
			continue
		}
		for j := range field.Type.NumMethod() {
			methods = append(methods, field.Name+"."+field.Type.Method(j).Name)
		}
	}
	var table []string
	for name := range cases.Methods {
		table = append(table, name)
	}
	assert.ElementsMatch(t, methods, table)
}

func TestEveryMethodDocumentsItsOperations(t *testing.T) {
	t.Parallel()
	comments := methodComments(t)
	for name, method := range cases.Methods {
		service, method2, _ := strings.Cut(name, ".")
		comment := strings.Join(strings.Fields(comments[service+"Service."+method2]), " ")
		require.NotEmpty(t, comment, name)
		assert.Contains(t, comment, "API: https://developers.cloudflare.com/api/resources/", name)
		for _, operation := range method.Operations {
			_, path, _ := strings.Cut(operation, " ")
			assert.Contains(t, comment, path, name)
		}
	}
}

// methodComments reads the doc comments of this package's methods, by Type.Method.
func methodComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	comments := map[string]string{}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ParseComments)
		require.NoError(t, err)
		for _, declaration := range parsed.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv == nil {
				continue
			}
			if pointer, ok := function.Recv.List[0].Type.(*ast.StarExpr); ok {
				if receiver, ok := pointer.X.(*ast.Ident); ok {
					comments[receiver.Name+"."+function.Name.Name] = function.Doc.Text()
				}
			}
		}
	}
	return comments
}

func TestOperationsAreThoseOfTheSchema(t *testing.T) {
	t.Parallel()
	path := os.Getenv(schemaVariable)
	if path == "" {
		t.Skipf("%s is not set: it names the file of the API's schema that the operations are held against", schemaVariable)
	}
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var schema struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(raw, &schema))

	// What the schema does not have yet: the API announces it.
	ours := map[string]bool{}
	for _, method := range cases.Methods {
		for _, operation := range method.Operations {
			ours[operation] = operation != opManagement
		}
	}
	for path, methods := range schema.Paths {
		// The whole schema of Cloudflare has much else.
		family := slices.ContainsFunc([]string{"/cfd_tunnel", "/warp_connector", "/tunnels", "/tokens/verify"}, func(part string) bool {
			return strings.Contains(path, part)
		})
		for method := range methods {
			if !family || method == "parameters" {
				continue
			}
			operation := strings.ToUpper(method) + " " + path
			assert.True(t, ours[operation], "the schema has %s, and no method does", operation)
			ours[operation] = false
		}
	}
	for operation, left := range ours {
		assert.False(t, left, "a method sends %s, which the schema does not have", operation)
	}
}

func TestManagementToken(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	tunnel := srv.SeedTunnels(1)[0]
	for resource, asked := range map[cftunnel.ManagementResource]string{
		cftunnel.ManagementResourceLogs: opLogs, cftunnel.ManagementResourceAdmin: opManagement, cftunnel.ManagementResourceHostDetails: opManagement,
	} {
		before := len(srv.Requests())
		secret, err := client.Tunnels.ManagementToken(ctx, tunnel.ID, resource)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(secret.Reveal(), "eyJ"))
		assert.Equal(t, []string{asked}, operations(srv)[before:])
		body := srv.Requests()[before].Body.Reveal()
		if asked == opLogs {
			assert.JSONEq(t, `{"resources":["logs"]}`, body)
		} else {
			assert.Empty(t, body)
		}
	}
	_, err := client.Tunnels.ManagementToken(ctx, tunnelID, cftunnel.ManagementResourceLogs)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.Equal(t, opLogs, operations(srv)[len(srv.Requests())-1], "a missing tunnel is no missing endpoint")
	for _, odd := range []cftunnel.ManagementResource{"", "..", "a/b"} {
		before := len(srv.Requests())
		_, err := client.Tunnels.ManagementToken(ctx, tunnel.ID, odd)
		require.Error(t, err)
		assert.Len(t, srv.Requests(), before)
	}
}

func TestManagementTokenFallsBackWhereTheServerNoLongerKnowsTheCall(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		falls  bool
	}{
		"no route":           {404, `{"success":false,"errors":[{"code":7000,"message":"No route"}]}`, true},
		"method not allowed": {405, "", true},
		"gone":               {410, "", true},
		"no tunnel":          {404, `{"success":false,"errors":[{"code":1003,"message":"m"}]}`, false},
		"forbidden":          {403, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path[strings.LastIndex(r.URL.Path, "/"):])
				if strings.HasSuffix(r.URL.Path, "/logs") {
					answering(200, `{"success":true,"result":"eyJ.a.b"}`)(w, r)
					return
				}
				answering(test.status, test.body)(w, r)
			})
			secret, err := client.Tunnels.ManagementToken(t.Context(), tunnelID, cftunnel.ManagementResourceLogs)
			if !test.falls {
				require.Error(t, err)
				assert.Equal(t, []string{"/management"}, asked)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "eyJ.a.b", secret.Reveal())
			assert.Equal(t, []string{"/management", "/logs"}, asked)
		})
	}
}
