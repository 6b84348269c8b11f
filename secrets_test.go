package cftunnel_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

const planted = "planted-secret-text"

func TestSecretShowsNowhere(t *testing.T) {
	t.Parallel()
	secret := cftunnel.NewSecret(planted)
	holders := map[string]any{
		"value":            secret,
		"pointer":          &secret,
		"slice":            []cftunnel.Secret{secret},
		"map value":        map[string]cftunnel.Secret{"k": secret},
		"map key":          map[cftunnel.Secret]string{secret: "v"},
		"exported field":   struct{ Token cftunnel.Secret }{secret},
		"unexported field": struct{ token cftunnel.Secret }{secret},
		"tunnel":           cftunnel.Tunnel{Token: secret},
		"tunnel pointer":   &cftunnel.Tunnel{Token: secret},
		"create params":    cftunnel.TunnelCreateParams{Secret: secret},
		"update params":    cftunnel.TunnelUpdateParams{Secret: secret},
	}
	for name, holder := range holders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x", "%X", "%s", "%d", "%t", "%p", "%T", "%20v", "%U"} {
				fmt.Fprintf(&out, verb+"\n", holder)
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("text", "holder", holder)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "holder", holder)
			encoded, err := json.Marshal(holder)
			require.NoError(t, err)
			out.Write(encoded)
			assert.NotContains(t, out.String(), planted)
			assert.NotContains(t, out.String(), fmt.Sprintf("%x", planted))
			assert.NotContains(t, out.String(), fmt.Sprintf("%X", planted))
		})
	}
}

func TestSecretShowsThatItIsRedacted(t *testing.T) {
	t.Parallel()
	secret := cftunnel.NewSecret(planted)
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x", "%s", "%d"} {
		assert.Equal(t, "[REDACTED]", fmt.Sprintf(verb, secret), verb)
	}
	assert.Equal(t, "[REDACTED]", secret.String())
	encoded, err := json.Marshal(map[cftunnel.Secret]cftunnel.Secret{secret: secret})
	require.NoError(t, err)
	assert.JSONEq(t, `{"[REDACTED]":"[REDACTED]"}`, string(encoded))
	encoded, err = xml.Marshal(secret)
	require.NoError(t, err)
	assert.Contains(t, string(encoded), "[REDACTED]")
}

func TestSecretComparesAndReveals(t *testing.T) {
	t.Parallel()
	assert.Equal(t, planted, cftunnel.NewSecret(planted).Reveal())
	one, same, other := cftunnel.NewSecret(planted), cftunnel.NewSecret(planted), cftunnel.NewSecret("other")
	assert.True(t, one == same)
	assert.False(t, one == other)
	assert.False(t, cftunnel.NewSecret(planted).IsZero())

	var zero cftunnel.Secret
	assert.True(t, zero.IsZero())
	assert.Empty(t, zero.Reveal())
	assert.True(t, zero == cftunnel.NewSecret(""))
}

func TestRedactedTextIsNotTakenForASecret(t *testing.T) {
	t.Parallel()
	type holder struct{ Token cftunnel.Secret }
	encoded, err := json.Marshal(holder{cftunnel.NewSecret(planted)})
	require.NoError(t, err)
	var back holder
	require.Error(t, json.Unmarshal(encoded, &back))
}
