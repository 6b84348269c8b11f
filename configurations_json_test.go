package cftunnel_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

func decodeConfig(t *testing.T, text string) cftunnel.TunnelConfig {
	t.Helper()
	var config cftunnel.TunnelConfig
	require.NoError(t, json.Unmarshal([]byte(text), &config), text)
	return config
}

// passThrough are configurations that must encode to the JSON that they were decoded from.
var passThrough = []string{
	`{}`,
	`{"warp-routing":{}}`,
	`{"warp-routing":null}`,
	`{"warp-routing":{"connectTimeout":1}}`,
	`{"warp-routing":{"enabled":false}}`,
	`{"warp-routing":{"enabled":false,"connectTimeout":1}}`,
	`{"warp-routing":{"enabled":"on","tcpKeepAlive":"1m"}}`,
	`{"warp-routing":{"enabled":true,"connectTimeout":"3s","maxActiveFlows":12345678901234567890,"more":1}}`,
	`{"originRequest":{}}`,
	`{"originRequest":null}`,
	`{"originRequest":[]}`,
	`{"originRequest":{"connectTimeout":"30s","tlsTimeout":"1.5s","tcpKeepAlive":"5","keepAliveTimeout":1.5}}`,
	`{"originRequest":{"noTLSVerify":"true","keepAliveConnections":"many","proxyPort":80.5,"httpHostHeader":""}}`,
	`{"originRequest":{"ipRules":[{"prefix":"::/0"},{"ports":null,"allow":false},{"more":1}]}}`,
	`{"originRequest":{"ipRules":[null]}}`,
	`{"originRequest":{"access":{}}}`,
	`{"originRequest":{"access":{"audTag":"one","required":false,"teamName":"","environment":null}}}`,
	`{"originRequest":{"access":{"audTag":["one",null]}}}`,
	`{"ingress":null}`,
	`{"ingress":[]}`,
	`{"ingress":[{}]}`,
	`{"ingress":[null,{"service":"bastion"}]}`,
	`{"ingress":{"0":{"service":"bastion"}}}`,
	`{"ingress":[{"service":""},{"service":null},{"service":404},{"hostname":7},{"hostname":"a"}]}`,
	`{"ingress":[{"service":"bastion","originRequest":{}}],"id":{"a":[1,2.50]}}`,
}

func TestTunnelConfigJSON_PassThrough(t *testing.T) {
	t.Parallel()
	for _, text := range passThrough {
		config := decodeConfig(t, text)
		encoded, err := json.Marshal(config)
		require.NoError(t, err, text)
		assert.JSONEq(t, text, string(encoded))
		assert.True(t, config.Equal(decodeConfig(t, string(encoded))), text)
	}
}

func TestTunnelConfigJSON_Seconds(t *testing.T) {
	t.Parallel()
	config := decodeConfig(t, `{
		"originRequest":{"connectTimeout":"30s","tlsTimeout":"1m30s","tcpKeepAlive":"500ms","keepAliveTimeout":90},
		"warp-routing":{"connectTimeout":"3s","tcpKeepAlive":"4s"}}`)
	assert.Equal(t, new(30), config.OriginRequest.ConnectTimeout)
	assert.Equal(t, new(90), config.OriginRequest.TLSTimeout)
	assert.Nil(t, config.OriginRequest.TCPKeepAlive, "not whole seconds")
	assert.Equal(t, new(90), config.OriginRequest.KeepAliveTimeout)
	assert.Equal(t, new(3), config.WARPRouting.ConnectTimeout)
	assert.Equal(t, new(4), config.WARPRouting.TCPKeepAlive)

	config.OriginRequest.ConnectTimeout = new(10)
	config.OriginRequest.TLSTimeout = nil
	config.OriginRequest.TCPKeepAlive = new(20)
	encoded, err := json.Marshal(config)
	require.NoError(t, err)
	assert.JSONEq(t, `{"originRequest":{"connectTimeout":10,"tcpKeepAlive":20,"keepAliveTimeout":90},
		"warp-routing":{"connectTimeout":"3s","tcpKeepAlive":"4s"}}`, string(encoded))
}

func TestTunnelConfigJSON_UndecodedMemberIsNotReplaced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, path string
		set        func(*cftunnel.TunnelConfig)
	}{
		{`{"ingress":{"0":{"service":"bastion"}}}`, "ingress", func(c *cftunnel.TunnelConfig) { c.Ingress = append(c.Ingress, catchAll) }},
		{`{"originRequest":{"access":{"audTag":"one"}}}`, "originRequest.access.audTag",
			func(c *cftunnel.TunnelConfig) {
				c.OriginRequest.Access.AUDTag = append(c.OriginRequest.Access.AUDTag, "two")
			}},
		{`{"ingress":[{},{"originRequest":{"access":{"audTag":"one"}}}]}`, "ingress[1].originRequest.access.audTag", func(c *cftunnel.TunnelConfig) {
			c.Ingress[1].OriginRequest.Access.AUDTag = []string{"two"}
		}},
		{`{"warp-routing":[]}`, "warp-routing", func(c *cftunnel.TunnelConfig) { c.WARPRouting = &cftunnel.WARPRouting{Enabled: true} }},
		{`{"warp-routing":{"enabled":"on"}}`, "warp-routing.enabled", func(c *cftunnel.TunnelConfig) { c.WARPRouting.Enabled = true }},
		{`{"originRequest":{"ipRules":[{"prefix":1}]}}`, "originRequest.ipRules[0].prefix",
			func(c *cftunnel.TunnelConfig) {
				c.OriginRequest.IPRules[0].Prefix = "::/0"
			}},
		{`{"ingress":[{"hostname":7}]}`, "ingress[0].hostname", func(c *cftunnel.TunnelConfig) { c.Ingress[0].Hostname = "a" }},
	} {
		config := decodeConfig(t, c.text)
		c.set(&config)
		_, err := json.Marshal(config)
		require.Error(t, err, c.text)
		assert.Contains(t, err.Error(), `"`+c.path+`"`)
	}
}

func TestWARPRoutingJSON(t *testing.T) {
	t.Parallel()
	for want, routing := range map[string]cftunnel.WARPRouting{
		`{"enabled":false}`:                     {},
		`{"enabled":true}`:                      {Enabled: true},
		`{"connectTimeout":1}`:                  {ConnectTimeout: new(1)},
		`{"enabled":true,"maxActiveFlows":0}`:   {Enabled: true, MaxActiveFlows: new(0)},
		`{"connectTimeout":1,"tcpKeepAlive":2}`: {ConnectTimeout: new(1), TCPKeepAlive: new(2)},
	} {
		encoded, err := json.Marshal(routing)
		require.NoError(t, err)
		assert.JSONEq(t, want, string(encoded))
	}
	for text, want := range map[string]string{
		`{"enabled":true}`:           `{"enabled":false}`,
		`{"enabled":true,"more":1}`:  `{"more":1}`,
		`{"enabled":false,"more":1}`: `{"enabled":false,"more":1}`,
		`{"connectTimeout":1}`:       `{"connectTimeout":1}`,
	} {
		var routing cftunnel.WARPRouting
		require.NoError(t, json.Unmarshal([]byte(text), &routing))
		routing.Enabled = false
		encoded, err := json.Marshal(routing)
		require.NoError(t, err)
		assert.JSONEq(t, want, string(encoded), text)
	}
}

func TestIngressRuleJSON_EmptyHostnameAndPath(t *testing.T) {
	t.Parallel()
	var rule cftunnel.IngressRule
	require.NoError(t,
		json.Unmarshal([]byte(`{"hostname":"","path":null,"service":"bastion"}`), &rule))
	assert.Equal(t, cftunnel.IngressRule{Service: "bastion"}, rule)
}

func TestTunnelConfigEqual(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		one, other string
		equal      bool
	}{
		{`{}`, `{"ingress":[],"originRequest":{},"warp-routing":{"enabled":false}}`, true},
		{`{}`, `{"ingress":null,"originRequest":null,"warp-routing":null}`, true},
		{`{}`, `{"warp-routing":{}}`, true},
		{`{}`, `{"warp-routing":{"enabled":false,"connectTimeout":1}}`, true},
		{`{}`, `{"warp-routing":{"connectTimeout":1}}`, false},
		{`{}`, `{"warp-routing":{"enabled":true}}`, false},
		{`{}`, `{"more":null}`, true},
		{`{}`, `{"more":0}`, false},
		{`{}`, `{"originRequest":{"access":{}}}`, false},
		{`{}`, `{"originRequest":{"ipRules":[]}}`, true},
		{`{"ingress":[{"service":"bastion"}]}`, `{"ingress":[{"hostname":"","path":"","service":"bastion","originRequest":{}}]}`, true},
		{`{"ingress":[{"service":"bastion"}]}`, `{"ingress":[{"hostname":"*","service":"bastion"}]}`, false},
		{`{"ingress":[{"service":"a"},{"service":"b"}]}`, `{"ingress":[{"service":"b"},{"service":"a"}]}`, false},
		{`{"more":{"a":1,"b":2}}`, `{"more":{"b":2,"a":1}}`, true},
		{`{"more":12345678901234567890}`, `{"more":12345678901234567891}`, false},
		{`{"originRequest":{"connectTimeout":"30s"}}`, `{"originRequest":{"connectTimeout":30}}`, true},
		{`{"originRequest":{"connectTimeout":"1.5s"}}`, `{"originRequest":{"connectTimeout":1}}`, false},
		{`{"warp-routing":{"tcpKeepAlive":"1m"}}`, `{"warp-routing":{"tcpKeepAlive":60}}`, true},
		{`{"originRequest":{"httpHostHeader":""}}`, `{}`, false},
		{`{"originRequest":{"noTLSVerify":false}}`, `{}`, false},
		{
			`{"originRequest":{"access":{"required":true}}}`,
			`{"originRequest":{"access":{"required":true,"teamName":"","audTag":null,"environment":""}}}`, true,
		},
		{`{"originRequest":{"access":{"audTag":["a"]}}}`, `{"originRequest":{"access":{"audTag":["a"],"required":false}}}`, true},
		{`{"originRequest":{"access":{"audTag":["a"]}}}`, `{"originRequest":{"access":{"audTag":["b"]}}}`, false},
		{`{"originRequest":{"ipRules":[{"prefix":"::/0"}]}}`, `{"originRequest":{"ipRules":[{"prefix":"::/0","ports":null,"allow":false}]}}`, true},
		{`{"originRequest":{"ipRules":[{"prefix":"::/0"}]}}`, `{"originRequest":{"ipRules":[{"prefix":"::/0","allow":true}]}}`, false},
		{`{"ingress":{"0":1}}`, `{"ingress":{"0":1}}`, true},
		{`{"ingress":{"0":1}}`, `{}`, false},
	} {
		one, other := decodeConfig(t, c.one), decodeConfig(t, c.other)
		assert.Equal(t, c.equal, one.Equal(other), "%s and %s", c.one, c.other)
		assert.Equal(t, c.equal, other.Equal(one), "%s and %s", c.other, c.one)
	}
	off := cftunnel.TunnelConfig{
		Ingress: []cftunnel.IngressRule{{Service: "bastion", OriginRequest: &cftunnel.OriginRequest{}}}, WARPRouting: &cftunnel.WARPRouting{},
	}
	assert.True(t, off.Equal(decodeConfig(t, `{"ingress":[{"service":"bastion"}]}`)))
}
