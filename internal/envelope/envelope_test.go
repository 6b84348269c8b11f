package envelope_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/envelope"
)

type thing struct {
	ID   string `json:"id"`
	Size int    `json:"size"`
}

func decode(t *testing.T, body string) *envelope.Envelope {
	t.Helper()
	e, err := envelope.Decode([]byte(body), nil)
	require.NoError(t, err)
	return e
}

func TestDecode_WholeResponse(t *testing.T) {
	t.Parallel()
	var result *thing
	e, err := envelope.Decode([]byte(`{
		"success": true, "errors": [], "messages": [{"code": 10000, "message": "all is well"}],
		"result": {"id": "a", "size": 3}, "result_info": {"page": 2, "per_page": 50, "count": 7, "total_count": 57, "total_pages": 2}
	}`), &result)

	require.NoError(t, err)
	assert.Equal(t, &thing{ID: "a", Size: 3}, result)
	assert.Equal(t, new(true), e.Success)
	assert.Empty(t, e.Errors)
	assert.Equal(t, []envelope.Detail{{Code: 10000, Message: "all is well"}}, e.Messages)
	assert.Equal(t, &envelope.Info{Page: 2, PerPage: 50, Count: 7, TotalCount: 57}, e.Info)
	assert.True(t, e.HasErrors)
	assert.True(t, e.HasResult)
}

func TestDecode_WholeError(t *testing.T) {
	t.Parallel()
	e := decode(t, `{"success": false, "result": null, "messages": [], "errors": [{
		"code": 1056, "message": "bad rules", "documentation_url": "https://example.com/1056", "source": {"pointer": "/config"},
		"type": "ignored", "error_chain": [{"code": 1, "message": "the reason", "error_chain": [{"code": 2, "message": "its reason"}]}]
	}]}`)

	assert.Equal(t, &envelope.Envelope{
		Success:   new(false),
		HasErrors: true,
		HasResult: true,
		Errors: []envelope.Detail{{
			Code: 1056, Message: "bad rules", DocumentationURL: "https://example.com/1056", Pointer: "/config",
			Chain: []envelope.Detail{{Code: 1, Message: "the reason", Chain: []envelope.Detail{{Code: 2, Message: "its reason"}}}},
		}},
	}, e)
}

func TestDecode_ErrorForms(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, raw string
		want      []envelope.Detail
	}{
		{"null", `null`, nil},
		{"empty", `[]`, nil},
		{"empty with space", "[ \n ]", nil},
		{"string", `"boom"`, []envelope.Detail{{Message: "boom"}}},
		{"object", `{"code": 7, "message": "boom"}`, []envelope.Detail{{Code: 7, Message: "boom"}}},
		{"number", `7`, []envelope.Detail{{Code: 7}}},
		{"bool", `true`, nil},
		{"list of strings", `["one", "two"]`, []envelope.Detail{{Message: "one"}, {Message: "two"}}},
		{"list of both", `["one", {"code": 2}]`, []envelope.Detail{{Message: "one"}, {Code: 2}}},
		{"list of numbers", `[1013, -7, 1e2]`, []envelope.Detail{{Code: 1013}, {Code: -7}, {Code: 100}}},
		{"strange items", `[null, true, [], {"code": 2}]`, []envelope.Detail{{Code: 2}}},
		{"code as a string", `[{"code": "1013", "message": "taken"}]`, []envelope.Detail{{Code: 1013, Message: "taken"}}},
		{"code as a float", `[{"code": 1013.0}]`, []envelope.Detail{{Code: 1013}}},
		{"code with an exponent", `[{"code": 1.013e3}]`, []envelope.Detail{{Code: 1013}}},
		{"code as hexadecimal", `[{"code": "0x1p4"}, {"code": "0x10"}, {"code": "1e1"}]`, []envelope.Detail{{}, {}, {}}},
		{"code that is not a number", `[{"code": "many", "message": "boom"}]`, []envelope.Detail{{Message: "boom"}}},
		{"code as an object", `[{"code": {}, "message": "boom"}]`, []envelope.Detail{{Message: "boom"}}},
		{"code null", `[{"code": null, "message": "boom"}]`, []envelope.Detail{{Message: "boom"}}},
		{"code NaN or infinite", `[{"code": "NaN"}, {"code": "Inf"}, {"code": "-Inf"}]`, []envelope.Detail{{}, {}, {}}},
		{"code beyond 32 bits", `[{"code": 4294967296}, {"code": -1e300}]`, []envelope.Detail{{}, {}}},
		{"numbers too large for a float", `[{"code": 1e999, "message": "boom"}, -1e999, {"code": 7, "more": 1e999}]`,
			[]envelope.Detail{{Message: "boom"}, {}, {Code: 7}}},
		{"largest code", `[{"code": 2147483647}]`, []envelope.Detail{{Code: 2147483647}}},
		{"message of the wrong type", `[{"code": 7, "message": ["boom"]}]`, []envelope.Detail{{Code: 7}}},
		{"source of the wrong type", `[{"code": 7, "source": "here"}]`, []envelope.Detail{{Code: 7}}},
		{"pointer of the wrong type", `[{"code": 7, "source": {"pointer": 1}}]`, []envelope.Detail{{Code: 7}}},
		{"documentation of the wrong type", `[{"code": 7, "documentation_url": 1}]`, []envelope.Detail{{Code: 7}}},
		{"chain null", `[{"code": 7, "error_chain": null}]`, []envelope.Detail{{Code: 7}}},
		{"chain empty", `[{"code": 7, "error_chain": []}]`, []envelope.Detail{{Code: 7}}},
		{"chain of strings", `[{"code": 7, "error_chain": ["why"]}]`, []envelope.Detail{{Code: 7, Chain: []envelope.Detail{{Message: "why"}}}}},
		{"chain of numbers", `[{"code": 7, "error_chain": [8, 9]}]`, []envelope.Detail{{Code: 7, Chain: []envelope.Detail{{Code: 8}, {Code: 9}}}}},
		{"chain as a string", `[{"code": 7, "error_chain": "why"}]`, []envelope.Detail{{Code: 7, Chain: []envelope.Detail{{Message: "why"}}}}},
		{"chain as an object", `[{"code": 7, "error_chain": {"code": "8"}}]`, []envelope.Detail{{Code: 7, Chain: []envelope.Detail{{Code: 8}}}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := decode(t, `{"success": false, "errors": `+c.raw+`}`)
			assert.Equal(t, c.want, e.Errors)
			assert.Equal(t, new(false), e.Success)

			var result *thing
			body := `{"success": true, "messages": ` + c.raw + `, "result": {"id": "a"}}`
			e, err := envelope.Decode([]byte(body), &result)
			require.NoError(t, err)
			assert.Equal(t, c.want, e.Messages)
			assert.Equal(t, &thing{ID: "a"}, result)
		})
	}
}

func TestDecode_Success(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]*bool{
		`{"success": true}`:    new(true),
		`{"success": false}`:   new(false),
		`{}`:                   nil,
		`{"success": null}`:    nil,
		`{"success": "true"}`:  nil,
		`{"success": "false"}`: nil,
		`{"success": 1}`:       nil,
		`{"success": 0}`:       nil,
		`{"success": [true]}`:  nil,
		`{"result": {}}`:       nil,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, want, decode(t, body).Success)
			var result thing
			e, err := envelope.Decode([]byte(body), &result)
			require.NoError(t, err)
			assert.Equal(t, want, e.Success)
		})
	}
}

func TestDecode_FailureWithAnyResult(t *testing.T) {
	t.Parallel()
	for _, success := range []string{`"success": false,`, `"success": null,`, ``} {
		for _, result := range []string{`null`, `{}`, `[]`, `"text"`, `3`, `true`, `{"id": 3}`, `{"id": {"deep": []}}`, `[{"id": "a"}]`} {
			t.Run(success+result, func(t *testing.T) {
				t.Parallel()
				var into *thing
				body := `{` + success + ` "errors": [{"code": 7}], "result": ` + result + `}`
				e, err := envelope.Decode([]byte(body), &into)
				require.NoError(t, err)
				assert.Equal(t, []envelope.Detail{{Code: 7}}, e.Errors)
				assert.NotEqual(t, new(true), e.Success)
			})
		}
	}
}

func TestDecode_SuccessWithWrongResult(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`[]`, `"text"`, `3`, `true`, `{"id": 3}`, `{"size": "many"}`, `{"size": ""}`, `{"size": 1.5}`} {
		t.Run(result, func(t *testing.T) {
			t.Parallel()
			var into *thing
			e, err := envelope.Decode([]byte(`{"success": true, "result": `+result+`}`), &into)
			require.Error(t, err)
			assert.Nil(t, e)
			skipped := decode(t, `{"success": true, "result": `+result+`}`)
			assert.Equal(t, new(true), skipped.Success, "without a result to decode into")
		})
	}
}

func TestDecode_MissingResult(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"success": true, "result": null}`, `{"success": true}`} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			var single *thing
			_, err := envelope.Decode([]byte(body), &single)
			require.NoError(t, err)
			assert.Nil(t, single)

			var list []thing
			_, err = envelope.Decode([]byte(body), &list)
			require.NoError(t, err)
			assert.Nil(t, list)
		})
	}
}

func TestDecode_ValuesAreNotShared(t *testing.T) {
	t.Parallel()
	var first, second []thing
	_, err := envelope.Decode([]byte(`{"success": true, "result": [{"id": "a", "size": 1}]}`),
		&first)
	require.NoError(t, err)
	one := decode(t, `{"success": false, "errors": [{"code": 1, "message": "one"}]}`)
	_, err = envelope.Decode([]byte(`{"success": true, "result": [{"id": "b"}]}`), &second)
	require.NoError(t, err)
	two := decode(t, `{"success": false, "errors": [{"code": 2}]}`)

	assert.Equal(t, []thing{{ID: "a", Size: 1}}, first)
	assert.Equal(t, []thing{{ID: "b"}}, second)
	assert.Equal(t, []envelope.Detail{{Code: 1, Message: "one"}}, one.Errors)
	assert.Equal(t, []envelope.Detail{{Code: 2}}, two.Errors)
}

func TestDecode_NotAnEnvelope(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":              ``,
		"space":              " \n",
		"HTML":               `<html><body>502</body></html>`,
		"array":              `[]`,
		"array of envelopes": `[{"success": true}]`,
		"string":             `"success"`,
		"number":             `1`,
		"cut":                `{"success": true, "result": {"id": "a"`,
		"cut before the end": `{"success": true, "result": {"id": "a"}`,
		"cut failure":        `{"success": false, "errors": [{"code": 1}]`,
		"trailing garbage":   `{"success": true, "result": {"id": "a"}}x`,
		"two envelopes":      `{"success": false} {"success": true, "result": {"id": "a"}}`,
		"byte order mark":    "\ufeff" + `{"success": true}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := envelope.Decode([]byte(body), nil)
			require.Error(t, err)
			assert.Nil(t, e)

			var result *thing
			e, err = envelope.Decode([]byte(body), &result)
			require.Error(t, err)
			assert.Nil(t, e)
			assert.Nil(t, result)
		})
	}
}

// Results may have tokens, and the errors of a decoder quote values.
func TestDecode_ErrorOmitsTheResponse(t *testing.T) {
	t.Parallel()
	const secret = "531800885318008853180088"
	type result struct {
		Size int       `json:"size"`
		At   time.Time `json:"at"`
		Text string    `json:"text"`
	}
	for name, c := range map[string]struct{ body, want string }{
		"number too large":     {`{"success": true, "result": {"size": ` + secret + `}}`, "size"},
		"string for a number":  {`{"success": true, "result": {"size": "` + secret + `"}}`, "size"},
		"number for a string":  {`{"success": true, "result": {"text": ` + secret + `}}`, "text"},
		"string for an object": {`{"success": true, "result": "` + secret + `"}`, "result"},
		"not a time":           {`{"success": true, "result": {"at": "` + secret + `"}}`, ""},
		"not JSON":             {secret + ` and more`, "JSON"},
		"garbage inside":       {`{"success": true, "result": ` + secret + `x}`, "JSON"},
		"cut":                  {`{"success": true, "result": {"text": "` + secret, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var into *result
			_, err := envelope.Decode([]byte(c.body), &into)
			require.ErrorContains(t, err, c.want)
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				assert.NotContains(t, cause.Error(), secret[:8])
			}
			if c.want == "JSON" {
				_, err = envelope.Decode([]byte(c.body), nil)
				require.ErrorContains(t, err, c.want)
				assert.NotContains(t, err.Error(), "invalid character")
			}
		})
	}
}

func TestDecode_Null(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"null", " null\n", "\tnull\r\n"} {
		e, err := envelope.Decode([]byte(body), nil)
		require.Error(t, err)
		assert.Nil(t, e)

		var result *thing
		e, err = envelope.Decode([]byte(body), &result)
		require.Error(t, err, "with a result to decode into")
		assert.Nil(t, e)
		assert.Nil(t, result)
	}
}

func TestDecode_ResultInfo(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, raw string
		want      *envelope.Info
	}{
		{"null", `null`, nil},
		{"array", `[]`, nil},
		{"string", `"1"`, nil},
		{"number", `1`, nil},
		{"bool", `true`, nil},
		{"empty", `{}`, &envelope.Info{}},
		{"some members", `{"page": 1, "count": 20}`, &envelope.Info{Page: 1, Count: 20}},
		{"only other members", `{"cursor": "x", "total_pages": 4}`, &envelope.Info{}},
		{"strings", `{"page": "1", "per_page": "50", "count": "7", "total_count": "57"}`, &envelope.Info{Page: 1, PerPage: 50, Count: 7, TotalCount: 57}},
		{"floats", `{"page": 1.0, "per_page": 5e1, "total_count": 57.9}`, &envelope.Info{Page: 1, PerPage: 50, TotalCount: 57}},
		{"nulls", `{"page": null, "per_page": 50}`, &envelope.Info{PerPage: 50}},
		{"wrong types", `{"page": {}, "per_page": [], "count": true, "total_count": "many"}`, &envelope.Info{}},
		{"one wrong type", `{"page": "first", "per_page": 50}`, &envelope.Info{PerPage: 50}},
		{"negative", `{"page": -1, "total_count": "-57"}`, &envelope.Info{Page: -1, TotalCount: -57}},
		{"huge", `{"page": 1, "count": 2147483648, "total_count": 1e300, "per_page": "99999999999999999999"}`, &envelope.Info{Page: 1}},
		{"too large for a float", `{"page": 1, "per_page": 50, "count": 1e999, "total_count": -1e999, "total_pages": 1e999}`, &envelope.Info{Page: 1, PerPage: 50}},
		{"strings of other numbers", `{"page": "0x1p4", "per_page": 50, "count": "1e1"}`, &envelope.Info{PerPage: 50}},
		{"hugely negative", `{"page": 1, "count": -2147483649, "total_count": -1e300}`, &envelope.Info{Page: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, decode(t, `{"success": true, "result_info": `+c.raw+`}`).Info)

			var result []thing
			body := `{"success": true, "result": [{"id": "a"}], "result_info": ` + c.raw + `}`
			e, err := envelope.Decode([]byte(body), &result)
			require.NoError(t, err)
			assert.Equal(t, c.want, e.Info)
			assert.Equal(t, []thing{{ID: "a"}}, result)
		})
	}
	assert.Nil(t, decode(t, `{"success": true}`).Info, "missing")
}

func TestDecode_DeepChain(t *testing.T) {
	t.Parallel()
	const levels = 4000
	for name, link := range map[string][2]string{
		"lists":   {`[{"code": 1, "error_chain": `, `}]`},
		"objects": {`{"code": 1, "error_chain": `, `}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := `{"success": false, "errors": ` + strings.Repeat(link[0], levels) +
				`[]` + strings.Repeat(link[1], levels) + `}`
			e := decode(t, body)

			depth := 0
			for list := e.Errors; len(list) > 0; list = list[0].Chain {
				require.Len(t, list, 1)
				require.Equal(t, 1, list[0].Code)
				depth++
			}
			assert.Greater(t, depth, 5, "the reason is often deep in the chain")
			assert.Less(t, depth, 20)
		})
	}
}

func TestDecode_ChainTooDeepForJSON(t *testing.T) {
	t.Parallel()
	const levels = 1_000_000
	body := `{"success": false, "errors": ` + strings.Repeat(`[{"error_chain":`, levels)
	began := time.Now()
	_, err := envelope.Decode([]byte(body), nil)

	require.Error(t, err)
	assert.Less(t, time.Since(began), 5*time.Second)
}

func TestDecode_ManyErrors(t *testing.T) {
	t.Parallel()
	const count = 5_000
	var list strings.Builder
	for n := range count {
		fmt.Fprintf(&list, `{"code": %d},`, n+1)
	}
	many := `[` + strings.TrimSuffix(list.String(), ",") + `]`
	e := decode(t, `{"success": false, "errors": `+many+`, "messages": `+many+`}`)

	for name, details := range map[string][]envelope.Detail{"errors": e.Errors, "messages": e.Messages} {
		assert.GreaterOrEqual(t, len(details), 10, name)
		assert.Less(t, len(details), 100, name)
		for n, d := range details {
			assert.Equal(t, n+1, d.Code, name)
		}
	}
}

func TestDecode_LongChain(t *testing.T) {
	t.Parallel()
	chain := strings.TrimSuffix(strings.Repeat(`{"code": 3},`, 5_000), ",")
	e := decode(t, `{"success": false, "errors": [{"code": 1, "error_chain": [`+chain+`]}]}`)

	require.Len(t, e.Errors, 1)
	assert.GreaterOrEqual(t, len(e.Errors[0].Chain), 10)
	assert.Less(t, len(e.Errors[0].Chain), 100)
}

// The decoder allocates a list by the length of its first item. The other items may have any
// length.
func TestDecode_ListWithItemsOfAnyLength(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5_000)
	for name, ids := range map[string][]string{
		"one":              {"a"},
		"two":              {"a", "b"},
		"first is longest": append([]string{long}, slices.Repeat([]string{"a"}, 3_000)...),
		"last is longest":  append(slices.Repeat([]string{"a"}, 3_000), long),
		"empty ones first": append(slices.Repeat([]string{""}, 100), "a", long),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var items []string
			var want []thing
			for n, id := range ids {
				items = append(items, fmt.Sprintf(`{"id": %q, "size": %d}`, id, n))
				want = append(want, thing{ID: id, Size: n})
			}
			var list []thing
			body := `{"success": true, "result": [` + strings.Join(items, ", ") + `]}`
			_, err := envelope.Decode([]byte(body), &list)
			require.NoError(t, err)
			assert.Equal(t, want, list)
		})
	}
}

func TestDecode_Concurrent(t *testing.T) {
	t.Parallel()
	results := make(chan string, 8)
	for n := range cap(results) {
		go func() {
			var result *thing
			body := fmt.Appendf(nil, `{"success": true, "result": {"id": "%d"}}`, n)
			_, err := envelope.Decode(body, &result)
			assert.NoError(t, err)
			results <- result.ID
		}()
	}
	var ids []string
	for range cap(results) {
		ids = append(ids, <-results)
	}
	assert.ElementsMatch(t, []string{"0", "1", "2", "3", "4", "5", "6", "7"}, ids)
}

func TestDecode_NumberOutOfRange(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"128", "-129", "9223372036854775808", "1.0", "1e1"} {
		var result struct {
			Small int8 `json:"small"`
		}
		_, err := envelope.Decode([]byte(`{"success": true, "result": {"small": `+number+`}}`),
			&result)
		require.ErrorContains(t, err, "small is of the wrong type, number", number)
	}
}

func TestDecode_NumbersAsText(t *testing.T) {
	t.Parallel()
	var result []thing
	_, err := envelope.Decode([]byte(`{"success": true, "result": [{"size": "3"}, {"size": "-4"}, {"size": null}]}`), &result)
	require.NoError(t, err)
	assert.Equal(t, []thing{{Size: 3}, {Size: -4}, {}}, result)
}

func TestDecode_Times(t *testing.T) {
	t.Parallel()
	type dated struct {
		At      time.Time  `json:"at"`
		Pointer *time.Time `json:"pointer"`
	}
	for raw, want := range map[string]string{
		`""`: "", `null`: "", `"2026-01-02T03:04:05Z"`: "",
		`"yesterday"`: "result[1].at is not a time in RFC 3339", `17`: "result[1].at is not a time in RFC 3339",
		`"2026-01-02 03:04:05"`: "result[1].at is not a time in RFC 3339",
	} {
		var result []dated
		body := `{"success": true, "result": [{}, {"at": ` + raw + `, "pointer": ` + raw + `}]}`
		_, err := envelope.Decode([]byte(body), &result)
		if want != "" {
			require.EqualError(t, err, want, raw)
			assert.Nil(t, result)
			continue
		}
		require.NoError(t, err, raw)
		assert.Equal(t, len(raw) < 5, result[1].At.IsZero(), raw)
	}
}

func TestDecode_RepeatedMember(t *testing.T) {
	t.Parallel()
	var result []struct {
		IDs []string `json:"ids"`
	}
	_, err := envelope.Decode([]byte(`{"success": false, "success": true, "result": [{"ids": ["a", "b"], "ids": ["c"]}]}`), &result)
	require.NoError(t, err)
	assert.Equal(t, []string{"c"}, result[0].IDs)
}

func TestDecode_Memory(t *testing.T) {
	t.Parallel()
	type wide struct {
		Many [64]string `json:"-"`
		ID   string     `json:"id"`
		List []thing    `json:"list"`
	}
	empty := strings.TrimSuffix(strings.Repeat("{},", 1_000_000), ",")
	body := []byte(`{"success": true, "result": [` + empty + `]}`)
	nested := []byte(`{"success": true, "result": {"list": [` + empty + `]}}`)
	for name, c := range map[string]struct {
		body   []byte
		result func() any
	}{
		"list":            {body, func() any { return new([]wide) }},
		"list of any":     {body, func() any { return new([]any) }},
		"any":             {body, func() any { return new(any) }},
		"map":             {nested, func() any { return new(map[string]any) }},
		"list of maps":    {body, func() any { return new([]map[string]string) }},
		"list in a thing": {nested, func() any { return new(wide) }},
		"raw in a custom": {nested, func() any { return new(custom) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := c.result()
			_, err := envelope.Decode(c.body, result)
			want := "a list in it has too many items"
			if name == "list" { // of large items
				want = "decoding it needs too much memory"
			}
			require.EqualError(t, err, want)
		})
	}
}

type custom struct{}

func (*custom) UnmarshalJSON([]byte) error { panic("not reached") }

func TestDecode_OtherJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"error": "no such route"}`:                                           "no such route",
		`{"message": "blocked"}`:                                               "blocked",
		`{"error": {"code": 7, "message": "blocked"}}`:                         "blocked",
		`{"type": "about:blank", "title": "Gone", "detail": "moved"}`:          "Gone: moved",
		`{"error": "a", "message": "a"}`:                                       "a",
		`{"error": 7, "message": []}`:                                          "",
		`{"Message": "blocked"}`:                                               "blocked",
		`{"error": "invalid_token", "error_description": "expired"}`:           "invalid_token: expired",
		`{"detail": [{"loc": ["body"], "msg": "field required"}]}`:             "field required",
		`{"fault": {"faultstring": "no quota", "detail": {"errorcode": "q"}}}`: "no quota",
		`{"error": ["a", "b"]}`:                                                "a: b",
		`{"error": {"error": {"error": {"error": {"error": "deep"}}}}}`:        "",
	} {
		assert.Equal(t, want, decode(t, body).Text, body)
	}
}
