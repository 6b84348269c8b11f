package cftunnel_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

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
	// decodesItself reads the secret as a string.
	decodesItself struct{ Token cftunnel.Secret }
	// decodesText does the same as a member's name.
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
	for _, found := range []reflect.Type{
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
			Token cftunnel.Secret `json:"-,"` //nolint:staticcheck // a member whose name is a dash
		}](),
		reflect.TypeFor[struct {
			First  cftunnel.Tunnel
			Second withSecret
		}](),
	} {
		assert.True(t, cftunnel.HoldsSecret(found), "%s", found)
	}
	for _, fine := range []reflect.Type{
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
		assert.False(t, cftunnel.HoldsSecret(fine), "%s", fine)
	}
}
