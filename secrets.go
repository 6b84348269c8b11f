package cftunnel

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unique"

	"github.com/cftunnel/cftunnel-go/internal/redact"
	"github.com/cftunnel/cftunnel-go/internal/securefile"
)

// Secret is a text that must not be shown: a tunnel token, a tunnel secret, an API token. Printing,
// logging and encoding show [REDACTED] in its place, whether it is a value or the key of a map. As
// an unexported field, for which fmt calls no methods, it is printed as an address. Only
// [Secret.Reveal] and [Secret.WriteFile] give out the text. Secrets with the same text are equal
// under ==. The zero Secret is empty.
//
// Programs that follow unexported pointers through memory, such as some printers of test failures,
// still find the text.
//
// A Secret cannot be decoded from JSON, so that [REDACTED] is never read as a secret.
type Secret struct{ text unique.Handle[string] }

// NewSecret returns a Secret with this text. An empty text gives the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the text. It is empty for the zero Secret. What it returns is no longer protected.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

// WriteFile writes the text to a file that only its owner may read (mode 0600), and nothing else:
// no line break is added. This is the form that cloudflared reads with --token-file.
//
// An existing file is replaced as a whole, or left as it is if anything fails. It keeps its owner;
// if the process may not keep the owner, WriteFile fails. A symbolic link is replaced by the file.
// Whatever else is not a regular file, such as a directory, a pipe or a device, is refused, and so
// is the zero Secret.
func (s Secret) WriteFile(path string) error {
	if s.IsZero() {
		return invalid("secret", "is empty")
	}
	if err := securefile.Write(path, []byte(s.Reveal())); err != nil {
		return fmt.Errorf("cftunnel: writing a secret to a file: %w", err)
	}
	return nil
}

// IsZero reports whether the Secret is empty.
func (s Secret) IsZero() bool { return s == Secret{} }

// String returns [REDACTED].
func (s Secret) String() string { return redact.Mark }

// Format writes [REDACTED] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redact.Mark) }

// LogValue returns [REDACTED] for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redact.Mark) }

// MarshalText returns [REDACTED] for encoders of JSON and other formats.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redact.Mark), nil }

const (
	secretBytes    = 32 // of a new tunnel secret
	minSecretBytes = 16 // of a given one
)

// NewTunnelSecret returns a new tunnel secret: 32 random bytes in standard base64.
func NewTunnelSecret() Secret {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails
	return NewSecret(base64.StdEncoding.EncodeToString(raw))
}

// checkTunnelSecret refuses what the API cannot use as a tunnel secret. The zero Secret is allowed.
func checkTunnelSecret(name string, secret Secret) error {
	if secret.IsZero() {
		return nil
	}
	text := secret.Reveal()
	raw, err := decodeBase64(strings.TrimSpace(text))
	if isTunnelToken(text) || err == nil && json.Unmarshal(raw, &tokenFields{}) == nil {
		return invalid(name, "is a tunnel token; ParseTunnelToken returns the secret in it")
	}
	raw, err = base64.StdEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder ignores
		return invalid(name, "is not standard base64")
	}
	if len(raw) < minSecretBytes {
		return invalid(name, "has %d bytes; at least %d are needed", len(raw), minSecretBytes)
	}
	return nil
}

// decodeBase64 decodes what cloudflared and others write: either alphabet, with or without padding,
// with line breaks anywhere. Bits left over at the end are ignored.
func decodeBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("\r", "", "\n", "").Replace(text)
	encoding := base64.StdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.URLEncoding
	}
	if !strings.HasSuffix(text, "=") {
		encoding = encoding.WithPadding(base64.NoPadding)
	}
	return encoding.DecodeString(text)
}
