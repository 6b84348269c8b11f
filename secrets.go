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

// Secret is a text that must not be shown: a tunnel token, a tunnel secret or an API token.
// Printing, logging and encoding write [REDACTED] instead of the text, also if the Secret is the
// key of a map. Only the methods [Secret.Reveal], [Secret.WriteFile] and
// [TunnelCredentials.WriteFile] return or write the text. The zero Secret is empty. Secrets with
// the same text are equal under ==.
//
// If a Secret is an unexported field, fmt cannot call its methods and prints a memory address.
// Packages that follow unexported pointers, such as some assertion packages for tests, can still
// print the text.
//
// A Secret cannot be decoded from JSON, so that [REDACTED] is never read as a secret.
type Secret struct{ text unique.Handle[string] }

// NewSecret returns a Secret with the given text. If the text is empty, it returns the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the text, which is no longer protected. The text of the zero Secret is empty.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

// WriteFile writes the text to a file that only its owner may read (mode 0600). It adds no line
// break. This is the format of cloudflared's --token-file.
//
// An existing file is replaced atomically: if WriteFile fails, the file is unchanged. The file
// keeps its owner; if that is not permitted, WriteFile fails. A symbolic link is replaced by the
// file. It returns an error if the Secret is zero, or if path is or links to something other than a
// regular file, such as a directory, a pipe or a device.
//
// Windows has neither modes nor owners of this kind: there, the file has the permissions of its
// directory.
func (s Secret) WriteFile(path string) error {
	if s.IsZero() {
		return invalid("secret", "is empty; if it is the Token of a Tunnel that already existed, "+
			"use Tunnels.Token instead")
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

// LogValue returns [REDACTED]. It implements [log/slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redact.Mark) }

// MarshalText returns [REDACTED]. It implements [encoding.TextMarshaler], which encoders of JSON
// and other formats use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redact.Mark), nil }

const (
	secretBytes    = 32 // the length of a new tunnel secret
	minSecretBytes = 16 // the minimum length of a given one
)

// NewTunnelSecret returns a random tunnel secret: 32 bytes in standard base64.
func NewTunnelSecret() Secret {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails
	return NewSecret(base64.StdEncoding.EncodeToString(raw))
}

// checkTunnelSecret returns an error if secret cannot be a tunnel secret. The zero Secret is
// allowed.
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

// decodeBase64 decodes the forms of base64 that cloudflared and other programs write: either
// alphabet, with or without padding, with line breaks anywhere. Bits left over at the end are
// ignored.
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
