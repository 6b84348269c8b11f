package tunneltest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
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

// managementToken serves the documented call, whose body names the resources, and the newer one,
// whose path does.
func (s *Server) managementToken(c *call) answer {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	resource, isNewer := c.values["resource"]
	known := []string{"logs", "admin", "host_details"}
	if !isNewer {
		var body struct{ Resources []string }
		if json.Unmarshal(c.body, &body) != nil || len(body.Resources) != 1 || body.Resources[0] != "logs" {
			return *bad(`resources must be ["logs"]`)
		}
		resource = "logs"
	}
	if !slices.Contains(known, resource) {
		return failure(http.StatusNotFound, 7000, "No route for that URI")
	}
	part := func(v any) string {
		encoded, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(encoded)
	}
	return success(part(map[string]string{"alg": "ES256", "typ": "JWT"}) + "." +
		part(map[string]any{"tun": map[string]string{"id": t.id, "account_tag": c.account.id}, "res": []string{resource}}) + "." + randomHex(32))
}
