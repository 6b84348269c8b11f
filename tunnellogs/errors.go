package tunnellogs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// The sentinel errors of this package. Use errors.Is to check for them.
var (
	// ErrSessionLimit means that another user streams from this connector. Try again later.
	ErrSessionLimit = errors.New("another user streams the logs of this connector")
	// ErrReplaced means that a newer stream of the same user has replaced this one.
	ErrReplaced = errors.New("a newer stream of the same user replaced this one")
	// ErrIdle means that the connector closed a connection because streaming was not started within
	// five minutes. Open and Tail start streaming at once.
	ErrIdle = errors.New("the connection was idle for too long")
	// ErrNoConnector means that no connector is running, or none that can stream its logs.
	ErrNoConnector = errors.New("no connector that can stream logs is reachable; " +
		"streaming needs cloudflared 2023.5.1 or newer")
	// ErrInvalidFilter means that the connector does not accept the filter.
	ErrInvalidFilter = errors.New("the connector does not accept the filter")
	// ErrEntryTooLarge means that a WebSocket message, which usually has one entry, is larger than
	// Params.MaxEntryBytes, or that the Fields of an entry need too much memory.
	ErrEntryTooLarge = errors.New("an entry is larger than MaxEntryBytes")
)

// The codes that a connector closes a stream with.
const (
	closeReplaced      = 1000
	closeInvalidFilter = 4001
	closeSessionLimit  = 4002
	closeIdle          = 4003
)

// statusNoConnector is the status of Cloudflare if it cannot reach the connector.
const statusNoConnector = 530

// sentinels has the errors by close code.
var sentinels = map[int]error{
	closeReplaced:      ErrReplaced,
	closeInvalidFilter: ErrInvalidFilter,
	closeSessionLimit:  ErrSessionLimit,
	closeIdle:          ErrIdle,
}

// StreamError says why the stream of one connector ended or was not opened. It never contains the
// management token, nor the credentials for the proxy if they are those of an [http.Transport] or
// of the environment.
type StreamError struct {
	// ConnectorID is the connector of the stream.
	ConnectorID string
	// StatusCode is the HTTP status if the request to open the stream was refused, otherwise 0.
	StatusCode int
	// CloseCode is the WebSocket code that the connector closed the stream with. It is 0 if there
	// was no close frame.
	CloseCode int
	// Reason is the text that the connector or Cloudflare sent, or a description by this package.
	// It is one line of at most about 1 KiB.
	Reason string

	cause  error
	broken bool // the network failed
}

// Error returns the connector, the status or close code, the reason and the cause.
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

// Unwrap returns one of the errors of this package if one applies. Otherwise it returns the error
// of the network, the context or the API, or nil if only the code and the reason are known.
func (e *StreamError) Unwrap() error { return e.cause }

// maxText is the most bytes that an error keeps of a text from the server.
const maxText = 1024

// sanitizer removes a management token and the credentials for a proxy from texts and errors.
type sanitizer struct {
	token cftunnel.Secret
	proxy *redact.Redactor // nil if there are no credentials
}

// text returns at most about maxText bytes of text on one line, without secrets.
func (s sanitizer) text(text string) string {
	if s.proxy != nil {
		text = s.proxy.Redact(text, maxText)
	}
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	return escapeControls(redactAccessTokens(redactToken(text, s.token.Reveal())))
}

// cause returns err without any *url.Error, whose URL has the token. If the text of the error, or
// of an error that it wraps, has a secret or control characters, cause returns an error with the
// sanitized text instead.
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
	switch err := err.(type) { //nolint:errorlint // each error of the chain is checked
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

// sanitizedError replaces an error that must not be shown.
type sanitizedError struct {
	text  string
	cause error
}

// Error returns the text, without secrets.
func (e *sanitizedError) Error() string { return e.text }

// Unwrap returns the context's error, if that is the cause.
func (e *sanitizedError) Unwrap() error { return e.cause }
