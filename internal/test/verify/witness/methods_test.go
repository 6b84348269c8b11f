package witness

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go/v7/accounts"
	"github.com/cloudflare/cloudflare-go/v7/dns"
	"github.com/cloudflare/cloudflare-go/v7/user"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
	"github.com/cloudflare/cloudflare-go/v7/zones"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/internal/test/verify/openapi"
)

// rootV7 has services with the same names as the client in v7's root package.
type rootV7 struct {
	ZeroTrust struct {
		Tunnels  *zero_trust.TunnelService
		Networks *zero_trust.NetworkService
	}
	User     struct{ Tokens *user.TokenService }
	Accounts struct{ Tokens *accounts.TokenService }
	Zones    *zones.ZoneService
	DNS      struct{ Records *dns.RecordService }
}

func (f *fake) rootV7() (root rootV7) {
	root.ZeroTrust.Tunnels, root.ZeroTrust.Networks = f.v7(), f.networksV7()
	root.User.Tokens = user.NewTokenService(f.optionsV7()...)
	root.Accounts.Tokens = accounts.NewTokenService(f.optionsV7()...)
	root.Zones = zones.NewZoneService(f.optionsV7()...)
	root.DNS.Records = dns.NewRecordService(f.optionsV7()...)
	return root
}

// TestMethods_OfficialClients checks that the methods of the official clients in package cases send
// the operations in package cases.
func TestMethods_OfficialClients(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		type (
			params   = zero_trust.TunnelCloudflaredManagementNewParams
			resource = zero_trust.TunnelCloudflaredManagementNewParamsResource
		)
		logs := zero_trust.TunnelCloudflaredManagementNewParamsResourceLogs
		management := account[params](f, member{"Resources", []resource{logs}})
		v0, rc := f.v0()
		for name, own := range cases.Methods {
			for client, method := range map[any]string{new(f.rootV7()): own.V7, v0: own.V0} {
				if method == "" {
					continue
				}
				requests := f.during(func() {
					call(t, client, method, t.Context(), rc, management)
				})
				if assert.Len(t, requests, 1, method) {
					got := requests[0].Operation
					assert.Equal(t, own.Operations[0], got, "%s and %s", name, method)
				}
			}
		}
	})
}

// call calls a method of a client. Each argument is the first known value of the right type, or
// else a made-up value. The results do not matter.
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
	for i := range method.Type().NumIn() - 1 { // the last parameter may be the options
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
	names := []string{"Name", "Secret", "TunnelID", "HAMode", "VnetID", "Network", "ID"}
	switch kind.Kind() { //nolint:exhaustive // only the kinds of parameters
	case reflect.String:
		value.SetString(unknownID)
	case reflect.Struct:
		for i := range kind.NumField() {
			field, name := value.Field(i), kind.Field(i).Name
			switch {
			case name == "AccountID", name == "ZoneID": // v7
				field.FieldByName("Value").SetString(strings.Repeat("0", 32))
				field.FieldByName("Present").SetBool(true)
			case field.Kind() == reflect.String && slices.Contains(names, name):
				field.SetString(unknownID)
			}
		}
	}
	return value
}

// unsupported are services of v7 that this client does not have: routes by CIDR, which Cloudflare
// will remove, and subnets, which tunnels do not need.
var unsupported = []string{"ZeroTrust.Networks.Routes.Networks.", "ZeroTrust.Networks.Subnets."}

func isUnsupported(method string) bool {
	return slices.ContainsFunc(unsupported, func(prefix string) bool {
		return strings.HasPrefix(method, prefix)
	})
}

func TestMethods_EveryMethodOfV7(t *testing.T) {
	t.Parallel()
	want := []string{
		// The methods for zones and DNS that tunnels need.
		"Zones.List", "DNS.Records.List", "DNS.Records.New", "DNS.Records.Get", "DNS.Records.Edit",
		"DNS.Records.Delete",
	}
	var walk func(kind reflect.Type, path string)
	walk = func(kind reflect.Type, path string) {
		for i := range kind.NumMethod() {
			if name := kind.Method(i).Name; !strings.HasSuffix(name, "AutoPaging") {
				want = append(want, path+"."+name)
			}
		}
		for i := range kind.Elem().NumField() {
			if field := kind.Elem().Field(i); field.Type.Kind() == reflect.Pointer {
				walk(field.Type, path+"."+field.Name)
			}
		}
	}
	walk(reflect.TypeFor[*zero_trust.TunnelService](), "ZeroTrust.Tunnels")
	walk(reflect.TypeFor[*zero_trust.NetworkService](), "ZeroTrust.Networks")
	want = slices.DeleteFunc(want, isUnsupported)
	walk(reflect.TypeFor[*user.TokenService](), "User.Tokens")
	walk(reflect.TypeFor[*accounts.TokenService](), "Accounts.Tokens")
	var have []string
	for _, method := range cases.Methods {
		if method.V7 != "" {
			have = append(have, method.V7)
		}
	}
	assert.ElementsMatch(t, want, have)
}

// announced is an operation that Cloudflare has announced and that is not in the schema yet.
const announced = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}"

// replaceRecord is an operation that this client does not send. It changes records with PATCH.
const replaceRecord = "PUT /zones/{zone_id}/dns_records/{dns_record_id}"

func TestMethods_Schema(t *testing.T) {
	t.Parallel()
	schema, err := openapi.Load(openapi.Covered...)
	require.NoError(t, err)
	var have []string
	for _, method := range cases.Methods {
		for _, operation := range method.Operations {
			if operation != announced {
				have = append(have, operation)
			}
		}
	}
	have = append(have, replaceRecord)
	slices.Sort(have)
	assert.ElementsMatch(t, slices.Collect(schema.Operations), slices.Compact(have))
}
