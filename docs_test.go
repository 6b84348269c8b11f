package cftunnel_test

import (
	"errors"
	"io"
	"net/http"
	"os"
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
	operatingPage = "docs/operating.md"
	testingPage   = "docs/testing.md"
	networkPage   = "docs/private-networks.md"
	tokensPage    = "docs/api-tokens.md"
)

func TestDocs_SnippetsAreCode(t *testing.T) {
	t.Parallel()
	for page, test := range map[string]struct{ pattern, code string }{
		testingPage: {"(?s)```go\n(.*?)```", "tunneltest/example_test.go"},
		networkPage: {"(?s)```go\n(.*?)```", "example_privatenetworks_test.go"},
		tokensPage:  {"(?s)```go\n(.*?)```", "example_apitokens_test.go"},
		"README.md": {"(?s)```go\n(func .*?)```", "readme_test.go"},
	} {
		snippets := regexp.MustCompile(test.pattern).FindAllStringSubmatch(read(t, page), -1)
		require.NotEmpty(t, snippets, page)
		for _, snippet := range snippets {
			assert.Contains(t, read(t, test.code), snippet[1])
		}
	}
}

func TestDocs_ChangelogHasVersion(t *testing.T) {
	t.Parallel()
	assert.Regexp(t, `(?m)(^## \[|, )`+regexp.QuoteMeta(cftunnel.Version)+`(\]|\.$)`, read(t, "CHANGELOG.md"))
}

// forEachOperation runs test for each operation that a method sends if none fails, each in a bubble
// of its own.
func forEachOperation(
	t *testing.T, method cases.Method, test func(t *testing.T, h *methodHarness, operation string),
) {
	t.Helper()
	for _, operation := range slices.Compact(slices.Sorted(slices.Values(operationsOf(t, method)))) {
		synctest.Test(t, func(t *testing.T) { test(t, newMethodHarness(t, "HTTP/1.1", method), operation) })
	}
}

// quoted returns what a text has in double quotes.
func quoted(text string) []string {
	list := []string{}
	for _, match := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(text, -1) {
		list = append(list, match[1])
	}
	return list
}

func allowWrite(permissions []string) bool {
	return slices.ContainsFunc(permissions, func(name string) bool { return strings.HasSuffix(name, " Write") })
}

// TestComments_LostResponses compares the methods' comments with which methods can fail with
// ErrOutcomeUnknown.
func TestComments_LostResponses(t *testing.T) {
	t.Parallel()
	comments := symbols(t, ".", "cftunnel").comments
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unknown := false
			forEachOperation(t, method, func(t *testing.T, h *methodHarness, operation string) {
				h.srv.Inject(tunneltest.Fault{Operation: operation, Status: http.StatusServiceUnavailable, Times: tunneltest.Always})
				unknown = unknown || errors.Is(h.call(t.Context(), method), cftunnel.ErrOutcomeUnknown)
			})
			assert.Equal(t, unknown, strings.Contains(comments[typeAndMethod(t, name)], "[ErrOutcomeUnknown]"), "in its comment")
		})
	}
}

// faultsOfRow are the faults of a row that has no statuses.
var faultsOfRow = map[string][]string{
	"no connection was got":                           {"connection refused"},
	"the connection breaks, or `WithTimeout` is over": {"cut after the work", "cut inside the response", "slower than the timeout"},
	"200 with `\"success\":false`":                    {"200 without success"},
	"200 that cannot be read":                         {"200 truncated", "200 empty", "200 in HTML"},
}

func TestDocs_Retries(t *testing.T) {
	t.Parallel()
	faults := map[string]cases.Fault{}
	for _, fault := range cases.Faults() {
		faults[fault.Name] = fault
	}
	statuses, others := map[int]bool{}, 0
	for _, row := range table(t, operatingPage, "answer") {
		for _, name := range faultsOfRow[row[0]] {
			fault, ok := faults[name]
			require.True(t, ok, name)
			all, idempotent := fault.Retry == cases.RetryAll, fault.Retry != cases.RetryNone
			assert.Equal(t, outcome(idempotent, false), row[1], name)
			assert.Equal(t, outcome(idempotent, fault.Uncertain), row[2], name)
			assert.Equal(t, outcome(all, fault.Uncertain && !all), row[3], name)
		}
		if faultsOfRow[row[0]] != nil {
			others++
			continue
		}
		for status := range ranges(t, row[0]) {
			statuses[status] = true
			for method, cell := range map[string]string{
				"Tunnels.Get": row[1], "Tunnels.UpdateConfiguration": row[2], "Tunnels.Update": row[2], "Tunnels.Delete": row[2], "Tunnels.Create": row[3],
			} {
				assert.Equal(t, cell, outcomeOf(t, method, status), "%s, %d", method, status)
			}
		}
	}
	assert.Len(t, statuses, 300, "every status of a failure")
	assert.Len(t, faultsOfRow, others)
}

// outcome is the text of a cell.
func outcome(retried, unknown bool) string {
	switch {
	case retried && unknown:
		return "again, unknown"
	case retried:
		return "again"
	case unknown:
		return "unknown"
	}
	return "fails"
}

// outcomeOf calls a method of a server that always responds with status.
func outcomeOf(t *testing.T, method string, status int) string {
	t.Helper()
	attempts := 0
	client, err := cftunnel.NewClient(cftunnel.WithAPIToken(apiToken), cftunnel.WithAccountID(accountID), cftunnel.WithoutRateLimit(),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 2, BaseDelay: 1, MaxDelay: 1}),
		cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			attempts++
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
		})}))
	require.NoError(t, err)
	err = cases.Methods[method].Call(t.Context(), client, cases.UnknownIDs())
	require.Error(t, err)
	return outcome(attempts > 1, errors.Is(err, cftunnel.ErrOutcomeUnknown))
}

// ranges returns the numbers of a text such as "500, 502 to 504".
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
