package cftunnel_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
)

// listOf returns a JSON list of n times the same item.
func listOf(n int, item string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

// bombs are results that would need far more memory than their JSON text if they were decoded
// without a limit.
func bombs() map[string]string {
	const id = `"id":"` + tunnelID + `"`
	results := map[string]string{}
	for _, item := range []string{`{}`, `[]`, `""`, `0`, `{"a":{}}`} {
		results["list of "+item] = listOf(300_000, item)
		results["lists of "+item] = listOf(1000, listOf(300, item))
		list := listOf(300, item)
		results["objects with lists of "+item] = listOf(500,
			`{`+id+`,"conns":`+list+`,"connections":`+list+`}`)
		object := `{` + id
		for _, member := range []string{"conns", "connections", "features", "vips", "policies", "tags"} {
			object += `,"` + member + `":` + listOf(9000, item)
		}
		results["object with lists of "+item] = object + `}`
		two := listOf(2, item)
		results["repeated list of "+item] = `{` + id +
			strings.Repeat(`,"connections":`+two+`,"conns":`+two, 10_000) + `}`
		results["rules of "+item] = `{"config":{"ingress":` + listOf(9000, item) + `}}`
		results["rules with lists of "+item] = `{"config":{"ingress":` +
			listOf(300, `{"originRequest":{"ipRules":`+list+`}}`) + `}}`
		results["ports of "+item] = `{"config":{"ingress":` +
			listOf(300, `{"originRequest":{"ipRules":[{"ports":`+list+`}]}}`) + `}}`
		results["unknown member of a configuration, list of "+item] = `{"config":{"more":` +
			listOf(100_000, item) + `}}`
	}
	var members strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&members, `,"%x":0`, i)
	}
	results["object with many members"] = `{` + id + members.String() + `}`
	results["configuration with many members"] = `{"config":{` + members.String()[1:] + `}}`
	rules := listOf(9000, `{"a":0,"b":0}`)
	results["rules with many members"] = `{"config":{"ingress":` + rules + `}}`
	results["repeated configuration"] = `{` + id + strings.Repeat(`,"config":{}`, 100_000) + `}`
	results["repeated string"] = `{` + id +
		strings.Repeat(`,"name":"\n","comment":"\n"`, 100_000) + `}`
	return results
}

// tree is a recursive type, which only encoding/json can decode.
type tree struct {
	Name    string   `json:"name"`
	Wide    [20]int  `json:"wide"`
	Conns   []tree   `json:"conns"`
	More    *tree    `json:"more"`
	Members []string `json:"features"`
}

// decodingCalls are calls that decode every kind of result.
func decodingCalls() map[string]func(context.Context, *cftunnel.Client) error {
	calls := map[string]func(context.Context, *cftunnel.Client) error{
		"Do, any":       decodeInto[any],
		"Do, []any":     decodeInto[[]any],
		"Do, map":       decodeInto[map[string]any],
		"Do, maps":      decodeInto[[]map[string]string],
		"Do, tree":      decodeInto[tree],
		"Do, trees":     decodeInto[[]tree],
		"Do, *tree":     decodeInto[[]*tree],
		"Do, map trees": decodeInto[map[string]tree],
		"Do, lists":     decodeInto[[][]string],
		"Do, arrays":    decodeInto[[][100]int],
		"Do, nothing":   decodeInto[[]struct{}],
		"Do, bytes":     decodeInto[[][]byte],
		"Do, rules":     decodeInto[[]cftunnel.IngressRule],
		"Do, config":    decodeInto[cftunnel.TunnelConfig],
		"Do, no result": func(ctx context.Context, c *cftunnel.Client) error {
			return c.Do(ctx, http.MethodGet, "x", nil, nil)
		},
		"DoAll, any":    decodeAllInto[any],
		"DoAll, tree":   decodeAllInto[tree],
		"DoAll, string": decodeAllInto[string],
	}
	for _, name := range []string{
		"Tunnels.Get", "Tunnels.List", "Tunnels.Token", "Tunnels.Configuration", "Connectors.List", "Connectors.Get",
		"WARPConnectors.List", "WARPConnectors.Configuration", "Routes.List", "HostnameRoutes.List", "VirtualNetworks.List",
		"Zones.List", "DNSRecords.List", "UserTokens.List", "UserTokens.Get", "UserTokens.PermissionGroups",
	} {
		if method, ok := cases.Methods[name]; ok {
			calls[name] = func(ctx context.Context, c *cftunnel.Client) error {
				return method.Call(ctx, c, cases.UnknownIDs())
			}
		}
	}
	return calls
}

func decodeInto[T any](ctx context.Context, c *cftunnel.Client) error {
	var result T
	return c.Do(ctx, http.MethodGet, "x", nil, &result)
}

func decodeAllInto[T any](ctx context.Context, c *cftunnel.Client) error {
	for _, err := range cftunnel.DoAll[T](ctx, c, "x", nil) {
		if err != nil {
			return err
		}
	}
	return nil
}

// allocated returns the number of bytes that f allocates. f never uses more than that at a time.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

//nolint:paralleltest // the allocations of other tests would be counted too
func TestMemory_Bombs(t *testing.T) {
	const factor, base = 9, 6 << 20
	for bomb, result := range bombs() {
		body := []byte(`{"success":true,"errors":[],"messages":[],"result":` + result + `}`)
		var wire bytes.Buffer
		writer := gzip.NewWriter(&wire)
		_, _ = writer.Write(body)
		require.NoError(t, writer.Close())
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			if page := r.URL.Query().Get("page"); page != "" && page != "1" {
				_, _ = fmt.Fprint(w, `{"success":true,"result":[]}`)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(wire.Bytes())
		}, once, cftunnel.WithoutRateLimit())
		for name, call := range decodingCalls() {
			got := allocated(func() { _ = call(t.Context(), client) })
			assert.LessOrEqual(t, got, factor*len(body)+base,
				"%s as %s: %d bytes allocated for %d", bomb, name, got, len(body))
		}
	}
}

// Large results that a server may really send are accepted.
func TestMemory_LargeResults(t *testing.T) {
	t.Parallel()
	connection := `{"id":"` + tunnelID + `","uuid":"` + tunnelID + `","client_id":"` + tunnelID +
		`","client_version":"2026.8.0","colo_name":"fra08","opened_at":"2026-01-02T03:04:05Z","origin_ip":"192.0.2.1","is_pending_reconnect":false}`
	for name, test := range map[string]struct {
		result string
		call   func(context.Context, *cftunnel.Client) error
	}{
		"10,000 connectors": {
			listOf(10_000, `{"id":"`+tunnelID+`","version":"2026.8.0","arch":"linux_amd64","features":["a","b"],"conns":`+listOf(4, connection)+`}`),
			func(ctx context.Context, c *cftunnel.Client) error {
				list, err := c.Connectors.List(ctx, tunnelID)
				if len(list) != 10_000 && err == nil {
					return assert.AnError
				}
				return err
			},
		},
		"10,000 connectors with an ID only": {
			listOf(10_000, `{"id":"a"}`),
			func(ctx context.Context, c *cftunnel.Client) error {
				_, err := c.Connectors.List(ctx, tunnelID)
				return err
			},
		},
		"1,000 tunnels": {
			listOf(1000, `{"id":"`+tunnelID+`","name":"n","connections":`+listOf(4, connection)+
				`,"metadata":{"a":[1,2,3]}}`), listFirst,
		},
		"10,000 rules": {
			`{"tunnel_id":"` + tunnelID + `","version":1,"config":{"ingress":` + listOf(10_000, `{"hostname":"a.b.co","service":"http://c"}`) + `}}`,
			func(ctx context.Context, c *cftunnel.Client) error {
				_, err := c.Tunnels.Configuration(ctx, tunnelID)
				return err
			},
		},
		"10,000 rules with origin settings": {
			`{"tunnel_id":"` + tunnelID + `","config":{"ingress":` + listOf(10_000,
				`{"hostname":"app.example.com","service":"https://localhost:8443","originRequest":{"noTLSVerify":true,"connectTimeout":10}}`) + `}}`,
			func(ctx context.Context, c *cftunnel.Client) error {
				_, err := c.Tunnels.Configuration(ctx, tunnelID)
				return err
			},
		},
		"10,000 items of Do":     {listOf(10_000, `{"id":"`+tunnelID+`","name":"a name","size":17,"at":"2026-01-02T03:04:05Z"}`), decodeInto[[]map[string]any]},
		"10,000 small items":     {listOf(10_000, `{"id":1}`), decodeInto[any]},
		"10,000 items of DoAll":  {listOf(10_000, `{"name":"a","features":["a","b"]}`), decodeAllInto[tree]},
		"a long text":            {`"` + strings.Repeat("a", 16<<20) + `"`, decodeInto[string]},
		"a long text of escapes": {`"` + strings.Repeat(`\n`, 4<<20) + `"`, decodeInto[string]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				if page := r.URL.Query().Get("page"); page != "" && page != "1" {
					_, _ = fmt.Fprint(w, `{"success":true,"result":[]}`)
					return
				}
				_, _ = fmt.Fprint(w, `{"success":true,"result":`+test.result+`}`)
			}, once, cftunnel.WithTimeout(time.Minute))
			require.NoError(t, test.call(t.Context(), client))
		})
	}
}

func TestLists_TooManyItems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		items, most int
		call        func(context.Context, *cftunnel.Client) error
	}{
		"a page": {1001, 1000, listFirst},
		"a list": {10_001, 10_000, decodeInto[[]map[string]string]},
		"connectors": {10_001, 10_000, func(ctx context.Context, c *cftunnel.Client) error {
			_, err := c.Connectors.List(ctx, tunnelID)
			return err
		}},
		"a page of DoAll":   {10_001, 10_000, decodeAllInto[struct{ ID string }]},
		"a list in a value": {10_001, 10_000, decodeInto[any]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, ok := range map[int]bool{test.items: false, test.most: true} {
				client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
					if page := r.URL.Query().Get("page"); page != "" && page != "1" {
						_, _ = fmt.Fprint(w, `{"success":true,"result":[]}`)
						return
					}
					_, _ = fmt.Fprint(w, `{"success":true,"result":`+listOf(n, `{"id":"a"}`)+`}`)
				}, once, cftunnel.WithTimeout(time.Minute))
				err := test.call(t.Context(), client)
				assert.Equal(t, ok, err == nil, "%d: %v", n, err)
			}
		})
	}
}

// An item without an ID is an error: a caller may pass its empty ID to Cleanup, which then drops
// the connections of every connector.
func TestLists_ItemsWithoutID(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, *cftunnel.Client) error{
		"Tunnels.List": listFirst,
		"Tunnels.All": func(ctx context.Context, c *cftunnel.Client) error {
			for _, err := range c.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
				return err
			}
			return nil
		},
		"Tunnels.ListAllTypes": func(ctx context.Context, c *cftunnel.Client) error {
			_, err := c.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{})
			return err
		},
		"WARPConnectors.List": func(ctx context.Context, c *cftunnel.Client) error {
			_, err := c.WARPConnectors.List(ctx, cftunnel.TunnelListParams{})
			return err
		},
		"Connectors.List": func(ctx context.Context, c *cftunnel.Client) error {
			_, err := c.Connectors.List(ctx, tunnelID)
			return err
		},
		"WARPConnectors.Connectors": func(ctx context.Context, c *cftunnel.Client) error {
			_, err := c.WARPConnectors.Connectors(ctx, tunnelID)
			return err
		},
	} {
		for item, valid := range map[string]bool{
			`{"id":"` + tunnelID + `"}`: true, `{"id":"1b2c"}`: true,
			`{}`: false, `{"id":""}`: false, `{"id":null}`: false, `null`: false,
			`{"uuid":"` + tunnelID + `"}`: false, `{"id":"."}`: false, `{"id":".."}`: false,
			`{"id":"a/b"}`: false, `{"id":"a?b"}`: false, `{"id":" "}`: false, `{"id":"a\u0000"}`: false,
		} {
			client := clientOf(t, respond(200, ok(`[{"id":"`+tunnelID+`"},`+item+`]`)), once)
			err := call(t.Context(), client)
			if valid || name == "Tunnels.All" && err == nil {
				require.NoError(t, err, "%s, %s", name, item)
				continue
			}
			require.ErrorContains(t, err, "item 1", "%s, %s", name, item)
		}
	}
	for _, body := range []string{`{}`, `{"id":""}`, `{"id":null}`, `null`} {
		client := clientOf(t, respond(200, `{"success":true,"result":`+body+`}`), once)
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		require.Error(t, err, body)
		_, err = client.Connectors.Get(t.Context(), tunnelID, tunnelID)
		require.Error(t, err, body)
		_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, body)
	}
}

func listFirst(ctx context.Context, c *cftunnel.Client) error { return list(ctx, c) }
