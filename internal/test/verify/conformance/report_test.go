package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
)

func TestExceptionsFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		fits          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a", "ba", false}, {"*", "", true}, {"*", "a", true},
		{"a*", "ab", true}, {"a*", "ba", false}, {"*b", "ab", true}, {"*b", "ba", false}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "acb", false},
		{"a*b*c", "a b c", true}, {"a*b*c", "a c", false}, {"a*a", "a", false}, {"*.b", "a.b", true}, {"*.b", "axb", false}, {"a[]*", "a[].b", true},
	} {
		assert.Equal(t, c.fits, exception{pattern: c.pattern}.fits(c.text), "%s, %s", c.pattern, c.text)
	}
}

// A run without traffic has every entry of every list that asks for some against it.
func TestNothingIsExercisedByNothing(t *testing.T) {
	t.Parallel()
	r, err := newReport(t.Context(), published(t))
	require.NoError(t, err)
	assert.Empty(t, r.wrong())
	problems, err := r.incomplete(t.Context())
	require.NoError(t, err)
	text := strings.Join(problems, "\n")
	for _, d := range differences {
		assert.Contains(t, problems, "nothing needs the difference: "+d.where+", "+d.facts)
	}
	for _, e := range deliberate {
		assert.Contains(t, problems, "no test does it: "+e.pattern)
	}
	for _, i := range []string{" request", " path account_id", " query is_deleted", " 200", " 200 result[].id", " 4XX", " 4XX errors[].code"} {
		assert.Contains(t, problems, "never exercised: "+opList+i)
	}
	assert.NotContains(t, text, "result[].connections", "there is a reason for it")
	assert.NotContains(t, text, "exercised after all")
	assert.NotContains(t, text, "nothing of this kind")
}

func TestWhatIsExercisedAfterAll(t *testing.T) {
	t.Parallel()
	r, err := newReport(t.Context(), published(t))
	require.NoError(t, err)
	e := get()
	e.Answer.Body = []byte(strings.Replace(string(e.Answer.Body), `"metadata"`, `"connections":[],"metadata"`, 1))
	r.add(t.Context(), e)
	require.Empty(t, r.wrong())
	problems, err := r.incomplete(t.Context())
	require.NoError(t, err)
	assert.Contains(t, strings.Join(problems, "\n"), "exercised after all: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id} 200 result.connections (")
	assert.NotContains(t, problems, "never exercised: GET /accounts/{account_id}/cfd_tunnel/{tunnel_id} 200 result.id")
}

// Each difference is needed by what it is about, and by that alone.
func TestDifferencesThatAreNeeded(t *testing.T) {
	t.Parallel()
	r, err := newReport(t.Context(), published(t))
	require.NoError(t, err)
	cleanedUp := newExchange("DELETE", tunnel+"/connections", "", "", 200, success("null"))
	r.add(t.Context(), cleanedUp)
	require.Empty(t, r.wrong())
	for i, d := range differences {
		needed, err := r.needs(t.Context(), i)
		require.NoError(t, err)
		assert.Equal(t, d.where == opCleanUp, needed, d.where)
	}
}

func TestFindingsAreCounted(t *testing.T) {
	t.Parallel()
	r, err := newReport(t.Context(), published(t))
	require.NoError(t, err)
	for range 3 {
		e := list()
		e.Query = "odd=1"
		r.add(t.Context(), e)
	}
	require.Len(t, r.wrong(), 1)
	assert.Contains(t, r.wrong()[0], "query: odd is not documented (3 times, first in GET "+basePath+account+"/cfd_tunnel)")

	r.add(t.Context(), newExchange("GET", "/a", "", "", 404, aFailure))
	assert.Len(t, r.wrong(), 1, "a test asked for it")
	assert.Equal(t, 1, r.excused[deliberate[0]])
}

func TestScenariosAreRight(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(wirelog.Variable, dir)
	r, err := newReport(t.Context(), published(t))
	require.NoError(t, err)
	require.NoError(t, scenarios(t.Context()))
	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, r.read(ended, dir), context.Canceled, "who interrupts it does not wait for the end")
	require.NoError(t, r.read(t.Context(), dir))
	assert.Empty(t, r.wrong())
	assert.Positive(t, r.ours)
	assert.Equal(t, r.exchanges, r.answers)
	for _, i := range []item{
		{opList, partQuery, "name_prefix"}, {opConfigure, partBody, "config.originRequest.access.audTag"}, {opDelete, "4XX", "errors[].error_chain[].code"},
	} {
		assert.Positive(t, r.exercised[i], i)
	}
}

func TestTheProgram(t *testing.T) {
	published(t)
	write := func(exchanges ...*wirelog.Exchange) string {
		dir := t.TempDir()
		var lines bytes.Buffer
		for _, e := range exchanges {
			require.NoError(t, json.NewEncoder(&lines).Encode(e))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "1.jsonl"), lines.Bytes(), 0o600))
		return dir
	}
	wrong := get()
	wrong.Query = "odd=1"
	schema := os.Getenv(schemaVariable)
	for name, test := range map[string]struct {
		schema        string
		args          []string
		code          int
		out, progress string
	}{
		"help":             {schema, []string{"-h"}, 0, "", "Usage: "},
		"an unknown flag":  {schema, []string{"-x"}, 2, "", "Usage: "},
		"no schema":        {"", nil, 2, "", schemaVariable + " is not set"},
		"a schema of none": {filepath.Join(t.TempDir(), "none"), []string{t.TempDir()}, 1, "", "none"},
		"no traffic":       {schema, []string{t.TempDir()}, 1, "", "no traffic"},
		"no directory":     {schema, []string{filepath.Join(t.TempDir(), "none")}, 1, "", "none"},
		"what is right":    {schema, []string{write(get(), list())}, 0, "Everything is as it should be.", "judged in"},
		"what is wrong":    {schema, []string{write(get()), write(wrong)}, 1, "Not as it should be, 1:\n- GET ", "judged in"},
		"with every number": {schema, []string{"-v", write(get(), get())}, 0,
			"       2  GET /accounts/{account_id}/cfd_tunnel/{tunnel_id} 200 result.id\n", "judged in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(schemaVariable, test.schema)
			var out, progress bytes.Buffer
			assert.Equal(t, test.code, run(t.Context(), test.args, &out, &progress), "%s", &progress)
			assert.Contains(t, out.String(), test.out)
			assert.Contains(t, progress.String(), test.progress)
		})
	}
}
