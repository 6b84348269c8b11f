package envelope

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// TestPlainAnswersTakeTheFastPath: if everything fell back to encoding/json, every other test would pass too.
func TestPlainAnswersTakeTheFastPath(t *testing.T) {
	t.Parallel()
	type model struct {
		ID       string          `json:"id"`
		Created  time.Time       `json:"created_at,omitzero"`
		Deleted  *time.Time      `json:"deleted_at"`
		Conns    []struct{}      `json:"conns"`
		Metadata json.RawMessage `json:"metadata"`
		Pending  bool            `json:"pending"`
		Version  int             `json:"version"`
	}
	for _, body := range []string{
		`{"success":true,"errors":[],"messages":[],"result":[]}`,
		`{"success":true,"errors":[],"messages":[],"result":null,"result_info":{"page":1,"per_page":20,"count":3,"total_count":3}}`,
		`{"success":true,"errors":[],"messages":[],"result":[{"id":"a","created_at":"2026-01-02T03:04:05.000001Z","deleted_at":null,"conns":[{}],` +
			`"metadata":{"a":[1]},"pending":true,"version":7,"unknown":{"b":"\u00e9"}}, {"id":"\u00e9"}]}`,
		`{"success":false,"errors":[{"code":1013,"message":"m","error_chain":[{"code":1}]}],"messages":["x"],"result":{}}`,
	} {
		var answer struct {
			head
			Result any `json:"result"`
		}
		answer.Result = new([]model)
		err := new(Decoder).fast([]byte(body), reflect.ValueOf(&answer).Elem())
		if isList := body[len(`{"success":`)] == 't'; isList && err != nil {
			t.Errorf("%v: %s", err, body)
		}
		var failure head
		if err := new(Decoder).fast([]byte(body), reflect.ValueOf(&failure).Elem()); err != nil {
			t.Errorf("%v: %s", err, body)
		}
	}
}
