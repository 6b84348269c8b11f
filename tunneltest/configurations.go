package tunneltest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// configuration is the remote configuration of a tunnel, as it was put.
type configuration struct {
	version int // 0 where it was never set
	config  json.RawMessage
	created time.Time
}

// configured returns the live tunnel of the path, or what the configuration endpoints say where there is none.
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
	var rules struct {
		Ingress []struct{ Hostname, Path, Service string }
	}
	if json.Unmarshal(c.body, &body) != nil || body.Config != nil && json.Unmarshal(body.Config, &rules) != nil {
		return *bad("The request's body has no config of the right shape")
	}
	if len(rules.Ingress) == 0 {
		return badIngress("The configuration has no ingress rules")
	}
	for _, rule := range rules.Ingress {
		if !isService(rule.Service) {
			return badIngress("Every ingress rule needs a service with a scheme that is known")
		}
	}
	if last := rules.Ingress[len(rules.Ingress)-1]; last.Hostname != "" || last.Path != "" {
		return badIngress("The last ingress rule must match every hostname and path")
	}
	t.config = configuration{version: t.config.version + 1, config: body.Config, created: s.stamp()}
	return t.configurationAnswer(c.account)
}

// isService knows services by their beginning.
func isService(service string) bool {
	for _, scheme := range []string{
		"http://", "https://", "ws://", "wss://", "tcp://", "ssh://", "rdp://", "smb://", "unix:", "unix+tls:", "http_status:",
		"hello_world", "hello-world", "helloworld", "bastion", "socks-proxy",
	} {
		if strings.HasPrefix(service, scheme) {
			return true
		}
	}
	return false
}

func badIngress(text string) answer { return failure(http.StatusBadRequest, 1056, text) }

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

// managementToken serves the documented call, whose body names the resources, and the newer one, whose path does.
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
