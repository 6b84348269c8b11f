package traffic

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// record has the environment name a new directory, and returns what was written to it.
func record(t *testing.T) func() []*Exchange {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(Variable, dir)
	return func() (list []*Exchange) {
		for e, err := range Read(dir) {
			require.NoError(t, err)
			list = append(list, e)
		}
		return list
	}
}

func request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("X-Test", "one")
	r.Header.Set("Authorization", "Bearer secret")
	return r
}

var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Answer", "two")
	w.WriteHeader(http.StatusConflict)
	w.Header().Set("X-Late", "three")
	_, _ = io.Copy(w, r.Body)
	_, _ = w.Write([]byte("!"))
})

func TestExchangesAreWrittenDown(t *testing.T) { //nolint:paralleltest // the environment is the whole process's
	written := record(t)
	w := httptest.NewRecorder()
	Handler(echo).ServeHTTP(w, request("PUT", "/a%2Fb?c=%26&d", "body"))
	assert.Equal(t, http.StatusConflict, w.Code)
	assert.Equal(t, "body!", w.Body.String())

	Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/empty", nil))

	list := written()
	require.Len(t, list, 3)
	assert.Equal(t, &Exchange{
		Method: "PUT", Path: "/a%2Fb", Query: "c=%26&d", Body: []byte("body"),
		Header: http.Header{"X-Test": {"one"}, "Authorization": {"[REDACTED]"}},
		Answer: &Answer{Status: http.StatusConflict, Header: http.Header{"X-Answer": {"two"}}, Body: []byte("body!")},
	}, list[0])
	assert.Equal(t, &Answer{Status: http.StatusOK, Header: http.Header{}, Body: []byte("ok")}, list[1].Answer)
	assert.Equal(t, http.StatusOK, list[2].Answer.Status)
}

func TestAnswersThatAreNotTheFakesOwn(t *testing.T) { //nolint:paralleltest // the environment is the whole process's
	written := record(t)
	Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Disown(w)
		echo(w, r)
	})).ServeHTTP(httptest.NewRecorder(), request("GET", "/disowned", "body"))
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			panic(http.ErrAbortHandler)
		})).ServeHTTP(httptest.NewRecorder(), request("GET", "/cut", "body"))
	})
	list := written()
	require.Len(t, list, 2)
	for _, e := range list {
		assert.Nil(t, e.Answer, e.Path)
		assert.Equal(t, "body", string(e.Body), e.Path)
	}
	Disown(httptest.NewRecorder()) // where nothing is written, there is nothing to disown
}

func TestRequestsAloneAreWrittenDown(t *testing.T) { //nolint:paralleltest // the environment is the whole process's
	written := record(t)
	first := request("POST", "/a", "body")
	r := Sent(first)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	assert.Equal(t, "body", string(body))
	assert.Same(t, first.URL, r.URL)

	none := httptest.NewRequest("GET", "/none", nil)
	none.Body = nil
	assert.Same(t, none, Sent(none))
	list := written()
	require.Len(t, list, 2)
	assert.Equal(t, "body", string(list[0].Body))
	assert.Nil(t, list[0].Answer)
	assert.Empty(t, list[1].Body)
}

// The handler meets what it would meet unrecorded: a body that breaks, and one that is closed.
func TestBodiesReadAsBefore(t *testing.T) { //nolint:paralleltest // the environment is the whole process's
	written := record(t)
	broken := errors.New("broken")
	r := request("PUT", "/", "")
	closed := false
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), closer(func() { closed = true })}
	Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.Equal(t, "half", string(body))
		assert.ErrorIs(t, err, broken)
		assert.NoError(t, r.Body.Close())
	})).ServeHTTP(httptest.NewRecorder(), r)
	assert.True(t, closed)
	assert.Equal(t, "half", string(written()[0].Body))
}

type closer func()

func (c closer) Close() error {
	c()
	return nil
}

func TestWithoutTheVariableNothingIsTouched(t *testing.T) {
	t.Setenv(Variable, "")
	r := request("GET", "/", "body")
	assert.Same(t, r, Sent(r))
	Handler(http.HandlerFunc(func(w http.ResponseWriter, got *http.Request) {
		assert.Same(t, r, got)
		assert.IsType(t, &httptest.ResponseRecorder{}, w)
	})).ServeHTTP(httptest.NewRecorder(), r)
}

func TestAnswersCanBeFlushed(t *testing.T) { //nolint:paralleltest // the environment is the whole process's
	record(t)
	w := httptest.NewRecorder()
	Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		assert.NoError(t, http.NewResponseController(w).Flush())
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	assert.True(t, w.Flushed)
}

// Handlers run side by side, in bubbles too, and lines are longer than any buffer.
func TestLinesStayWhole(t *testing.T) { //nolint:paralleltest // the environment is the whole process's
	written := record(t)
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	synctest.Test(t, func(t *testing.T) {
		handler := Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(long) }))
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() { handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
		}
		group.Wait()
	})
	list := written()
	require.Len(t, list, 50)
	for _, e := range list {
		assert.True(t, bytes.Equal(long, e.Answer.Body))
	}
}

func TestTrafficThatCannotBeWrittenIsNoted(t *testing.T) {
	t.Setenv(Variable, filepath.Join(t.TempDir(), "none"))
	assert.Panics(t, func() { Sent(request("GET", "/", "")) })
}

func TestReading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for e, err := range Read(dir) {
		t.Fatal(e, err)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1.jsonl"), []byte(`{"Method":"GET"}`+"\n"+`{"Method":"PUT"}`+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "2.jsonl"), []byte(`{"Method":"PATCH"}`+"\n"+`{"Meth`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte(`none`), 0o600))
	var methods []string
	var errs []error
	for e, err := range Read(dir) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		methods = append(methods, e.Method)
	}
	assert.Equal(t, []string{"GET", "PUT", "PATCH"}, methods)
	require.Len(t, errs, 1, "half a line")
	assert.ErrorContains(t, errs[0], "2.jsonl")
	for e := range Read(dir) {
		assert.Equal(t, "GET", e.Method)
		break
	}
	errs = nil
	for _, err := range Read(filepath.Join(dir, "none")) {
		errs = append(errs, err)
	}
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], os.ErrNotExist)
}
