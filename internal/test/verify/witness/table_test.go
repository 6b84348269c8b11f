package witness

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go/v7/accounts"
	"github.com/cloudflare/cloudflare-go/v7/user"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/verify/openapi"
)

const (
	tableFile   = "../../../../CONTRIBUTING.md"
	tableHeader = "| operation | client | fake | schema | cloudflare-go v7 | cloudflare-go v0 |"
	opResource  = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}"
)

// row is an operation and the methods that send it. Those of the official clients are empty where there are none.
type row struct{ operation, own, fake, schema, v7, v0 string }

// table reads the rows of the table in CONTRIBUTING.md. Of a column that begins with a name in code, that is the value; "none" is empty.
func table(t *testing.T) (rows []row) {
	t.Helper()
	text, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), tableHeader+"\n")
	require.True(t, found, "%s has no table that begins with %s", tableFile, tableHeader)
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|-") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|\n"), " | ")
		require.Len(t, cells, 6, line)
		for i, cell := range cells {
			cells[i] = strings.TrimSpace(cell)
			if code, ok := strings.CutPrefix(cells[i], "`"); ok {
				cells[i], _, _ = strings.Cut(code, "`")
			} else if strings.HasPrefix(cells[i], "none") {
				cells[i] = ""
			}
		}
		rows = append(rows, row{strings.Replace(cells[0], "…", "/accounts/{account_id}", 1), cells[1], cells[2], cells[3], cells[4], cells[5]})
	}
	return rows
}

// rootV7 has the services as the client of v7's root package has them.
type rootV7 struct {
	ZeroTrust struct{ Tunnels *zero_trust.TunnelService }
	User      struct{ Tokens *user.TokenService }
	Accounts  struct{ Tokens *accounts.TokenService }
}

func (f *fake) rootV7() (root rootV7) {
	root.ZeroTrust.Tunnels = f.v7()
	root.User.Tokens = user.NewTokenService(f.optionsV7()...)
	root.Accounts.Tokens = accounts.NewTokenService(f.optionsV7()...)
	return root
}

func TestTable_Operations(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		v0, rc := f.v0()
		for _, row := range table(t) {
			resource := cftunnel.ManagementResourceLogs
			if row.operation == opResource {
				resource = cftunnel.ManagementResourceAdmin
			}
			for client, method := range map[any]string{f.ours(): row.own, new(f.rootV7()): row.v7, v0: row.v0} {
				if method == "" {
					continue
				}
				requests := f.during(func() {
					call(t, client, method, t.Context(), rc, resource,
						cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{{Service: "http_status:404"}}},
						account[zero_trust.TunnelCloudflaredManagementNewParams](f, member{"Resources",
							[]zero_trust.TunnelCloudflaredManagementNewParamsResource{zero_trust.TunnelCloudflaredManagementNewParamsResourceLogs}}))
				})
				if assert.Len(t, requests, 1, method) {
					// The fake names an operation by its own route.
					assert.Equal(t, row.operation, requests[0].Operation, method)
				}
			}
			assert.Equal(t, "yes", row.fake, row.operation)
			assert.NotEmpty(t, row.own, row.operation)
		}
	})
}

// call calls a method of a client with the known values that fit its parameters, and makes up the others: what comes back does not matter.
func call(t *testing.T, client any, path string, known ...any) {
	t.Helper()
	method := reflect.ValueOf(client)
	for _, name := range strings.Split(path, ".") {
		if next := method.MethodByName(name); next.IsValid() {
			method = next
			continue
		}
		method = reflect.Indirect(method).FieldByName(name)
		require.True(t, method.IsValid(), "%T has no %s", client, path)
	}
	require.Equal(t, reflect.Func, method.Kind(), path)
	var args []reflect.Value
	for i := range method.Type().NumIn() - 1 { // the last is the options
		args = append(args, argument(method.Type().In(i), known))
	}
	if !method.Type().IsVariadic() {
		args = append(args, argument(method.Type().In(len(args)), known))
	}
	method.Call(args)
}

func argument(kind reflect.Type, known []any) reflect.Value {
	for _, value := range known {
		if reflect.TypeOf(value).AssignableTo(kind) {
			return reflect.ValueOf(value)
		}
	}
	value := reflect.New(kind).Elem()
	switch kind.Kind() { //nolint:exhaustive // the kinds that parameters have
	case reflect.String:
		value.SetString(nobody)
	case reflect.Struct:
		for i := range kind.NumField() {
			field, name := value.Field(i), kind.Field(i).Name
			switch {
			case name == "AccountID": // of v7
				field.FieldByName("Value").SetString(strings.Repeat("0", 32))
				field.FieldByName("Present").SetBool(true)
			case field.Kind() == reflect.String && slices.Contains([]string{"Name", "Secret", "TunnelID", "HAMode"}, name):
				field.SetString(nobody)
			}
		}
	}
	return value
}

func TestTable_EveryMethodOfV7(t *testing.T) {
	t.Parallel()
	named := []string{"Accounts.Tokens.Verify", "User.Tokens.Verify"} // the only ones of these two that are about the token itself
	var walk func(kind reflect.Type, path string)
	walk = func(kind reflect.Type, path string) {
		for i := range kind.NumMethod() {
			if name := kind.Method(i).Name; !strings.HasSuffix(name, "AutoPaging") {
				named = append(named, path+"."+name)
			}
		}
		for i := range kind.Elem().NumField() {
			if field := kind.Elem().Field(i); field.Type.Kind() == reflect.Pointer {
				walk(field.Type, path+"."+field.Name)
			}
		}
	}
	walk(reflect.TypeFor[*zero_trust.TunnelService](), "ZeroTrust.Tunnels")
	var have []string
	for _, row := range table(t) {
		if row.v7 != "" {
			have = append(have, row.v7)
		}
	}
	assert.ElementsMatch(t, named, have)
}

func TestTable_Schema(t *testing.T) {
	t.Parallel()
	schema, err := openapi.Load(openapi.Covered...)
	require.NoError(t, err)
	operations := slices.Collect(schema.Operations)
	var have []string
	for _, row := range table(t) {
		if row.schema == "yes" {
			have = append(have, row.operation)
		} else {
			assert.NotContains(t, operations, row.operation)
		}
	}
	assert.ElementsMatch(t, operations, have)
}
