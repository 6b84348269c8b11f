package cftunnel_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// rulesCase is a configuration and the field that cloudflared rejects. field is empty if
// cloudflared accepts the configuration.
type rulesCase struct{ config, field string }

// withService returns a configuration with a rule that has this service and these members of
// originRequest.
func withService(service, origin string) string {
	encoded, _ := json.Marshal(service)
	return `{"ingress":[{"hostname":"a.example.com","service":` + string(encoded) +
		`,"originRequest":{` + origin + `}},` +
		`{"service":"http_status:404"}]}`
}

func rulesCases() []rulesCase {
	var cases []rulesCase
	for _, service := range []string{
		"http://localhost", "https://localhost:8443", "ws://a", "wss://a", "tcp://10.0.0.1:5432", "ssh://a:22", "rdp://a", "smb://a",
		"vnc://10.0.0.1:5900", "udp://a:53", "ftp://a", "x-own+scheme.1://a", "http://[::1]:80", "http://a?b=c", "HTTP://a",
		"unix:/run/a.sock", "unix+tls:/run/a.sock", "unix:", "unix+tls:", "http_status:100", "http_status:404", "http_status:700",
		"http_status:999", "hello_world", "hello-world", "bastion", "socks-proxy",
	} {
		cases = append(cases, rulesCase{withService(service, ""), ""})
	}
	for _, service := range []string{
		"", "localhost", "localhost:80", "/run/a.sock", "http://", "http://:80", "://a", "http://a b", "HELLO", "helloworld", "hello world",
		"http://192.0.2.1/nas", "http://a/", "tcp://a:1/x", "http_status:", "http_status:ok", "http_status:99", "http_status:1000",
		"http_status:-404", "http_status:404 ", "http_status", "http_status:99999999999999999999", "mailto:a", "http:a", "http:/a", "\x00://a",
	} {
		cases = append(cases,
			rulesCase{withService(service, ""), "Ingress[0].Service"},
			rulesCase{withService(service, `"bastionMode":false`), "Ingress[0].Service"},
			rulesCase{withService(service, `"bastionMode":true`), ""})
	}
	for _, c := range []struct{ hostname, field string }{
		{"*.example.com", ""}, {"*example.com", ""}, {"*.*.example.com", "Hostname"}, {"a.*.example.com", "Hostname"}, {"test*", "Hostname"},
		{"**", "Hostname"}, {"test.example.com:443", "Hostname"}, {"test.example.com:", "Hostname"}, {"[::1]:80", "Hostname"},
		{"môô.example.com", ""}, {"xn--m-xgaa.example.com", ""}, {"*", ""}, {"", ""},
	} {
		field := c.field
		if field != "" {
			field = "Ingress[0]." + field
		}
		cases = append(cases, rulesCase{`{"ingress":[{"hostname":"` + c.hostname + `","path":"/a","service":"http://a"},{"service":"bastion"}]}`, field})
	}
	return append(cases, []rulesCase{
		{`{}`, "Ingress"},
		{`{"ingress":[]}`, "Ingress"},
		{`{"warp-routing":{"enabled":true}}`, "Ingress"},

		{`{"ingress":[{"path":"[","service":"http://a"},{"service":"bastion"}]}`, "Ingress[0].Path"},
		{`{"ingress":[{"path":"(?=a)","service":"http://a"},{"service":"bastion"}]}`, "Ingress[0].Path"},
		{`{"ingress":[{"path":"*","service":"http://a"},{"service":"bastion"}]}`, "Ingress[0].Path"},
		{`{"ingress":[{"path":"\\.(jpg|png)$","service":"http://a"},{"service":"bastion"}]}`, ""},

		{`{"ingress":[{"service":"http://a"}]}`, ""},
		{`{"ingress":[{"hostname":"*","service":"http://a"}]}`, ""},
		{`{"ingress":[{"hostname":"a.example.com","service":"http://a"}]}`, "Ingress[0].Hostname"},
		{`{"ingress":[{"hostname":"*.example.com","service":"http://a"}]}`, "Ingress[0].Hostname"},
		{`{"ingress":[{"path":"/a","service":"http://a"}]}`, "Ingress[0].Path"},
		{`{"ingress":[{"hostname":"*","path":".*","service":"http://a"}]}`, "Ingress[0].Path"},
		{`{"ingress":[{"service":"http://a"},{"hostname":"a.example.com","service":"http://a"}]}`, "Ingress[0]"},
		{`{"ingress":[{"service":"http://a"},{"service":"bastion"}]}`, "Ingress[0]"},
		{`{"ingress":[{"hostname":"*","service":"http://a"},{"service":"bastion"}]}`, "Ingress[0]"},
		{`{"ingress":[{"hostname":"a.example.com","service":"http://a"},{"service":"bastion"},{"service":"bastion"}]}`, "Ingress[1]"},

		{withService("http://a", `"access":{"required":true,"audTag":["a"]}`), "Ingress[0].OriginRequest.Access.TeamName"},
		{withService("http://a", `"access":{"required":true,"audTag":["a"],"teamName":""}`), "Ingress[0].OriginRequest.Access.TeamName"},
		{withService("http://a", `"access":{"required":true,"audTag":["a"],"teamName":"t"}`), ""},
		{withService("http://a", `"access":{"required":true,"audTag":[]}`), ""},
		{withService("http://a", `"access":{"required":true}`), ""},
		{withService("http://a", `"access":{"audTag":["a"]}`), ""},
		{`{"originRequest":{"access":{"required":true,"audTag":["a"]}},"ingress":[{"service":"bastion"}]}`, "OriginRequest.Access.TeamName"},

		{withService("http://a", `"connectTimeout":-1`), "Ingress[0].OriginRequest.ConnectTimeout"},
		{withService("http://a", `"connectTimeout":"-1s"`), "Ingress[0].OriginRequest.ConnectTimeout"},
		{withService("http://a", `"connectTimeout":0`), ""},
		{withService("http://a", `"connectTimeout":"30s"`), ""},
		{withService("http://a", `"proxyPort":-1`), "Ingress[0].OriginRequest.ProxyPort"},
		{`{"originRequest":{"connectTimeout":-1},"ingress":[{"service":"bastion"}]}`, "OriginRequest.ConnectTimeout"},
		{`{"warp-routing":{"enabled":true,"connectTimeout":-1},"ingress":[{"service":"bastion"}]}`, "WARPRouting.ConnectTimeout"},
		{`{"warp-routing":{"enabled":true,"maxActiveFlows":-1},"ingress":[{"service":"bastion"}]}`, "WARPRouting.MaxActiveFlows"},

		{`{"originRequest":{"bastionMode":true},"ingress":[{"hostname":"a","service":"x"},{}]}`, ""},
		{`{"originRequest":{"bastionMode":true},"ingress":[{"service":"x","originRequest":{"bastionMode":false}}]}`, "Ingress[0].Service"},
		{`{"originRequest":{"bastionMode":true},"ingress":[{"service":"x","originRequest":{"noTLSVerify":false}}]}`, ""},

		{withService("socks-proxy", `"ipRules":[{"prefix":"192.0.2.0/24","ports":[1,65535],"allow":true},{"prefix":"::/0"}]`), ""},
		{withService("socks-proxy", `"ipRules":[{"prefix":"::/0"},{"prefix":"192.0.2.1"}]`), "Ingress[0].OriginRequest.IPRules[1].Prefix"},
		{withService("socks-proxy", `"ipRules":[{"ports":[1]}]`), "Ingress[0].OriginRequest.IPRules[0].Prefix"},
		{withService("socks-proxy", `"ipRules":[{"prefix":"::/0","ports":[80,0]}]`), "Ingress[0].OriginRequest.IPRules[0].Ports[1]"},
		{withService("socks-proxy", `"ipRules":[{"prefix":"::/0","ports":[65536]}]`), "Ingress[0].OriginRequest.IPRules[0].Ports[0]"},
		{withService("http://a", `"ipRules":[{"prefix":"192.0.2.1","ports":[0]}]`), ""},
	}...)
}

// The client and the fake implement the rules separately. They must agree.
func TestTunnelConfigValidate_CloudflaredRules(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	id := srv.SeedTunnels(1)[0].ID
	path := "accounts/" + client.AccountID() + "/cfd_tunnel/" + id + "/configurations"
	for _, c := range rulesCases() {
		var config cftunnel.TunnelConfig
		require.NoError(t, json.Unmarshal([]byte(c.config), &config), c.config)
		body := json.RawMessage(`{"config":` + c.config + `}`)
		sent := client.Do(t.Context(), http.MethodPut, path, body, nil)
		err := config.Validate()
		if c.field == "" {
			require.NoError(t, err, c.config)
			require.NoError(t, sent, c.config)
			continue
		}
		invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%s: %v", c.config, err)
		assert.Equal(t, c.field, invalid.Name, c.config)
		require.ErrorIs(t, sent, cftunnel.ErrBadRequest, c.config)
		assert.True(t, cftunnel.HasCode(sent, 1056), c.config)
	}
}

func TestTunnelConfigValidate_ErrorTexts(t *testing.T) {
	t.Parallel()
	for config, message := range map[string]string{
		withService("planted", ""):                                                       "Ingress[0].Service is not a URL with a scheme and a host: write one such as http://localhost:8080",
		withService("http://planted/planted", ""):                                        "Ingress[0].Service has a path, which cloudflared cannot add to a request: write only scheme, host and port",
		withService("helloworld", ""):                                                    "Ingress[0].Service is not a service of cloudflared: write hello_world",
		withService("http_status:planted", ""):                                           "Ingress[0].Service is http_status without a status from 100 to 999: write a status, such as http_status:404",
		`{"ingress":[{"path":"planted[","service":"bastion"},{}]}`:                       "Ingress[0].Path is not a regular expression (missing closing ]): write one in RE2 syntax",
		`{"ingress":[{"hostname":"planted:443","service":"bastion"},{}]}`:                "Ingress[0].Hostname has a port: write the name alone",
		`{"ingress":[{"hostname":"planted*","service":"bastion"},{}]}`:                   "Ingress[0].Hostname has a * that is not its first character: write a name such as *.example.com",
		`{"ingress":[{"service":"bastion"},{"hostname":"planted","service":"bastion"}]}`: "Ingress[0] matches every request, so the rules after it are never used: give it a Hostname or a Path, or move it to the end",
		`{"ingress":[{"hostname":"planted","service":"bastion"}]}`:                       "Ingress[0].Hostname is set, but the last rule must match every request: leave it empty, or add a rule after this one",
		`{}`: "Ingress has no rules: add at least one that matches every request",
		withService("bastion", `"access":{"required":true,"audTag":["planted"]}`):   "Ingress[0].OriginRequest.Access.TeamName is empty, but Required and AUDTag are set: write the team's name",
		withService("bastion", `"connectTimeout":-77`):                              "Ingress[0].OriginRequest.ConnectTimeout is negative: write 0 or more",
		withService("socks-proxy", `"ipRules":[{"prefix":"planted"}]`):              "IPRules[0].Prefix is not a CIDR: write one such as 192.0.2.0/24",
		withService("socks-proxy", `"ipRules":[{"prefix":"::/0","ports":[77777]}]`): "IPRules[0].Ports[0] is not a port: write a number from 1 to 65535",
	} {
		var decoded cftunnel.TunnelConfig
		require.NoError(t, json.Unmarshal([]byte(config), &decoded))
		err := decoded.Validate()
		require.Error(t, err, config)
		assert.Contains(t, err.Error(), message)
		assert.NotContains(t, err.Error(), "planted", "a rejected value is not shown")
		assert.NotContains(t, err.Error(), "77")
	}
}
