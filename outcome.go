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

// outcome is what a response means.
type outcome struct {
	failed    bool
	retry     bool  // another attempt may succeed, and does no harm
	uncertain bool  // the work may have been done, by this attempt or an earlier one
	cause     error // what is wrong besides what the response says itself
}

// classify decides what the response to an attempt means. e is its envelope, nil if there is none;
// unreadable says why its result cannot be used. uncertain means that an earlier attempt of this call
// may have been carried out.
func (r request) classify(resp roundtrip.Response, e *envelope.Envelope, unreadable error, uncertain bool) outcome {
	write := r.isWrite()
	status := resp.StatusCode
	switch {
	case resp.Err != nil && status/100 < 3: // no response, or not the whole of one
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
		return outcome{failed: true, uncertain: uncertain} // a refusal, which says nothing of earlier attempts
	case status/100 == 2 && unreadable == nil:
		return outcome{failed: true, uncertain: uncertain || write, cause: errors.New("the response does not say whether it is a success")}
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
	return outcome{
		failed:    true,
		retry:     retry.RetryableStatus(status) && (r.isRepeatable() || status == http.StatusTooManyRequests),
		uncertain: write && status >= http.StatusInternalServerError || uncertain && inconclusive(status, e),
		cause:     resp.Err,
	}
}

func (r request) isSuccess(e *envelope.Envelope) bool {
	if e.Success != nil {
		return *e.Success
	}
	return r.operation.anyEnvelope && e.HasResult && !e.HasErrors
}

// isRefusal reports whether a response is the API's own envelope of a failure. What has no errors is a
// gateway's.
func isRefusal(e *envelope.Envelope) bool {
	return e != nil && e.HasErrors && e.Success != nil && !*e.Success
}

// inconclusive reports whether a response says nothing about whether an earlier attempt was carried
// out: it is not the API's own, or came before the API looked at the request.
func inconclusive(status int, e *envelope.Envelope) bool {
	if status/100 != 4 || !isRefusal(e) {
		return true
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusBadRequest:
		return hasEnvelopeCode(e.Errors, codesUnauthorized...)
	case http.StatusNotFound:
		return hasEnvelopeCode(e.Errors, codesNoRoute...)
	}
	return false
}

// codesNoRoute are those of a 404 that says that the path is wrong, not that something is missing. The
// first is an endpoint that does not exist.
var codesNoRoute = []int{codeNoRoute, 7003}

const codeNoRoute = 7000

// isNotFound reports whether the API says that what was asked for does not exist.
func isNotFound(status int, e *envelope.Envelope) bool {
	return status == http.StatusNotFound && isRefusal(e) && !hasEnvelopeCode(e.Errors, codesNoRoute...)
}

func hasEnvelopeCode(details []envelope.Detail, codes ...int) bool {
	for _, d := range details {
		if slices.Contains(codes, d.Code) || hasEnvelopeCode(d.Chain, codes...) {
			return true
		}
	}
	return false
}
