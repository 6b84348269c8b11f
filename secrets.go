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

	"github.com/cftunnel/cftunnel-go/internal/apipath"
	"github.com/cftunnel/cftunnel-go/internal/redact"
	"github.com/cftunnel/cftunnel-go/internal/securefile"
)

// Secret is a text that must not be shown: a tunnel token, a tunnel secret, an API token. However it is printed, logged or encoded, as
// a value or as a key of a map, it shows as [REDACTED], and in an unexported field, where fmt asks no methods, as an address;
// [Secret.Reveal] alone gives the text. Secrets with the same text are equal under ==. The zero Secret holds nothing.
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

// secretBytes is the length of a new tunnel secret, and the least that the API takes.
const secretBytes = 32

// NewTunnelSecret returns 32 random bytes in standard base64: what [TunnelCreateParams], [TunnelUpdateParams] and [RotateParams] take.
func NewTunnelSecret() Secret {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails
	return NewSecret(base64.StdEncoding.EncodeToString(raw))
}

func checkTunnelSecret(name string, secret Secret) error {
	if secret.IsZero() {
		return nil
	}
	text := secret.Reveal()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder forgives
		return invalid(name, "is not standard base64")
	}
	if len(raw) < secretBytes {
		return invalid(name, "holds %d bytes; at least %d are needed", len(raw), secretBytes)
	}
	return nil
}

// TunnelCredentials is what a tunnel token holds. With them, anybody can run the tunnel.
type TunnelCredentials struct {
	AccountTag string // the account's id
	TunnelID   string // a UUID
	// Secret is the tunnel's secret, in base64, as it came.
	Secret Secret
	// Endpoint is empty but for special regions of Cloudflare's network.
	Endpoint string
}

// ParseTunnelToken takes a tunnel token apart. White space around it is forgiven. It knows the tokens of cloudflared tunnels; those of WARP
// connectors are not documented. Its error is an [*InvalidArgumentError], which does not hold the token.
func ParseTunnelToken(token Secret) (*TunnelCredentials, error) {
	text := strings.TrimSpace(token.Reveal())
	if text == "" {
		return nil, invalid("token", "is empty")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, invalid("token", "is not standard base64")
	}
	var fields tokenFields
	if json.Unmarshal(raw, &fields) != nil {
		return nil, invalid("token", "does not hold a JSON object of the keys a, t and s")
	}
	switch {
	case strings.TrimSpace(fields.AccountTag) == "":
		return nil, invalid("token", "has no account (a)")
	case apipath.UUID(fields.TunnelID) != nil:
		return nil, invalid("token", "has no tunnel id that is a UUID (t)")
	case strings.TrimSpace(fields.Secret) == "":
		return nil, invalid("token", "has no secret (s)")
	}
	return &TunnelCredentials{
		AccountTag: fields.AccountTag, TunnelID: fields.TunnelID, Secret: NewSecret(fields.Secret), Endpoint: fields.Endpoint,
	}, nil
}

// tokenFields is a tunnel token's JSON, in the order of cloudflared.
type tokenFields struct {
	AccountTag string `json:"a"`
	Secret     string `json:"s"`
	TunnelID   string `json:"t"`
	Endpoint   string `json:"e,omitempty"`
}

// Token puts a tunnel token together, as cloudflared writes it, with the keys a, s and t in this order. The API has them in another: the
// same credentials then make another text, which is as good.
func (c TunnelCredentials) Token() Secret {
	fields, _ := json.Marshal(tokenFields{c.AccountTag, c.Secret.Reveal(), c.TunnelID, c.Endpoint}) // strings always encode
	return NewSecret(base64.StdEncoding.EncodeToString(fields))
}

// WriteFile writes the credentials file that a locally managed cloudflared reads. Only its owner may read it (mode 0600). An older file
// of this name is replaced at once and whole, or left as it is where anything fails. Credentials that lack a part are refused with an
// [*InvalidArgumentError].
func (c TunnelCredentials) WriteFile(path string) error {
	switch {
	case c.AccountTag == "":
		return invalid("AccountTag", "is empty")
	case c.TunnelID == "":
		return invalid("TunnelID", "is empty")
	case c.Secret.IsZero():
		return invalid("Secret", "is empty")
	}
	content, err := json.Marshal(struct {
		AccountTag, TunnelSecret, TunnelID, Endpoint string
	}{c.AccountTag, c.Secret.Reveal(), c.TunnelID, c.Endpoint})
	if err == nil {
		err = securefile.Write(path, content)
	}
	if err != nil {
		return fmt.Errorf("cftunnel: writing the credentials of tunnel %s: %w", c.TunnelID, err)
	}
	return nil
}
