package cftunnel

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
	"github.com/cftunnel/cftunnel-go/internal/securefile"
)

// TunnelCredentials is the content of a tunnel token. It is enough to run the tunnel: keep it
// secret.
type TunnelCredentials struct {
	// AccountTag is the ID of the account.
	AccountTag string
	// TunnelID is a UUID.
	TunnelID string
	// Secret is the tunnel's secret in base64, as the token has it.
	Secret Secret
	// Endpoint is empty, except for tunnels in special regions of Cloudflare's network.
	Endpoint string
}

// ParseTunnelToken returns the content of a tunnel token. It accepts the same forms as cloudflared,
// such as a token with line breaks, and ignores white space around the token. It cannot parse the
// tokens of WARP connectors, whose format is not documented.
//
// Its errors are of type [*InvalidArgumentError] and do not contain the token.
func ParseTunnelToken(token Secret) (*TunnelCredentials, error) {
	text := strings.TrimSpace(token.Reveal())
	if text == "" {
		return nil, invalid("token", "is empty")
	}
	raw, err := decodeBase64(text)
	if err != nil {
		return nil, invalid("token", "is not base64")
	}
	var fields tokenFields
	if json.Unmarshal(raw, &fields) != nil {
		return nil, invalid("token", "does not encode a JSON object with the members a, t and s")
	}
	tunnelID := withDashes(fields.TunnelID)
	secret, err := decodeBase64(fields.Secret)
	switch {
	case strings.TrimSpace(fields.AccountTag) == "":
		return nil, invalid("token", "has no account (a)")
	case apipath.UUID(tunnelID) != nil:
		return nil, invalid("token", "has no tunnel ID that is a UUID (t)")
	case err != nil:
		return nil, invalid("token", "has a secret that is not base64 (s)")
	case len(secret) == 0:
		return nil, invalid("token", "has no secret (s)")
	}
	return &TunnelCredentials{
		AccountTag: fields.AccountTag, TunnelID: tunnelID,
		Secret: NewSecret(fields.Secret), Endpoint: fields.Endpoint,
	}, nil
}

// tokenFields is the JSON of a tunnel token. The order of its members is that of cloudflared.
type tokenFields struct {
	AccountTag string `json:"a"`
	Secret     string `json:"s"`
	TunnelID   string `json:"t"`
	Endpoint   string `json:"e,omitempty"`
}

// withDashes converts the forms of a UUID that cloudflared accepts to the usual one: without
// dashes, in braces and as a URN. It returns any other text unchanged.
func withDashes(id string) string {
	const urn = "urn:uuid:"
	switch {
	case len(id) == 38 && id[0] == '{' && id[37] == '}':
		return id[1:37]
	case len(id) == len(urn)+36 && strings.EqualFold(id[:len(urn)], urn):
		return id[len(urn):]
	case len(id) == 32:
		return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
	}
	return id
}

// SameTunnelToken reports whether two tunnel tokens contain the same credentials. Tokens with the
// same credentials can be different texts, because the API and cloudflared order the JSON members
// differently. The case of account and tunnel IDs is ignored.
//
// Tokens of WARP connectors, whose format is not documented, are compared as texts. If a token is
// empty, the result is false.
func SameTunnelToken(a, b Secret) bool {
	one, oneErr := ParseTunnelToken(a)
	other, otherErr := ParseTunnelToken(b)
	if oneErr != nil && otherErr != nil {
		text := strings.TrimSpace(a.Reveal())
		return text != "" && text == strings.TrimSpace(b.Reveal())
	}
	return oneErr == nil && otherErr == nil &&
		strings.EqualFold(one.AccountTag, other.AccountTag) &&
		strings.EqualFold(one.TunnelID, other.TunnelID) &&
		sameSecret(one.Secret, other.Secret) && one.Endpoint == other.Endpoint
}

// sameSecret compares two secrets in base64 by their bytes.
func sameSecret(a, b Secret) bool {
	one, oneErr := decodeBase64(a.Reveal())
	other, otherErr := decodeBase64(b.Reveal())
	return oneErr == nil && otherErr == nil && subtle.ConstantTimeCompare(one, other) == 1
}

// Token returns the credentials as a tunnel token, in the form that cloudflared writes. The API
// orders the JSON members differently, so its token is a different text: compare tokens with
// [SameTunnelToken].
func (c TunnelCredentials) Token() Secret {
	// Marshal cannot fail for strings.
	raw, _ := json.Marshal(tokenFields{c.AccountTag, c.Secret.Reveal(), c.TunnelID, c.Endpoint})
	return NewSecret(base64.StdEncoding.EncodeToString(raw))
}

// rotatedToken returns the token of a tunnel whose new credentials are c. seen is a token of the
// tunnel that the API sent, before or after the rotation; it may be zero. If seen has the new
// secret, it is returned unchanged. Otherwise the token is composed from c and the endpoint of
// seen, because only a token contains the endpoint.
func (c TunnelCredentials) rotatedToken(seen Secret) Secret {
	old, err := ParseTunnelToken(seen)
	if err != nil || !strings.EqualFold(old.TunnelID, c.TunnelID) {
		return c.Token()
	}
	if sameSecret(old.Secret, c.Secret) {
		return seen
	}
	c.Endpoint = old.Endpoint
	return c.Token()
}

// credentialsFile is the JSON of a credentials file, as cloudflared writes it.
type credentialsFile struct {
	AccountTag, TunnelSecret, TunnelID, Endpoint string
}

// WriteFile writes a credentials file for a locally managed cloudflared. It replaces an existing
// file in the same way as [Secret.WriteFile].
//
// It returns an [*InvalidArgumentError] if AccountTag, TunnelID or Secret is empty.
func (c TunnelCredentials) WriteFile(path string) error {
	switch {
	case c.AccountTag == "":
		return invalid("AccountTag", "is empty")
	case c.TunnelID == "":
		return invalid("TunnelID", "is empty")
	case c.Secret.IsZero():
		return invalid("Secret", "is empty")
	}
	content, err := json.Marshal(credentialsFile{
		c.AccountTag, c.Secret.Reveal(), c.TunnelID, c.Endpoint,
	})
	if err == nil {
		err = securefile.Write(path, content)
	}
	if err != nil {
		return fmt.Errorf("cftunnel: writing the credentials of tunnel %s: %w", c.TunnelID, err)
	}
	return nil
}

// maxCredentialsFile is in bytes, and many times the size of a credentials file or a tunnel token.
const maxCredentialsFile = 64 << 10

// ReadTunnelCredentials reads a credentials file, as cloudflared and [TunnelCredentials.WriteFile]
// write it, or a file that contains a tunnel token. It does not check the permissions of the file.
// Files of more than 64 KiB are refused.
//
// If the content is invalid, the error wraps an [*InvalidArgumentError] that names the JSON member.
// Errors do not contain the secret.
func ReadTunnelCredentials(path string) (*TunnelCredentials, error) {
	content, err := readFile(path, maxCredentialsFile)
	if err == nil {
		var credentials *TunnelCredentials
		if credentials, err = parseCredentialsFile(content); err == nil {
			return credentials, nil
		}
	}
	return nil, fmt.Errorf("cftunnel: reading tunnel credentials from %q: %w", path, err)
}

func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = invalid("file", "is larger than %d bytes", limit)
	}
	return content, err
}

func parseCredentialsFile(content []byte) (*TunnelCredentials, error) {
	text := strings.TrimSpace(string(content))
	if text != "" && text[0] != '{' {
		credentials, err := ParseTunnelToken(NewSecret(text))
		if err != nil {
			return nil, invalid("file", "has neither a JSON object nor a tunnel token")
		}
		return credentials, nil
	}
	var file credentialsFile
	err := json.Unmarshal([]byte(text), &file)
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrongType.Field != "" {
		return nil, invalid(wrongType.Field, "is not a string")
	} else if err != nil {
		// The decoder's error may quote the file.
		return nil, invalid("file", "is not a JSON object")
	}
	tunnelID := withDashes(file.TunnelID)
	secret, err := decodeBase64(file.TunnelSecret)
	switch {
	case strings.TrimSpace(file.AccountTag) == "":
		return nil, invalid("AccountTag", "is missing or empty")
	case file.TunnelID == "":
		return nil, invalid("TunnelID", "is missing or empty")
	case apipath.UUID(tunnelID) != nil:
		return nil, invalid("TunnelID", "is not a UUID")
	case err != nil:
		return nil, invalid("TunnelSecret", "is not base64")
	case len(secret) == 0:
		return nil, invalid("TunnelSecret", "is missing or empty")
	}
	return &TunnelCredentials{
		AccountTag: file.AccountTag, TunnelID: tunnelID,
		Secret: NewSecret(file.TunnelSecret), Endpoint: file.Endpoint,
	}, nil
}
