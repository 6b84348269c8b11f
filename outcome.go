package cftunnel

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/retry"
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
)

var errNoSuccess = errors.New("the response does not say whether it is a success")

// outcome is the meaning of a response.
type outcome struct {
	failed    bool
	retry     bool  // another attempt may succeed, and is safe
	uncertain bool  // this attempt or an earlier one may have been carried out
	cause     error // the cause besides the errors in the response, or nil
}

// classify decides on the outcome of an attempt. e is the envelope of the response, or nil if there
// is none. unreadable is the error of decoding the result. uncertain reports whether an earlier
// attempt of this call may have been carried out.
func (r request) classify(
	resp roundtrip.Response, e *envelope.Envelope, unreadable error, uncertain bool,
) outcome {
	write := r.isWrite()
	status := resp.StatusCode
	switch {
	case resp.Err != nil && status/100 < 3: // no response, or an incomplete one
		_, tooLarge := errors.AsType[*roundtrip.TooLargeError](resp.Err)
		return outcome{
			failed:    true,
			retry:     (r.isRepeatable() || !resp.Sent) && !tooLarge && retry.Transient(resp.Err),
			uncertain: uncertain || write && resp.Sent,
			cause:     resp.Err,
		}
	case status/100 == 2 && unreadable == nil && r.isSuccess(e):
		return outcome{}
	case status/100 == 2 && unreadable == nil && e.Success != nil:
		// The API refused this attempt. The outcome of earlier ones is still unknown.
		return outcome{failed: true, uncertain: uncertain}
	case status/100 == 2 && unreadable == nil:
		return outcome{failed: true, uncertain: uncertain || write, cause: errNoSuccess}
	case status/100 == 2:
		return outcome{failed: true, uncertain: uncertain || write, cause: unreadable}
	case status/100 == 1:
		return outcome{
			failed: true, uncertain: uncertain || write,
			cause: fmt.Errorf("the server responded with the interim status %d", status),
		}
	case r.operation.method == http.MethodDelete && uncertain && isNotFound(status, e):
		return outcome{} // an earlier attempt has deleted it
	}
	isSafe := r.isRepeatable() || status == http.StatusTooManyRequests
	mayBeDone := write && status >= http.StatusInternalServerError
	return outcome{
		failed:    true,
		retry:     retry.RetryableStatus(status) && isSafe,
		uncertain: mayBeDone || uncertain && inconclusive(status, e),
		cause:     resp.Err,
	}
}

func (r request) isSuccess(e *envelope.Envelope) bool {
	if e.Success != nil {
		return *e.Success
	}
	return r.operation.anyEnvelope && e.HasResult && !e.HasErrors
}

// isRefusal reports whether a response is an error response of the API. An envelope without errors
// may be from a gateway.
func isRefusal(e *envelope.Envelope) bool {
	return e != nil && e.HasErrors && e.Success != nil && !*e.Success
}

// inconclusive reports whether a response says nothing about whether an earlier attempt was carried
// out: it is not from the API, or the API did not process the request.
func inconclusive(status int, e *envelope.Envelope) bool {
	if status/100 != 4 || !isRefusal(e) {
		return true
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout,
		http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusBadRequest:
		return hasEnvelopeCode(e.Errors, codesUnauthorized...)
	case http.StatusNotFound:
		return hasEnvelopeCode(e.Errors, codesNoRoute...)
	}
	return false
}

// codesNoRoute mean that a status 404 is about the path, not about a missing object.
var codesNoRoute = []int{codeNoRoute, 7003}

const codeNoRoute = 7000 // the endpoint does not exist

// isNotFound reports whether the API says that the requested object does not exist.
func isNotFound(status int, e *envelope.Envelope) bool {
	return status == http.StatusNotFound && isRefusal(e) &&
		!hasEnvelopeCode(e.Errors, codesNoRoute...)
}

func hasEnvelopeCode(details []envelope.Detail, codes ...int) bool {
	for _, d := range details {
		if slices.Contains(codes, d.Code) || hasEnvelopeCode(d.Chain, codes...) {
			return true
		}
	}
	return false
}
