package tunneltest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"
)

// managementLifetime is the lifetime of a management token.
const managementLifetime = time.Hour

// managementClaims are the claims of a management token. cloudflared refuses tokens without a
// tunnel, an account or an actor.
type managementClaims struct {
	Tunnel struct {
		ID         string `json:"id"`
		AccountTag string `json:"account_tag"`
	} `json:"tun"`
	Actor struct {
		ID      string `json:"id"`
		Support bool   `json:"support"`
	} `json:"actor"`
	Resources []string `json:"res"`
	Issuer    string   `json:"iss"`
	IssuedAt  int64    `json:"iat"`
	Expires   int64    `json:"exp"`
}

// managementToken serves the documented endpoint, which has the resources in the body, and the
// newer one, which has the resource in the path.
func (s *Server) managementToken(c *call) *response {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	resource, isNewer := c.values["resource"]
	if !isNewer {
		var body struct{ Resources []string }
		if json.Unmarshal(c.body, &body) != nil || len(body.Resources) != 1 ||
			body.Resources[0] != "logs" {
			return badRequest(`resources must be ["logs"]`)
		}
		resource = "logs"
	}
	if !slices.Contains([]string{"logs", "admin", "host_details"}, resource) {
		return noRoute()
	}
	var claims managementClaims
	claims.Tunnel.ID, claims.Tunnel.AccountTag = t.id, c.account.id
	claims.Actor.ID = c.token.id // each API token belongs to a different user
	claims.Resources = []string{resource}
	if resource == "logs" {
		claims.Resources = append(claims.Resources, "ping")
	}
	claims.Issuer = "tunnelstore"
	claims.IssuedAt = s.now().Unix()
	claims.Expires = s.now().Add(managementLifetime).Unix()
	return success(s.signManagementToken(claims))
}

// signManagementToken returns a signed JWT.
func (s *Server) signManagementToken(claims managementClaims) string {
	header, _ := json.Marshal(map[string]string{"alg": "ES256", "kid": "tunneltest", "typ": "JWT"})
	payload, _ := json.Marshal(claims)
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, v, err := ecdsa.Sign(rand.Reader, s.managementKey, digest[:])
	if err != nil {
		panic("tunneltest: " + err.Error())
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return signed + "." + encode(signature[:])
}

// readManagementToken returns the claims of a token, and whether this server signed it. It returns
// an error if cloudflared could not parse the token.
func (s *Server) readManagementToken(
	token string,
) (claims managementClaims, validSignature bool, err error) {
	errMalformed := errors.New("not a management token")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims, false, errMalformed
	}
	var decoded [3][]byte
	for i, part := range parts {
		if decoded[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return claims, false, errMalformed
		}
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if json.Unmarshal(decoded[0], &header) != nil || header.Algorithm != "ES256" ||
		json.Unmarshal(decoded[1], &claims) != nil ||
		claims.Tunnel.ID == "" || claims.Tunnel.AccountTag == "" || claims.Actor.ID == "" {
		return claims, false, errMalformed
	}
	if signature := decoded[2]; len(signature) == 64 {
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		r, v := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		validSignature = ecdsa.Verify(&s.managementKey.PublicKey, digest[:], r, v)
	}
	return claims, validSignature, nil
}
