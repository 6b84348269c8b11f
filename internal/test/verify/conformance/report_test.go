package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestException_Fits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		fits          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a", "ba", false}, {"*", "", true}, {"*", "a", true},
		{"a*", "ab", true}, {"a*", "ba", false}, {"*b", "ab", true}, {"*b", "ba", false}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "acb", false},
		{"a*b*c", "a b c", true}, {"a*b*c", "a c", false}, {"a*a", "a", false}, {"*.b", "a.b", true}, {"*.b", "axb", false}, {"a[]*", "a[].b", true},
	} {
		fits := exception{pattern: c.pattern}.fits(c.text)
		assert.Equal(t, c.fits, fits, "%s, %s", c.pattern, c.text)
	}
}

// TestRun_NoFindings makes the same check as the command.
func TestRun_NoFindings(t *testing.T) {
	t.Parallel()
	findings, err := run(t.Context(), io.Discard, true)
	require.NoError(t, err)
	assert.Empty(t, findings)
}

func newTestReport(t *testing.T) *report {
	t.Helper()
	r, err := newReport(t.Context(), published(t))
	require.NoError(t, err)
	return r
}

func TestReport_NothingUsed(t *testing.T) {
	t.Parallel()
	findings, err := newTestReport(t).findings(t.Context())
	require.NoError(t, err)
	for _, d := range differences {
		assert.Contains(t, findings, "difference is not needed: "+d.place+", "+d.facts)
	}
	for _, i := range []string{
		" request", " path account_id", " query is_deleted", " 200", " 200 result[].id", " 4XX",
		" 4XX errors[].code",
	} {
		assert.Contains(t, findings, "not used: "+opList+i)
	}
	text := strings.Join(findings, "\n")
	assert.NotContains(t, text, "result[].connections", "there is an exception for it")
	assert.NotContains(t, text, "used, but there is an exception")
	assert.NotContains(t, text, "exception is not needed")
}

func TestReport_ExceptionUsed(t *testing.T) {
	t.Parallel()
	r, e := newTestReport(t), get()
	body := strings.Replace(
		string(e.Response.Body), `"metadata"`, `"connections":[],"metadata"`, 1)
	e.Response.Body = []byte(body)
	r.add(t.Context(), e)
	require.Empty(t, r.problems)
	findings, err := r.findings(t.Context())
	require.NoError(t, err)
	const get200 = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id} 200 "
	assert.Contains(t, strings.Join(findings, "\n"),
		"used, but there is an exception: "+get200+"result.connections (")
	assert.NotContains(t, findings, "not used: "+get200+"result.id")
}

func TestReport_DifferenceNeeded(t *testing.T) {
	t.Parallel()
	r := newTestReport(t)
	r.add(t.Context(), newExchange("DELETE", tunnel+"/connections", "", "", 200, success("null")))
	require.Empty(t, r.problems)
	for i, d := range differences {
		needed, err := r.needs(t.Context(), i)
		require.NoError(t, err)
		assert.Equal(t, d.place == opCleanUp, needed, d.place)
	}
}

func TestReport_Problems(t *testing.T) {
	t.Parallel()
	r := newTestReport(t)
	for range 3 {
		e := list()
		e.Query = "odd=1"
		r.add(t.Context(), e)
	}
	findings, err := r.findings(t.Context())
	require.NoError(t, err)
	assert.Contains(t, findings, opList+": query: odd is not documented (3 times)")
}
