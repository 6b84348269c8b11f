package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/openapi"
)

// difference is a difference between the schema and the known behavior of the API. place is the
// part of the schema, schema what it says there, facts what the API does, and reason why the facts
// take precedence. amend changes the schema accordingly.
type difference struct {
	place, schema, facts, reason string
	amend                        func(openapi.Document)
}

const (
	opCreate        = "POST /accounts/{account_id}/cfd_tunnel"
	opList          = "GET /accounts/{account_id}/cfd_tunnel"
	opUpdate        = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opDelete        = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opCleanUp       = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections"
	opConnections   = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections"
	opConnector     = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connectors/{connector_id}"
	opConfiguration = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"
	opConfigure     = "PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"
	opManagement    = "POST /accounts/{account_id}/cfd_tunnel/{tunnel_id}/management"
	opCreateWARP    = "POST /accounts/{account_id}/warp_connector"
	opUpdateWARP    = "PATCH /accounts/{account_id}/warp_connector/{tunnel_id}"
	opDeleteWARP    = "DELETE /accounts/{account_id}/warp_connector/{tunnel_id}"
)

// differences has all differences. A difference that no exchange needs is an error.
var differences = []difference{
	{
		place:  "every 4XX",
		schema: "a success and a failure at once",
		facts:  "a failure: success is false, result is null",
		reason: "a response cannot be both",
		amend: func(d openapi.Document) {
			for operation := range d.Operations {
				failure := content(d, operation, "4XX")
				schema := openapi.Document(failure).Object("schema")
				if list, ok := schema["allOf"].([]any); ok && len(list) == 2 {
					failure["schema"] = list[1]
				}
			}
		},
	},
	{
		place:  "every 4XX, errors",
		schema: "no error_chain",
		facts:  "error_chain, with code and message",
		reason: "often only the chain has the real reason, such as 6111 in the chain of 6003",
		amend: func(d openapi.Document) {
			for _, schema := range []string{"tunnel_api-response-common-failure", "iam_api-response-common-failure"} {
				allOf(d.Object("components", "schemas", schema, "properties", "errors"),
					`{"items": {"properties": {
					"error_chain": {"type": "array",
						"items": {"type": "object", "required": ["code", "message"], "properties": {
						"code": {"type": "integer"}, "message": {"type": "string"}
					}}}
				}}}`)
			}
		},
	},
	{
		place:  opCreate,
		schema: "a tunnel",
		facts:  "a tunnel with its token and credentials_file",
		reason: "cloudflared uses them to run a new tunnel",
		amend: withResult(`{"token": {"type": "string"}, "credentials_file": {
			"type": "object", "required": ["AccountTag", "TunnelID", "TunnelName", "TunnelSecret"],
			"properties": {
				"AccountTag": {"type": "string"}, "TunnelID": {"type": "string"},
				"TunnelName": {"type": "string"}, "TunnelSecret": {"type": "string"}
			}
		}}`, opCreate),
	},
	{
		place:  opUpdate,
		schema: "a tunnel",
		facts:  "a tunnel with its token",
		reason: "a rotation of the secret reads the new token from the response",
		amend:  withResult(`{"token": {"type": "string"}}`, opUpdate),
	},
	{
		place:  opCreateWARP,
		schema: "a tunnel",
		facts:  "as for tunnels, with its token",
		reason: "the schema has one tunnel for all operations",
		amend:  withResult(`{"token": {"type": "string"}}`, opCreateWARP),
	},
	{
		place:  opUpdateWARP,
		schema: "a tunnel",
		facts:  "as for tunnels, with its token",
		reason: "the schema has one tunnel for all operations",
		amend:  withResult(`{"token": {"type": "string"}}`, opUpdateWARP),
	},
	{
		place:  opConfiguration + " and PUT",
		schema: "an object without properties",
		facts: "account_id, tunnel_id, version, config (null if it was never set), source and " +
			"created_at",
		reason: "the schema does not name the members",
		amend: withResult(`{
			"account_id": {"type": "string"}, "tunnel_id": {"type": "string", "format": "uuid"},
			"version": {"type": "integer"},
			"config": {"nullable": true, "allOf": [{"$ref": "#/components/schemas/tunnel_config"}]},
			"source": {"type": "string", "enum": ["local", "cloudflare"]},
			"created_at": {"type": "string", "format": "date-time", "nullable": true}
		}`, opConfiguration, opConfigure),
	},
	{
		place:  opConfigure + ", config",
		schema: "only the documented keys",
		facts: "the request replaces the whole configuration. cloudflared also reads bastionMode, " +
			"matchSNItoHost, proxyAddress, proxyPort, ipRules and access.environment, and in " +
			"warp-routing connectTimeout, maxActiveFlows and tcpKeepAlive",
		reason: "cloudflared has more keys than the schema; keys not sent back are lost",
		amend: func(d openapi.Document) {
			config := d.Object("components", "schemas", "tunnel_config")
			origin := d.Object("components", "schemas", "tunnel_originRequest")
			for _, schema := range []map[string]any{
				config, openapi.Document(config).Object("properties", "warp-routing"), d.Object("components", "schemas", "tunnel_ingressRule"),
				origin, openapi.Document(origin).Object("properties", "access"),
			} {
				merge(schema, `{"additionalProperties": true}`)
			}
		},
	},
	{
		place:  opCleanUp,
		schema: "an object",
		facts:  "null, {} or no result",
		reason: "it is not known which of them the API sends; the fake sends null",
		amend: func(d openapi.Document) {
			merge(content(d, opCleanUp, "200"), `{"schema": {
				"type": "object", "required": ["success", "errors", "messages"], "properties": {
					"success": {"type": "boolean", "enum": [true]},
					"result": {"type": "object", "nullable": true},
					"errors": {"$ref": "#/components/schemas/tunnel_messages"},
					"messages": {"$ref": "#/components/schemas/tunnel_messages"}
				}
			}}`)
		},
	},
	{
		place:  opDelete,
		schema: "no query",
		facts:  "cascade=true",
		reason: "cloudflared uses it to delete tunnels that have connections",
		amend:  withQuery(opDelete, "cascade", "boolean"),
	},
	{
		place:  opDeleteWARP,
		schema: "no query",
		facts:  "cascade=true, as for tunnels",
		reason: "there is no other way to end the connections",
		amend:  withQuery(opDeleteWARP, "cascade", "boolean"),
	},
	{
		place:  opList,
		schema: "no name_prefix",
		facts:  "name_prefix",
		reason: "cloudflared sends it",
		amend:  withQuery(opList, "name_prefix", "string"),
	},
	{
		place:  opConnector,
		schema: "connector_id is a UUID",
		facts:  "IDs in responses are not always UUIDs",
		reason: "a program can request a connector by an ID from a response",
		amend: func(d openapi.Document) {
			parameters, _ := d.Operation(opConnector)["parameters"].([]any)
			for _, p := range parameters {
				if p, ok := p.(map[string]any); ok && p["name"] == "connector_id" {
					p["schema"] = map[string]any{"type": "string"}
				}
			}
		},
	},
	changesNothing,
	{
		place:  opManagement + "/{resource}",
		schema: "no such operation",
		facts: "the newer operation for management tokens, for logs, admin and host_details, " +
			"without a body",
		reason: "Cloudflare announced that it replaces the operation in the schema",
		amend: func(d openapi.Document) {
			old := d.Operation(opManagement)
			if old == nil {
				return
			}
			operation := maps.Clone(old)
			delete(operation, "requestBody")
			delete(operation, "operationId")
			parameters, _ := operation["parameters"].([]any)
			operation["parameters"] = append(slices.Clip(parameters), decode(`{
				"in": "path", "name": "resource", "required": true,
				"schema": {"type": "string", "enum": ["logs", "admin", "host_details"]}
			}`))
			d.Object("paths")["/accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}"] = map[string]any{"post": operation}
		},
	},
}

// changesNothing is the error response to a PATCH of private networks that changes nothing.
var changesNothing = difference{
	place:  "every PATCH of private networks",
	schema: "no 500",
	facts:  "status 500 with code 1000 if nothing changes",
	reason: "the API was seen to respond so; the client then gets the object instead",
	amend: func(d openapi.Document) {
		for operation := range d.Operations {
			if !strings.HasPrefix(operation, "PATCH ") ||
				!strings.Contains(operation, "/teamnet/") &&
					!strings.Contains(operation, "/zerotrust/") {
				continue
			}
			responses := openapi.Document(d.Operation(operation)).Object("responses")
			responses["500"] = responses["4XX"]
		}
	},
}

// withResult returns a function that adds properties to the result of operations.
func withResult(properties string, operations ...string) func(openapi.Document) {
	return func(d openapi.Document) {
		for _, operation := range operations {
			success := content(d, operation, "200")
			if success == nil {
				continue
			}
			more := map[string]any{"type": "object", "properties": map[string]any{
				"result": map[string]any{"type": "object", "properties": decode(properties)},
			}}
			success["schema"] = map[string]any{"allOf": []any{success["schema"], more}}
		}
	}
}

// withQuery returns a function that adds a query parameter to an operation.
func withQuery(operation, name, kind string) func(openapi.Document) {
	return func(d openapi.Document) {
		if o := d.Operation(operation); o != nil {
			parameters, _ := o["parameters"].([]any)
			o["parameters"] = append(parameters, map[string]any{"in": "query", "name": name, "schema": map[string]any{"type": kind}})
		}
	}
}

// content returns the JSON schema of an operation's response.
func content(d openapi.Document, operation, status string) map[string]any {
	return openapi.Document(d.Operation(operation)).Object("responses", status, "content",
		"application/json")
}

// amended returns a copy of the schema with all differences applied, except the one with index
// except.
func amended(d openapi.Document, except int) openapi.Document {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err) // it came from JSON
	}
	d = openapi.Document(decode(string(raw)))
	for i, difference := range differences {
		if i != except {
			difference.amend(d)
		}
	}
	return d
}

// allOf adds a schema to those that a value must match.
func allOf(schema map[string]any, more string) {
	if schema != nil {
		list, _ := schema["allOf"].([]any)
		schema["allOf"] = append(list, decode(more))
	}
}

// merge sets members of an object.
func merge(object map[string]any, members string) {
	if object != nil {
		maps.Copy(object, decode(members))
	}
}

func decode(text string) map[string]any {
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(err) // a mistake in this file
	}
	return value
}
