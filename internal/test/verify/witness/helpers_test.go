package witness

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudflare/cloudflare-go"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const unknownID = "00000000-0000-4000-8000-000000000000" // no tunnel has this ID

// baseURL is the fake's base URL for all clients.
const baseURL = "http://localhost/client/v4"

// fake is a server and the network that all clients use.
type fake struct {
	*tunneltest.Server
	t       *testing.T
	network *pipenet.Network
}

// inBubble runs a test in a synctest bubble, so that delays of the official clients take no time.
func inBubble(t *testing.T, test func(t *testing.T, f *fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// All times are different, so that the test fails if a time is decoded into the wrong
		// field.
		var ticks atomic.Int64
		srv := tunneltest.NewServer(tunneltest.WithClock(func() time.Time {
			return time.Now().Add(time.Duration(ticks.Add(1)) * 11 * time.Microsecond)
		}))
		t.Cleanup(srv.Close)
		test(t, &fake{srv, t, pipenet.Serve(t, srv.Handler())})
	})
}

// httpClient returns an HTTP client that does not reuse connections, because net/http itself
// repeats a GET if a reused connection fails.
func (f *fake) httpClient() *http.Client {
	transport := f.network.Transport(f.t)
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport}
}

// ours returns a cftunnel client with default options.
func (f *fake) ours(opts ...cftunnel.Option) *cftunnel.Client {
	f.t.Helper()
	client, err := cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithBaseURL(baseURL), cftunnel.WithHTTPClient(f.httpClient()),
		cftunnel.WithAPIToken(f.APIToken().Reveal()), cftunnel.WithAccountID(f.AccountID()),
	}, opts...)...)
	require.NoError(f.t, err)
	return client
}

// optionsV7 returns the options for services of v7.
func (f *fake) optionsV7(opts ...option.RequestOption) []option.RequestOption {
	return append([]option.RequestOption{
		option.WithBaseURL(baseURL), option.WithHTTPClient(f.httpClient()),
		option.WithAPIToken(f.APIToken().Reveal()),
	}, opts...)
}

// v7 returns the tunnel service of cloudflare-go v7 with default options.
func (f *fake) v7(opts ...option.RequestOption) *zero_trust.TunnelService {
	return zero_trust.NewTunnelService(f.optionsV7(opts...)...)
}

// v0 returns a client of cloudflare-go v0 with default options, and v0's identifier of the account.
func (f *fake) v0(opts ...cloudflare.Option) (*cloudflare.API, *cloudflare.ResourceContainer) {
	f.t.Helper()
	api, err := cloudflare.NewWithAPIToken(f.APIToken().Reveal(), append([]cloudflare.Option{
		cloudflare.BaseURL(baseURL), cloudflare.HTTPClient(f.httpClient()),
	}, opts...)...)
	require.NoError(f.t, err)
	return api, cloudflare.AccountIdentifier(f.AccountID())
}

// connect starts a replica and returns its connector ID.
func (f *fake) connect(token cftunnel.Secret) string {
	f.t.Helper()
	id, err := f.Connect(token)
	require.NoError(f.t, err)
	return id
}

// during returns the requests that the fake receives while act runs.
func (f *fake) during(act func()) []tunneltest.Request {
	before := len(f.Requests())
	act()
	return f.Requests()[before:]
}

// member is the name and the value of a field of v7's parameters.
type member struct {
	name  string
	value any
}

// with returns parameters of v7 with these fields. It uses reflection, because the functions that
// set the fields are in the root package of v7, and the type of the fields is internal to v7.
func with[P any](members ...member) (params P) {
	for _, m := range members {
		field := reflect.ValueOf(&params).Elem().FieldByName(m.name)
		value := field.FieldByName("Value")
		value.Set(reflect.ValueOf(m.value).Convert(value.Type()))
		field.FieldByName("Present").SetBool(true)
	}
	return params
}

// account returns parameters of v7 with these fields and the ID of the fake's account.
func account[P any](f *fake, members ...member) P {
	return with[P](append(members, member{"AccountID", f.AccountID()})...)
}

// sameFields asserts that an official client and this client decoded the same fields, by their JSON
// names and without zero values. theirs are the fields that only the official client has, and ours
// those that only this client has.
func sameFields(t *testing.T, official, own any, theirs, ours []string) {
	t.Helper()
	read, want := fieldsOf(t, official), fieldsOf(t, own)
	drop(t, "the official client", read, theirs)
	drop(t, "cftunnel", want, ours)
	require.NotEmpty(t, want)
	assert.Equal(t, want, read)
}

// drop removes fields and asserts that they exist. A name may be a path through objects and lists,
// such as "conns.uuid".
func drop(t *testing.T, whose string, fields any, names []string) {
	t.Helper()
	for _, name := range names {
		assert.Positive(t, dropOne(fields, strings.Split(name, ".")), "%s has no %s", whose, name)
	}
}

func dropOne(value any, path []string) (n int) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			n += dropOne(element, path)
		}
	case map[string]any:
		if len(path) > 1 {
			return dropOne(value[path[0]], path[1:])
		}
		if _, ok := value[path[0]]; ok {
			delete(value, path[0])
			n++
		}
	}
	return n
}

// fieldsOf returns the fields of a struct by their JSON names.
func fieldsOf(t *testing.T, v any) map[string]any {
	t.Helper()
	fields, ok := plain(t, reflect.ValueOf(v)).(map[string]any)
	require.True(t, ok, "%T is not a struct, or all of its fields are zero", v)
	return fields
}

// plain converts a value of any client to a form that can be compared: strings and times to string,
// numbers and durations to int64, structs to maps by their JSON names, and zero values to nil.
func plain(t *testing.T, v reflect.Value) any {
	t.Helper()
	if !v.IsValid() || v.IsZero() {
		return nil
	}
	switch value := v.Interface().(type) {
	case time.Time:
		return value.UTC().Format("2006-01-02T15:04:05.000000Z")
	case interface{ Seconds() float64 }:
		return int64(value.Seconds())
	case json.RawMessage:
		var decoded any
		require.NoError(t, json.Unmarshal(value, &decoded))
		return plain(t, reflect.ValueOf(decoded))
	}
	switch v.Kind() { //nolint:exhaustive // only the kinds of fields
	case reflect.Pointer, reflect.Interface:
		return plain(t, v.Elem())
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64:
		return v.Int()
	case reflect.Float64: // v7 uses it if the schema does not say that a number is an integer
		return int64(v.Float())
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, plain(t, v.Index(i)))
		}
		if len(list) == 0 {
			return nil
		}
		return list
	case reflect.Map:
		object := map[string]any{}
		for _, key := range v.MapKeys() {
			object[key.String()] = plain(t, v.MapIndex(key))
		}
		return unlessEmpty(object)
	case reflect.Struct:
		object := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if name != "" && name != "-" {
				object[name] = plain(t, v.Field(i))
			}
		}
		return unlessEmpty(object)
	}
	require.Fail(t, "unsupported type", "%s", v.Type())
	return nil
}

func unlessEmpty(object map[string]any) any {
	maps.DeleteFunc(object, func(_ string, value any) bool { return value == nil })
	if len(object) == 0 {
		return nil
	}
	return object
}

// namesOf returns the sorted JSON names of the fields that a client decoded.
func namesOf(t *testing.T, v any) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(fieldsOf(t, v)))
}

// configuration is a TunnelConfiguration with JSON names.
type configuration struct {
	TunnelID  string                `json:"tunnel_id"`
	Version   int                   `json:"version"`
	Config    cftunnel.TunnelConfig `json:"config"`
	Source    cftunnel.ConfigSource `json:"source"`
	CreatedAt time.Time             `json:"created_at"`
}

// verification is a TokenVerification with JSON names. Responses do not have the owner.
type verification struct {
	ID        string               `json:"id"`
	Status    cftunnel.TokenStatus `json:"status"`
	Owner     cftunnel.TokenOwner  `json:"-"`
	NotBefore time.Time            `json:"not_before"`
	ExpiresOn time.Time            `json:"expires_on"`
}

// haConfiguration returns a WARPConfiguration in the form of the API.
func haConfiguration(c *cftunnel.WARPConfiguration) any {
	type address struct {
		Address string `json:"address"`
	}
	addresses := func(list []string) (all []address) {
		for _, text := range list {
			all = append(all, address{text})
		}
		return all
	}
	type config struct {
		FNRID        string    `json:"fnr_id"`
		VIPs         []address `json:"vips"`
		VIPsPrevious []address `json:"vips_previous"`
	}
	return struct {
		TunnelID  string          `json:"tunnel_id"`
		Version   int             `json:"configuration_version"`
		HAMode    cftunnel.HAMode `json:"ha_mode"`
		Config    config          `json:"config"`
		CreatedAt time.Time       `json:"created_at"`
		UpdatedAt time.Time       `json:"updated_at"`
	}{
		c.TunnelID, c.Version, c.HAMode,
		config{c.FNRID, addresses(c.VIPs), addresses(c.VIPsPrevious)},
		c.CreatedAt, c.UpdatedAt,
	}
}
