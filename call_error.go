package cftunnel

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cftunnel/cftunnel-go/internal/envelope"
	"github.com/cftunnel/cftunnel-go/internal/limiter"
	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// The maximum sizes of texts from the server in an error, in bytes.
const (
	maxMessage = 1024
	maxDetails = 8 << 10 // all messages together
	maxBody    = 512
	maxCause   = 512
	maxTarget  = 256
	maxRayID   = 64
)

// attemptError returns the error of an attempt, or nil if it succeeded.
func (c *call) attemptError(a *attempt) *Error {
	if !a.failed {
		return nil
	}
	cause := c.cleanTransportError(a.cause)
	if target := c.redirectTarget(a); target != "" {
		cause = joinCauses(fmt.Errorf("the server redirects to %s", target), cause)
	}
	a.cause = cause
	if a.StatusCode == 0 && c.responded != nil {
		cause = joinCauses(cause, c.responded)
	}
	e := c.newError(cause)
	e.StatusCode, e.RayID, e.RetryAfter, e.Body = a.StatusCode, a.rayID, a.retryAfter, a.excerpt
	e.unknownForm, e.transient = !isRefusal(a.envelope), a.retry
	if a.envelope != nil {
		if e.Errors = c.details(a.envelope.Errors); len(e.Errors) == 0 {
			e.Errors = c.otherText(a.envelope)
		}
	}
	e.addWait(a.cause)
	if a.StatusCode != 0 {
		c.responded = e
	}
	return e
}

// newError returns an error of the call, with the given cause.
func (c *call) newError(cause error) *Error {
	e := &Error{
		Method: c.request.operation.method, Path: c.path, Operation: c.operation,
		Attempts:    int(c.attempts.Load()),
		permissions: c.request.operation.permissions, uncertain: c.uncertain,
		unusualBase: !strings.HasSuffix(c.client.baseURL, apiPath),
	}
	e.setCause(cause)
	return e
}

// unsent returns the error of a call that ends before its next attempt. It is the error of the
// latest attempt, with err as the reason why there is no other.
func (c *call) unsent(err error) error {
	clean := c.cleanError(err)
	//nolint:errorlint // a token source may wrap one, which must not match
	if _, ok := clean.(*InvalidArgumentError); ok {
		if c.last == nil {
			return clean
		}
		clean = errors.New(clean.Error()) // an earlier attempt was sent
	}
	e := c.last
	_, isHeld := errors.AsType[*limiter.HeldError](err)
	switch {
	case e == nil:
		e = c.newError(clean)
	case isHeld && e.StatusCode == http.StatusTooManyRequests:
		// The 429 is the reason already.
	case !errors.Is(e, err):
		e.setCause(joinCauses(clean, e.Unwrap()))
	}
	e.addWait(err)
	return e
}

// addWait sets RetryAfter to the delay in an error of the limiter.
func (e *Error) addWait(err error) {
	if held, ok := errors.AsType[*limiter.HeldError](err); ok {
		e.held, e.RetryAfter = true, max(e.RetryAfter, held.Rest)
	}
	if pace, ok := errors.AsType[*limiter.PaceError](err); ok {
		e.RetryAfter = max(e.RetryAfter, pace.Wait)
	}
	// A Limiter of another package.
	if other, ok := errors.AsType[retryAfterError](err); ok {
		e.RetryAfter = max(e.RetryAfter, other.RetryAfter())
	}
}

type retryAfterError interface {
	error
	RetryAfter() time.Duration
}

// details redacts and truncates the errors of a response.
func (c *call) details(list []envelope.Detail) []ErrorDetail {
	left := maxDetails
	return c.detailsWithin(list, &left)
}

func (c *call) detailsWithin(list []envelope.Detail, left *int) []ErrorDetail {
	if len(list) == 0 {
		return nil
	}
	text := func(s string) string {
		n := min(maxMessage, *left)
		if c.request.operation.secret {
			s = hideTokens(s[:min(len(s), 16*n+64)])
		}
		s = replaceUnprintable(c.redactor.Redact(s, n))
		*left = max(0, *left-len(s))
		return s
	}
	details := make([]ErrorDetail, len(list))
	for i, d := range list {
		details[i] = ErrorDetail{
			Code: d.Code, Message: text(d.Message),
			DocumentationURL: text(d.DocumentationURL), Pointer: text(d.Pointer),
			Chain: c.detailsWithin(d.Chain, left),
		}
	}
	return details
}

// otherText returns the texts in a JSON response that is not an envelope of the API. If the
// response may contain a secret, it returns only prose.
func (c *call) otherText(e *envelope.Envelope) []ErrorDetail {
	if e.Success != nil && *e.Success || c.request.operation.secret && !isProse(e.Text) {
		return nil
	}
	text := c.clean(e.Text, maxMessage)
	if text == "" {
		return nil
	}
	return []ErrorDetail{{Message: text}}
}

// isProse reports whether text cannot contain a secret: the text and its words are too short.
func isProse(text string) bool {
	const maxText, maxWord, maxNumber = 200, 20, 5
	isSeparator := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	for word := range strings.FieldsFuncSeq(text, isSeparator) {
		hasDigit := strings.ContainsAny(word, "0123456789")
		if len(word) > maxWord || len(word) > maxNumber && hasDigit {
			return false
		}
	}
	return len(text) <= maxText
}

// bodyExcerpt returns the beginning of a body that is not JSON. It returns an empty string if the
// body begins like JSON, because that may be a truncated response with a secret, and if the
// operation returns a secret.
func (c *call) bodyExcerpt(body []byte) string {
	if c.request.operation.secret {
		return ""
	}
	body = body[:min(len(body), 16*maxBody)]
	text := strings.Trim(string(body), "\ufeff \t\r\n")
	if strings.IndexAny(text, `{["`) == 0 {
		return ""
	}
	return c.clean(text, maxBody)
}

// redirectTarget returns the host and path that a response redirects to, or an empty string.
func (c *call) redirectTarget(a *attempt) string {
	if a.StatusCode/100 != 3 {
		return ""
	}
	from, err := url.Parse(c.url)
	if err != nil {
		return ""
	}
	to, err := from.Parse(a.Header.Get("Location"))
	if err != nil || a.Header.Get("Location") == "" {
		return ""
	}
	return c.clean(to.Host+to.EscapedPath(), maxTarget)
}

// clean prepares a text from the server for an error: redacted, on one line, at most max bytes.
func (c *call) clean(s string, max int) string {
	s = strings.ToValidUTF8(s[:min(len(s), 16*max+64)], "\uFFFD")
	return singleLine(c.redactor.Redact(s, max))
}

// hideTokens redacts texts that look like an API token: long enough, and only characters of a
// token. Tokens issued before 2026 have no prefix.
func hideTokens(s string) string {
	const shortestToken = 40
	var b strings.Builder
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return !isTokenCharacter(r) })
		if n < 0 {
			n = len(s)
		}
		if n >= shortestToken {
			b.WriteString(redact.Mark)
		} else {
			b.WriteString(s[:n])
		}
		_, size := utf8.DecodeRuneInString(s[n:])
		b.WriteString(s[n : n+size])
		s = s[n+size:]
	}
	return b.String()
}

func isTokenCharacter(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		r == '-' || r == '_'
}

// cleanError returns err if its text may be shown. Otherwise it returns an error with a redacted
// text that errors.Is matches in the same way.
func (c *call) cleanError(err error) error {
	if err == nil {
		return nil
	}
	return c.cleanText(err, err.Error())
}

// cleanTransportError is cleanError for the error of an attempt. Errors of net/http quote responses
// that they cannot parse, which may contain a token: the quote and the rest of the text are
// removed.
func (c *call) cleanTransportError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, quote := range []string{`"`, "malformed MIME header"} {
		if i := strings.Index(text, quote); i >= 0 {
			text = strings.TrimRight(text[:i+len(strings.Trim(quote, `"`))], " :;=(")
		}
	}
	return c.cleanText(err, text)
}

// cleanText returns err if text is its clean text and no error in its chain contains a secret.
// Otherwise it returns an error with the clean text.
func (c *call) cleanText(err error, text string) error {
	text = c.clean(text, maxCause)
	if text == err.Error() && !c.hasSecret(err, 0) {
		return err
	}
	return &redactedError{text: text, is: func(target error) bool { return errors.Is(err, target) }}
}

// hasSecret reports whether an error in the chain of err contains a secret, or is too long to
// check.
func (c *call) hasSecret(err error, depth int) bool {
	const maxDepth, maxText = 32, 64 << 10
	if err == nil {
		return false
	}
	text := err.Error()
	if depth > maxDepth || len(text) > maxText || c.redactor.Redact(text, len(text)) != text {
		return true
	}
	switch err := err.(type) { //nolint:errorlint // the chain is walked here
	case interface{ Unwrap() error }:
		return c.hasSecret(err.Unwrap(), depth+1)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), func(err error) bool {
			return c.hasSecret(err, depth+1)
		})
	}
	return false
}

// redactedError replaces an error whose text must not be shown. errors.Is matches the original
// error, but errors.As does not.
type redactedError struct {
	text string
	is   func(error) bool // a function, so that printing the error does not print the original
}

// Error returns the redacted text.
func (e *redactedError) Error() string { return e.text }

// Is reports whether the original error matches target.
func (e *redactedError) Is(target error) bool { return e.is(target) }

// joinCauses returns one error for two causes, the later one first. Either may be nil.
func joinCauses(first, second error) error {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return fmt.Errorf("%w; before that: %w", first, second)
}

// replaceUnprintable replaces unprintable characters by spaces, except line breaks and tabs.
func replaceUnprintable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// singleLine replaces line breaks and unprintable characters by spaces.
func singleLine(s string) string {
	breaks := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if !strings.ContainsFunc(s, breaks) {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, breaks), " ")
}
