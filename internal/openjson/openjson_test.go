package openjson_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/openjson"
)

type known struct {
	Name  string   `json:"name,omitempty"`
	Count *int     `json:"count,omitempty"`
	List  []string `json:"list,omitempty"`
	Must  bool     `json:"must"`

	hidden int
}

func roundTrip(t *testing.T, data string, change func(*known)) string {
	t.Helper()
	v := known{hidden: 1}
	rest, err := openjson.Unmarshal([]byte(data), &v)
	require.NoError(t, err)
	change(&v)
	encoded, err := openjson.Marshal(v, rest)
	require.NoError(t, err)
	return string(encoded)
}

func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`{"must":false}`,
		`{"must":true,"name":"n","count":0,"list":["a"]}`,
		`{"must":true,"more":{"deep":[1,2.50,null]},"big":12345678901234567890}`,
		`{"must":true,"name":""}`,
		`{"must":true,"list":[]}`,
		`{"must":true,"count":"three","list":"none","name":7}`,
		`{"must":"yes"}`,
		`{"must":true,"count":null}`,
	} {
		assert.JSONEq(t, data, roundTrip(t, data, func(*known) {}))
	}
	assert.Contains(t, roundTrip(t, `{"big":12345678901234567890}`, func(*known) {}), "12345678901234567890")
}

func TestChangesWin(t *testing.T) {
	t.Parallel()
	const data = `{"must":true,"name":"n","count":"three","more":1}`
	assert.JSONEq(t, `{"must":true,"name":"m","count":3,"more":1}`, roundTrip(t, data, func(v *known) { v.Name, v.Count = "m", new(3) }))
	assert.JSONEq(t, `{"must":false,"count":"three","more":1}`, roundTrip(t, data, func(v *known) { v.Name, v.Must = "", false }))
}

func TestOldValuesAreGone(t *testing.T) {
	t.Parallel()
	v := known{Name: "old", Must: true}
	rest, err := openjson.Unmarshal([]byte(`{}`), &v)
	require.NoError(t, err)
	assert.Empty(t, rest)
	assert.Equal(t, known{}, v)
}

func TestOnlyObjectsAreTaken(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "[]", `"x"`, "1", "{", `{"a":}`} {
		_, err := openjson.Unmarshal([]byte(data), &known{})
		require.Error(t, err, data)
	}
}
