package cftunnel_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	startPage     = "docs/getting-started.md"
	errorsPage    = "docs/errors-and-retries.md"
	limitsPage    = "docs/rate-limits.md"
	migrationPage = "docs/migration.md"
	testingPage   = "docs/testing.md"
	networkPage   = "docs/private-networks.md"
	tokensPage    = "docs/api-tokens.md"
	secretsPage   = "docs/secrets-and-rotation.md"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestDocs_SnippetsCompile checks that the Go code of each page is in files that are compiled. A
// whole program is there in the package of the tests.
func TestDocs_SnippetsCompile(t *testing.T) {
	t.Parallel()
	for page, pattern := range map[string]string{
		"README.md": "readme_test.go",
		startPage:   "gettingstarted*_test.go",
		errorsPage:  "readme_test.go",
		limitsPage:  "readme_test.go",
		secretsPage: "readme_test.go",
		testingPage: "tunneltest/example_test.go",
		networkPage: "example_privatenetworks_test.go",
		tokensPage:  "example_apitokens_test.go",
	} {
		snippets := goBlock.FindAllStringSubmatch(read(t, page), -1)
		require.NotEmpty(t, snippets, page)
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		code := ""
		for _, path := range files {
			code += read(t, path)
		}
		for _, snippet := range snippets {
			text := snippet[1]
			if rest, ok := strings.CutPrefix(text, "package main\n"); ok {
				text = "package cftunnel_test\n" + rest
			}
			assert.Contains(t, code, text, page)
		}
	}
}

// TestDocs_Pitfalls checks that each page ends with its pitfalls.
func TestDocs_Pitfalls(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, page := range pages {
		titles := sectionTitle.FindAllStringSubmatch(read(t, page), -1)
		if assert.NotEmpty(t, titles, page) {
			assert.Equal(t, "Pitfalls", titles[len(titles)-1][1], "last section of %s", page)
		}
	}
}

var sectionTitle = regexp.MustCompile(`(?m)^## (.+)$`)

func TestDocs_ChangelogHasVersion(t *testing.T) {
	t.Parallel()
	title := `(?m)^## \[` + regexp.QuoteMeta(cftunnel.Version) + `\]`
	assert.Regexp(t, title, read(t, "CHANGELOG.md"))
}

// forEachOperation runs test for each operation that a method sends if none fails, each in a bubble
// of its own.
func forEachOperation(
	t *testing.T, method cases.Method, test func(t *testing.T, h *methodHarness, operation string),
) {
	t.Helper()
	operations := slices.Sorted(slices.Values(operationsOf(t, method)))
	for _, operation := range slices.Compact(operations) {
		synctest.Test(t, func(t *testing.T) {
			test(t, newMethodHarness(t, "HTTP/1.1", method), operation)
		})
	}
}

// quoted returns the parts of a text that are in double quotes.
func quoted(text string) []string {
	list := []string{}
	for _, match := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(text, -1) {
		list = append(list, match[1])
	}
	return list
}

// includeWrite reports whether one of the permissions is to write.
func includeWrite(permissions []string) bool {
	return slices.ContainsFunc(permissions, func(name string) bool {
		return strings.HasSuffix(name, " Write")
	})
}

// TestComments_OutcomeUnknown checks that the comments of exactly those methods name
// ErrOutcomeUnknown that can fail with it.
func TestComments_OutcomeUnknown(t *testing.T) {
	t.Parallel()
	comments := symbols(t, ".", "cftunnel").comments
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unknown := false
			forEachOperation(t, method, func(t *testing.T, h *methodHarness, operation string) {
				h.srv.Inject(tunneltest.Fault{
					Operation: operation,
					Status:    http.StatusServiceUnavailable,
					Times:     tunneltest.Always,
				})
				err := h.call(t.Context(), method)
				unknown = unknown || errors.Is(err, cftunnel.ErrOutcomeUnknown)
			})
			comment := comments[typeAndMethod(t, name)]
			named := strings.Contains(comment, "[ErrOutcomeUnknown]")
			assert.Equal(t, unknown, named, "in its comment")
		})
	}
}

// faultsOfRow has the faults of each row without statuses.
var faultsOfRow = map[string][]string{
	"no connection was made": {"connection refused"},
	"the connection breaks, or the attempt takes longer than the client's `WithTimeout`": {
		"cut after the work", "cut inside the response", "slower than the timeout",
	},
	"200 with `\"success\":false`": {"200 without success"},
	"200 that cannot be read":      {"200 truncated", "200 empty", "200 in HTML"},
}

// TestDocs_Retries compares the table of retries with the faults of package cases, and with a
// server for each status.
func TestDocs_Retries(t *testing.T) {
	t.Parallel()
	faults := map[string]cases.Fault{}
	for _, fault := range cases.Faults() {
		faults[fault.Name] = fault
	}
	statuses, others := map[int]bool{}, 0
	for _, row := range table(t, errorsPage, "response") {
		for _, name := range faultsOfRow[row[0]] {
			fault, ok := faults[name]
			require.True(t, ok, name)
			all, idempotent := fault.Retry == cases.RetryAll, fault.Retry != cases.RetryNone
			assert.Equal(t, retryCell(idempotent, false), row[1], name)
			assert.Equal(t, retryCell(idempotent, fault.Uncertain), row[2], name)
			assert.Equal(t, retryCell(all, fault.Uncertain && !all), row[3], name)
		}
		if faultsOfRow[row[0]] != nil {
			others++
			continue
		}
		for status := range ranges(t, row[0]) {
			statuses[status] = true
			for method, cell := range map[string]string{
				"Tunnels.Get":                 row[1],
				"Tunnels.UpdateConfiguration": row[2],
				"Tunnels.Update":              row[2],
				"Tunnels.Delete":              row[2],
				"Tunnels.Create":              row[3],
			} {
				assert.Equal(t, cell, retryCellOf(t, method, status), "%s, %d", method, status)
			}
		}
	}
	assert.Len(t, statuses, 300, "every status of a failure")
	assert.Len(t, faultsOfRow, others)
}

// retryCell returns the text of a cell.
func retryCell(retried, unknown bool) string {
	switch {
	case retried && unknown:
		return "retried, unknown"
	case retried:
		return "retried"
	case unknown:
		return "unknown"
	}
	return "fails"
}

// retryCellOf calls a method of a server that always responds with status, and returns the text of
// the cell.
func retryCellOf(t *testing.T, method string, status int) string {
	t.Helper()
	attempts := 0
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		attempts++
		return &http.Response{
			StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r,
		}, nil
	})
	client, err := cftunnel.NewClient(
		cftunnel.WithAPIToken(apiToken),
		cftunnel.WithAccountID(accountID),
		cftunnel.WithoutRateLimit(),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 2, BaseDelay: 1, MaxDelay: 1}),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
	)
	require.NoError(t, err)
	err = cases.Methods[method].Call(t.Context(), client, cases.UnknownIDs())
	require.Error(t, err)
	return retryCell(attempts > 1, errors.Is(err, cftunnel.ErrOutcomeUnknown))
}

// ranges returns the numbers in a text such as "500, 502 to 504".
func ranges(t *testing.T, text string) map[int]bool {
	t.Helper()
	numbers := map[int]bool{}
	for _, part := range strings.Split(text, ", ") {
		from, to, isRange := strings.Cut(part, " to ")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		require.NoError(t, err, text)
		last, err := strconv.Atoi(to)
		require.NoError(t, err, text)
		for n := first; n <= last; n++ {
			numbers[n] = true
		}
	}
	return numbers
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// table returns the cells of the table of a page whose first column has this header.
func table(t *testing.T, path, header string) (rows [][]string) {
	t.Helper()
	_, rest, found := strings.Cut(read(t, path), "\n| "+header+" |")
	require.True(t, found, "%s has no table that begins with %s", path, header)
	for line := range strings.Lines(rest) {
		switch {
		case len(rows) > 0 && !strings.HasPrefix(line, "|"):
			return rows
		case strings.HasPrefix(line, "| "):
			cells := strings.Split(strings.Trim(line, "|\n"), " | ")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}
