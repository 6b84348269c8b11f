package main

import "strings"

// exception is what a rule does not hold for. In its pattern, * stands for anything. One that nothing in a run needs is an error.
type exception struct{ pattern, reason string }

func (e exception) fits(text string) bool {
	pieces := strings.Split(e.pattern, "*")
	text, fits := strings.CutPrefix(text, pieces[0])
	last := len(pieces) - 1
	if last == 0 {
		return fits && text == ""
	}
	for _, piece := range pieces[1:last] {
		if fits {
			_, text, fits = strings.Cut(text, piece)
		}
	}
	return fits && strings.HasSuffix(text, pieces[last])
}

// deliberate is what tests have the client send, and the fake echo, that neither does by itself.
var deliberate = []exception{
	{"GET /a: request: no such operation", "a test of Do, which calls what it is told to"},
	{"GET /token: request: no such operation", "a test of Do, which calls what it is told to"},
	{"GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}: query: token is not documented", "a test of AddQuery, which adds what it is told to"},
	{"GET /accounts/{account_id}/cfd_tunnel: query: name is there more than once", "a test of AddQuery, which adds beside what is there"},
	{configurations + "*config.originRequest.connectTimeout: value must be an integer", oddConfiguration},
	{configurations + `*config.ingress[].originRequest.access.audTag: property "audTag" is missing`, oddConfiguration},
	{configurations + `*config.ingress[].originRequest.access.teamName: property "teamName" is missing`, oddConfiguration},
	{configurations + "*config.ingress[].path: Value is not nullable", oddConfiguration},
}

const (
	configurations   = "* /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations: "
	oddConfiguration = "a configuration as another program may have put it, which must survive being read and written"
)

// unexercised is what nothing in a run exercises. An entry that something exercises after all is an error too.
var unexercised = []exception{
	{"* 200 errors[].*", "a success has no errors"},
	{"* 4XX messages[].*", "no failure is known to have messages"},
	{"* 4XX errors[].documentation_url", seldom},
	{"* 4XX errors[].source*", seldom},
	{"* 4XX errors[].type", seldom},
	{"*/tokens/verify 200 messages[].documentation_url", seldom},
	{"*/tokens/verify 200 messages[].source*", seldom},
	{"*/cfd_tunnel* 200 messages[].*", withoutMessages},
	{"*/warp_connector* 200 messages[].*", withoutMessages},
	{"*/tunnels 200 messages[].*", withoutMessages},
	{"* /accounts/{account_id}/*/{tunnel_id} 200 result.connections*", withoutConnections},
	{"GET * 200 result[].connections*", withoutConnections},
	{"POST * 200 result.connections[].*", "a new tunnel has no connections"},
	{opCreate + " 200 result.config_src", "an answer to create tells the source by remote_config alone"},
	{opDelete + " 200 result.config_src", "a deleted tunnel has none"},
	{"* /accounts/{account_id}/warp_connector* 200 result*.config_src", "WARP connectors have none"},
	{"* /accounts/{account_id}/warp_connector* 200 result*.remote_config", "WARP connectors have none"},
	{"* /accounts/{account_id}/warp_connector/* 200 result*.conns[].uuid", "connections of WARP connectors have none"},
	{opConnections + " 200 result_info*", "this list has no pages"},
}

const (
	seldom             = "optional, and not known to come with anything that the fake does; the client's tests read it from answers of their own"
	withoutMessages    = "the tunnel family sends none, since cloudflared cannot read them"
	withoutConnections = "left answers in October 2026; the answer to a create alone has it, empty"
)
