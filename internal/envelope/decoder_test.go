package envelope_test

import (
	"strings"
	"testing"

	"github.com/go-faster/jx"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/envelope"
)

func TestDecode_LeavesNoBytesInPool(t *testing.T) {
	t.Parallel()
	body := []byte(`{"success":true,"result_info":{"page":1,"per_page":20,"count":3}}`)
	before := string(body)
	for range 50 {
		_, err := envelope.Decode(body, nil)
		require.NoError(t, err)
		other := jx.GetDecoder()
		other.Reset(strings.NewReader(`["text of another part of the program"]`))
		_ = other.Skip()
		require.Equal(t, before, string(body))
	}
}
