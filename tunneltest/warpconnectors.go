package tunneltest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// ha is the high availability (HA) state of a WARP connector.
type ha struct {
	on      bool
	active  string // ID of the active connector
	version int
	mode    cftunnel.HAMode
	config  *haConfig
	updated time.Time
}

// haConfig has FNRID for the mode aws, or the VIPs for the mode local.
type haConfig struct {
	FNRID        string `json:"fnr_id,omitempty"`
	VIPs         []vip  `json:"vips,omitempty"`
	VIPsPrevious []vip  `json:"vips_previous,omitempty"`
}

type vip struct {
	Address string `json:"address"`
}

func (t *tunnel) isWARP() bool { return t.kind == string(cftunnel.TunnelTypeWARPConnector) }

// warpToken returns the token of a WARP connector. It is opaque, because the format of the real
// token is not documented. It changes with the secret.
func (t *tunnel) warpToken() string {
	sum := sha256.Sum256([]byte(t.id + "\x00" + t.secret))
	return "warp_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *Server) createWARP(c *call) *response {
	var body struct {
		Name string `json:"name"`
		HA   bool   `json:"ha"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		return badRequest("The request's body is not a valid JSON object")
	}
	switch {
	case strings.TrimSpace(body.Name) == "":
		return badRequest("name is required")
	case c.account.nameTaken(body.Name, nil):
		return nameTaken()
	}
	kind := string(cftunnel.TunnelTypeWARPConnector)
	t := c.account.addTunnel(body.Name, kind, false, "", s.currentTime())
	t.ha = ha{on: body.HA, mode: cftunnel.HAModeNone}
	j := t.json(c.account)
	j.Connections = &[]any{}
	j.Token = c.account.token(t)
	return success(j)
}

// electActive makes the oldest connector with connections active, unless the active connector still
// has connections.
func (t *tunnel) electActive() {
	if !t.isWARP() {
		return
	}
	next := ""
	for _, c := range slices.Backward(t.connectors) {
		switch {
		case len(c.conns) == 0:
		case c.id == t.ha.active:
			return
		default:
			next = c.id
		}
	}
	t.ha.active = next
}

func (s *Server) failover(c *call) *response {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	var body struct {
		ClientID string `json:"client_id"`
	}
	isOnline := json.Unmarshal(c.body, &body) == nil &&
		slices.ContainsFunc(t.connectors, func(c *connector) bool {
			return c.id == body.ClientID && len(c.conns) > 0
		})
	switch {
	case !t.ha.on:
		return badRequest("The WARP connector is not highly available")
	case !isOnline:
		return badRequest("client_id must be the ID of a connector of this tunnel that is online")
	}
	t.ha.active = body.ClientID
	return success(nil)
}

func (s *Server) getHA(c *call) *response {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	return t.haResponse()
}

func (s *Server) putHA(c *call) *response {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	var body struct {
		HAMode cftunnel.HAMode `json:"ha_mode"`
		Config *haConfig       `json:"config"`
	}
	if json.Unmarshal(c.body, &body) != nil {
		return badRequest("The request's body is not a valid JSON object")
	}
	config := haConfig{}
	if body.Config != nil {
		config = *body.Config
	}
	hasFNR, hasVIPs := config.FNRID != "", len(config.VIPs)+len(config.VIPsPrevious) > 0
	for _, v := range slices.Concat(config.VIPs, config.VIPsPrevious) {
		if v.Address == "" {
			return badRequest("address is required")
		}
	}
	switch body.HAMode {
	case cftunnel.HAModeNone, cftunnel.HAModeDisabled:
		if hasFNR || hasVIPs {
			return badRequest("ha_mode " + string(body.HAMode) + " does not allow a config")
		}
	case cftunnel.HAModeAWS:
		if !hasFNR || hasVIPs {
			return badRequest("ha_mode aws requires fnr_id, and only that, in config")
		}
	case cftunnel.HAModeLocal:
		if len(config.VIPs) == 0 || hasFNR {
			return badRequest("ha_mode local requires vips, and no fnr_id, in config")
		}
	default:
		return badRequest("ha_mode must be none, disabled, aws or local")
	}
	if !t.ha.on && (hasFNR || hasVIPs) {
		return badRequest("The WARP connector is not highly available")
	}
	if hasVIPs && config.VIPsPrevious == nil && t.ha.config != nil {
		config.VIPsPrevious = t.ha.config.VIPs
	}
	t.ha.version++
	t.ha.mode, t.ha.config, t.ha.updated = body.HAMode, nil, s.currentTime()
	if hasFNR || hasVIPs {
		t.ha.config = &config
	}
	return t.haResponse()
}

func (t *tunnel) haResponse() *response {
	return success(struct {
		Version   int             `json:"configuration_version"`
		CreatedAt timestamp       `json:"created_at"`
		UpdatedAt *timestamp      `json:"updated_at"`
		HAMode    cftunnel.HAMode `json:"ha_mode"`
		TunnelID  string          `json:"tunnel_id"`
		Config    *haConfig       `json:"config"`
	}{t.ha.version, timestamp{t.created}, nullTime(t.ha.updated), t.ha.mode, t.id, t.ha.config})
}
