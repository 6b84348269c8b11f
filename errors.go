package cftunnel

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Use errors.Is to compare an error of this package with these sentinel errors. Several can match
// one error: if the response to an update was lost and its retry got a 429, the error is both
// ErrOutcomeUnknown and ErrRateLimited. Check for ErrOutcomeUnknown first. For the API's other
// error codes, use [HasCode].
var (
	// ErrBadRequest means status 400: the API does not accept the arguments.
	ErrBadRequest = errors.New("bad request")
	// ErrUnauthorized means that the credentials are unknown or malformed: status 401, or status
	// 400 with code 6003, 6103, 6111 or 9106. For revoked credentials, the API returns this error
	// or ErrForbidden.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden means status 403: the credentials lack a permission, or they are revoked.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound means that the requested object does not exist: the API responded with status 404
	// and an error. The codes 7000 and 7003 are excluded, because they mean that the path is wrong.
	// Methods that search, such as [TunnelsService.FindByName], return ErrNotFound if they find
	// nothing, except [APITokensService.FindByName], which returns an empty result. If the request
	// of a search itself gets a 404, for example because the account ID is wrong, the error is an
	// [*Error] that is not ErrNotFound.
	ErrNotFound = errors.New("not found")
	// ErrConflict means status 409, such as ErrTunnelNameTaken. It also means that a DNS record
	// cannot be written because it conflicts with an existing record: codes 81053 to 81058. Such an
	// error is ErrBadRequest too.
	ErrConflict = errors.New("conflict")
	// ErrRateLimited means status 429, or that the call was not sent because of an earlier 429
	// response. If the client's own rate limit does not allow a call before its deadline, the error
	// is context.DeadlineExceeded instead.
	ErrRateLimited = errors.New("rate limited")
	// ErrServer means status 500 or above. For a write, the error is ErrOutcomeUnknown too.
	ErrServer = errors.New("server error")
	// ErrTunnelNameTaken means code 1013: a live tunnel already has this name.
	ErrTunnelNameTaken = errors.New("tunnel name taken")
	// ErrActiveConnections means code 1022: the tunnel still has connections and cannot be deleted.
	ErrActiveConnections = errors.New("tunnel has active connections")
	// ErrTunnelHasRoutes means code 1023: the tunnel still has routes and cannot be deleted. The
	// API has not returned it since November 2025: it deletes the routes together with the tunnel.
	ErrTunnelHasRoutes = errors.New("tunnel has routes")
	// ErrRouteExists means code 1014 for a route: the virtual network already has a route for this
	// CIDR. [RoutesService.Ensure] returns it if that route belongs to another tunnel.
	ErrRouteExists = errors.New("route exists")
	// ErrHostnameTaken means that [HostnamesService.Publish] found a DNS record of the hostname
	// that does not point to the given tunnel.
	ErrHostnameTaken = errors.New("hostname taken")
	// ErrConcurrentUpdate means that another write changed a tunnel's configuration during
	// ModifyConfiguration, or the DNS record each time that Publish changed it. For a configuration,
	// there are three cases:
	//   - The text of the error says that the configuration was not written: no change is lost.
	//   - The error is ErrOutcomeUnknown too: one of the two changes may be lost.
	//   - Otherwise ModifyConfiguration replaced the change of the other write, which is lost.
	ErrConcurrentUpdate = errors.New("concurrent update")
	// ErrLocallyManaged means that cloudflared reads the configuration of the tunnel from a file on
	// its machine. UpdateConfiguration and ModifyConfiguration return it together with their
	// result: the configuration is stored, but cloudflared does not use it.
	// [HostnamesService.Publish] returns it and writes nothing.
	ErrLocallyManaged = errors.New("tunnel is locally managed")
	// ErrOutcomeUnknown means that a write may have been carried out although the call failed. Read
	// the current state before you repeat the write.
	//
	// An error is ErrOutcomeUnknown if both of these are true:
	//   - An attempt was sent, and it was cancelled, it timed out, its connection broke, its status
	//     was 500 or above, or its response could not be read.
	//   - No later attempt got a conclusive response: a success, or an error of the API with a 4xx
	//     status. The statuses 401, 403, 408, 425 and 429, and errors about the credentials or the
	//     path, are not conclusive.
	ErrOutcomeUnknown = errors.New("outcome unknown")
)

// The API's codes that have a sentinel error.
const (
	codeTunnelNameTaken   = 1013
	codeActiveConnections = 1022
	codeTunnelHasRoutes   = 1023
	codeExists            = 1014 // a route with the CIDR, or a virtual network with the name
)

// codesRecordExists mean that a DNS record conflicts with an existing one.
var codesRecordExists = []int{81053, 81054, 81055, 81056, 81057, 81058}

// The API's codes that can need an explanation, depending on the message.
const (
	codeRefusedPolicy  = 1001 // for an operation on API tokens
	codeForbiddenToken = 9109
)

// codesUnauthorized mean that a status 400 is about the credentials.
var codesUnauthorized = []int{6003, 6103, 6111, 9106}

// Error is the error of a failed call. The API reported an error, the response could not be read,
// or there was no response. Use errors.Is with the sentinel errors of this package, errors.AsType
// to read the fields, and [HasCode] to check for the API's codes.
//
// It contains no secrets: every secret that was sent is redacted from every field, even if the
// server echoes it.
type Error struct {
	// StatusCode is the HTTP status of the last attempt, or 0 if it got no response. A failed call
	// can have status 200.
	StatusCode int
	// Method is the HTTP method of the request.
	Method string
	// Path is relative to the base URL, begins with a slash and has no query.
	Path string
	// Operation is the HTTP method and path template, as [Operation] returns it.
	Operation string
	// RayID identifies the request for Cloudflare's support. It is the Cf-Ray header of the
	// response.
	RayID string
	// Errors are the errors in the response.
	Errors []ErrorDetail
	// RetryAfter is how long to wait before the next call. It is the longest of: the duration in
	// the Retry-After header, the rest of the delay after an earlier 429 response, and the wait for
	// the client's own rate limit. It is 0 if none of them applies.
	RetryAfter time.Duration
	// Attempts is the number of attempts, including those that got no connection. If it is 0,
	// nothing was sent.
	Attempts int
	// Body is the beginning of the response body if that is not JSON, otherwise empty.
	Body string

	cause       func() error // a function, so that printing the Error does not print the cause
	permissions string       // that the operation needs
	held        bool         // an earlier 429 response still delays the call
	uncertain   bool         // the write may have been carried out
	transient   bool         // another attempt may succeed
	unknownForm bool         // the response is not an error response of the API
	listMissing bool         // the 404 is about a list, not about the object searched for in it
	unusualBase bool         // the base URL does not end with the path of the API
}

// ErrorDetail is one error of the API's response.
type ErrorDetail struct {
	// Code is the API's numeric code, or 0 if there is none.
	Code int
	// Message is the API's text, redacted and truncated.
	Message string
	// DocumentationURL is a page about the error. It is usually empty.
	DocumentationURL string
	// Pointer is the JSON pointer to the invalid part of the request. It is usually empty.
	Pointer string
	// Chain lists the underlying errors. Often only they name the actual cause.
	Chain []ErrorDetail
}

// maxErrorText is the maximum length of an error text in bytes, including earlier attempts.
const maxErrorText = 16 << 10

// Error returns the method and path, the status, each code and message with their chain, and the
// ray ID. For a 403 it adds the permissions that the operation needs, unless the API rejects the
// client's address. For some codes it adds a possible cause.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cftunnel: %s %s: ", e.Method, e.Path)
	b.WriteString(strings.Join(e.parts(), "; "))
	if e.RayID != "" {
		fmt.Fprintf(&b, " (ray %s)", e.RayID)
	}
	text := b.String()
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}

func (e *Error) parts() []string {
	var parts []string
	if e.StatusCode != 0 {
		status := fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
		parts = append(parts, strings.TrimSpace(status))
	}
	for _, d := range e.Errors {
		parts = append(parts, d.String())
	}
	if e.Body != "" {
		parts = append(parts, fmt.Sprintf("the response begins with %q", e.Body))
	}
	if e.Attempts == 0 {
		parts = append(parts, "not sent")
	}
	if cause := e.Unwrap(); cause != nil {
		parts = append(parts, cause.Error())
	}
	cause := e.possibleCause()
	if e.StatusCode == http.StatusForbidden && e.permissions != "" && cause == "" {
		parts = append(parts, "the credentials need one of the permissions "+e.permissions)
	}
	if cause != "" {
		parts = append(parts, cause)
	}
	if e.RetryAfter > 0 {
		parts = append(parts, fmt.Sprintf("retry after %s", e.RetryAfter.Round(time.Millisecond)))
	}
	if e.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", e.Attempts))
	}
	if e.uncertain {
		parts = append(parts, "the request may have been carried out")
	}
	return parts
}

// possibleCause returns a cause that the messages of the API do not name, or an empty string if no
// cause is likely. One code can have several causes, which only the messages tell apart.
func (e *Error) possibleCause() string {
	switch {
	case e.StatusCode == http.StatusForbidden &&
		hasMessage(e.Errors, codeForbiddenToken, "location"):
		return "the token's condition may forbid the client's address"
	case e.StatusCode == http.StatusBadRequest && strings.Contains(e.Operation, "/tokens") &&
		hasMessage(e.Errors, codeRefusedPolicy, "permission check"):
		return "a policy may have a permission that the client's own token does not have, " +
			"or a permission group that does not fit its resources"
	case e.StatusCode == http.StatusNotFound && e.unusualBase &&
		hasCode(e.Errors, codesNoRoute...):
		return "the cause may be that the base URL does not end with " + apiPath
	}
	return ""
}

// hasMessage reports whether an error with the code has a message that contains text.
func hasMessage(details []ErrorDetail, code int, text string) bool {
	return slices.ContainsFunc(details, func(d ErrorDetail) bool {
		return d.Code == code && strings.Contains(d.Message, text) ||
			hasMessage(d.Chain, code, text)
	})
}

// Unwrap returns the underlying error, such as the context's error, a network error or a JSON
// error. It returns nil if there is none.
func (e *Error) Unwrap() error {
	if e.cause == nil {
		return nil
	}
	return e.cause()
}

func (e *Error) setCause(cause error) {
	if e.cause = nil; cause != nil {
		e.cause = func() error { return cause }
	}
}

// Is reports whether the error matches target, which must be a sentinel error of this package.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrBadRequest:
		return e.StatusCode == http.StatusBadRequest
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized ||
			e.StatusCode == http.StatusBadRequest && hasCode(e.Errors, codesUnauthorized...)
	case ErrForbidden:
		return e.StatusCode == http.StatusForbidden
	case ErrNotFound:
		return e.StatusCode == http.StatusNotFound && !e.unknownForm && !e.listMissing &&
			!hasCode(e.Errors, codesNoRoute...)
	case ErrConflict:
		return e.StatusCode == http.StatusConflict || hasCode(e.Errors, codesRecordExists...)
	case ErrRateLimited:
		return e.StatusCode == http.StatusTooManyRequests || e.held
	case ErrServer:
		return e.StatusCode >= http.StatusInternalServerError
	case ErrTunnelNameTaken:
		return hasCode(e.Errors, codeTunnelNameTaken)
	case ErrActiveConnections:
		return hasCode(e.Errors, codeActiveConnections)
	case ErrTunnelHasRoutes:
		return hasCode(e.Errors, codeTunnelHasRoutes)
	case ErrRouteExists:
		return hasCode(e.Errors, codeExists) && strings.Contains(e.Path, "/routes")
	case ErrOutcomeUnknown:
		return e.uncertain
	}
	return false
}

// String returns the code and the message, with the chain in square brackets.
func (d ErrorDetail) String() string {
	var b strings.Builder
	if d.Code != 0 {
		b.WriteString(strconv.Itoa(d.Code))
		if d.Message != "" {
			b.WriteString(": ")
		}
	}
	b.WriteString(singleLine(d.Message))
	if d.Pointer != "" {
		fmt.Fprintf(&b, " at %s", singleLine(d.Pointer))
	}
	if len(d.Chain) > 0 {
		chain := make([]string, len(d.Chain))
		for i, inner := range d.Chain {
			chain[i] = inner.String()
		}
		fmt.Fprintf(&b, " [%s]", strings.Join(chain, ", "))
	}
	return b.String()
}

// HasCode reports whether err has at least one of the given error codes of the API. It searches
// every [*Error] that err is or wraps, including the Chain of each [ErrorDetail].
func HasCode(err error, codes ...int) bool {
	if err == nil {
		return false
	}
	//nolint:errorlint // the chain is walked here
	if e, ok := err.(*Error); ok && hasCode(e.Errors, codes...) {
		return true
	}
	switch err := err.(type) { //nolint:errorlint // the same
	case interface{ Unwrap() error }:
		return HasCode(err.Unwrap(), codes...)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), func(err error) bool {
			return HasCode(err, codes...)
		})
	}
	return false
}

func hasCode(details []ErrorDetail, codes ...int) bool {
	return slices.ContainsFunc(details, func(d ErrorDetail) bool {
		return slices.Contains(codes, d.Code) || hasCode(d.Chain, codes...)
	})
}

// InvalidArgumentError is an error about an argument, returned before anything is written. Methods
// that read before they write, such as [TunnelsService.ModifyConfiguration], can return it after
// the read; all others return it before anything is sent. It never contains the value of the
// argument.
type InvalidArgumentError struct {
	// Name is the name of the parameter, struct field or environment variable.
	Name string
	// Reason says what is wrong with the argument, such as "is empty".
	Reason string
}

// Error returns the name and the reason.
func (e *InvalidArgumentError) Error() string { return "cftunnel: " + e.Name + " " + e.Reason }

func invalid(name, reason string, args ...any) error {
	return &InvalidArgumentError{Name: name, Reason: fmt.Sprintf(reason, args...)}
}
