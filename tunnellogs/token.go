package tunnellogs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Endpoints of Cloudflare. Tokens of fedRAMPIssuer are for fedRAMPEndpoint.
const (
	defaultEndpoint = "https://management.argotunnel.com/logs"
	fedRAMPEndpoint = "https://management.fed.argotunnel.com/logs"
	fedRAMPIssuer   = "fed-tunnelstore"
)

const (
	// maxLifetime is the lifetime of a token that states none, or a longer one: Cloudflare ends a
	// session after an hour.
	maxLifetime = time.Hour
	// renewalPause is the pause between attempts to renew a token.
	renewalPause = time.Minute
	// newToken is the age below which a token is assumed valid even if a request was refused.
	newToken = time.Minute
)

// managementToken is a token with the values of its claims. The signature is not checked:
// Cloudflare checks it.
type managementToken struct {
	secret   cftunnel.Secret
	endpoint string
	// Wall clock times, because the monotonic clock stops while a machine sleeps.
	fetched, renewAt, expires time.Time
	replaced                  chan struct{} // closed when there is a newer token
}

// parseToken reads the lifetime from the token. It starts now, so that a wrong clock of this
// machine does no harm.
func parseToken(secret cftunnel.Secret, now time.Time) managementToken {
	var claims struct {
		Issuer   string  `json:"iss"`
		IssuedAt float64 `json:"iat"`
		Expires  float64 `json:"exp"`
	}
	if parts := strings.Split(secret.Reveal(), "."); len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims) // claims that cannot be decoded stay zero
	}
	lifetime := maxLifetime
	if seconds := claims.Expires - claims.IssuedAt; claims.IssuedAt > 0 && seconds >= 1 &&
		seconds < maxLifetime.Seconds() {
		lifetime = time.Duration(seconds * float64(time.Second))
	}
	endpoint := defaultEndpoint
	if claims.Issuer == fedRAMPIssuer {
		endpoint = fedRAMPEndpoint
	}
	now = now.Round(0)
	return managementToken{
		secret: secret, endpoint: endpoint, replaced: make(chan struct{}),
		fetched: now, renewAt: now.Add(lifetime / 10 * 9), expires: now.Add(lifetime),
	}
}

// tokenSource caches the management token of one tunnel.
type tokenSource struct {
	client   *cftunnel.Client
	tunnelID string
	lock     chan struct{} // a mutex that can be awaited with a context; held during a call
	current  managementToken
}

func newTokenSource(client *cftunnel.Client, tunnelID string) *tokenSource {
	return &tokenSource{client: client, tunnelID: tunnelID, lock: make(chan struct{}, 1)}
}

// get returns a token that has not expired and is not stale.
func (s *tokenSource) get(ctx context.Context, stale cftunnel.Secret) (managementToken, error) {
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
	case <-ctx.Done():
		return managementToken{}, ctx.Err()
	}
	if !s.current.secret.IsZero() && s.current.secret != stale &&
		time.Now().Before(s.current.expires) {
		return s.current, nil
	}
	secret, err := s.client.Tunnels.ManagementToken(
		ctx, s.tunnelID, cftunnel.ManagementResourceLogs)
	if err != nil {
		return managementToken{}, err
	}
	if s.current.replaced != nil {
		close(s.current.replaced)
	}
	s.current = parseToken(secret, time.Now())
	return s.current, nil
}

// replace gets a new token after one was refused, unless the refused token was new. It reports
// whether there is a new token.
func (s *tokenSource) replace(ctx context.Context, refused managementToken) bool {
	if time.Now().Before(refused.fetched.Add(newToken)) {
		return false
	}
	_, err := s.get(ctx, refused.secret)
	return err == nil
}

// renew gets a new token before the current one expires, until the context ends.
func (s *tokenSource) renew(ctx context.Context, log *slog.Logger) {
	token, err := s.get(ctx, cftunnel.Secret{})
	for ctx.Err() == nil {
		pause := renewalPause
		if err == nil {
			pause = time.Until(token.renewAt)
		}
		if !sleep(ctx, pause) {
			return
		}
		var next managementToken
		if next, err = s.get(ctx, token.secret); err == nil {
			token = next
		} else if ctx.Err() == nil {
			log.WarnContext(ctx, "renewing the management token failed",
				"tunnel_id", s.tunnelID, "error", err)
		}
	}
}
