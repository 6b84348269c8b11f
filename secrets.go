package cftunnel

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unique"

	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// Secret is a text that must not be shown: a tunnel token, a tunnel secret, an API token. However it is printed, logged or encoded, as
// a value or as a key of a map, it shows as [REDACTED]; [Secret.Reveal] alone gives the text. Secrets with the same text are equal
// under ==. The zero Secret holds nothing.
//
// Programs that walk memory through unexported pointers, as some printers of test failures do, still find the text.
//
// A Secret cannot be decoded from JSON, so that a text that was redacted is never taken for the secret itself.
type Secret struct{ text unique.Handle[string] }

// NewSecret returns a Secret that holds text. An empty text gives the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the text itself, or an empty string for the zero Secret. What it returns is no longer protected.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

// IsZero reports whether the Secret holds nothing.
func (s Secret) IsZero() bool { return s == Secret{} }

// String returns [REDACTED].
func (s Secret) String() string { return redact.Mark }

// Format writes [REDACTED], whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redact.Mark) }

// LogValue gives log/slog [REDACTED].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redact.Mark) }

// MarshalText gives encoders, of JSON and others, [REDACTED].
func (s Secret) MarshalText() ([]byte, error) { return []byte(redact.Mark), nil }

// minSecretBytes is what the API asks of a tunnel secret.
const minSecretBytes = 32

func checkTunnelSecret(name string, secret Secret) error {
	if secret.IsZero() {
		return nil
	}
	text := secret.Reveal()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder forgives
		return invalid(name, "is not standard base64")
	}
	if len(raw) < minSecretBytes {
		return invalid(name, "holds %d bytes; at least %d are needed", len(raw), minSecretBytes)
	}
	return nil
}
