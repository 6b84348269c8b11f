package tunneltest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// mark adds a name to the header of requests and responses.
func mark(name string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Add("X-Mark", name)
			w.Header().Add("X-Mark", name)
			next.ServeHTTP(w, r)
		})
	}
}

func TestWithMiddleware_URL(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer(
		tunneltest.WithMiddleware(mark("outer")), tunneltest.WithMiddleware(mark("inner")))
	t.Cleanup(srv.Close)
	client, err := srv.NewClient()
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)

	var info cftunnel.ResponseInfo
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{},
		cftunnel.CaptureResponse(&info))
	require.NoError(t, err)
	assert.Equal(t, []string{"outer", "inner"}, srv.Requests()[0].Header.Values("X-Mark"))
	assert.Equal(t, []string{"outer", "inner"}, info.Header.Values("X-Mark"))
}

func TestWithMiddleware_Handler(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer(tunneltest.WithMiddleware(mark("one")))
	t.Cleanup(srv.Close)
	recorder := httptest.NewRecorder()
	srv.Handler().ServeHTTP(recorder,
		httptest.NewRequest(http.MethodGet, "/client/v4/user/tokens/verify", nil))
	assert.Equal(t, []string{"one"}, recorder.Header().Values("X-Mark"))
}

func TestWithMiddleware_OwnResponse(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer(tunneltest.WithMiddleware(func(http.Handler) http.Handler {
		return http.NotFoundHandler()
	}))
	t.Cleanup(srv.Close)
	recorder := httptest.NewRecorder()
	srv.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, http.StatusNotFound, recorder.Code)
	assert.Empty(t, srv.Requests(), "the server received no request")
}

func TestWithMiddleware_Nil(t *testing.T) {
	t.Parallel()
	assert.PanicsWithValue(t, "tunneltest: WithMiddleware: middleware is nil", func() {
		tunneltest.NewServer(tunneltest.WithMiddleware(nil))
	})
}
