package main

import "strings"

// exception is a part of the schema that no exchange uses. In its pattern, * matches any text. An
// exception is an error if it matches a part that is used, or if it matches nothing.
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

var unused = []exception{
	{"* 200 errors[].*", "a success has no errors"},
	{"* 4XX messages[].*", "no failure is known to have messages"},
	{"* 4XX errors[].documentation_url", seldom},
	{"* 4XX errors[].source*", seldom},
	{"* 4XX errors[].type", seldom},
	{"* 500 messages[].*", "no failure is known to have messages"},
	{"* 500 errors[].documentation_url", seldom},
	{"* 500 errors[].source*", seldom},
	{"* 500 errors[].type", seldom},
	{"* 500 errors[].error_chain*", seldom},
	{"*/tokens/verify 200 messages[].documentation_url", seldom},
	{"*/tokens/verify 200 messages[].source*", seldom},
	{"*/tokens 200 messages[].*", withoutTokenMessages},
	{"*/tokens/{token_id}* 200 messages[].*", withoutTokenMessages},
	{"*/permission_groups 200 messages[].*", withoutTokenMessages},
	{"*/cfd_tunnel* 200 messages[].*", withoutMessages},
	{"*/warp_connector* 200 messages[].*", withoutMessages},
	{"*/tunnels 200 messages[].*", withoutMessages},
	{"*/teamnet/* 200 messages[].*", withoutMessages},
	{"*/zerotrust/* 200 messages[].*", withoutMessages},
	{"* /accounts/{account_id}/*/{tunnel_id} 200 result.connections*", withoutConnections},
	{"GET * 200 result[].connections*", withoutConnections},
	{"POST * 200 result.connections[].*", "a new tunnel has no connections"},
	{opCreate + " 200 result.config_src", "the response to Create has remote_config instead"},
	{opDelete + " 200 result.config_src", "a deleted tunnel has none"},
	{"* /accounts/{account_id}/warp_connector* 200 result*.config_src", "WARP connectors have none"},
	{"* /accounts/{account_id}/warp_connector* 200 result*.remote_config", "WARP connectors have none"},
	{"* /accounts/{account_id}/warp_connector/* 200 result*.conns[].uuid", "connections of WARP connectors have none"},
	{opConnections + " 200 result_info*", "this list has no pages"},
	{"* /zones* 200 messages[].*", "neither zones nor records are known to have any"},
	{"GET /zones 200 result[].cname_suffix", otherZones},
	{"GET /zones 200 result[].tenant*", otherZones},
	{"GET /zones 200 result[].vanity_name_servers", otherZones},
	{"GET /zones 200 result[].verification_key", otherZones},
}

const (
	seldom = "optional, and not known in any response that the fake sends; " +
		"tests of the root package decode it"
	otherZones      = "only zones of other kinds than the fake's have it"
	withoutMessages = "responses about tunnels have no messages, " +
		"because cloudflared cannot decode them"
	withoutTokenMessages = "only the verification of a token is known to have a message"
	withoutConnections   = "not in responses since October 2026, " +
		"except the response to Create, where it is empty"
)
