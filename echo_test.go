package cftunnel_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
)

// If a server echoes the secrets that it was sent, errors and logs do not show them.
func TestMethods_EchoedSecrets(t *testing.T) {
	t.Parallel()
	quote := func(text string) string {
		quoted, _ := json.Marshal(text)
		return string(quoted)
	}
	for place, echo := range map[string]func(w http.ResponseWriter, sent string){
		"the message of an error": func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"success":false,"errors":[{"code":1,"message":%s}]}`,
				quote(sent))
		},
		"the error chain of a response with status 200": func(w http.ResponseWriter, sent string) {
			_, _ = fmt.Fprintf(w, `{"success":false,"errors":[{"code":1,"message":"m","error_chain":[{"code":2,"message":%s}]}]}`, quote(sent))
		},
		"a page of HTML": func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprintf(w, `<html><body>%s</body></html>`, sent)
		},
		"plain text": func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, sent)
		},
		"the ray id": func(w http.ResponseWriter, sent string) {
			w.Header().Set("Cf-Ray", strings.ReplaceAll(sent, "\n", " "))
			w.WriteHeader(http.StatusNotFound)
		},
		"a result of the wrong type": func(w http.ResponseWriter, sent string) {
			_, _ = fmt.Fprintf(w, `{"success":true,"result":[[%s]]}`, quote(sent))
		},
	} {
		for name, method := range cases.Methods {
			t.Run(place+", "+name, func(t *testing.T) {
				t.Parallel()
				secrets := []string{apiToken}
				var log strings.Builder
				debug := &slog.HandlerOptions{Level: slog.LevelDebug}
				logger := slog.New(slog.NewJSONHandler(&log, debug))
				client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
					raw, _ := io.ReadAll(r.Body)
					var body struct {
						Secret string `json:"tunnel_secret"`
					}
					if json.Unmarshal(raw, &body) == nil && body.Secret != "" {
						secrets = append(secrets, body.Secret)
					}
					echo(w, r.Header.Get("Authorization")+"\n"+string(raw))
				}, once, cftunnel.WithoutRateLimit(), cftunnel.WithLogger(logger))
				err := method.Call(t.Context(), client, cases.UnknownIDs())
				require.NotEmpty(t, log.String())
				shown := log.String() + fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
				for _, secret := range secrets {
					assert.NotContains(t, shown, secret)
					assert.NotContains(t, shown, secret[len(secret)-12:])
				}
			})
		}
	}
}
