package cftunnel

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
)

const (
	refusal        = `{"success":false,"errors":[{"code":1234,"message":"no"}],"messages":[],"result":null}`
	notFound       = `{"success":false,"errors":[{"code":1002,"message":"no such tunnel"}],"messages":[],"result":null}`
	noRoute        = `{"success":false,"errors":[{"code":7003,"message":"no route"}],"messages":[],"result":null}`
	noRouteInChain = `{"success":false,"errors":[{"code":1,"message":"m","error_chain":[{"code":"7000"}]}]}`
	success        = `{"success":true,"errors":[],"messages":[],"result":{}}`
	page           = "<html><head><title>Log in</title></head></html>"
)

// Requests of each kind. A Roll is a PUT that must be carried out only once.
var (
	get    = request{operation: op("x", http.MethodGet, "/x", "")}
	put    = request{operation: op("x", http.MethodPut, "/x", "")}
	patch  = request{operation: op("x", http.MethodPatch, "/x", "")}
	remove = request{operation: op("x", http.MethodDelete, "/x", "")}
	post   = request{operation: op("x", http.MethodPost, "/x", "")}
	roll   = request{operation: once(op("x", http.MethodPut, "/x", ""))}
)

// meaning is what a response means for the call, as docs/errors-and-retries.md describes it.
type meaning int

const (
	succeeds meaning = iota
	fails
	retried        // it is sent again; if no attempt is left, it was not carried out
	unknown        // it fails, and may have been carried out
	retriedUnknown // it is sent again; if no attempt is left, it may have been carried out
)

func (o outcome) meaning() meaning {
	switch {
	case !o.failed:
		return succeeds
	case o.retry && o.uncertain:
		return retriedUnknown
	case o.retry:
		return retried
	case o.uncertain:
		return unknown
	}
	return fails
}

// A row is a kind of response and its meaning: for a GET, for a PUT, PATCH or DELETE, and for a
// POST or a Roll. The last two meanings are for an attempt that follows one that may have been
// carried out.
type row struct {
	name       string
	response   roundtrip.Response
	body       string // empty for none
	unreadable error

	get, put, post              meaning
	putUncertain, postUncertain meaning
}

func status(code int, body string) (roundtrip.Response, string) {
	return roundtrip.Response{StatusCode: code, Body: []byte(body), Sent: true}, body
}

// rows returns every kind of response.
func rows() (list []row) {
	add := func(name string, response roundtrip.Response, body string, meanings ...meaning) *row {
		list = append(list, row{
			name: name, response: response, body: body,
			get: meanings[0], put: meanings[1], post: meanings[2],
			putUncertain: meanings[3], postUncertain: meanings[4],
		})
		return &list[len(list)-1]
	}
	succeeded := []meaning{succeeds, succeeds, succeeds, succeeds, succeeds}
	refused := []meaning{fails, fails, fails, fails, fails}
	failed := []meaning{fails, fails, fails, unknown, unknown}
	unusable := []meaning{fails, unknown, unknown, unknown, unknown}
	notCarriedOut := []meaning{retried, retried, retried, retriedUnknown, retriedUnknown}
	lost := []meaning{retried, retriedUnknown, unknown, retriedUnknown, unknown}

	broken := errors.New("connection reset by peer")
	type resp = roundtrip.Response
	add("no connection", resp{Err: broken}, "", notCarriedOut...)
	add("not processed according to HTTP/2", resp{Err: broken}, "", notCarriedOut...)
	add("invalid certificate", resp{Err: &tls.CertificateVerificationError{}}, "", failed...)
	add("server without TLS", resp{Err: tls.RecordHeaderError{Msg: "m"}}, "", failed...)
	add("connection breaks", resp{Err: broken, Sent: true}, "", lost...)
	add("timeout", resp{Err: &roundtrip.TimeoutError{}, Sent: true}, "", lost...)
	breaks := resp{StatusCode: 200, Err: io.ErrUnexpectedEOF, Sent: true}
	add("body of a 200 breaks", breaks, "", lost...)
	tooLarge := resp{StatusCode: 200, Err: &roundtrip.TooLargeError{}, Sent: true}
	add("response too large", tooLarge, "", unusable...)
	add("invalid status", resp{StatusCode: 99, Err: broken, Sent: true}, "", lost...)
	for code := 100; code < 200; code++ {
		response, body := status(code, "")
		add(fmt.Sprint(code), response, body, unusable...)
	}

	for code := 200; code < 300; code++ {
		response, body := status(code, success)
		add(fmt.Sprint(code), response, body, succeeded...)
	}
	response, body := status(200, refusal)
	add("200 with success false", response, body, failed...)
	response, body = status(200, `{"errors":[],"result":{}}`)
	add("200 without success", response, body, unusable...)
	response, body = status(200, `{"result":{}}`)
	add("200 with a result only", response, body, unusable...)
	response, body = status(200, success)
	add("200 with another ID", response, body, unusable...).unreadable = errOtherID
	response, _ = status(200, page)
	html := add("200 in HTML", response, "", unusable...)
	html.unreadable = errors.New("the response cannot be read")

	retriedStatuses := map[int]bool{500: true, 502: true, 503: true, 504: true}
	for code := 520; code <= 530; code++ {
		retriedStatuses[code] = true
	}
	inconclusive := map[int]bool{401: true, 403: true, 408: true, 425: true}
	for code := 300; code <= 999; code++ {
		for _, body := range []string{
			refusal, page, ``, `{"error":"blocked"}`, `{"success":false,"message":"blocked"}`, success,
		} {
			response, text := status(code, body)
			if _, err := envelope.Decode([]byte(text), nil); err != nil {
				text = ""
			}
			name := fmt.Sprint(code, " ", body)
			switch {
			case code == 429:
				add(name, response, text, notCarriedOut...)
			case code >= 500 && retriedStatuses[code]:
				add(name, response, text, lost...)
			case code >= 500:
				add(name, response, text, unusable...)
			case code >= 400 && body == refusal && !inconclusive[code]:
				add(name, response, text, refused...)
			default:
				add(name, response, text, failed...)
			}
		}
	}
	response, _ = status(409, "")
	response.Err = io.ErrUnexpectedEOF
	add("body of a 409 breaks", response, "", failed...)
	return list
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, row := range rows() {
		var e *envelope.Envelope
		if row.body != "" {
			e, _ = envelope.Decode([]byte(row.body), nil)
		}
		classify := func(r request, uncertain bool) meaning {
			return r.classify(row.response, e, row.unreadable, uncertain).meaning()
		}
		assert.Equal(t, row.get, classify(get, false), "GET: %s", row.name)
		for name, r := range map[string]request{"PUT": put, "PATCH": patch, "DELETE": remove} {
			assert.Equal(t, row.put, classify(r, false), "%s: %s", name, row.name)
			is404 := row.response.StatusCode == http.StatusNotFound && row.body == refusal
			if name == "DELETE" && is404 {
				assert.Equal(t, succeeds, classify(r, true))
				continue
			}
			assert.Equal(t, row.putUncertain, classify(r, true),
				"%s, uncertain: %s", name, row.name)
		}
		for name, r := range map[string]request{"POST": post, "Roll": roll} {
			assert.Equal(t, row.post, classify(r, false), "%s: %s", name, row.name)
			assert.Equal(t, row.postUncertain, classify(r, true),
				"%s, uncertain: %s", name, row.name)
		}
	}
}

// If an earlier attempt of a DELETE may have been carried out, a 404 of the API for the same thing
// means that it was.
func TestClassify_NotFound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		body         string
		first, later meaning // of a DELETE
	}{
		{notFound, fails, succeeds},
		{noRoute, fails, unknown},
		{noRouteInChain, fails, unknown},
		{page, fails, unknown},
		{`{"error":"no such page"}`, fails, unknown},
		{`{"success":false}`, fails, unknown},
		{`{"success":true,"errors":[],"result":{}}`, fails, unknown},
	} {
		response, _ := status(404, test.body)
		e, _ := envelope.Decode([]byte(test.body), nil)
		assert.Equal(t, test.first, remove.classify(response, e, nil, false).meaning(), test.body)
		assert.Equal(t, test.later, remove.classify(response, e, nil, true).meaning(), test.body)
		if isNotFound(404, e) {
			assert.Equal(t, fails, put.classify(response, e, nil, true).meaning(), "PUT")
			assert.Equal(t, fails, post.classify(response, e, nil, true).meaning(), "POST")
		}
	}
}

// A response that rejects the credentials says nothing about an earlier attempt, not even with
// status 400.
func TestClassify_Unauthorized(t *testing.T) {
	t.Parallel()
	for _, code := range codesUnauthorized {
		for _, body := range []string{
			fmt.Sprintf(`{"success":false,"errors":[{"code":%d,"message":"m"}]}`, code),
			fmt.Sprintf(`{"success":false,"errors":[{"code":1,"message":"m","error_chain":[{"code":"%d"}]}]}`, code),
		} {
			response, _ := status(400, body)
			e, _ := envelope.Decode([]byte(body), nil)
			assert.Equal(t, fails, patch.classify(response, e, nil, false).meaning(), body)
			assert.Equal(t, unknown, patch.classify(response, e, nil, true).meaning(), body)
		}
	}
}

// Do accepts a response without the usual envelope if it has a result.
func TestClassify_AnyEnvelope(t *testing.T) {
	t.Parallel()
	do := request{operation: operation{
		call: "Do", method: http.MethodPost, template: "/x", anyEnvelope: true,
	}}
	for body, want := range map[string]meaning{
		`{"result":{}}`:                 succeeds,
		`{"result":null,"messages":[]}`: succeeds,
		`{"result":{},"errors":[]}`:     unknown,
		`{"success":false,"result":{}}`: fails,
		`{"success":null,"result":{}}`:  succeeds,
		`{"data":{}}`:                   unknown,
		`{}`:                            unknown,
	} {
		response, _ := status(200, body)
		e, err := envelope.Decode([]byte(body), nil)
		assert.NoError(t, err)
		assert.Equal(t, want, do.classify(response, e, nil, false).meaning(), body)
	}
}
