package wirelog_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
)

func TestLog_Exchange(t *testing.T) {
	t.Parallel()
	var log wirelog.Log
	r := httptest.NewRequest(http.MethodPut, "/a%2Fb?c=%26&d", strings.NewReader("body"))
	r.Header.Set("X-Test", "one")
	r.Header.Set("Authorization", "Bearer secret")
	w := httptest.NewRecorder()
	log.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Response", "two")
		w.WriteHeader(http.StatusConflict)
		w.Header().Set("X-Late", "three")
		_, _ = io.Copy(w, r.Body)
		_, _ = w.Write([]byte("!"))
		assert.NoError(t, http.NewResponseController(w).Flush())
	})).ServeHTTP(w, r)

	assert.Equal(t, http.StatusConflict, w.Code)
	assert.Equal(t, "body!", w.Body.String())
	assert.True(t, w.Flushed)
	require.Len(t, log.Exchanges(), 1)
	assert.Equal(t, &wirelog.Exchange{
		Method: "PUT", Path: "/a%2Fb", Query: "c=%26&d", Body: []byte("body"),
		Header: http.Header{"X-Test": {"one"}, "Authorization": {"[REDACTED]"}},
		Response: &wirelog.Response{
			Status: http.StatusConflict, Header: http.Header{"X-Response": {"two"}},
			Body: []byte("body!"),
		},
	}, log.Exchanges()[0])
}

func TestLog_NoResponse(t *testing.T) {
	t.Parallel()
	var log wirelog.Log
	empty := log.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	empty.ServeHTTP(httptest.NewRecorder(),
		&http.Request{URL: httptest.NewRequest("GET", "/", nil).URL})
	abort := log.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		panic(http.ErrAbortHandler)
	}))
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		abort.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	})
	require.Len(t, log.Exchanges(), 2)
	assert.Equal(t, http.StatusOK, log.Exchanges()[0].Response.Status)
	assert.Nil(t, log.Exchanges()[1].Response)
}
