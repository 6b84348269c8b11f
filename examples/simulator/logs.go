package main

import (
	"encoding/json"
	"net/http"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// logLine logs a line on a connector, for programs that stream its logs. The body is the JSON of a
// [tunnellogs.Entry]. Members that are left out have the defaults of cloudflared.
func logLine(fake *tunneltest.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var entry tunnellogs.Entry
		limited := http.MaxBytesReader(w, r.Body, 1<<20)
		if err := json.NewDecoder(limited).Decode(&entry); err != nil {
			respond(w, http.StatusBadRequest, map[string]string{
				"error": `the body must be {"level":"info","event":"http","message":"…"}`,
			})
			return
		}
		fake.Log(r.PathValue("connector_id"), entry)
		respond(w, http.StatusOK, map[string]string{})
	}
}
