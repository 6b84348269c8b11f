package cftunnel_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

type tunnelConfig = cftunnel.TunnelConfig

// modifyConfig calls ModifyConfiguration with the context of the test.
func modifyConfig(
	t *testing.T, client *cftunnel.Client, id string,
	change func(*tunnelConfig) error, opts ...cftunnel.CallOption,
) (*cftunnel.TunnelConfiguration, error) {
	t.Helper()
	return client.Tunnels.ModifyConfiguration(t.Context(), id, change, opts...)
}

func TestTunnelsModifyConfiguration_KeepsUnknownMembers(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	put(t, client, tunnel.ID, `{
		"future":{"deep":[1,2.50,{"a":null}]},
		"warp-routing":{"enabled":true,"connectTimeout":"3s","maxActiveFlows":12345678901234567890},
		"originRequest":{"newThing":1e3,"connectTimeout":"30s","noTLSVerify":true,"httpHostHeader":"","bastionMode":true},
		"ingress":[
			{"hostname":"a.example.com","service":"http://a","extra":"<&>","originRequest":{"access":{"required":false,"teamName":"t","audTag":[],"more":1}}},
			{"hostname":"","path":null,"service":"http_status:404","comment":"last","originRequest":{"access":{"required":true}}}]}`)

	written, err := modifyConfig(t, client, tunnel.ID, func(config *tunnelConfig) error {
		rule := cftunnel.IngressRule{Hostname: "b.example.com", Service: "http://b"}
		config.Ingress = append([]cftunnel.IngressRule{rule}, config.Ingress...)
		config.OriginRequest.NoTLSVerify = nil
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, 2, written.Version)
	assert.JSONEq(t, `{
		"future":{"deep":[1,2.50,{"a":null}]},
		"warp-routing":{"enabled":true,"connectTimeout":"3s","maxActiveFlows":12345678901234567890},
		"originRequest":{"newThing":1e3,"connectTimeout":"30s","httpHostHeader":"","bastionMode":true},
		"ingress":[
			{"hostname":"b.example.com","service":"http://b"},
			{"hostname":"a.example.com","service":"http://a","extra":"<&>","originRequest":{"access":{"required":false,"teamName":"t","audTag":[],"more":1}}},
			{"service":"http_status:404","comment":"last","originRequest":{"access":{"required":true}}}]}`, stored(t, client, tunnel.ID))
	assert.Contains(t, stored(t, client, tunnel.ID), "12345678901234567890", "every digit is kept")
}

// serveConfiguration makes the fake respond to every read with this configuration, which may be one
// that the fake would not accept. Writes are carried out.
func serveConfiguration(srv *tunneltest.Server, config string) {
	srv.Inject(tunneltest.Fault{
		Operation: opConfiguration, Times: tunneltest.Always,
		Body: `{"success":true,"errors":[],"messages":[],"result":{"version":0,"source":"cloudflare",` +
			`"config":` + config + `}}`,
	})
}

// sentConfigurations returns the bodies of all writes of configurations.
func sentConfigurations(srv *tunneltest.Server) []string {
	var bodies []string
	for _, r := range srv.Requests() {
		if r.Operation == opConfigure {
			bodies = append(bodies, r.Body.Reveal())
		}
	}
	return bodies
}

func TestTunnelsModifyConfiguration_UnchangedMembersAreSentAsRead(t *testing.T) {
	t.Parallel()
	for _, text := range passThrough[1:] {
		srv, client := newFake(t)
		serveConfiguration(srv, strings.Replace(text, "{", `{"dropped":1,`, 1))
		_, _ = modifyConfig(t, client, srv.SeedTunnels(1)[0].ID, func(config *tunnelConfig) error {
			return json.Unmarshal([]byte(text), config) // changes no member that has a field
		})
		sent := sentConfigurations(srv)
		require.Len(t, sent, 1, text)
		assert.JSONEq(t, `{"config":`+text+`}`, sent[0])
	}
}

func TestTunnelsModifyConfiguration_NoChange(t *testing.T) {
	t.Parallel()
	const config = `{"ingress":[{"hostname":"a.example.com","service":"vnc://10.0.0.1:5900","originRequest":{"connectTimeout":30}},
		{"hostname":"*","service":"http_status:404"}],"future":1}`
	for name, modify := range map[string]func(*tunnelConfig) error{
		"no change": func(*tunnelConfig) error { return nil },
		"what the API drops": func(config *tunnelConfig) error {
			config.WARPRouting = &cftunnel.WARPRouting{Enabled: false}
			config.OriginRequest = &cftunnel.OriginRequest{}
			config.Ingress[1].OriginRequest = &cftunnel.OriginRequest{}
			return nil
		},
		"the same values": func(config *tunnelConfig) error {
			config.Ingress[0].OriginRequest.ConnectTimeout = new(30)
			config.Ingress[0].Service = "vnc://10.0.0.1:5900"
			return nil
		},
		"a change and its reversal": func(config *tunnelConfig) error {
			config.Ingress[0].Service = "tcp://a"
			config.Ingress[0].Service = "vnc://10.0.0.1:5900"
			return nil
		},
	} {
		srv, client := newFake(t)
		id := srv.SeedTunnels(1)[0].ID
		put(t, client, id, config)
		read, err := modifyConfig(t, client, id, modify)
		require.NoError(t, err, name)
		assert.Equal(t, 1, read.Version, name)
		assert.Equal(t, decodeConfig(t, config), read.Config,
			"%s: the configuration that was read", name)
		assert.Equal(t, 1, carriedOut(srv, opConfigure), "%s: only the first write", name)
	}

	srv, client := newFake(t)
	id := srv.SeedTunnels(1)[0].ID
	read, err := modifyConfig(t, client, id, func(*tunnelConfig) error { return nil })
	require.NoError(t, err, "a configuration that was never set")
	assert.Zero(t, read.Version)
	assert.Zero(t, carriedOut(srv, opConfigure))
}

// A change through a pointer of the configuration that was read is a change.
func TestTunnelsModifyConfiguration_ChangeInPlace(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	id := srv.SeedTunnels(1)[0].ID
	put(t, client, id, `{"ingress":[
		{"hostname":"a","service":"http://a","originRequest":{"connectTimeout":1}},{"service":"bastion"}]}`)
	written, err := modifyConfig(t, client, id, func(config *tunnelConfig) error {
		*config.Ingress[0].OriginRequest.ConnectTimeout = 2
		config.Ingress[1].Service = "http_status:404"
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, 2, written.Version)
	assert.JSONEq(t, `{"ingress":[
		{"hostname":"a","service":"http://a","originRequest":{"connectTimeout":2}},
		{"service":"http_status:404"}]}`, stored(t, client, id))
}

// Rules that were read are not validated: the API may accept what this client does not know.
func TestTunnelsModifyConfiguration_UnchangedRulesAreNotValidated(t *testing.T) {
	t.Parallel()
	addFirst := func(config *tunnelConfig) error {
		rule := cftunnel.IngressRule{Hostname: "new.example.com", Service: "http://a"}
		config.Ingress = append([]cftunnel.IngressRule{rule}, config.Ingress...)
		return nil
	}
	setOrigin := func(config *tunnelConfig) error {
		config.OriginRequest = &cftunnel.OriginRequest{NoTLSVerify: new(true)}
		return nil
	}
	for _, text := range []string{
		`{"ingress":[{"hostname":"a","service":"vnc://10.0.0.1:5900"},{"service":"bastion"}]}`,
		`{"ingress":[{"hostname":"a","service":"http://b"},{"hostname":"*","service":"bastion"}]}`,
		`{"ingress":[{"hostname":"a","service":"brand-new"},{"service":"bastion"}]}`,
		`{"ingress":[{"hostname":"a"},{"service":"bastion"}]}`,
		`{"ingress":[{"hostname":"a:1","service":"bastion"},{"hostname":"a*","service":"bastion"},{"service":"bastion"}]}`,
		`{"ingress":[{"hostname":"a","path":"[","service":"bastion"},{"service":"bastion"}]}`,
		`{"ingress":[{"service":"bastion"},{"hostname":"a","service":"bastion"}]}`,
		`{"ingress":[{"hostname":7,"service":7},{"service":"bastion"}]}`,
		`{"ingress":[{"hostname":"a","service":"bastion","originRequest":{"access":{"required":true,"audTag":["a"]},"connectTimeout":-1}},{"service":"bastion"}]}`,
		`{"originRequest":{"connectTimeout":-1},"warp-routing":{"connectTimeout":-1},"ingress":[{"service":"bastion"}]}`,
	} {
		changes := map[string]func(*tunnelConfig) error{"add": addFirst, "set": setOrigin}
		for name, modify := range changes {
			srv, client := newFake(t)
			serveConfiguration(srv, text)
			_, err := modifyConfig(t, client, srv.SeedTunnels(1)[0].ID, modify)
			_, invalid := errors.AsType[*cftunnel.InvalidArgumentError](err)
			assert.False(t, invalid, "%s to %s: %v", name, text, err)
			assert.Len(t, sentConfigurations(srv), 1, "%s to %s", name, text)
		}
	}
	for _, text := range []string{
		`{}`, `null`, `{"warp-routing":{"enabled":true}}`, `{"ingress":[]}`, `{"ingress":{"0":1}}`,
	} {
		srv, client := newFake(t)
		serveConfiguration(srv, text)
		_, err := modifyConfig(t, client, srv.SeedTunnels(1)[0].ID, setOrigin)
		_, invalid := errors.AsType[*cftunnel.InvalidArgumentError](err)
		assert.False(t, invalid, "%s: %v", text, err)
		assert.Len(t, sentConfigurations(srv), 1, text)
	}
}

func TestTunnelsModifyConfiguration_ChangesAreValidated(t *testing.T) {
	t.Parallel()
	for field, modify := range map[string]func(*tunnelConfig){
		"Ingress":             func(c *tunnelConfig) { c.Ingress = nil },
		"Ingress[0].Service":  func(c *tunnelConfig) { c.Ingress[0].Service = "old" },
		"Ingress[1].Service":  func(c *tunnelConfig) { c.Ingress[1].Service = "older" },
		"Ingress[1].Hostname": func(c *tunnelConfig) { c.Ingress = c.Ingress[:2] },
		"Ingress[2]": func(c *tunnelConfig) {
			c.Ingress = append(c.Ingress, cftunnel.IngressRule{Service: "http_status:503"})
		},
		"Ingress[1].OriginRequest.ConnectTimeout": func(c *tunnelConfig) {
			c.Ingress[1].OriginRequest = &cftunnel.OriginRequest{ConnectTimeout: new(-1)}
		},
		"OriginRequest.ConnectTimeout": func(c *tunnelConfig) {
			c.OriginRequest.ConnectTimeout = new(-2)
		},
		"Ingress[0].Service because of BastionMode": func(c *tunnelConfig) {
			c.OriginRequest.BastionMode = new(false)
		},
	} {
		srv, client := newFake(t)
		serveConfiguration(srv, `{"originRequest":{"connectTimeout":-1,"bastionMode":true},"ingress":[
			{"hostname":"a","service":"","originRequest":{"bastionMode":null}},
			{"hostname":"b","service":"x","originRequest":{"bastionMode":false}},{"service":"bastion"}]}`)
		id := srv.SeedTunnels(1)[0].ID
		_, err := modifyConfig(t, client, id, func(config *tunnelConfig) error {
			if field == "Ingress[0].Service" {
				config.OriginRequest.BastionMode = nil
			}
			modify(config)
			return nil
		})
		invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%s: %v", field, err)
		name, _, _ := strings.Cut(field, " ")
		assert.Equal(t, name, invalid.Name)
		assert.Empty(t, sentConfigurations(srv), field)
	}
}

func TestTunnelsModifyConfiguration_UndecodedMemberIsNotReplaced(t *testing.T) {
	t.Parallel()
	const (
		audTag  = "ingress[0].originRequest.access.audTag"
		ingress = `{"ingress":{"0":{"service":"bastion"}}}`
		access  = `{"ingress":[{"hostname":"a","service":"bastion","originRequest":{"access":{"required":true,"teamName":"t","audTag":"one"}}},
			{"service":"bastion"}],"originRequest":{"access":7},"warp-routing":{"enabled":1}}`
	)
	for _, c := range []struct {
		name, text, member string
		modify             func(*tunnelConfig) error
	}{
		{"append to ingress", ingress, "ingress", addRule("a")},
		{"replace everything", ingress, "ingress", func(c *tunnelConfig) error {
			*c = onlyCatchAll
			return nil
		}},
		{"drop everything", ingress, "ingress", func(c *tunnelConfig) error {
			*c = cftunnel.TunnelConfig{WARPRouting: &cftunnel.WARPRouting{Enabled: true}}
			return nil
		}},
		{"append to audTag", access, audTag, func(c *tunnelConfig) error {
			tags := &c.Ingress[0].OriginRequest.Access.AUDTag
			*tags = append(*tags, "two")
			return nil
		}},
		{"replace access", access, audTag, func(c *tunnelConfig) error {
			c.Ingress[0].OriginRequest.Access = &cftunnel.Access{AUDTag: []string{"two"}}
			return nil
		}},
		{"replace the rule", access, audTag, func(c *tunnelConfig) error {
			origin := &cftunnel.OriginRequest{Access: &cftunnel.Access{}}
			c.Ingress[0] = cftunnel.IngressRule{
				Hostname: "a", Service: "bastion", OriginRequest: origin,
			}
			return nil
		}},
		{"set access", access, "originRequest.access", func(c *tunnelConfig) error {
			c.OriginRequest.Access = &cftunnel.Access{Required: true}
			return nil
		}},
		{"replace originRequest", access, "originRequest.access", func(c *tunnelConfig) error {
			c.OriginRequest = &cftunnel.OriginRequest{NoTLSVerify: new(true)}
			return nil
		}},
		{"replace warp-routing", access, "warp-routing.enabled", func(c *tunnelConfig) error {
			c.WARPRouting = &cftunnel.WARPRouting{Enabled: true}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t)
			serveConfiguration(srv, c.text)
			_, err := modifyConfig(t, client, srv.SeedTunnels(1)[0].ID, c.modify)
			invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%v", err)
			assert.Contains(t, invalid.Reason, "the member "+c.member+",")
			assert.Empty(t, sentConfigurations(srv))
		})
	}

	srv, client := newFake(t)
	serveConfiguration(srv, access)
	_, _ = modifyConfig(t, client, srv.SeedTunnels(1)[0].ID, func(c *tunnelConfig) error {
		c.Ingress, c.OriginRequest = c.Ingress[1:], nil // removing the whole member is allowed
		return nil
	})
	require.Len(t, sentConfigurations(srv), 1)
	assert.JSONEq(t, `{"config":{"ingress":[{"service":"bastion"}],"warp-routing":{"enabled":1}}}`,
		sentConfigurations(srv)[0])
}

func TestTunnelsModifyConfiguration_DisablesWARPRouting(t *testing.T) {
	t.Parallel()
	for before, want := range map[string]string{
		`{"enabled":true}`:                    `{"enabled":false}`,
		`{"enabled":true,"connectTimeout":1}`: `{"enabled":false,"connectTimeout":1}`,
	} {
		srv, client := newFake(t)
		id := srv.SeedTunnels(1)[0].ID
		put(t, client, id, `{"ingress":[{"service":"bastion"}],"warp-routing":`+before+`}`)
		written, err := modifyConfig(t, client, id, func(c *tunnelConfig) error {
			c.WARPRouting.Enabled = false
			return nil
		})
		require.NoError(t, err)
		assert.Nil(t, written.Config.WARPRouting)
		assert.JSONEq(t, `{"config":{"ingress":[{"service":"bastion"}],"warp-routing":`+want+`}}`,
			sentConfigurations(srv)[1])
	}
}

// addRule returns a change that adds a rule for hostname before the other rules.
func addRule(hostname string) func(*tunnelConfig) error {
	return func(config *tunnelConfig) error {
		if len(config.Ingress) == 0 {
			config.Ingress = []cftunnel.IngressRule{catchAll}
		}
		rule := cftunnel.IngressRule{Hostname: hostname, Service: "http://a"}
		config.Ingress = append([]cftunnel.IngressRule{rule}, config.Ingress...)
		return nil
	}
}
