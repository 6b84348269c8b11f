package cftunnel_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
)

func TestMethods_AllListed(t *testing.T) {
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
	var listed []string
	for name := range cases.Methods {
		listed = append(listed, name)
	}
	assert.ElementsMatch(t, methods, listed)
}

func TestMethods_Operations(t *testing.T) {
	t.Parallel()
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent []string
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = append(sent, cftunnel.Operation(r.Context()))
				return http.DefaultTransport.RoundTrip(r)
			})
			client := clientOf(t, respond(404, refusalBody(7000)),
				cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
			require.Error(t, method.Call(t.Context(), client, cases.UnknownIDs()))
			assert.Equal(t, method.Operations, sent)
		})
	}
}

func TestMethods_Documented(t *testing.T) {
	t.Parallel()
	root := symbols(t, ".", "cftunnel")
	for name, method := range cases.Methods {
		comment := strings.Join(strings.Fields(root.comments[typeAndMethod(t, name)]), " ")
		require.NotEmpty(t, comment, name)
		assert.Contains(t, comment, "API: https://developers.cloudflare.com/api/resources/", name)
		for _, operation := range method.Operations {
			_, path, _ := strings.Cut(operation, " ")
			assert.Contains(t, comment, path, name)
		}
	}
}

// typeAndMethod returns "TunnelsService.Get" for "Tunnels.Get".
func typeAndMethod(t *testing.T, name string) string {
	t.Helper()
	field, method, _ := strings.Cut(name, ".")
	service, ok := reflect.TypeFor[cftunnel.Client]().FieldByName(field)
	require.True(t, ok, name)
	return service.Type.Elem().Name() + "." + method
}
