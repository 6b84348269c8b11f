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

// The sentinels that errors.Is finds in the errors of this package. Several can match one error: an
// update whose response was lost, and whose retry was refused with 429, is both ErrOutcomeUnknown and
// ErrRateLimited. Check for ErrOutcomeUnknown first. [HasCode] finds what has no sentinel.
var (
	// ErrBadRequest means status 400: the server does not accept the arguments.
	ErrBadRequest = errors.New("bad request")
	// ErrUnauthorized means that the credentials are unknown, malformed or revoked: status 401, or 400
	// with the code 6003, 6103, 6111 or 9106.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden means status 403: the credentials lack a permission, or are revoked.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound means that the API says that what was asked for does not exist: a 404 in the API's
	// envelope, without code 7000 or 7003. FindByName returns it if there is no live tunnel of the name,
	// ResolvePermissionGroups if there is no permission group of a name.
	ErrNotFound = errors.New("not found")
	// ErrConflict means status 409, such as ErrTunnelNameTaken, or that another DNS record keeps one out:
	// code 81053, 81054, 81057 or 81058, which is ErrBadRequest too.
	ErrConflict = errors.New("conflict")
	// ErrRateLimited means status 429, or a call that was not sent because an earlier 429 still holds it
	// back. A call that the client's own pace cannot release before its deadline is a
	// context.DeadlineExceeded instead.
	ErrRateLimited = errors.New("rate limited")
	// ErrServer means status 500 or above. A write is ErrOutcomeUnknown then too.
	ErrServer = errors.New("server error")
	// ErrTunnelNameTaken means code 1013: a live tunnel already has this name.
	ErrTunnelNameTaken = errors.New("tunnel name taken")
	// ErrActiveConnections means code 1022: the tunnel still has connections and cannot be deleted.
	ErrActiveConnections = errors.New("tunnel has active connections")
	// ErrTunnelHasRoutes means code 1023: the tunnel still has routes and cannot be deleted. Since
	// November 2025 the API deletes the routes with the tunnel instead.
	ErrTunnelHasRoutes = errors.New("tunnel has routes")
	// ErrRouteExists means code 1014 of a route: the virtual network already has a route for this CIDR.
	// [RoutesService.Ensure] returns it if that route leads to another tunnel.
	ErrRouteExists = errors.New("route exists")
	// ErrHostnameTaken means that a DNS record of the hostname points elsewhere.
	ErrHostnameTaken = errors.New("hostname taken")
	// ErrConcurrentUpdate means that somebody else changed a tunnel's configuration at the same time as
	// ModifyConfiguration, and that one of the two changes is lost.
	ErrConcurrentUpdate = errors.New("concurrent update")
	// ErrLocallyManaged means that a tunnel reads its configuration from a file beside cloudflared. It is
	// returned beside the result of a configuration write that the tunnel will not read.
	ErrLocallyManaged = errors.New("tunnel is locally managed")
	// ErrOutcomeUnknown means that a write may have been carried out: an attempt was cut, cancelled or
	// timed out after it was sent, got a status of 500 or above, or a response that cannot be read; and no
	// later attempt was refused by the API itself with a status that settles it: a 4xx other than 401, 403,
	// 408, 425 and 429, and not about the credentials or the path. Look before you repeat the write.
	ErrOutcomeUnknown = errors.New("outcome unknown")
)

// Codes of the API that have a sentinel.
const (
	codeTunnelNameTaken   = 1013
	codeActiveConnections = 1022
	codeTunnelHasRoutes   = 1023
	codeExists            = 1014 // a route for the CIDR, or a virtual network of the name
)

// codesRecordExists are those of a DNS record that another one keeps out.
var codesRecordExists = []int{81053, 81054, 81057, 81058}

// Codes of the API that mean several things.
const (
	codeRefusedPolicy  = 1001 // of an operation on API tokens
	codeForbiddenToken = 9109
)

// codesUnauthorized are those of a 400 about the credentials.
var codesUnauthorized = []int{6003, 6103, 6111, 9106}

// Error is a call that failed: the response says so, cannot be read, or is missing. Use errors.Is with
// the sentinels of this package, errors.AsType to read the fields, and [HasCode] for the API's codes.
//
// It contains no secret: what was sent as one is redacted from every field, even if the server
// echoes it.
type Error struct {
	// StatusCode is the HTTP status of the last attempt, 0 if it got no response. A failure can have the
	// status 200.
	StatusCode int
	// Method and Path are the request's. Path is relative to the base URL, begins with a slash and has no
	// query.
	Method, Path string
	// Operation is the method and the path template, as [Operation] returns it.
	Operation string
	// RayID identifies the request for Cloudflare's support: its cf-ray header.
	RayID string
	// Errors is what the API says.
	Errors []ErrorDetail
	// RetryAfter is how long to wait before the next call: what the server asked for, the rest of a hold,
	// or what the client's own pace needs. It is 0 if none of them is known.
	RetryAfter time.Duration
	// Attempts counts the attempts, including those without a connection. 0 means that nothing was sent.
	Attempts int
	// Body is the beginning of a response that is not JSON.
	Body string

	behind      func() error // the cause; a function prints as an address, unlike an error with fields
	permissions string
	held        bool
	uncertain   bool
	transient   bool // another attempt might have succeeded
	foreign     bool // the response is not the API's own envelope of a failure
	listMissing bool // a 404 of a list, which does not say that what was looked for is missing
}

// ErrorDetail is one error of the API's response.
type ErrorDetail struct {
	// Code is the API's numeric code, 0 if there is none.
	Code             int
	Message          string // the API's text, redacted and shortened
	DocumentationURL string // a page about the error; usually empty
	// Pointer is the JSON pointer of the part of the request that is wrong.
	Pointer string
	// Chain holds the errors behind this one. The real reason is often only there.
	Chain []ErrorDetail
}

// maxErrorText bounds the text of an error, those of earlier attempts in it included.
const maxErrorText = 16 << 10

// Error returns what was tried, the status, each code and message with those behind it, and the ray
// id. For a 403 it adds the permissions that the operation needs.
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
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))))
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
	if e.StatusCode == http.StatusForbidden && e.permissions != "" {
		parts = append(parts, "the credentials need one of the permissions "+e.permissions)
	}
	if cause := e.usualCause(); cause != "" {
		parts = append(parts, "the usual cause is "+cause)
	}
	if e.RetryAfter > 0 {
		parts = append(parts, fmt.Sprintf("retry after %s", e.RetryAfter.Round(time.Millisecond)))
	}
	if e.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", e.Attempts))
	}
	if e.uncertain {
		parts = append(parts, "it may have been carried out all the same")
	}
	return parts
}

// usualCause returns what a code mostly means whose message does not say it.
func (e *Error) usualCause() string {
	has := func(code int) bool {
		return slices.ContainsFunc(e.Errors, func(d ErrorDetail) bool { return d.Code == code })
	}
	switch {
	case e.StatusCode == http.StatusForbidden && has(codeForbiddenToken):
		return "an address that the token's condition forbids"
	case e.StatusCode == http.StatusBadRequest && has(codeRefusedPolicy) && strings.Contains(e.Operation, "/tokens"):
		return "a policy that allows what the client's own token does not have itself"
	}
	return ""
}

// Unwrap returns what ended the call besides, or instead of, a response: the context's error, a broken
// connection, a JSON error.
func (e *Error) Unwrap() error {
	if e.behind == nil {
		return nil
	}
	return e.behind()
}

func (e *Error) setCause(cause error) {
	if e.behind = nil; cause != nil {
		e.behind = func() error { return cause }
	}
}

// Is makes errors.Is find the sentinels of this package.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrBadRequest:
		return e.StatusCode == http.StatusBadRequest
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusBadRequest && hasCode(e.Errors, codesUnauthorized...)
	case ErrForbidden:
		return e.StatusCode == http.StatusForbidden
	case ErrNotFound:
		return e.StatusCode == http.StatusNotFound && !e.foreign && !e.listMissing && !hasCode(e.Errors, codesNoRoute...)
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

// String returns the code, the message, and in brackets the errors behind it.
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
		for i, behind := range d.Chain {
			chain[i] = behind.String()
		}
		fmt.Fprintf(&b, " [%s]", strings.Join(chain, ", "))
	}
	return b.String()
}

// HasCode reports whether err contains an [Error] with one of these codes of the API, also behind
// another one in its chain.
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
		return slices.ContainsFunc(err.Unwrap(), func(err error) bool { return HasCode(err, codes...) })
	}
	return false
}

func hasCode(details []ErrorDetail, codes ...int) bool {
	return slices.ContainsFunc(details, func(d ErrorDetail) bool {
		return slices.Contains(codes, d.Code) || hasCode(d.Chain, codes...)
	})
}

// InvalidArgumentError is an argument that a call refused before anything was sent. It never contains
// the argument itself.
type InvalidArgumentError struct {
	// Name is the argument: a parameter, a field of the parameters, or an environment variable.
	Name string
	// Reason says what is wrong, such as "is empty".
	Reason string
}

// Error returns the argument and the reason.
func (e *InvalidArgumentError) Error() string { return "cftunnel: " + e.Name + " " + e.Reason }

func invalid(name, reason string, args ...any) error {
	return &InvalidArgumentError{Name: name, Reason: fmt.Sprintf(reason, args...)}
}
