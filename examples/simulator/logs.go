package main

import (
	"encoding/json"
	"net/http"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// logLine logs a line on a connector, for those who stream its logs. The body is an entry as
// package tunnellogs encodes it; what it leaves out has the defaults of cloudflared.
func logLine(fake *tunneltest.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var entry tunnellogs.Entry
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).
			Decode(&entry); err != nil {
			respond(w, http.StatusBadRequest, map[string]string{
				"error": `the body must be {"level":"info","event":"http","message":"…"}`,
			})
			return
		}
		fake.Log(r.PathValue("connector_id"), entry)
		respond(w, http.StatusOK, map[string]string{})
	}
}
