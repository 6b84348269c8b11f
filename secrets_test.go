package cftunnel_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/filemode"
)

func TestSecret_NeverPrinted(t *testing.T) {
	t.Parallel()
	secret := cftunnel.NewSecret(planted)
	holders := map[string]any{
		"value":            secret,
		"pointer":          &secret,
		"slice":            []cftunnel.Secret{secret},
		"map value":        map[string]cftunnel.Secret{"k": secret},
		"map key":          map[cftunnel.Secret]string{secret: "v"},
		"exported field":   struct{ Token cftunnel.Secret }{secret},
		"unexported field": struct{ token cftunnel.Secret }{secret},
		"tunnel":           cftunnel.Tunnel{Token: secret},
		"tunnel pointer":   &cftunnel.Tunnel{Token: secret},
		"create params":    cftunnel.TunnelCreateParams{Secret: secret},
		"update params":    cftunnel.TunnelUpdateParams{Secret: secret},
	}
	for name, holder := range holders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			for _, verb := range []string{
				"%v", "%+v", "%#v", "%q", "%x", "%X", "%s", "%d", "%t", "%p", "%T", "%20v", "%U",
			} {
				fmt.Fprintf(&out, verb+"\n", holder)
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("text", "holder", holder)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "holder", holder)
			encoded, err := json.Marshal(holder)
			require.NoError(t, err)
			out.Write(encoded)
			assert.NotContains(t, out.String(), planted)
			assert.NotContains(t, out.String(), fmt.Sprintf("%x", planted))
			assert.NotContains(t, out.String(), fmt.Sprintf("%X", planted))
		})
	}
}

// exported contains a value of every exported struct type of the package.
var exported = map[string]any{
	"APIToken": cftunnel.APIToken{}, "APITokenCreateParams": cftunnel.APITokenCreateParams{}, "APITokenListParams": cftunnel.APITokenListParams{},
	"APITokenUpdateParams": cftunnel.APITokenUpdateParams{}, "APITokensService": cftunnel.APITokensService{},
	"PermissionGroup": cftunnel.PermissionGroup{}, "PermissionGroupListParams": cftunnel.PermissionGroupListParams{},
	"TokenCondition": cftunnel.TokenCondition{}, "TokenPolicy": cftunnel.TokenPolicy{}, "TokenResource": cftunnel.TokenResource{},
	"Access": cftunnel.Access{}, "AllTypesListParams": cftunnel.AllTypesListParams{}, "CleanupParams": cftunnel.CleanupParams{},
	"Client": cftunnel.Client{}, "Connection": cftunnel.Connection{}, "Connector": cftunnel.Connector{}, "Error": cftunnel.Error{},
	"ErrorDetail": cftunnel.ErrorDetail{}, "IngressRule": cftunnel.IngressRule{}, "InvalidArgumentError": cftunnel.InvalidArgumentError{}, "IPRule": cftunnel.IPRule{},
	"Message": cftunnel.Message{}, "OriginRequest": cftunnel.OriginRequest{}, "Page": cftunnel.Page[cftunnel.Tunnel]{},
	"PageInfo": cftunnel.PageInfo{}, "ResponseInfo": cftunnel.ResponseInfo{}, "RetryPolicy": cftunnel.RetryPolicy{},
	"RotateParams": cftunnel.RotateParams{}, "Rotation": cftunnel.Rotation{}, "Secret": cftunnel.Secret{},
	"TokenVerification": cftunnel.TokenVerification{}, "Tunnel": cftunnel.Tunnel{}, "TunnelConfig": cftunnel.TunnelConfig{},
	"TunnelConfiguration": cftunnel.TunnelConfiguration{}, "TunnelCreateParams": cftunnel.TunnelCreateParams{},
	"TunnelCredentials": cftunnel.TunnelCredentials{}, "TunnelDeleteParams": cftunnel.TunnelDeleteParams{},
	"TunnelListParams": cftunnel.TunnelListParams{}, "TunnelUpdateParams": cftunnel.TunnelUpdateParams{},
	"WARPConfiguration": cftunnel.WARPConfiguration{}, "WARPConfigurationParams": cftunnel.WARPConfigurationParams{},
	"WARPConnectorCreateParams": cftunnel.WARPConnectorCreateParams{}, "WARPRouting": cftunnel.WARPRouting{}, "WaitParams": cftunnel.WaitParams{},
	"AttemptInfo": cftunnel.AttemptInfo{}, "Hooks": cftunnel.Hooks{}, "QuotaLimiter": cftunnel.QuotaLimiter{}, "WaitInfo": cftunnel.WaitInfo{},
	"HostnameRoute":             cftunnel.HostnameRoute{},
	"HostnameRouteCreateParams": cftunnel.HostnameRouteCreateParams{},
	"HostnameRouteListParams":   cftunnel.HostnameRouteListParams{},
	"HostnameRouteUpdateParams": cftunnel.HostnameRouteUpdateParams{}, "Route": cftunnel.Route{},
	"RouteCreateParams": cftunnel.RouteCreateParams{},
	"RouteListParams":   cftunnel.RouteListParams{},
	"RouteLookupParams": cftunnel.RouteLookupParams{},
	"RouteUpdateParams": cftunnel.RouteUpdateParams{}, "VirtualNetwork": cftunnel.VirtualNetwork{},
	"VirtualNetworkCreateParams": cftunnel.VirtualNetworkCreateParams{},
	"VirtualNetworkDeleteParams": cftunnel.VirtualNetworkDeleteParams{},
	"VirtualNetworkListParams":   cftunnel.VirtualNetworkListParams{},
	"VirtualNetworkUpdateParams": cftunnel.VirtualNetworkUpdateParams{},

	"Zone": cftunnel.Zone{}, "ZoneListParams": cftunnel.ZoneListParams{},
	"DNSRecord": cftunnel.DNSRecord{}, "DNSRecordListParams": cftunnel.DNSRecordListParams{},
	"DNSRecordCreateParams": cftunnel.DNSRecordCreateParams{}, "DNSRecordUpdateParams": cftunnel.DNSRecordUpdateParams{},
	"PublishParams": cftunnel.PublishParams{}, "PublishedHostname": cftunnel.PublishedHostname{},
}

func TestExportedTypes_AllListed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var types []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				if _, isStruct := spec.Type.(*ast.StructType); isStruct {
					types = append(types, spec.Name.Name)
				}
			}
			return true
		})
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(exported)), types)
}

// plant sets every field of type Secret.
func plant(v reflect.Value, depth int) {
	switch {
	case v.Type() == reflect.TypeFor[cftunnel.Secret]():
		if v.CanSet() {
			v.Set(reflect.ValueOf(cftunnel.NewSecret(planted)))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			plant(v.Field(i), depth)
		}
	case v.Kind() == reflect.Pointer && v.CanSet() && depth < 3:
		v.Set(reflect.New(v.Type().Elem()))
		plant(v.Elem(), depth+1)
	case v.Kind() == reflect.Slice && v.CanSet() && depth < 3:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		plant(v.Index(0), depth+1)
	}
}

func TestExportedTypes_ShowNoSecret(t *testing.T) {
	t.Parallel()
	for name, zero := range exported {
		if name == "Client" {
			continue // NewClient sets its fields
		}
		value := reflect.New(reflect.TypeOf(zero))
		plant(value.Elem(), 0)
		assert.NotContains(t, showAll(value.Interface()), planted, name)
		assert.NotContains(t, showAll(value.Elem().Interface()), planted, name)
		assert.NotContains(t, showAll([]any{value.Interface()}), planted, name)
	}
}

func TestClient_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, credentials := range []cftunnel.Option{
		cftunnel.WithAPIToken(planted), cftunnel.WithAPIKey("a@example.com", planted),
	} {
		client, err := cftunnel.NewClient(credentials)
		require.NoError(t, err)
		for _, value := range []any{
			client, *client, client.Tunnels, *client.Tunnels, credentials, []any{client},
		} {
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x", "%s"} {
				fmt.Fprintf(&out, verb+"\n", value)
			}
			assert.NotContains(t, out.String(), planted)
			assert.NotContains(t, out.String(), fmt.Sprintf("%x", planted))
		}
	}
}

// showAll prints a value in every way.
func showAll(value any) string {
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x", "%X", "%s", "%d"} {
		fmt.Fprintf(&out, verb+"\n", value)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", value)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "value", value)
	encoded, _ := json.Marshal(value)
	out.Write(encoded)
	return strings.ReplaceAll(out.String(), fmt.Sprintf("%x", planted), planted)
}

func TestSecret_RedactedText(t *testing.T) {
	t.Parallel()
	secret := cftunnel.NewSecret(planted)
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x", "%s", "%d"} {
		assert.Equal(t, "[REDACTED]", fmt.Sprintf(verb, secret), verb)
	}
	assert.Equal(t, "[REDACTED]", secret.String())
	encoded, err := json.Marshal(map[cftunnel.Secret]cftunnel.Secret{secret: secret})
	require.NoError(t, err)
	assert.JSONEq(t, `{"[REDACTED]":"[REDACTED]"}`, string(encoded))
	encoded, err = xml.Marshal(secret)
	require.NoError(t, err)
	assert.Contains(t, string(encoded), "[REDACTED]")
}

func TestSecret_ComparesAndReveals(t *testing.T) {
	t.Parallel()
	assert.Equal(t, planted, cftunnel.NewSecret(planted).Reveal())
	secret, same := cftunnel.NewSecret(planted), cftunnel.NewSecret(planted)
	assert.True(t, secret == same)
	assert.False(t, secret == cftunnel.NewSecret("other"))
	assert.False(t, cftunnel.NewSecret(planted).IsZero())

	var zero cftunnel.Secret
	assert.True(t, zero.IsZero())
	assert.Empty(t, zero.Reveal())
	assert.True(t, zero == cftunnel.NewSecret(""))
}

func TestSecret_UnmarshalJSONFails(t *testing.T) {
	t.Parallel()
	type holder struct{ Token cftunnel.Secret }
	encoded, err := json.Marshal(holder{cftunnel.NewSecret(planted)})
	require.NoError(t, err)
	var back holder
	require.Error(t, json.Unmarshal(encoded, &back))
}

func TestSecret_WriteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("old secret, readable by everybody"), 0o644))
	require.NoError(t, cftunnel.NewSecret(planted).WriteFile(path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, planted, string(content))
	filemode.AssertPrivate(t, path)

	refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](cftunnel.Secret{}.WriteFile(path))
	require.True(t, ok)
	assert.Equal(t, "secret", refused.Name)
	assert.Contains(t, refused.Reason, "use Tunnels.Token")
	err = cftunnel.NewSecret(planted).WriteFile(filepath.Join(path, "below"))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), planted)
	err = cftunnel.NewSecret(planted).WriteFile(filepath.Dir(path))
	require.ErrorContains(t, err, "not a regular file")
}

// sendSecret calls every method that sends a tunnel secret and returns their errors.
func sendSecret(t *testing.T, client *cftunnel.Client, secret cftunnel.Secret) map[string]error {
	t.Helper()
	ctx := t.Context()
	params := cftunnel.TunnelCreateParams{Name: "n", Secret: secret}
	_, create := client.Tunnels.Create(ctx, params)
	_, _, ensure := client.Tunnels.Ensure(ctx, params)
	update := cftunnel.TunnelUpdateParams{Secret: secret}
	_, tunnel := client.Tunnels.Update(ctx, tunnelID, update)
	_, warp := client.WARPConnectors.Update(ctx, tunnelID, update)
	rotation := cftunnel.RotateParams{Secret: secret}
	_, rotate := client.Tunnels.RotateSecret(ctx, tunnelID, rotation)
	_, rotateWARP := client.WARPConnectors.RotateSecret(ctx, tunnelID, rotation)
	return map[string]error{
		"Create": create, "Ensure": ensure, "Update": tunnel, "RotateSecret": rotate,
		"WARP Update": warp, "WARP RotateSecret": rotateWARP,
	}
}

func TestTunnelSecret_Invalid(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	token := tunnelToken(tunnelID, validSecret)
	for name, test := range map[string]struct{ secret, reason string }{
		"a tunnel token":                 {token, "tunnel token"},
		"a tunnel token with a newline":  {token[:76] + "\n" + token[76:] + "\n", "tunnel token"},
		"a tunnel token without padding": {strings.TrimRight(token, "="), "tunnel token"},
		"a tunnel token between spaces":  {"  " + token + "\t", "tunnel token"},
		"a truncated tunnel token":       {token[:61], "tunnel token"},
		"a tunnel token with other JSON": {encoded(`{ "a": "x", "t": "y" } `).Reveal(), "tunnel token"},
		"15 bytes":                       {base64.StdEncoding.EncodeToString(make([]byte, 15)), "has 15 bytes"},
		"base64url":                      {strings.Repeat("-_", 22), "not standard base64"},
		"no padding":                     {strings.Repeat("A", 43), "not standard base64"},
		"a line break":                   {strings.Repeat("AAAA", 8) + "\n" + strings.Repeat("AAAA", 8), "not standard base64"},
	} {
		for method, err := range sendSecret(t, client, cftunnel.NewSecret(test.secret)) {
			refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%s, %s: %v", name, method, err)
			assert.Equal(t, "Secret", refused.Name)
			assert.Contains(t, refused.Reason, test.reason, "%s, %s", name, method)
			assert.NotContains(t, err.Error(), test.secret)
		}
	}
	assert.Empty(t, srv.Requests(), "nothing was sent")
}

func TestTunnelSecret_Valid(t *testing.T) {
	t.Parallel()
	for _, length := range []int{16, 24, 30, 32, 64} {
		_, client := newFake(t)
		secret := cftunnel.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, length)))
		params := cftunnel.TunnelCreateParams{Name: "n", Secret: secret}
		tunnel, err := client.Tunnels.Create(t.Context(), params)
		require.NoError(t, err)
		rotation, err := client.Tunnels.RotateSecret(t.Context(), tunnel.ID,
			cftunnel.RotateParams{Secret: secret})
		require.NoError(t, err)
		credentials, err := cftunnel.ParseTunnelToken(rotation.Token)
		require.NoError(t, err)
		assert.Equal(t, secret, credentials.Secret)
	}
}
