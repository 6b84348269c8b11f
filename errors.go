package cftunnel

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// What errors.Is finds in the errors of this package. Several can fit one error: an update whose answer was lost, and whose repetition was
// refused with 429, is both ErrOutcomeUnknown and ErrRateLimited. Ask for ErrOutcomeUnknown first. What has no sentinel is found by
// [HasCode].
var (
	// ErrBadRequest: status 400, the server does not take the arguments as they are.
	ErrBadRequest = errors.New("bad request")
	// ErrUnauthorized: status 401, the credentials are unknown or dead.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrForbidden: status 403, the credentials lack a permission, or are dead.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: status 404; of FindByName, that there is no live tunnel of this name, and nothing else.
	ErrNotFound = errors.New("not found")
	// ErrConflict: status 409, as with ErrTunnelNameTaken.
	ErrConflict = errors.New("conflict")
	// ErrRateLimited: status 429, or a call that was not sent because an earlier 429 still holds it back. A call that the client's own
	// pace cannot let through before its deadline is a context.DeadlineExceeded, since nobody refused it.
	ErrRateLimited = errors.New("rate limited")
	// ErrServer: status 500 and above. A write is ErrOutcomeUnknown then too.
	ErrServer = errors.New("server error")
	// ErrTunnelNameTaken: code 1013, a live tunnel has this name already.
	ErrTunnelNameTaken = errors.New("tunnel name taken")
	// ErrActiveConnections: code 1022, the tunnel still has connections and cannot be deleted.
	ErrActiveConnections = errors.New("tunnel has active connections")
	// ErrConcurrentUpdate: somebody else changed a tunnel's configuration at the same time as ModifyConfiguration, and their change, or this
	// one, was not kept.
	ErrConcurrentUpdate = errors.New("concurrent update")
	// ErrOutcomeUnknown: a write that may have been carried out. Its last attempt was cut, cancelled or timed out after it was sent, was
	// answered with a status of 500 or above, or its answer could not be read; or an earlier one was, and those after it were not sent, or
	// refused in a way that tells nothing of it: with 401, 403, 408, 425, 429, or a failure that comes with 200. Look before doing it again.
	ErrOutcomeUnknown = errors.New("outcome unknown")
)

// Codes of the API that have a sentinel.
const (
	codeTunnelNameTaken   = 1013
	codeActiveConnections = 1022
)

// codeNoRoute says that the server does not know the endpoint.
const codeNoRoute = 7000

// Error is a call that failed: an answer that says so, an answer that cannot be read, or none at all. Use errors.Is with the sentinels of
// this package, errors.AsType to read the fields, and [HasCode] for the API's numeric codes.
//
// It holds no secret: what was sent as one is blotted out of every field, also where the server echoed it.
type Error struct {
	// StatusCode is the HTTP status of the last attempt's answer, 0 where none came. A failure can come with 200.
	StatusCode int
	// Method and Path name what was tried. Path is relative to the base URL, begins with a slash and has no query.
	Method, Path string
	// RayID is Cloudflare's name of the request (its cf-ray header), which its support asks for.
	RayID string
	// Errors is what the API said.
	Errors []ErrorDetail
	// RetryAfter is how long the server, or the hold that it asked for earlier, wants the caller to wait; 0 where it did not say.
	RetryAfter time.Duration
	// Attempts counts the attempts, those that got no connection too. 0 means that nothing left the process.
	Attempts int
	// Body is the beginning of an answer that was not JSON.
	Body string

	cause       error
	permissions string
	held        bool
	unknown     bool
	noAbsence   bool // a 404 that does not say that what was looked for is not there
}

// ErrorDetail is one error of the API's answer.
type ErrorDetail struct {
	// Code is the API's numeric code, 0 where it gave none.
	Code             int
	Message          string // the API's text, blotted and cut
	DocumentationURL string // a page on the error, mostly empty
	// Pointer names the part of the request that is at fault, as a JSON pointer.
	Pointer string
	// Chain holds the errors behind this one. The real reason is often only there.
	Chain []ErrorDetail
}

// Error says what was tried, the status, each code and message with those behind it, and the ray id. For a 403 it adds the permissions
// that the operation needs.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cftunnel: %s %s: ", e.Method, e.Path)
	b.WriteString(strings.Join(e.parts(), "; "))
	if e.RayID != "" {
		fmt.Fprintf(&b, " (ray %s)", e.RayID)
	}
	return b.String()
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
		parts = append(parts, fmt.Sprintf("the answer begins with %q", e.Body))
	}
	if e.Attempts == 0 {
		parts = append(parts, "not sent")
	}
	if e.cause != nil {
		parts = append(parts, e.cause.Error())
	}
	if e.StatusCode == http.StatusForbidden && e.permissions != "" {
		parts = append(parts, "the credentials need one of the permissions "+e.permissions)
	}
	if e.RetryAfter > 0 {
		parts = append(parts, fmt.Sprintf("retry after %s", e.RetryAfter.Round(time.Millisecond)))
	}
	if e.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", e.Attempts))
	}
	if e.unknown {
		parts = append(parts, "it may have been carried out all the same")
	}
	return parts
}

// Unwrap returns what ended the call beside, or instead of, an answer: the context's error, a broken connection, a JSON error.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is find the sentinels of this package.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrBadRequest:
		return e.StatusCode == http.StatusBadRequest
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized
	case ErrForbidden:
		return e.StatusCode == http.StatusForbidden
	case ErrNotFound:
		return e.StatusCode == http.StatusNotFound && !e.noAbsence
	case ErrConflict:
		return e.StatusCode == http.StatusConflict
	case ErrRateLimited:
		return e.StatusCode == http.StatusTooManyRequests || e.held
	case ErrServer:
		return e.StatusCode >= http.StatusInternalServerError
	case ErrTunnelNameTaken:
		return hasCode(e.Errors, codeTunnelNameTaken)
	case ErrActiveConnections:
		return hasCode(e.Errors, codeActiveConnections)
	case ErrOutcomeUnknown:
		return e.unknown
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
	b.WriteString(printable(d.Message))
	if d.Pointer != "" {
		fmt.Fprintf(&b, " at %s", printable(d.Pointer))
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

// HasCode reports whether err holds an [Error] with one of these codes of the API, also behind another one in its chain.
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

// InvalidArgumentError says which argument a call refused and why. Nothing was sent. It never holds the argument itself.
type InvalidArgumentError struct {
	// Name is the argument: a parameter, a field of the parameters, or an environment variable.
	Name string
	// Reason completes the sentence that Name begins.
	Reason string
}

// Error names the argument and the reason.
func (e *InvalidArgumentError) Error() string { return "cftunnel: " + e.Name + " " + e.Reason }

func invalid(name, reason string, args ...any) error {
	return &InvalidArgumentError{Name: name, Reason: fmt.Sprintf(reason, args...)}
}

// Bounds on the texts of a server that are kept in an error.
const (
	maxMessage = 1024
	maxBody    = 512
	maxRayID   = 64
)

// detailsOf blots before it cuts: a cut could leave a part of a secret that is no longer known as one.
func detailsOf(details []envelope.Detail, blotter *redact.Blotter) []ErrorDetail {
	if len(details) == 0 {
		return nil
	}
	list := make([]ErrorDetail, len(details))
	for i, d := range details {
		list[i] = ErrorDetail{
			Code:             d.Code,
			Message:          cut(blotter.Blot(d.Message), maxMessage),
			DocumentationURL: cut(blotter.Blot(d.DocumentationURL), maxMessage),
			Pointer:          cut(blotter.Blot(d.Pointer), maxMessage),
			Chain:            detailsOf(d.Chain, blotter),
		}
	}
	return list
}

// cut returns at most n bytes of s, whole characters only.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// printable keeps a server's text from breaking a line of a log.
func printable(s string) string {
	breaks := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if !strings.ContainsFunc(s, breaks) {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, breaks), " ")
}

// blottedError stands for an error whose text held a secret. It is found by errors.Is, and gives nothing away to errors.As.
type blottedError struct {
	text string
	is   func(error) bool // which prints as an address, unlike the error itself
}

// Error returns the text without the secret.
func (e *blottedError) Error() string { return e.text }

// Is knows what the error was.
func (e *blottedError) Is(target error) bool { return e.is(target) }

func blotted(err error, blotter *redact.Blotter) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if clean := blotter.Blot(text); clean != text {
		return &blottedError{text: clean, is: func(target error) bool { return errors.Is(err, target) }}
	}
	return err
}
