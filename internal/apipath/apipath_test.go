package apipath_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

func TestExpand_EachName(t *testing.T) {
	t.Parallel()
	values := map[string]string{"account": "1", "tunnel": "2"}

	const template = "/accounts/{account}/cfd_tunnel/{tunnel}/token"
	path, err := apipath.Expand(template, func(name string) (string, error) {
		return values[name], nil
	})

	require.NoError(t, err)
	assert.Equal(t, "/accounts/1/cfd_tunnel/2/token", path)
}

func TestExpand_TemplateWithoutNames(t *testing.T) {
	t.Parallel()
	path, err := apipath.Expand("/user/tokens/verify", func(string) (string, error) {
		return "", errors.New("unexpected call")
	})

	require.NoError(t, err)
	assert.Equal(t, "/user/tokens/verify", path)
}

func TestExpand_EscapesValues(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"../../zones/1?x=", "a/b", "a?b=c", "a#b", "a%2fb", "a b", "a\r\nHost: elsewhere", "{tunnel}", "ü",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			path, err := apipath.Expand("/a/{id}/z",
				func(string) (string, error) { return value, nil })
			require.NoError(t, err)

			segments := strings.Split(path, "/")
			require.Len(t, segments, 4)
			assert.Equal(t, "z", segments[3])
			assert.NotContains(t, path, "?")
			assert.NotContains(t, path, "#")
			got, err := url.PathUnescape(segments[2])
			require.NoError(t, err)
			assert.Equal(t, value, got)
			_, err = url.Parse("https://example.com" + path)
			assert.NoError(t, err)
		})
	}
}

func TestExpand_ValueError(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")

	path, err := apipath.Expand("/a/{id}/z",
		func(string) (string, error) { return "half", refused })

	require.ErrorIs(t, err, refused)
	assert.Empty(t, path)
}

// These segments would make the path refer to another resource.
func TestExpand_RejectsDotSegments(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", ".", ".."} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			path, err := apipath.Expand("/a/{id}/z",
				func(string) (string, error) { return value, nil })
			require.ErrorContains(t, err, "id")
			assert.Empty(t, path)
		})
	}
	path, err := apipath.Expand("/a/{id}/z", func(string) (string, error) { return "...", nil })
	require.NoError(t, err)
	assert.Equal(t, "/a/.../z", path)
}

func TestRelative_Path(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"accounts":           "/accounts",
		"accounts/1/tunnels": "/accounts/1/tunnels",
		"/accounts/1":        "/accounts/1",
		"a b":                "/a%20b",
		"a%20b":              "/a%20b",
		"a%2Fb":              "/a%2Fb",
		"..a/b../c..d/...":   "/..a/b../c..d/...",
		"a%252Fb/100%25":     "/a%252Fb/100%25",
		"/a:b/c":             "/a:b/c",
		"a@b/c":              "/a@b/c",
		// The path becomes a template, and a brace in a template starts the name of an ID.
		"a/{account_id}":     "/a/%7Baccount_id%7D",
		"a/%7Baccount_id%7D": "/a/%7Baccount_id%7D",
	} {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			path, query, err := apipath.Relative(given)
			require.NoError(t, err)
			assert.Equal(t, want, path)
			assert.Empty(t, query)
		})
	}
}

func TestRelative_Query(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]url.Values{
		"a?":                   {},
		"a?page=2&name=x%20y":  {"page": {"2"}, "name": {"x y"}},
		"a?x=1&x=2":            {"x": {"1", "2"}},
		"a?u=https://h/..//#":  nil,
		"a?u=https://h/../b//": {"u": {"https://h/../b//"}},
	} {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			path, query, err := apipath.Relative(given)
			if want == nil {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "/a", path)
			assert.Equal(t, want, query)
		})
	}
}

func TestRelative_Rejected(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, path, reason string }{
		{"absolute", "https://example.com/a", "absolute"},
		{"absolute in capitals", "HTTPS://example.com/a", "absolute"},
		{"other scheme", "file:///etc/passwd", "absolute"},
		{"opaque", "mailto:somebody", "absolute"},
		{"host", "//example.com/a", "absolute"},
		{"host with user", "//user@example.com/a", "absolute"},
		{"user alone", "//user@/a", "absolute"},
		{"three slashes", "///example.com/a", "empty segment"},
		{"dots", "../a", "segment"},
		{"dots inside", "a/../b", "segment"},
		{"dots last", "a/..", "segment"},
		{"dots alone", "..", "segment"},
		{"dots after a slash", "/..", "segment"},
		{"one dot", "a/./b", "segment"},
		{"one dot alone", ".", "segment"},
		{"escaped dots", "a/%2e%2e/b", "segment"},
		{"escaped dots in capitals", "a/%2E%2E/b", "segment"},
		{"half escaped dots", "a/.%2e/b", "segment"},
		{"escaped single dot", "a/%2e", "segment"},
		{"escaped slash before dots", "a%2f../b", "segment"},
		{"escaped slash after dots", "a/..%2fb", "segment"},
		{"everything escaped", "a%2f%2e%2e%2fb", "segment"},
		{"dots escaped twice", "a/%252e%252e/b", "segment"},
		{"one dot escaped once, one twice", "a/%2e%252E", "segment"},
		{"dots escaped three times", "a/%25252e%25252e/b", "segment"},
		{"slash and dots escaped twice", "a%252f%252e%252e%252fb", "segment"},
		{"single dot escaped twice", "a/%252e", "segment"},
		{"backslash before dots", `a\..\b`, "segment"},
		{"escaped backslash before dots", "a%5c..", "segment"},
		{"empty", "", "is empty"},
		{"slash alone", "/", "is empty"},
		{"query alone", "?a=b", "is empty"},
		{"empty segment", "a//b", "empty segment"},
		{"trailing slash", "a/b/", "empty segment"},
		{"trailing slash before a query", "a/b/?c=d", "empty segment"},
		{"two slashes", "//", "is empty"},
		{"fragment", "a#b", "fragment"},
		{"empty fragment", "a#", "fragment"},
		{"fragment after a query", "a?b=c#d", "fragment"},
		{"line break", "a\r\nb", "not a path"},
		{"null byte", "a\x00b", "not a path"},
		{"delete", "a\x7fb", "not a path"},
		{"line break in the query", "a?b=c\nd", "not a path"},
		{"broken escape", "a/%zz", "not a path"},
		{"incomplete escape", "a/%2", "not a path"},
		{"colon in the first segment", "1:2/b", "not a path"},
		{"broken escape in the query", "a?b=%zz", "query"},
		{"semicolon in the query", "a?b=c;d=e", "query"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path, query, err := apipath.Relative(c.path)
			require.ErrorContains(t, err, c.reason)
			assert.Empty(t, path)
			assert.Nil(t, query)
		})
	}
}

func TestAccountID_Digits(t *testing.T) {
	t.Parallel()
	const good = "0123456789abcdefABCDEF0123456789"
	require.NoError(t, apipath.AccountID(good))
	for name, id := range map[string]string{
		"empty":                   "",
		"short":                   good[1:],
		"long":                    good + "0",
		"UUID with dashes":        "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415",
		"below 0":                 good[1:] + "/",
		"above 9":                 good[1:] + ":",
		"below A":                 good[1:] + "@",
		"above F":                 good[1:] + "G",
		"below a":                 good[1:] + "`",
		"above f":                 good[1:] + "g",
		"space":                   good[1:] + " ",
		"32 bytes, fewer letters": good[2:] + "ü",
		"dots":                    strings.Repeat("../", 10) + "..",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Error(t, apipath.AccountID(id))
		})
	}
}

func TestUUID_Form(t *testing.T) {
	t.Parallel()
	const good = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
	require.NoError(t, apipath.UUID(good))
	require.NoError(t, apipath.UUID(strings.ToUpper(good)))
	for name, id := range map[string]string{
		"empty":            "",
		"braces":           "{" + good + "}",
		"urn":              "urn:uuid:" + good,
		"no dashes":        strings.ReplaceAll(good, "-", ""),
		"dashes misplaced": "f70ff98-5a4ef-4643-bbbc-4a0ed4fc8415",
		"not a hex digit":  good[1:] + "g",
		"short":            good[1:],
		"long":             good + "0",
		"space before":     " " + good[1:],
		"line break":       good[:35] + "\n",
		"other path":       "../../../../../../../../../../../../",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Error(t, apipath.UUID(id))
		})
	}
}

// An invalid ID may be a secret that was passed by mistake.
func TestErrors_OmitTheValue(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-s3cr3t"
	long := secret + strings.Repeat("x", 32-len(secret))
	padded := secret + strings.Repeat("x", 36-len(secret))
	_, _, relative := apipath.Relative("https://" + secret + "/\x7f")
	_, _, query := apipath.Relative("a?b=%zz" + secret)
	for name, err := range map[string]error{
		"account ID, short":   apipath.AccountID(secret),
		"account ID, not hex": apipath.AccountID(long),
		"UUID, short":         apipath.UUID(secret),
		"UUID, not hex":       apipath.UUID(padded),
		"invalid path":        relative,
		"invalid query":       query,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Error(t, err)
			assert.NotContains(t, err.Error(), secret)
		})
	}
}

func TestOpaqueID_Characters(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"1bedc50d-42b3-473c-b108-ff3d10c0d925", "a", "7", "replica_7", "a.b", "-a",
		strings.Repeat("a", 128),
	} {
		require.NoError(t, apipath.OpaqueID(id), id)
	}
	const otherCharacters = "characters other than"
	for id, reason := range map[string]string{
		"": "empty", ".": "no letter", "..": "no letter", "-_-": "no letter",
		"a/b": otherCharacters, "a b": otherCharacters, "a%2e": otherCharacters, "a\n": otherCharacters,
		"\u00e9": otherCharacters, strings.Repeat("a", 129): "longer",
	} {
		require.ErrorContains(t, apipath.OpaqueID(id), reason, "%q", id)
	}
}
