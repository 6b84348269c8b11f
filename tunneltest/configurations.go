package tunneltest

import (
	"encoding/json"
	"net/http"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// configuration is the remote configuration of a tunnel, tidied.
type configuration struct {
	version int // 0 if it was never set
	config  json.RawMessage
	created time.Time
}

// configured returns the live tunnel of the path, or what the configuration endpoints say where
// there is none.
func (c *call) configured() (*tunnel, *answer) {
	t := c.tunnel()
	var problem answer
	switch {
	case t == nil:
		problem = notFound()
	case !t.deleted.IsZero():
		problem = failure(http.StatusNotFound, 1055, "The tunnel is deleted, and its configuration with it")
	default:
		return t, nil
	}
	return nil, &problem
}

func (s *Server) getConfiguration(c *call) answer {
	t, problem := c.configured()
	if problem != nil {
		return *problem
	}
	return t.configurationAnswer(c.account)
}

func (s *Server) putConfiguration(c *call) answer {
	t, problem := c.configured()
	if problem != nil {
		return *problem
	}
	var body struct{ Config json.RawMessage }
	var config remoteConfig
	if json.Unmarshal(c.body, &body) != nil || body.Config != nil && json.Unmarshal(body.Config, &config) != nil {
		return *bad("The request's body has no config of the right shape")
	}
	if reason := config.refusal(); reason != "" {
		return failure(http.StatusBadRequest, 1056, reason)
	}
	t.config = configuration{version: t.config.version + 1, config: tidied(body.Config), created: s.stamp()}
	return t.configurationAnswer(c.account)
}

func (t *tunnel) configurationAnswer(a *account) answer {
	source := cftunnel.ConfigSourceLocal
	if t.remote {
		source = cftunnel.ConfigSourceCloudflare
	}
	return success(struct {
		AccountID string                `json:"account_id"`
		TunnelID  string                `json:"tunnel_id"`
		Version   int                   `json:"version"`
		Config    json.RawMessage       `json:"config"`
		Source    cftunnel.ConfigSource `json:"source"`
		CreatedAt *timestamp            `json:"created_at"`
	}{a.id, t.id, t.config.version, t.config.config, source, orNull(t.config.created)})
}
