package tunnellogs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Errors that errors.Is finds in those of this package.
var (
	// ErrSessionLimit: another user streams from this connector. Waiting helps.
	ErrSessionLimit = errors.New("another user streams the logs of this connector")
	// ErrReplaced: a newer stream of the same user took the place of this one.
	ErrReplaced = errors.New("a newer stream of the same user replaced this one")
	// ErrIdle: the connection had no stream for five minutes.
	ErrIdle = errors.New("the connection was idle for too long")
	// ErrNoConnector: no connector runs, or none that can stream its logs.
	ErrNoConnector = errors.New(
		"no connector that can stream logs is reachable; it takes cloudflared 2023.5.1 or newer",
	)
	// ErrInvalidFilter: the connector does not accept the filter.
	ErrInvalidFilter = errors.New("the connector does not accept the filter")
	// ErrEntryTooLarge: an entry has more than Params.MaxEntryBytes.
	ErrEntryTooLarge = errors.New("an entry is larger than MaxEntryBytes")
)

// Codes with which a connector closes a stream.
const (
	closeReplaced      = 1000
	closeInvalidFilter = 4001
	closeSessionLimit  = 4002
	closeIdle          = 4003
)

// statusNoConnector is how Cloudflare refuses a stream from a connector that it cannot reach.
const statusNoConnector = 530

// sentinels are the errors of close codes.
var sentinels = map[int]error{
	closeReplaced:      ErrReplaced,
	closeInvalidFilter: ErrInvalidFilter,
	closeSessionLimit:  ErrSessionLimit,
	closeIdle:          ErrIdle,
}

// StreamError is why one connector's stream ended or was not opened. It never contains the
// management token.
type StreamError struct {
	ConnectorID string
	// StatusCode is the HTTP status of a refused request, otherwise 0.
	StatusCode int
	// CloseCode is the WebSocket code that the connector closed the stream with. It is 0 if there
	// was no close frame.
	CloseCode int
	// Reason is what the connector or Cloudflare said, or what happened. It is one line of at most
	// about a kilobyte.
	Reason string

	cause  error
	broken bool // the network failed
}

// Error names the connector, the status or close code, the reason and the cause.
func (e *StreamError) Error() string {
	parts := []string{"tunnellogs: connector " + e.ConnectorID}
	switch {
	case e.StatusCode != 0:
		parts = append(parts, fmt.Sprintf("the stream was refused with status %d", e.StatusCode))
	case e.CloseCode != 0:
		parts = append(parts, fmt.Sprintf("the stream was closed with code %d", e.CloseCode))
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.cause != nil {
		parts = append(parts, e.cause.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns one of this package's errors if one fits, otherwise what went wrong below: an
// error of the network, of the context or of the API. It is nil if only the connector's code and
// reason are known.
func (e *StreamError) Unwrap() error { return e.cause }

// maxText bounds each text from outside that an error keeps, in bytes.
const maxText = 1024

// sanitizer removes a management token from texts and errors.
type sanitizer struct{ token cftunnel.Secret }

// text returns at most about maxText bytes of s on one line, without the token.
func (s sanitizer) text(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	return escapeControls(redactAccessTokens(redactToken(text, s.token.Reveal())))
}

// cause returns err without a *url.Error, whose URL has the token. An error whose text, or that of
// an error that it wraps, has the token or is not fit to print is replaced by its sanitized text.
func (s sanitizer) cause(err error) error {
	for {
		withURL, ok := errors.AsType[*url.Error](err)
		if !ok {
			break
		}
		err = withURL.Err
	}
	if err == nil || s.isClean(err) {
		return err
	}
	replaced := &sanitizedError{text: s.text(err.Error())}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			replaced.cause = known
		}
	}
	return replaced
}

func (s sanitizer) isClean(err error) bool {
	if text := err.Error(); s.text(text) != text {
		return false
	}
	switch err := err.(type) { //nolint:errorlint // every error of the chain is looked at
	case interface{ Unwrap() error }:
		inner := err.Unwrap()
		return inner == nil || s.isClean(inner)
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			if inner != nil && !s.isClean(inner) {
				return false
			}
		}
	}
	return true
}

// sanitizedError stands for an error that cannot be shown.
type sanitizedError struct {
	text  string
	cause error
}

// Error returns the text without a token.
func (e *sanitizedError) Error() string { return e.text }

// Unwrap returns the cause, which has no token either.
func (e *sanitizedError) Unwrap() error { return e.cause }
