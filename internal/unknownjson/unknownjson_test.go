package unknownjson_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/unknownjson"
)

type known struct {
	Name    string   `json:"name,omitempty"`
	Count   *int     `json:"count,omitempty"`
	Timeout *int     `json:"timeout,omitempty" unit:"seconds"`
	List    []string `json:"list,omitempty"`
	Flag    bool     `json:"flag,omitempty"`
	Inner   *inner   `json:"inner,omitempty"`
	Items   []inner  `json:"items,omitempty"`

	hidden int
}

// inner keeps its own members, like the types of a configuration.
type inner struct {
	Size *int `json:"size,omitempty"`

	members unknownjson.Members
}

type plainInner inner

func (i *inner) UnmarshalJSON(data []byte) (err error) {
	i.members, err = unknownjson.Unmarshal(data, (*plainInner)(i))
	return err
}

func (i inner) MarshalJSON() ([]byte, error) {
	return unknownjson.Marshal(plainInner(i), i.members)
}

func decode(t *testing.T, data string) (known, unknownjson.Members) {
	t.Helper()
	v := known{hidden: 1}
	members, err := unknownjson.Unmarshal([]byte(data), &v)
	require.NoError(t, err)
	return v, members
}

func roundTrip(t *testing.T, data string, change func(*known)) string {
	t.Helper()
	v, members := decode(t, data)
	change(&v)
	encoded, err := unknownjson.Marshal(v, members)
	require.NoError(t, err)
	return string(encoded)
}

func TestRoundTrip_ChangesNothing(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`{}`,
		`{"flag":false}`,
		`{"flag":true,"name":"n","count":0,"list":["a"]}`,
		`{"more":{"deep":[1,2.50,null]},"big":12345678901234567890}`,
		`{"name":""}`,
		`{"name":null,"count":null,"list":null,"flag":null,"inner":null,"items":null}`,
		`{"list":[]}`,
		`{"list":["a",null]}`,
		`{"items":[{"size":1},null]}`,
		`{"count":"three","list":"none","name":7,"flag":"yes","inner":[],"items":{"0":{}}}`,
		`{"count":"3","timeout":"30s"}`,
		`{"timeout":"1.5s"}`,
		`{"count":"30s"}`,
		`{"inner":{"size":"x","more":1},"items":[{},{"size":"y"}]}`,
	} {
		assert.JSONEq(t, data, roundTrip(t, data, func(*known) {}))
	}
	assert.Contains(t, roundTrip(t, `{"big":12345678901234567890}`, func(*known) {}),
		"12345678901234567890")
}

func TestUnmarshal_NumbersInText(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]known{
		`{"count":"3"}`:       {Count: new(3)},
		`{"count":"-3"}`:      {Count: new(-3)},
		`{"count":"30s"}`:     {},
		`{"count":""}`:        {},
		`{"timeout":30}`:      {Timeout: new(30)},
		`{"timeout":"30"}`:    {Timeout: new(30)},
		`{"timeout":"30s"}`:   {Timeout: new(30)},
		`{"timeout":"1m30s"}`: {Timeout: new(90)},
		`{"timeout":"-5s"}`:   {Timeout: new(-5)},
		`{"timeout":"500ms"}`: {},
		`{"timeout":"soon"}`:  {},
	} {
		v, _ := decode(t, data)
		assert.Equal(t, want, v, data)
	}
}

func TestMarshal_ChangedFields(t *testing.T) {
	t.Parallel()
	const data = `{"flag":true,"name":"n","count":"3","timeout":"30s","more":1}`
	for want, change := range map[string]func(*known){
		`{"flag":true,"name":"m","count":"3","timeout":"30s","more":1}`: func(v *known) { v.Name = "m" },
		`{"name":"n","count":4,"timeout":10,"more":1}`: func(v *known) {
			v.Count, v.Timeout, v.Flag = new(4), new(10), false
		},
		`{"flag":true,"more":1}`: func(v *known) { v.Name, v.Count, v.Timeout = "", nil, nil },
	} {
		assert.JSONEq(t, want, roundTrip(t, data, change))
	}
	assert.JSONEq(t, `{"flag":true}`,
		roundTrip(t, `{"flag":false}`, func(v *known) { v.Flag = true }))
	assert.JSONEq(t, `{"timeout":2}`,
		roundTrip(t, `{"timeout":"1.5s"}`, func(v *known) { v.Timeout = new(2) }))
	assert.JSONEq(t, `{"timeout":1}`,
		roundTrip(t, `{"timeout":null}`, func(v *known) { v.Timeout = new(1) }))
}

func TestMarshal_UndecodedMemberIsNotReplaced(t *testing.T) {
	t.Parallel()
	const data = `{"count":"three","list":"none","name":7,"flag":"yes","items":[{},{"size":"x"}],"inner":{"size":[]}}`
	for path, set := range map[string]func(*known){
		"count":         func(v *known) { v.Count = new(3) },
		"list":          func(v *known) { v.List = append(v.List, "a") },
		"name":          func(v *known) { v.Name = "n" },
		"flag":          func(v *known) { v.Flag = true },
		"inner.size":    func(v *known) { v.Inner.Size = new(1) },
		"items[1].size": func(v *known) { v.Items[1].Size = new(1) },
	} {
		v, members := decode(t, data)
		set(&v)
		_, err := unknownjson.Marshal(v, members)
		var undecoded *unknownjson.UndecodedError
		require.ErrorAs(t, err, &undecoded, path)
		assert.Equal(t, path, undecoded.Path)
		assert.Contains(t, err.Error(), path)
	}
	v, members := decode(t, data)
	assert.Equal(t, []string{"count", "flag", "list", "name"}, unknownjson.Undecoded(v, members))
	v, members = decode(t, `{"name":"","count":"3","timeout":"1.5s","list":null,"more":1}`)
	assert.Empty(t, unknownjson.Undecoded(v, members))
}

// encoding/json would replace half of a surrogate pair and bytes that are not UTF-8 with U+FFFD.
func TestRoundTrip_InexactText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`"x\ud800y"`, `"\udc00"`, `"\uD800\uD800"`, `"\ud800\ufffd"`, "\"\xe9\"", "\"\ufffd\xff\"",
	} {
		v, members := decode(t, `{"name":`+text+`,"list":["a",`+text+`]}`)
		assert.Empty(t, v.Name, text)
		assert.Empty(t, v.List, text)
		encoded, err := unknownjson.Marshal(v, members)
		require.NoError(t, err)
		assert.Equal(t, `{"list":["a",`+text+`],"name":`+text+`}`, string(encoded))
		v.Name = "new"
		_, err = unknownjson.Marshal(v, members)
		require.Error(t, err, text)
		_, err = unknownjson.Unmarshal([]byte(`{`+text+`:1}`), &v)
		require.Error(t, err, "%s as a name", text)
	}
	for _, text := range []string{`"\ud83d\ude00"`, `"\ufffd"`, `"\uFFFD"`, "\"\ufffd\"", `"\\ud800"`} {
		v, _ := decode(t, `{"name":`+text+`}`)
		assert.NotEmpty(t, v.Name, text)
	}
}

func TestUnmarshal_ResetsFields(t *testing.T) {
	t.Parallel()
	v := known{Name: "old", Flag: true}
	members, err := unknownjson.Unmarshal([]byte(`{}`), &v)
	require.NoError(t, err)
	assert.Nil(t, members)
	assert.Equal(t, known{}, v)
}

func TestUnmarshal_OnlyObjects(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "[]", `"x"`, "1", "{", `{"a":}`} {
		_, err := unknownjson.Unmarshal([]byte(data), &known{})
		require.Error(t, err, data)
	}
}

func TestMarshal_Error(t *testing.T) {
	t.Parallel()
	_, err := unknownjson.Marshal(struct {
		C any `json:"c"`
	}{make(chan int)}, nil)
	var unsupported *json.UnsupportedTypeError
	require.ErrorAs(t, err, &unsupported)
}
