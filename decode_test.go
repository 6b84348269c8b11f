package cftunnel_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// FuzzDecoder compares the decoder with encoding/json, for every body that encoding/json accepts.
func FuzzDecoder(f *testing.F) {
	for _, body := range responses(f) {
		f.Add(body)
	}
	for _, body := range []string{
		`{"success":true,"result":null}`, `{"success":true}`, `{"success":true,"result":{}}`, `{"success":true,"result":[]}`,
		`{"success":true,"result":[null,{}]}`, `{"success":true,"result":"eyJ\u0068\ud800"}`, "{\"success\":true,\"result\":\"\xff\"}",
		`{"SUCCESS":true,"Result":{"ID":"a","iD":"b"}}`, `{"success":true,"result":{"id":"a"},"result":{"name":"b"}}`,
		`{"success":true,"result":{"id":"a","id":null,"name":1}}`, `{"success":true,"result":{"connections":[{"id":"a"}],"connections":[{}]}}`,
		`{"success":true,"result":{"created_at":"0001-01-01T00:00:00Z","deleted_at":"2026-01-02T03:04:05.123456789+02:00","conns_active_at":""}}`,
		`{"success":true,"result":{"created_at":"2026-1-02T03:04:05Z"}}`, `{"success":true,"result":{"version":1e2,"config_version":9223372036854775808}}`,
		`{"success":true,"result":{"version":-0,"config_version":1.0}}`, `{"success":true,"result":{"remote_config":1}}`,
		`{"success":true,"result":{"config":{"ingress":[{"service":"x","more":[1]}],"future":{"a":1e999}},"version":3}}`,
		`{"success":true,"result":{"id":"a"}}x`, `{"success":true,"result":{"id":"a"}} `, "\ufeff" + `{"success":true}`, `{"success":true,"result":[`,
		`{"success":true,"result":{"x":01,"y":+1,"z":.5}}`, `{"success":true,"result":{"x":"` + "\x01" + `"}}`, `{"success":true,"result":{"x":nul}}`,
		`{"success":true,"result":{"metadata":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}}`,
		`{"success":true,"result":{"\u0069d":"a","ſtatuſ":"down","metadata":null}}`, `{"success":true,"result":{"features":[null,"a",1]}}`,
		`{"success":false,"errors":[{"code":"7","message":"m\u00e9","source":{"pointer":"/a"},"error_chain":[{"code":1}]},null,"x",3],"messages":"y"}`,
		`{"success":true,"result":[{"id":"a"}],"result_info":{"page":"1","per_page":1e3,"count":null,"total_count":99999999999}}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, model := range append(cftunnel.Models(), callerTypes()...) {
			result := newValue(model)
			_, err := envelope.Decode([]byte(body), result)
			if err == nil && !json.Valid([]byte(body)) {
				t.Fatalf("%T: no error for invalid JSON", model)
			}
			if err != nil && model != nil && !reflect.ValueOf(result).Elem().IsZero() {
				t.Fatalf("%T: a result despite the error %v", model, err)
			}
			want := struct {
				Success bool `json:"success"`
				Result  any  `json:"result"`
			}{Result: newValue(model)}
			plain := canonical(body)
			if model == nil || plain == nil || json.Unmarshal(plain, &want) != nil {
				continue
			}
			if !want.Success || want.Result == nil {
				continue
			}
			result = newValue(model)
			switch e, err := envelope.Decode(plain, result); {
			case err != nil:
				t.Fatalf("%T: %v", model, err)
			case e.Success == nil || !*e.Success:
				t.Fatalf("%T: not a success", model)
			case !reflect.DeepEqual(result, want.Result):
				t.Fatalf("%T: %+v, not %+v", model,
					reflect.ValueOf(result).Elem(), reflect.ValueOf(want.Result).Elem())
			}
		}
	})
}

// callerTypes returns pointers to types that a caller may pass to Do as a result.
func callerTypes() []any {
	type base struct {
		ID    string `json:"id"`
		Count *int8
	}
	type embedding struct {
		base
		Name string `json:"name,omitempty"`
		Size uint   `json:",omitempty"`
	}
	return []any{
		nil, new(any), new([]any), new(map[string]any), new(map[string]*string), new([]map[string]bool), new(tree), new([]*tree),
		new(embedding), new([]embedding), new([]struct{}), new([3]string), new([]byte), new(json.Number), new(float64), new(*[]*[]*int),
	}
}

// newValue returns a pointer to a zero value of the type of model, or nil if model is nil.
func newValue(model any) any {
	if model == nil {
		return nil
	}
	return reflect.New(reflect.TypeOf(model).Elem()).Interface()
}

// canonical returns a body without duplicate members and without members that differ only in case.
// The decoder and encoding/json treat these differently. It returns nil if body is not an object.
func canonical(body string) []byte {
	var value map[string]any
	if json.Unmarshal([]byte(body), &value) != nil {
		return nil
	}
	encoded, err := json.Marshal(lowerNames(value))
	if err != nil {
		return nil
	}
	return encoded
}

// lowerNames returns a value with the names of all members in lower case.
func lowerNames(value any) any {
	switch value := value.(type) {
	case map[string]any:
		lower := map[string]any{}
		for name, item := range value {
			lower[strings.ToLower(name)] = lowerNames(item)
		}
		return lower
	case []any:
		for i := range value {
			value[i] = lowerNames(value[i])
		}
	}
	return value
}

// responses returns response bodies of the fake.
func responses(tb testing.TB) (bodies []string) {
	tb.Helper()
	var log wirelog.Log
	srv := tunneltest.NewServer(tunneltest.WithMiddleware(log.Middleware))
	tb.Cleanup(srv.Close)
	srv.SeedTunnels(3)
	client, err := cases.NewClient(srv, once)
	require.NoError(tb, err)
	ctx := tb.Context()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	require.NoError(tb, err)
	connector, err := srv.Connect(tunnel.Token)
	require.NoError(tb, err)
	_, _ = client.Tunnels.Get(ctx, tunnel.ID)
	_, _ = client.Tunnels.Get(ctx, tunnelID)
	_, _ = client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	_, _ = client.Tunnels.Token(ctx, tunnel.ID)
	_, _ = client.Tunnels.UpdateConfiguration(ctx, tunnel.ID, onlyCatchAll)
	_, _ = client.Tunnels.Configuration(ctx, tunnel.ID)
	_, _ = client.Connectors.List(ctx, tunnel.ID)
	_, _ = client.Connectors.Get(ctx, tunnel.ID, connector)
	_, _ = client.Tokens.VerifyUser(ctx)
	warp, err := client.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{
		Name: "office", HA: true,
	})
	require.NoError(tb, err)
	_, _ = client.WARPConnectors.Configuration(ctx, warp.ID)
	for _, e := range log.Exchanges() {
		bodies = append(bodies, string(e.Response.Body))
	}
	return bodies
}

// The client may reuse the buffer of a body. Results must not point into it.
func TestDecoder_ResultsOutliveBuffers(t *testing.T) {
	t.Parallel()
	const id = "f70ff985-a4ef-4643-bbbc-4a0ed4fc%04d"
	calls := 0
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		_, _ = fmt.Fprintf(w, `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc%04[1]d",`+
			`"name":"n\u00e9-%[1]d","metadata":{"n":%[1]d},"tun_type":"kind-%[1]d"}}`, calls)
	})
	var tunnels []*cftunnel.Tunnel
	var results []map[string]json.RawMessage
	for range 4 {
		tunnel, err := client.Tunnels.Get(t.Context(), fmt.Sprintf(id, calls+1))
		require.NoError(t, err)
		tunnels = append(tunnels, tunnel)
		var result map[string]json.RawMessage
		err = client.Do(t.Context(), http.MethodGet, "user/tokens/verify", nil, &result)
		require.NoError(t, err)
		results = append(results, result)
	}
	for i, tunnel := range tunnels {
		n := 2*i + 1
		assert.Equal(t, cftunnel.Tunnel{
			ID: fmt.Sprintf(id, n), Name: fmt.Sprintf("né-%d", n),
			Metadata: fmt.Appendf(nil, `{"n":%d}`, n),
			Type:     cftunnel.TunnelType(fmt.Sprintf("kind-%d", n)),
		}, *tunnel)
		assert.JSONEq(t, `"`+fmt.Sprintf(id, n+1)+`"`, string(results[i]["id"]))
	}
}
