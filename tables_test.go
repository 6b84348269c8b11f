package cftunnel_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

var update = flag.Bool("update", false, "write the generated tables of the documents")

// TestTables compares the generated tables with the code. go generate writes them.
func TestTables(t *testing.T) {
	t.Parallel()
	for page, generate := range map[string]func(*testing.T) (name, table string){
		"README.md":   servicesTable,
		startPage:     permissionsTable,
		migrationPage: operationsTable,
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			name, table := generate(t)
			text := read(t, page)
			head, rest, ok := strings.Cut(text, "<!-- generated: "+name+" -->\n")
			require.True(t, ok, "%s has no table %s", page, name)
			_, tail, ok := strings.Cut(rest, "<!-- end -->")
			require.True(t, ok, "the table %s of %s has no end mark", name, page)
			want := head + "<!-- generated: " + name + " -->\n" + table + "<!-- end -->" + tail
			if *update && want != text {
				require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
				return
			}
			assert.True(t, want == text, "%s is stale: run go generate", page)
		})
	}
}

// markdownTable returns a table in Markdown. The header is its first line.
func markdownTable(header string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n|%s\n", header, strings.Repeat("---|", strings.Count(header, "|")-1))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

// code returns text as code in Markdown, and a dash if it is empty.
func code(text string) string {
	if text == "" {
		return "–"
	}
	return "`" + text + "`"
}

// servicesTable returns the table of a client's services, in the words of their comments.
func servicesTable(t *testing.T) (string, string) {
	comments := symbols(t, ".", "cftunnel").comments
	var rows [][]string
	client := reflect.TypeFor[cftunnel.Client]()
	for i := range client.NumField() {
		field := client.Field(i)
		if !field.IsExported() {
			continue
		}
		comment := strings.Join(strings.Fields(comments["Client."+field.Name]), " ")
		comment = strings.TrimSuffix(strings.TrimPrefix(comment, field.Name+" "), ".")
		rows = append(rows, []string{code("client." + field.Name), comment})
	}
	return "services", markdownTable("| service | what it does |", rows)
}

// operationsTable returns the table of the operations, with the methods that send them.
func operationsTable(*testing.T) (string, string) {
	// senders are the methods of each client that send an operation.
	type senders struct{ own, v7, v0 string }
	operations := map[string]senders{}
	for _, name := range slices.Sorted(maps.Keys(cases.Methods)) {
		method := cases.Methods[name]
		for i, operation := range method.Operations {
			other := operations[operation]
			if i > 0 && other == (senders{}) {
				operations[operation] = senders{own: name}
			}
			if i == 0 && other.v7 == "" {
				operations[operation] = senders{name, method.V7, method.V0}
			}
		}
	}
	var rows [][]string
	for _, operation := range slices.SortedFunc(maps.Keys(operations), byPath) {
		s := operations[operation]
		rows = append(rows, []string{
			code(strings.Replace(operation, "/accounts/{account_id}", "…", 1)), code(s.own), code(s.v7), code(s.v0),
		})
	}
	return "operations", markdownTable("| operation | client | cloudflare-go v7 | cloudflare-go v0 |", rows)
}

func byPath(a, b string) int {
	methodA, pathA, _ := strings.Cut(a, " ")
	methodB, pathB, _ := strings.Cut(b, " ")
	return strings.Compare(pathA+" "+methodA, pathB+" "+methodB)
}

// permissionsTable returns the table of the permissions that each method needs, as the text of a
// 403 names them. It also compares them with what the fake allows a token that may only read.
func permissionsTable(t *testing.T) (string, string) {
	methods := map[string][]string{} // by permissions
	for _, name := range slices.Sorted(maps.Keys(cases.Methods)) {
		method := cases.Methods[name]
		needed := neededPermissions(t, name, method)
		synctest.Test(t, func(t *testing.T) {
			h := newMethodHarness(t, "HTTP/1.1", method)
			h.srv.AddToken(tunneltest.Token{Text: h.srv.APIToken(), ReadOnly: true})
			err := h.call(t.Context(), method)
			assert.Equal(t, includeWrite(slices.Concat(needed...)), err != nil,
				"%s with a token that may only read: %v", name, err)
		})
		for _, oneOf := range needed {
			permissions := "none"
			if len(oneOf) > 0 {
				permissions = "`" + strings.Join(oneOf, "`, `") + "`"
			}
			methods[permissions] = append(methods[permissions], code(name))
		}
	}
	var rows [][]string
	for _, permissions := range slices.Sorted(maps.Keys(methods)) {
		rows = append(rows, []string{permissions, strings.Join(methods[permissions], ", ")})
	}
	return "permissions", markdownTable("| one of these | for |", rows)
}

// neededPermissions returns lists of permissions. The method needs one permission of each list.
func neededPermissions(t *testing.T, name string, method cases.Method) (needed [][]string) {
	t.Helper()
	forEachOperation(t, method, func(t *testing.T, h *methodHarness, operation string) {
		h.srv.Inject(tunneltest.Fault{
			Operation: operation, Status: http.StatusForbidden, Times: tunneltest.Always,
		})
		err := h.call(t.Context(), method)
		if slices.Contains(method.Dispensable, operation) {
			require.NoError(t, err, name)
			return
		}
		require.ErrorIs(t, err, cftunnel.ErrForbidden, name)
		needed = append(needed, quoted(err.Error()))
	})
	all := map[string]bool{}
	for _, oneOf := range needed {
		all[strings.Join(oneOf, ",")] = true
	}
	needed = slices.DeleteFunc(needed, func(oneOf []string) bool {
		// Write includes Read.
		read := strings.Join(oneOf, ",")
		write := strings.ReplaceAll(read, " Read", " Write")
		return read != write && all[write]
	})
	slices.SortFunc(needed, slices.Compare)
	return slices.CompactFunc(needed, slices.Equal)
}
