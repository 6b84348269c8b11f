package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// whole is a document with one path of the family among others, which are broken.
const whole = `{
	"openapi": "3.0.3", "info": {"title": "everything", "version": "4"}, "security": [{"token": []}],
	"paths": {
		"/accounts/{account_id}/cfd_tunnel": {"get": {
			"security": [{"token": []}],
			"parameters": [{"in": "path", "name": "account_id", "required": true, "schema": {"type": "string"}}],
			"responses": {"200": {"description": "d", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/node", "description": "d"}}}}}
		}},
		"/accounts/{account_id}/magic/gre_tunnels": {"get": {"responses": {"200": {"$ref": "#/components/responses/none"}}}},
		"/zones": {"get": {"responses": "none"}}
	},
	"components": {"schemas": {
		"node": {"type": "object", "properties": {
			"children": {"type": "array", "items": {"$ref": "#/components/schemas/node"}},
			"leaf": {"anyOf": [{"$ref": "#/components/schemas/number"}, {"$ref": "#/components/schemas/text"}]}
		}},
		"number": {"type": "object", "properties": {"number": {"type": "integer"}}},
		"text": {"type": "object", "properties": {"text": {"type": "string"}}},
		"unused": {"$ref": "#/components/schemas/none"}
	}}
}`

func TestOnlyWhatIsNeededIsRead(t *testing.T) {
	t.Parallel()
	d, err := prune([]byte(whole))
	require.NoError(t, err)
	assert.Len(t, d.object("paths"), 1)
	assert.Len(t, d.object("components", "schemas"), 3)
	assert.Equal(t, map[string]any{"$ref": "#/components/schemas/node"}, d.content(anyFailure, "200")["schema"])
	_, err = d.load(t.Context())
	require.NoError(t, err)
}

func TestDocumentsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON": "openapi: 3.0.3", "no OpenAPI": `{"swagger":"2.0"}`, "no tunnels": `{"openapi":"3.0.3","paths":{"/zones":{}}}`,
		"a reference to nothing": `{"openapi":"3.0.3","paths":{"/user/tokens/verify":{"get":{"$ref":"#/components/schemas/none"}}}}`,
		"a reference elsewhere":  `{"openapi":"3.0.3","paths":{"/user/tokens/verify":{"get":{"$ref":"other.json"}}}}`,
	} {
		_, err := prune([]byte(text))
		require.Error(t, err, name)
	}
	_, err := readDocument(filepath.Join(t.TempDir(), "none.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A schema that is inside itself ends, and what only one of several alternatives knows is held against that one.
func TestSchemasInsideThemselvesAndAlternatives(t *testing.T) {
	t.Parallel()
	d, err := prune([]byte(whole))
	require.NoError(t, err)
	j, err := newJudge(t.Context(), d)
	require.NoError(t, err)
	var names []string
	for _, i := range j.universe() {
		names = append(names, i.part+" "+i.name)
	}
	assert.Equal(t, []string{
		"request ", "path account_id", "200 ", "200 children", "200 leaf", "200 leaf.number", "200 leaf.text",
	}, names)

	for body, wrong := range map[string]bool{
		`{"leaf":{"number":1}}`: false, `{"leaf":{"text":"a"}}`: false, `{"children":[{"children":[{"leaf":{"number":1}}]}]}`: false,
		`{"leaf":{"number":"a"}}`: true, `{"leaf":{"text":1}}`: true, `{"leaf":{"other":1}}`: true, `{"children":[{"other":1}]}`: true,
	} {
		e := newExchange("GET", account+"/cfd_tunnel", "", "", 200, body)
		assert.Equal(t, wrong, len(j.exchange(t.Context(), e).findings) > 0, body)
	}
}

func TestDifferencesLeaveTheDocumentAlone(t *testing.T) {
	t.Parallel()
	d := published(t)
	require.Nil(t, d.operation(opManagement+"/{resource}"))
	assert.NotNil(t, d.amended(differences, -1).operation(opManagement+"/{resource}"))
	assert.Nil(t, d.operation(opManagement+"/{resource}"))
	for i := range differences {
		_, err := newJudge(t.Context(), d.amended(differences, i))
		require.NoError(t, err, differences[i].where)
	}
}

// A schema of another day may lack what a difference is about.
func TestDifferencesTakeADocumentThatLacksThem(t *testing.T) {
	t.Parallel()
	d, err := prune([]byte(whole))
	require.NoError(t, err)
	_, err = newJudge(t.Context(), d.amended(differences, -1))
	require.NoError(t, err)
}
