package tunneltest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/traffic"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// What internal/conformance judges is what the fake answers by itself, and nothing that a test had it answer.
func TestTrafficTellsTheFakesOwnAnswers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(traffic.Variable, dir)
	f := start(t)
	faults := []struct {
		fault tunneltest.Fault
		own   bool
	}{
		{tunneltest.Fault{}, true},
		{tunneltest.Fault{Delay: time.Nanosecond}, true},
		{tunneltest.Fault{Status: http.StatusBadGateway}, false},
		{tunneltest.Fault{Body: "{}", Work: true}, false},
		{tunneltest.Fault{Header: http.Header{"Retry-After": {"1"}}}, false},
		{tunneltest.Fault{Cut: tunneltest.CutBefore}, false},
		{tunneltest.Fault{Cut: tunneltest.CutAfter}, false},
		{tunneltest.Fault{Cut: tunneltest.CutInside}, false},
	}
	for _, c := range faults {
		f.Inject(c.fault)
		_, _ = f.try(http.MethodPost, f.below("/cfd_tunnel"), `{"name":"web"}`)
	}
	var list []*traffic.Exchange
	for e, err := range traffic.Read(dir) {
		require.NoError(t, err)
		list = append(list, e)
	}
	require.Len(t, list, len(faults))
	for i, e := range list {
		assert.Equal(t, faults[i].own, e.Answer != nil, "%+v", faults[i].fault)
		assert.Equal(t, `{"name":"web"}`, string(e.Body))
		assert.Equal(t, "/client/v4"+f.below("/cfd_tunnel"), e.Path)
		assert.Equal(t, "[REDACTED]", e.Header.Get("Authorization"))
	}
	assert.Equal(t, http.StatusOK, list[0].Answer.Status)
	assert.Equal(t, "application/json", list[1].Answer.Header.Get("Content-Type"))
}
