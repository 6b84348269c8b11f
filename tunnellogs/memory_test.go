package tunnellogs_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

const lastMessage = `{"type":"logs","logs":[{"message":"last"}]}`

// repeat returns a message of about size bytes that has the same item many times.
func repeat(size int, begin, item, end string) string {
	n := (size - len(begin) - len(end)) / (len(item) + 1)
	return begin + strings.Repeat(item+",", n-1) + item + end
}

// allocatedBy returns the number of bytes that opening a stream and reading the first entry
// allocates, and the error of Next. The service sends a message and then lastMessage.
func allocatedBy(t *testing.T, r *rig, id, message string) (bytes int, err error) {
	t.Helper()
	texts := [][]byte{[]byte(message), []byte(lastMessage)}
	r.serve(func(ctx context.Context, conn *websocket.Conn) {
		for _, text := range texts {
			_ = conn.Write(ctx, websocket.MessageText, text)
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	stream := r.open(id, tunnellogs.Filter{})
	_, err = stream.Next(t.Context())
	runtime.ReadMemStats(&after)
	require.NoError(t, stream.Close())
	return int(after.TotalAlloc - before.TotalAlloc), err
}

// These messages would need many times their size in memory if they were decoded at once. CI leaves
// out this test with the race detector.
//
//nolint:paralleltest // the allocations of other tests would be counted too
func TestMemory_Bombs(t *testing.T) {
	t.Run("entries", testBombs)
	t.Run("fields", testBombsInFields)
}

func testBombs(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		const size, factor, base = 2 << 20, 5, 1 << 20
		for _, item := range []string{`{}`, `0`, `null`, `""`, `[]`, `{"message":""}`} {
			for name, message := range map[string]string{
				"entries":                 repeat(size, `{"type":"logs","logs":[`, item, `]}`),
				"entries of another type": repeat(size, `{"type":"x","logs":[`, item, `]}`),
				"lists": repeat(size, `{"type":"logs",`, `"logs":[`+item+`,`+item+`]`,
					`}`),
				"repeated member": repeat(size, `{"type":"logs","logs":[{`,
					`"message":"\n","fields":`+item, `}]}`),
				"unknown member": repeat(size, `{"type":"logs","logs":[{"more":[`, item, `]}]}`),
			} {
				limit := factor*len(message) + base
				if name == "repeated member" {
					limit += 8*4<<20 + 8<<20 // Fields
				}
				got, _ := allocatedBy(t, r, ids[0], message)
				assert.LessOrEqual(t, got, limit, "%s, %s", name, item)
			}
		}
	})
}

// Fields are decoded at once, so their memory is limited.
func testBombsInFields(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		const factor, base, maxFields = 5, 1 << 20, 8<<20 + 8<<20
		r.params.MaxEntryBytes = 1 << 20
		for _, item := range []string{
			`{}`, `0`, `null`, `""`, `[]`, `{"":0}`, `[0]`, `{"a":"b","c":["d"]}`, `-1.5e-300`,
			strings.Repeat(`{"":`, 50) + `0` + strings.Repeat(`}`, 50),
			`"` + strings.Repeat(`\n`, 1000) + `"`,
		} {
			accepted := 0
			for size := 16 << 10; size <= 1<<20; size *= 2 {
				var members strings.Builder
				for i := 0; members.Len()+2*len(item)+100 < size; i++ {
					fmt.Fprintf(&members, `,"%x":%s`, i, item)
				}
				for name, message := range map[string]string{
					"list": repeat(size, `{"type":"logs","logs":[{"fields":{"a":[`, item, `]}}]}`),
					"members": `{"type":"logs","logs":[{"fields":{` + members.String()[1:] +
						`}}]}`,
				} {
					got, err := allocatedBy(t, r, ids[0], message)
					limit := factor*len(message) + base
					if err == nil {
						accepted = len(message)
						limit += maxFields
					} else {
						require.ErrorIs(t, err, tunnellogs.ErrEntryTooLarge)
					}
					assert.LessOrEqual(t, got, limit, "%s of %.20s, %d bytes: %v", name, item,
						len(message), err)
				}
			}
			assert.GreaterOrEqual(t, accepted, 64<<10, "%.20s", item)
		}
	})
}

func TestStreamNext_FieldsTooLarge(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		fields := repeat(1<<20, `{"a":[`, `{}`, `]}`)
		message := `{"type":"logs","logs":[{"message":"first"},{"fields":` + fields + `}]}`
		s := r.serve(sends(message))
		r.params.MaxEntryBytes = 2 << 20
		stream := r.open(ids[0], tunnellogs.Filter{})
		entry, err := stream.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "first", entry.Message)
		_, err = stream.Next(t.Context())
		require.ErrorIs(t, err, tunnellogs.ErrEntryTooLarge)
		assert.ErrorContains(t, err, "Fields")
		require.NoError(t, stream.Close())
		assert.Equal(t, []string{stop, closed}, s.takeFrames()[1:])

		r.params.MaxEntryBytes = 64 << 20
		stream = r.open(ids[0], tunnellogs.Filter{})
		for range 2 {
			entry, err = stream.Next(t.Context())
			require.NoError(t, err)
		}
		assert.Greater(t, len(entry.Fields["a"].([]any)), 300_000)
		require.NoError(t, stream.Close())
	})
}

// The largest headers that a connector can receive, even if every header is short.
func TestStreamNext_LargeHeaders(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, r *rig, ids []string) {
		var headers strings.Builder
		for i := 0; headers.Len() < 256<<10; i++ {
			fmt.Fprintf(&headers, `,"X%x":["a"]`, i)
		}
		message := `{"type":"logs","logs":[{"fields":{"headers":{` + headers.String()[1:] + `}}}]}`
		r.serve(sends(message))
		r.params.MaxEntryBytes = int64(len(message))
		stream := r.open(ids[0], tunnellogs.Filter{})
		_, err := stream.Next(t.Context())
		require.NoError(t, err)
		require.NoError(t, stream.Close())
	})
}
