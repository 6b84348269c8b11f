package tunnellogs_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

// The default HTTP client must not keep the connection of a refused request.
func TestOpen_DefaultHTTPClientClosesConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.connect()
	var open atomic.Int64
	server := httptest.NewUnstartedServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
		}),
	)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			open.Add(1)
		} else if state == http.StateClosed {
			open.Add(-1)
		}
	}
	server.Start()
	defer server.Close()
	params := tunnellogs.Params{Endpoint: server.URL}
	_, err := tunnellogs.Open(t.Context(), r.client, r.tunnel.ID, id, params)
	require.Error(t, err)
	assert.Eventually(t, func() bool { return open.Load() == 0 }, time.Minute, time.Millisecond)
}
