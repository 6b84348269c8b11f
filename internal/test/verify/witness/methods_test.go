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

// rootV7 has the services as the client of v7's root package has them.
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

// TestMethods_OfficialClients calls the methods of the official clients that cases names.
func TestMethods_OfficialClients(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		v0, rc := f.v0()
		for name, own := range cases.Methods {
			for client, method := range map[any]string{new(f.rootV7()): own.V7, v0: own.V0} {
				if method == "" {
					continue
				}
				requests := f.during(func() {
					call(t, client, method, t.Context(), rc,
						account[zero_trust.TunnelCloudflaredManagementNewParams](f, member{"Resources",
							[]zero_trust.TunnelCloudflaredManagementNewParamsResource{zero_trust.TunnelCloudflaredManagementNewParamsResourceLogs}}))
				})
				if assert.Len(t, requests, 1, method) {
					// The fake names an operation by its own route.
					assert.Equal(t, own.Operations[0], requests[0].Operation, "%s and %s", name, method)
				}
			}
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
			case name == "AccountID", name == "ZoneID": // of v7
				field.FieldByName("Value").SetString(strings.Repeat("0", 32))
				field.FieldByName("Present").SetBool(true)
			case field.Kind() == reflect.String && slices.Contains([]string{"Name", "Secret", "TunnelID", "HAMode", "VnetID", "Network", "ID"}, name):
				field.SetString(nobody)
			}
		}
	}
	return value
}

// leftOut are services of v7 that this client does not have: routes by CIDR, whose end is announced, and
// subnets, which tunnels do not need.
var leftOut = []string{"ZeroTrust.Networks.Routes.Networks.", "ZeroTrust.Networks.Subnets."}

func isLeftOut(method string) bool {
	return slices.ContainsFunc(leftOut, func(start string) bool { return strings.HasPrefix(method, start) })
}

func TestMethods_EveryMethodOfV7(t *testing.T) {
	t.Parallel()
	named := []string{
		// Of zones and DNS, what tunnels need.
		"Zones.List", "DNS.Records.List", "DNS.Records.New", "DNS.Records.Get", "DNS.Records.Edit", "DNS.Records.Delete",
	}
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
	walk(reflect.TypeFor[*zero_trust.NetworkService](), "ZeroTrust.Networks")
	named = slices.DeleteFunc(named, isLeftOut)
	walk(reflect.TypeFor[*user.TokenService](), "User.Tokens")
	walk(reflect.TypeFor[*accounts.TokenService](), "Accounts.Tokens")
	var have []string
	for _, method := range cases.Methods {
		if method.V7 != "" {
			have = append(have, method.V7)
		}
	}
	assert.ElementsMatch(t, named, have)
}

// announced is an operation that Cloudflare has announced, and that the schema does not have yet.
const announced = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}"

// replaceRecord is an operation that this client does not send: it changes records by PATCH.
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
