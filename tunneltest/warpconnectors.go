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

// ha is how a WARP connector is highly available.
type ha struct {
	on      bool
	active  string // the id of the active connector
	version int
	mode    cftunnel.HAMode
	config  *haConfig
	updated time.Time
}

// haConfig is one of two forms: the one of AWS, and the local one.
type haConfig struct {
	FNRID        string `json:"fnr_id,omitempty"`
	VIPs         []vip  `json:"vips,omitempty"`
	VIPsPrevious []vip  `json:"vips_previous,omitempty"`
}

type vip struct {
	Address string `json:"address"`
}

func (t *tunnel) isWARP() bool { return t.kind == string(cftunnel.TunnelTypeWARPConnector) }

// warpToken is opaque, as the real one is to those who read only documents. It changes with the secret.
func (t *tunnel) warpToken() string {
	sum := sha256.Sum256([]byte(t.id + "\x00" + t.secret))
	return "warp_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *Server) createWARP(c *call) answer {
	var body struct {
		Name string `json:"name"`
		HA   bool   `json:"ha"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		return *bad("The request's body is no JSON object of the right shape")
	}
	switch {
	case strings.TrimSpace(body.Name) == "":
		return *bad("name is required")
	case c.account.nameTaken(body.Name, nil):
		return nameTaken()
	}
	t := c.account.add(body.Name, string(cftunnel.TunnelTypeWARPConnector), false, "", s.stamp())
	t.ha = ha{on: body.HA, mode: cftunnel.HAModeNone} // until it is configured
	j := t.json(c.account)
	j.Connections = &[]any{}
	j.Token = c.account.token(t)
	return success(j)
}

// elect keeps one connector active while there is any that has connections.
func (t *tunnel) elect() {
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

func (s *Server) failover(c *call) answer {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	var body struct {
		ClientID string `json:"client_id"`
	}
	linked := json.Unmarshal(c.body, &body) == nil &&
		slices.ContainsFunc(t.connectors, func(c *connector) bool { return c.id == body.ClientID && len(c.conns) > 0 })
	switch {
	case !t.ha.on:
		return *bad("The WARP connector is not highly available")
	case !linked:
		return *bad("client_id must be that of a connector of this tunnel which is not offline")
	}
	t.ha.active = body.ClientID
	return success(nil)
}

func (s *Server) getHA(c *call) answer {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	return t.haAnswer()
}

func (s *Server) putHA(c *call) answer {
	t := c.liveTunnel()
	if t == nil {
		return notFound()
	}
	var body struct {
		HAMode cftunnel.HAMode `json:"ha_mode"`
		Config *haConfig       `json:"config"`
	}
	if json.Unmarshal(c.body, &body) != nil {
		return *bad("The request's body is no JSON object of the right shape")
	}
	config := haConfig{}
	if body.Config != nil {
		config = *body.Config
	}
	hasFNR, hasVIPs := config.FNRID != "", len(config.VIPs)+len(config.VIPsPrevious) > 0
	for _, v := range slices.Concat(config.VIPs, config.VIPsPrevious) {
		if v.Address == "" {
			return *bad("address is required")
		}
	}
	switch body.HAMode {
	case cftunnel.HAModeNone, cftunnel.HAModeDisabled:
		if hasFNR || hasVIPs {
			return *bad("ha_mode " + string(body.HAMode) + " has no config")
		}
	case cftunnel.HAModeAWS:
		if !hasFNR || hasVIPs {
			return *bad("ha_mode aws has the config fnr_id")
		}
	case cftunnel.HAModeLocal:
		if len(config.VIPs) == 0 || hasFNR {
			return *bad("ha_mode local has the config vips")
		}
	default:
		return *bad("ha_mode must be none, disabled, aws or local")
	}
	if !t.ha.on && (hasFNR || hasVIPs) {
		return *bad("The WARP connector is not highly available")
	}
	if hasVIPs && config.VIPsPrevious == nil && t.ha.config != nil {
		config.VIPsPrevious = t.ha.config.VIPs
	}
	t.ha.version, t.ha.mode, t.ha.config, t.ha.updated = t.ha.version+1, body.HAMode, nil, s.stamp()
	if hasFNR || hasVIPs {
		t.ha.config = &config
	}
	return t.haAnswer()
}

func (t *tunnel) haAnswer() answer {
	return success(struct {
		Version   int             `json:"configuration_version"`
		CreatedAt timestamp       `json:"created_at"`
		UpdatedAt *timestamp      `json:"updated_at"`
		HAMode    cftunnel.HAMode `json:"ha_mode"`
		TunnelID  string          `json:"tunnel_id"`
		Config    *haConfig       `json:"config"`
	}{t.ha.version, timestamp{t.created}, orNull(t.ha.updated), t.ha.mode, t.id, t.ha.config})
}
