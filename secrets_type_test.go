package cftunnel_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

type (
	withSecret struct {
		Name  string
		Token cftunnel.Secret `json:"value"`
	}
	recursive struct {
		Next     *recursive
		Children []recursive
		ByName   map[string]recursive
	}
	recursiveWithSecret struct {
		Next *recursiveWithSecret
		Last withSecret
	}
	generic[T any] struct{ Items []T }
	// decodesItself decodes the secret from a JSON string.
	decodesItself struct{ Token cftunnel.Secret }
	// decodesText decodes the secret from text, such as a member's name.
	decodesText struct{ Token cftunnel.Secret }
	hidden      struct{ Token cftunnel.Secret }
	hiddenList  []cftunnel.Secret
)

func (d *decodesItself) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	d.Token = cftunnel.NewSecret(text)
	return err
}

func (d *decodesText) UnmarshalText(text []byte) error {
	d.Token = cftunnel.NewSecret(string(text))
	return nil
}

func TestHoldsSecret(t *testing.T) {
	t.Parallel()
	for _, with := range []reflect.Type{
		reflect.TypeFor[cftunnel.Secret](),
		reflect.TypeFor[*cftunnel.Secret](),
		reflect.TypeFor[***cftunnel.Secret](),
		reflect.TypeFor[[]cftunnel.Secret](),
		reflect.TypeFor[[2]cftunnel.Secret](),
		reflect.TypeFor[map[string]cftunnel.Secret](),
		reflect.TypeFor[map[cftunnel.Secret]string](),
		reflect.TypeFor[withSecret](),
		reflect.TypeFor[*withSecret](),
		reflect.TypeFor[map[string][]*withSecret](),
		reflect.TypeFor[generic[withSecret]](),
		reflect.TypeFor[recursiveWithSecret](),
		reflect.TypeFor[struct{ withSecret }](),
		reflect.TypeFor[struct{ *withSecret }](),
		reflect.TypeFor[struct{ hidden }](),
		reflect.TypeFor[struct{ cftunnel.Secret }](),
		reflect.TypeFor[struct{ Deep struct{ Deeper []withSecret } }](),
		reflect.TypeFor[struct {
			Token cftunnel.Secret `json:"-,"` //nolint:staticcheck // the name of the member is a dash
		}](),
		reflect.TypeFor[struct {
			First  cftunnel.Tunnel
			Second withSecret
		}](),
	} {
		assert.True(t, cftunnel.HoldsSecret(with), "%s", with)
	}
	for _, without := range []reflect.Type{
		nil,
		reflect.TypeFor[any](),
		reflect.TypeFor[string](),
		reflect.TypeFor[json.RawMessage](),
		reflect.TypeFor[map[string]any](),
		reflect.TypeFor[time.Time](),
		reflect.TypeFor[netip.Prefix](),
		reflect.TypeFor[recursive](),
		reflect.TypeFor[generic[recursive]](),
		reflect.TypeFor[decodesItself](),
		reflect.TypeFor[map[decodesText]*decodesItself](),
		reflect.TypeFor[cftunnel.Tunnel](),
		reflect.TypeFor[cftunnel.Page[cftunnel.Tunnel]](),
		reflect.TypeFor[struct{ token cftunnel.Secret }](),
		reflect.TypeFor[struct{ hiddenList }](),
		reflect.TypeFor[struct {
			Name  string
			Token cftunnel.Secret `json:"-"`
		}](),
		reflect.TypeFor[struct {
			withSecret `json:"-"`
		}](),
		reflect.TypeFor[func(cftunnel.Secret)](),
	} {
		assert.False(t, cftunnel.HoldsSecret(without), "%s", without)
	}
}

func TestClientDo_SecretInResult(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	path := "/accounts/" + srv.AccountID() + "/cfd_tunnel"
	for _, result := range []any{new(cftunnel.Secret), new([]withSecret), new(recursiveWithSecret)} {
		err := client.Do(t.Context(), http.MethodPost, path, map[string]string{"name": "n"}, result)
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%T: %v", result, err)
		assert.Equal(t, "result", refused.Name)
	}
	items := 0
	for _, err := range cftunnel.DoAll[withSecret](t.Context(), client, path, nil) {
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, "T", refused.Name)
		items++
	}
	assert.Equal(t, 1, items)
	assert.Empty(t, srv.Requests(), "nothing was sent")

	var created struct {
		cftunnel.Tunnel               // its Token has the tag json:"-"
		Credentials     decodesItself `json:"token"`
	}
	err := client.Do(t.Context(), http.MethodPost, path, map[string]string{"name": "n"}, &created)
	require.NoError(t, err)
	_, err = cftunnel.ParseTunnelToken(created.Credentials.Token)
	require.NoError(t, err)
}
