package cftunnel_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// hugeResponses returns responses with too much text: about 16 MiB if they have a body.
func hugeResponses() map[string]*http.Response {
	long := strings.Repeat("a long text ", 1<<20)
	unprintable := strings.Repeat("\x1b[31m\r\n\u202e\u0000\xff", 100_000)
	quoted, _ := json.Marshal(unprintable)
	failure := func(detail string) string { return `{"success":false,"errors":[` + detail + `]}` }
	manyErrors := strings.TrimSuffix(
		strings.Repeat(`{"code":1,"message":"`+long[:1000]+`"},`, 10_000), ",")
	chain := func(depth int) string {
		opening := `{"code":1,"message":"` + long[:1000] + `","error_chain":[`
		return strings.Repeat(opening, depth) + strings.Repeat("]}", depth)
	}
	responses := map[string]*http.Response{}
	for name, body := range map[string]string{
		"message":               failure(`{"code":1,"message":"` + long + `"}`),
		"message of a string":   failure(`"` + long + `"`),
		"pointer":               failure(`{"code":1,"source":{"pointer":"` + long + `"}}`),
		"page":                  failure(`{"code":1,"documentation_url":"` + long + `"}`),
		"unprintable message":   failure(`{"code":1,"message":` + string(quoted) + `}`),
		"many errors":           failure(manyErrors),
		"many long chains":      failure(strings.TrimSuffix(strings.Repeat(chain(100)+",", 100), ",")),
		"a deep chain":          failure(chain(4_000)),
		"a wide chain":          failure(`{"code":1,"error_chain":[` + manyErrors + `]}`),
		"messages":              `{"success":false,"errors":[{"code":1}],"messages":[` + manyErrors + `]}`,
		"title and detail":      `{"title":"` + long + `","detail":"` + long + `"}`,
		"many titles":           `{` + strings.TrimSuffix(strings.Repeat(`"title":"`+long[:1000]+`",`, 10_000), ",") + `}`,
		"text":                  long,
		"unprintable text":      unprintable,
		"blanks":                strings.Repeat(" ", 16<<20),
		"markup":                strings.Repeat("<b>&amp;%25", 1<<20),
		"open markup":           strings.Repeat("<a ", 4<<20),
		"endless token":         strings.Repeat("eyJ", 4<<20),
		"random characters":     strings.Repeat("aB3+", 4<<20),
		"a piece of a secret":   strings.Repeat(sentToken[:12], 1<<20),
		"secrets":               strings.Repeat(sentToken+" ", 1<<18),
		"backslashes":           strings.Repeat(`\`, 16<<20),
		"only closing brackets": strings.Repeat("]", 16<<20),
	} {
		responses[name] = &http.Response{
			StatusCode: 400, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
		}
	}
	for name, header := range map[string]http.Header{
		"ray id":             {"Cf-Ray": {long}},
		"unprintable ray id": {"Cf-Ray": {unprintable}},
		"location":           {"Location": {"https://example.com/" + strings.ReplaceAll(long, " ", "/")}},
		"a long host":        {"Location": {"https://" + strings.ReplaceAll(long, " ", ".") + "/"}},
		"retry-after":        {"Retry-After": {long}},
		"a reason":           {},
	} {
		responses[name] = &http.Response{
			StatusCode: 302, Status: "302 " + long, Header: header, Body: http.NoBody,
		}
	}
	return responses
}

// The duration is compared with that of reading as much JSON, because the speed of the machine is
// unknown.
//
//nolint:paralleltest // other tests would change the duration
func TestError_TextIsBoundedAndPrintable(t *testing.T) {
	huge := []byte(`{"a":"` + strings.Repeat("a long text ", 3<<20/2) + `"}`)
	began := time.Now()
	for range 8 {
		require.True(t, json.Valid(huge))
	}
	reference := time.Since(began)
	for name, resp := range hugeResponses() {
		transport := roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil })
		client, d := wireClient(t, transport, once)
		var info cftunnel.ResponseInfo
		began := time.Now()
		_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.CaptureResponse(&info))
		assert.Less(t, time.Since(began), 8*reference, name)
		failure, ok := errors.AsType[*cftunnel.Error](err)
		require.True(t, ok, name)

		const maxText = 17 << 10
		texts := map[string]string{
			"error": err.Error(), "ray id": failure.RayID, "body": failure.Body,
			"ray id of info": info.RayID,
		}
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			texts["cause "+cause.Error()[:10]] = cause.Error()
		}
		for kind, text := range texts {
			assert.Less(t, len(text), maxText, "%s, %s", name, kind)
			assert.False(t, strings.ContainsFunc(text, isUnprintable), "%s, %s: %.100q",
				name, kind, text)
		}
		encoded, err := json.Marshal(failure)
		require.NoError(t, err)
		assert.Less(t, len(encoded), 2*maxText, name)
		messages, err := json.Marshal(info.Messages)
		require.NoError(t, err)
		assert.Less(t, len(messages), 2*maxText, name)
		assert.Less(t, len(fmt.Sprintf("%+v", *failure)), 2*maxText, name)
		d.assertHides(t, sentToken)
		for _, detail := range failure.Errors {
			isUnexpected := func(r rune) bool { return isUnprintable(r) && r != '\n' && r != '\t' }
			text := detail.Message + detail.Pointer + detail.DocumentationURL
			assert.False(t, strings.ContainsFunc(text, isUnexpected), name)
		}
		for line := range strings.Lines(d.text.String()) {
			if strings.Contains(line, `"msg":"cloudflare api request"`) {
				assert.Less(t, len(line), 2*maxText, name)
			}
		}
	}
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }

// A request body that is a secret costs about as much as its encoding. Errors do not show it.
//
//nolint:paralleltest // other tests would change the duration
func TestError_HugeSecretInBody(t *testing.T) {
	secret := strings.Repeat("aB3+", 4<<20)
	began := time.Now()
	for range 4 {
		_, err := json.Marshal(map[string]string{"token": secret})
		require.NoError(t, err)
	}
	reference := time.Since(began)
	many := make([]string, 1<<20)
	for i := range many {
		many[i] = fmt.Sprintf("secret-%06x", i)
	}
	for name, body := range map[string]any{
		"one":     map[string]string{"token": secret},
		"in JSON": []byte(`{"token":"` + secret + `"}`),
		"many":    map[string][]string{"tokens": many},
		"no name": map[string]string{"name": secret},
	} {
		client, d := wireClient(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			sent, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			message, err := json.Marshal("bad value secret-0fffff " + string(sent[100:400]))
			if err != nil {
				return nil, err
			}
			text := fmt.Sprintf(`{"success":false,"errors":[{"code":7,"message":%s}]}`, message)
			return &http.Response{
				StatusCode: 400, Header: http.Header{}, Request: r,
				Body: io.NopCloser(strings.NewReader(text)),
			}, nil
		}), once)
		began := time.Now()
		err := client.Do(t.Context(), http.MethodPost, "x", body, nil)
		require.ErrorIs(t, err, cftunnel.ErrBadRequest)
		assert.Less(t, time.Since(began), 8*reference, name)
		d.addError(err)
		assert.NotContains(t, d.text.String(), secret[:20], name)
		if name == "many" {
			assert.NotContains(t, d.text.String(), "secret-0fffff")
		}
		assert.True(t, cftunnel.HasCode(err, 7), name)
	}
}
