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

// TestTables compares the generated tables with what the code says. go generate writes them.
func TestTables(t *testing.T) {
	t.Parallel()
	for page, generate := range map[string]func(*testing.T) (name, table string){
		"README.md":       servicesTable,
		"CONTRIBUTING.md": operationsTable,
		operatingPage:     permissionsTable,
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			name, table := generate(t)
			text := read(t, page)
			head, rest, ok := strings.Cut(text, "<!-- generated: "+name+" -->\n")
			require.True(t, ok, "%s has no table %s", page, name)
			_, tail, ok := strings.Cut(rest, "<!-- end -->")
			require.True(t, ok, "the table %s has no end", name)
			want := head + "<!-- generated: " + name + " -->\n" + table + "<!-- end -->" + tail
			if *update && want != text {
				require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
				return
			}
			assert.True(t, want == text, "%s is stale: run go generate", page)
		})
	}
}

// tableOf returns a table in Markdown.
func tableOf(header string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n|%s\n", header, strings.Repeat("---|", strings.Count(header, "|")-1))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

func code(text string) string {
	if text == "" {
		return "–"
	}
	return "`" + text + "`"
}

// servicesTable has the services of a client, in the words of their comments.
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
	return "services", tableOf("| service | what it does |", rows)
}

// operationsTable has the operations, with the methods that send them.
func operationsTable(*testing.T) (string, string) {
	type sender struct{ own, v7, v0 string }
	operations := map[string]sender{}
	for _, name := range slices.Sorted(maps.Keys(cases.Methods)) {
		method := cases.Methods[name]
		for i, operation := range method.Operations {
			other := operations[operation]
			if i > 0 && other == (sender{}) {
				operations[operation] = sender{own: name}
			}
			if i == 0 && (other.v7 == "" || method.V7 != "") {
				operations[operation] = sender{name, method.V7, method.V0}
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
	return "operations", tableOf("| operation | client | cloudflare-go v7 | cloudflare-go v0 |", rows)
}

func byPath(a, b string) int {
	methodA, pathA, _ := strings.Cut(a, " ")
	methodB, pathB, _ := strings.Cut(b, " ")
	return strings.Compare(pathA+" "+methodA, pathB+" "+methodB)
}

// permissionsTable has what a 403 of each method says is missing. It also compares that with what the
// fake allows a token that may only read.
func permissionsTable(t *testing.T) (string, string) {
	methods := map[string][]string{} // by permissions
	for _, name := range slices.Sorted(maps.Keys(cases.Methods)) {
		method := cases.Methods[name]
		needed := neededBy(t, name, method)
		synctest.Test(t, func(t *testing.T) {
			h := newMethodHarness(t, "HTTP/1.1", method)
			h.srv.AddToken(tunneltest.Token{Text: h.srv.APIToken(), ReadOnly: true})
			err := h.call(t.Context(), method)
			assert.Equal(t, allowWrite(slices.Concat(needed...)), err != nil,
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
	return "permissions", tableOf("| one of these | for |", rows)
}

// neededBy returns the lists of permissions of each of which a method needs one.
func neededBy(t *testing.T, name string, method cases.Method) (needed [][]string) {
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
