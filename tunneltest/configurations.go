package tunneltest

import (
	"encoding/json"
	"net/http"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// configuration is the remote configuration of a tunnel, normalized.
type configuration struct {
	version int // 0 if it was never set
	config  json.RawMessage
	created time.Time
}

// configured returns the tunnel of the path, or the error response of the configuration endpoints
// if it does not exist or is deleted.
func (c *call) configured() (*tunnel, *response) {
	if t := c.liveTunnel(); t != nil {
		return t, nil
	}
	return nil, failure(http.StatusNotFound, 1055, "Tunnel configuration not found")
}

func (s *Server) getConfiguration(c *call) *response {
	t, problem := c.configured()
	if problem != nil {
		return problem
	}
	return t.configurationResponse(c.account)
}

func (s *Server) putConfiguration(c *call) *response {
	t, problem := c.configured()
	if problem != nil {
		return problem
	}
	var body struct{ Config json.RawMessage }
	var config remoteConfig
	if json.Unmarshal(c.body, &body) != nil ||
		body.Config != nil && json.Unmarshal(body.Config, &config) != nil {
		return badRequest("The request's body has no valid config")
	}
	if reason := config.invalidReason(); reason != "" {
		return failure(http.StatusBadRequest, 1056, reason)
	}
	t.config = configuration{
		version: t.config.version + 1,
		config:  normalizedConfig(body.Config),
		created: s.currentTime(),
	}
	return t.configurationResponse(c.account)
}

func (t *tunnel) configurationResponse(a *account) *response {
	return success(struct {
		AccountID string                `json:"account_id"`
		TunnelID  string                `json:"tunnel_id"`
		Version   int                   `json:"version"`
		Config    json.RawMessage       `json:"config"`
		Source    cftunnel.ConfigSource `json:"source"`
		CreatedAt *timestamp            `json:"created_at"`
	}{a.id, t.id, t.config.version, t.config.config, t.configSource(), nullTime(t.config.created)})
}
