package cftunnel_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// canned returns a client whose requests get the response that respond returns, without a network.
func canned(
	tb testing.TB, respond func(*http.Request) (status int, body string), opts ...cftunnel.Option,
) *cftunnel.Client {
	tb.Helper()
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		status, body := respond(r)
		return &http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r,
		}, nil
	})
	client, err := cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithAPIToken(apiToken), cftunnel.WithAccountID(accountID),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
		cftunnel.WithoutRateLimit(), once,
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// FuzzResponse checks that a call returns a complete tunnel or an error that is safe to show, for
// any response.
func FuzzResponse(f *testing.F) {
	for _, body := range []string{
		`{"success":true,"errors":[],"messages":[],"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415","name":"blog","created_at":"2021-01-25T18:22:34.317854Z","deleted_at":null,"connections":[],"metadata":{}}}`,
		`{"success":false,"errors":[{"code":"1013","message":"m","error_chain":[{"code":1,"message":"n"}]},"plain"],"messages":["m"],"result":{}}`,
		`{"success":true,"result":null}`, `{"errors":[]}`, `<html>502</html>`, ``, `null`, `[]`, `"x"`, `{"success":true,"result":{"id":1}}`,
	} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		client := canned(t, func(*http.Request) (int, string) { return status, body })
		tunnel, err := client.Tunnels.Get(t.Context(), tunnelID)
		if (tunnel == nil) == (err == nil) {
			t.Fatalf("%v, %v", tunnel, err)
		}
		if err == nil && (tunnel.ID == "" || status/100 != 2) {
			t.Fatalf("%d: %+v", status, tunnel)
		}
		if err == nil {
			return
		}
		failure, ok := errors.AsType[*cftunnel.Error](err)
		if !ok || failure.StatusCode != status {
			t.Fatalf("%#v", err)
		}
		if text := err.Error(); len(text) > 1<<20 || strings.ContainsAny(text, "\n\r") {
			t.Fatalf("%q", text)
		}
	})
}

// FuzzEcho checks that no error shows a secret that a server echoes between other text.
func FuzzEcho(f *testing.F) {
	f.Add("before ", " after", 400)
	f.Add(`{"success":false,"errors":[{"code":1,"message":"`, `"}]}`, 400)
	f.Add(`<p>`, `</p>`, 502)
	f.Fuzz(func(t *testing.T, before, after string, status int) {
		if status < 200 || status > 599 || strings.Contains(before+after, apiToken[10:18]) {
			return
		}
		client := canned(t, func(r *http.Request) (int, string) {
			return status, before + r.Header.Get("Authorization") + after
		})
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), apiToken[10:]) {
			t.Fatal(err)
		}
	})
}

// FuzzTunnelToken checks that credentials that were parsed encode to a token with the same
// credentials, and that the error for an invalid token does not show it.
func FuzzTunnelToken(f *testing.F) {
	for _, fields := range []string{
		`{"a":"` + accountID + `","t":"` + tunnelID + `","s":"` + validSecret.Reveal() + `"}`,
		`{"a":"` + accountID + `","t":"` + tunnelID + `","s":"x","e":"fed"}`, `{}`, `[]`, `{"a":1}`, ``,
	} {
		f.Add(base64.StdEncoding.EncodeToString([]byte(fields)))
		f.Add(" " + base64.StdEncoding.EncodeToString([]byte(fields)) + "\n")
	}
	f.Fuzz(func(t *testing.T, text string) {
		credentials, err := cftunnel.ParseTunnelToken(cftunnel.NewSecret(text))
		if err != nil {
			if len(text) > 40 && strings.Contains(err.Error(), text) {
				t.Fatal("the token is shown")
			}
			return
		}
		again, err := cftunnel.ParseTunnelToken(credentials.Token())
		if err != nil || *again != *credentials {
			t.Fatalf("%+v, %+v, %v", credentials, again, err)
		}
		if !cftunnel.SameTunnelToken(cftunnel.NewSecret(text), credentials.Token()) {
			t.Fatalf("the same credentials differ: %+v", credentials)
		}
	})
}

// FuzzConfiguration checks that decoding and encoding a configuration keeps unknown members and
// adds none.
func FuzzConfiguration(f *testing.F) {
	for _, config := range []string{
		`{"ingress":[{"hostname":"a","service":"http://a","originRequest":{"noTLSVerify":true,"x":1}},{"service":"http_status:404"}]}`,
		`{"warp-routing":{"enabled":true,"more":[1.50]},"originRequest":{"connectTimeout":"30s","access":{"required":true}},"future":null}`,
		`{"ingress":"none"}`, `{"ingress":[1]}`, `{}`, `null`,
	} {
		f.Add(config)
	}
	for _, config := range passThrough {
		f.Add(config)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var config cftunnel.TunnelConfig
		if json.Unmarshal([]byte(text), &config) != nil {
			return
		}
		encoded, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		var before, after any
		if json.Unmarshal([]byte(text), &before) != nil || json.Unmarshal(encoded, &after) != nil {
			return // a number that float64 cannot represent
		}
		if !contains(before, after) || before != nil && !contains(after, before) {
			t.Fatalf("%s became %s", text, encoded)
		}
		var again cftunnel.TunnelConfig
		err = json.Unmarshal(encoded, &again)
		if same, sameErr := json.Marshal(again); err != nil || sameErr != nil ||
			string(same) != string(encoded) {
			t.Fatalf("%s became %s: %v, %v", encoded, same, err, sameErr)
		}
		if !config.Equal(again) {
			t.Fatalf("%s is not equal to itself", encoded)
		}
	})
}

// contains reports whether after contains every value of before, except null and empty strings.
func contains(before, after any) bool {
	switch before := before.(type) {
	case nil:
		return true
	case map[string]any:
		other, ok := after.(map[string]any)
		if !ok {
			return false
		}
		for name, value := range before {
			if value == nil || value == "" {
				continue
			}
			if !contains(value, other[name]) {
				return false
			}
		}
		return true
	case []any:
		other, ok := after.([]any)
		if !ok || len(other) != len(before) {
			return false
		}
		for i := range before {
			if before[i] != nil && !contains(before[i], other[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(before, after)
}

// FuzzPaging checks that a list ends without an error and yields no item twice, for any
// result_info, if the server returns the right items for each page.
func FuzzPaging(f *testing.F) {
	f.Add(25, 10, `{"page":1,"per_page":10,"count":10,"total_count":25}`)
	f.Add(25, 10, `{"page":-1,"per_page":1000,"count":0,"total_count":1}`)
	f.Add(7, 3, `null`)
	f.Add(7, 3, `"none"`)
	f.Add(0, 1, `{}`)
	f.Fuzz(func(t *testing.T, items, perPage int, info string) {
		if items < 0 || items > 200 || perPage < 1 || perPage > 50 || !json.Valid([]byte(info)) {
			return
		}
		requests := 0
		client := canned(t, func(r *http.Request) (int, string) {
			requests++
			var page int
			_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
			var list []string
			for _, item := range slice(items, page, perPage) {
				list = append(list, fmt.Sprintf(`{"id":"id-%d","name":"%d"}`, item, item))
			}
			return 200, `{"success":true,"result":[` + strings.Join(list, ",") +
				`],"result_info":` + info + `}`
		})
		seen := map[string]bool{}
		for tunnel, err := range client.Tunnels.All(t.Context(), cftunnel.TunnelListParams{}) {
			if err != nil {
				t.Fatal(err)
			}
			if seen[tunnel.ID] {
				t.Fatalf("%s twice", tunnel.ID)
			}
			seen[tunnel.ID] = true
		}
		if requests > items/perPage+2 {
			t.Fatalf("%d requests for %d items by %d", requests, items, perPage)
		}
	})
}

// FuzzErrorBody checks that the error for any body keeps the status, is short and printable, and
// contains every code of the body.
func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{
		`{"success":false,"errors":[{"code":1013,"message":"tunnel with name already exists"}],"messages":[],"result":null}`,
		`{"success":false,"errors":[{"code":6003,"message":"Invalid request headers","error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}],"messages":[],"result":null}`,
		`{"success":false,"errors":[{"code":"10429","message":"m","documentation_url":"https://example.com","source":{"pointer":"/name"},"type":"x"}],"result":{}}`,
		`{"errors":["plain"],"messages":["plain"]}`, `{"success":false,"errors":null}`, `{"success":false,"errors":{"code":1}}`,
		`<html><head><title>502 Bad Gateway</title></head></html>`, "upstream connect error\r\n", "", "\xff\xfe", `{"errors":[{"code":1e99}]}`, `null`,
	} {
		f.Add(400, body)
		f.Add(502, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 400 || status > 599 {
			return
		}
		client := canned(t, func(*http.Request) (int, string) { return status, body })
		_, err := client.Tunnels.Get(t.Context(), tunnelID)
		failure, ok := errors.AsType[*cftunnel.Error](err)
		if !ok || failure.StatusCode != status {
			t.Fatalf("%#v", err)
		}
		text := err.Error()
		if len(text) > 1<<20 || !utf8.ValidString(text) ||
			strings.ContainsFunc(text, isUnprintable) {
			t.Fatalf("%q", text)
		}
		// Maps, because encoding/json decodes a member named "Code" into a field named "code".
		var envelope map[string]json.RawMessage
		var list []map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &envelope) != nil ||
			json.Unmarshal(envelope["errors"], &list) != nil {
			return
		}
		for _, e := range list[:min(len(list), 10)] {
			text := strings.Trim(string(e["code"]), `"`)
			if code, err := strconv.ParseInt(text, 10, 32); err == nil &&
				!cftunnel.HasCode(failure, int(code)) {
				t.Fatalf("%d is not in %+v", code, failure.Errors)
			}
		}
	})
}
