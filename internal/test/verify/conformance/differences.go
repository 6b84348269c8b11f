package main

import (
	"encoding/json"
	"maps"
	"slices"
)

// difference is where the schema and the facts about the API differ. The facts win.
type difference struct {
	where, schema, facts, reason string
	amend                        func(document)
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

// differences is every one of them. One that nothing in a run needs is an error.
var differences = []difference{
	{
		where:  "every 4XX",
		schema: "a success and a failure at once",
		facts:  "a failure: success is false, result is null",
		reason: "no answer can be both",
		amend: func(d document) {
			for operation := range d.operations {
				content := d.content(operation, "4XX")
				if list, ok := document(content).object("schema")["allOf"].([]any); ok && len(list) == 2 {
					content["schema"] = list[1]
				}
			}
		},
	},
	{
		where:  "every 4XX, errors",
		schema: "no error_chain",
		facts:  "error_chain, with code and message",
		reason: "the real reason is often only there, as 6111 is beside 6003",
		amend: func(d document) {
			for _, schema := range []string{"tunnel_api-response-common-failure", "iam_api-response-common-failure"} {
				allOf(d.object("components", "schemas", schema, "properties", "errors"), `{"items": {"properties": {
					"error_chain": {"type": "array", "items": {"type": "object", "required": ["code", "message"], "properties": {
						"code": {"type": "integer"}, "message": {"type": "string"}
					}}}
				}}}`)
			}
		},
	},
	{
		where:  opCreate,
		schema: "a tunnel",
		facts:  "a tunnel with its token and credentials_file",
		reason: "cloudflared runs a new tunnel with them",
		amend: result(`{"token": {"type": "string"}, "credentials_file": {
			"type": "object", "required": ["AccountTag", "TunnelID", "TunnelName", "TunnelSecret"], "properties": {
				"AccountTag": {"type": "string"}, "TunnelID": {"type": "string"}, "TunnelName": {"type": "string"}, "TunnelSecret": {"type": "string"}
			}
		}}`, opCreate),
	},
	{
		where:  opUpdate,
		schema: "a tunnel",
		facts:  "a tunnel with its token",
		reason: "a rotation tells the new token so",
		amend:  result(`{"token": {"type": "string"}}`, opUpdate),
	},
	{
		where:  opCreateWARP,
		schema: "a tunnel",
		facts:  "as for tunnels, with its token",
		reason: "the schema has one tunnel for all operations",
		amend:  result(`{"token": {"type": "string"}}`, opCreateWARP),
	},
	{
		where:  opUpdateWARP,
		schema: "a tunnel",
		facts:  "as for tunnels, with its token",
		reason: "the schema has one tunnel for all operations",
		amend:  result(`{"token": {"type": "string"}}`, opUpdateWARP),
	},
	{
		where:  opConfiguration + " and PUT",
		schema: "an object, of what is not said",
		facts:  "account_id, tunnel_id, version, config, which is null where none was set, source and created_at",
		reason: "the schema leaves it open",
		amend: result(`{
			"account_id": {"type": "string"}, "tunnel_id": {"type": "string", "format": "uuid"}, "version": {"type": "integer"},
			"config": {"nullable": true, "allOf": [{"$ref": "#/components/schemas/tunnel_config"}]},
			"source": {"type": "string", "enum": ["local", "cloudflare"]}, "created_at": {"type": "string", "format": "date-time", "nullable": true}
		}`, opConfiguration, opConfigure),
	},
	{
		where:  opConfigure + ", config",
		schema: "the keys that are documented",
		facts:  "a full replace of whatever is there",
		reason: "cloudflared knows more keys and gets new ones, and one that is not sent back is lost",
		amend: func(d document) {
			config := d.object("components", "schemas", "tunnel_config")
			origin := d.object("components", "schemas", "tunnel_originRequest")
			for _, schema := range []map[string]any{
				config, document(config).object("properties", "warp-routing"), d.object("components", "schemas", "tunnel_ingressRule"),
				origin, document(origin).object("properties", "access"),
			} {
				merge(schema, `{"additionalProperties": true}`)
			}
		},
	},
	{
		where:  opCleanUp,
		schema: "an object",
		facts:  "null, {} or nothing",
		reason: "it is not known which; the fake sends null",
		amend: func(d document) {
			merge(d.content(opCleanUp, "200"), `{"schema": {"type": "object", "required": ["success", "errors", "messages"], "properties": {
				"success": {"type": "boolean", "enum": [true]}, "result": {"type": "object", "nullable": true},
				"errors": {"$ref": "#/components/schemas/tunnel_messages"}, "messages": {"$ref": "#/components/schemas/tunnel_messages"}
			}}}`)
		},
	},
	{
		where:  opDelete,
		schema: "no query",
		facts:  "cascade=true",
		reason: "cloudflared deletes with it what still has connections",
		amend:  query(opDelete, "cascade", "boolean"),
	},
	{
		where:  opDeleteWARP,
		schema: "no query",
		facts:  "as for tunnels, cascade=true",
		reason: "there is no other way to clean up",
		amend:  query(opDeleteWARP, "cascade", "boolean"),
	},
	{
		where:  opList,
		schema: "no name_prefix",
		facts:  "name_prefix",
		reason: "cloudflared sends it",
		amend:  query(opList, "name_prefix", "string"),
	},
	{
		where:  opConnector,
		schema: "connector_id is a UUID",
		facts:  "ids in answers are not always UUIDs",
		reason: "what an answer has can be asked for",
		amend: func(d document) {
			parameters, _ := d.operation(opConnector)["parameters"].([]any)
			for _, p := range parameters {
				if p, ok := p.(map[string]any); ok && p["name"] == "connector_id" {
					p["schema"] = map[string]any{"type": "string"}
				}
			}
		},
	},
	{
		where:  opManagement + "/{resource}",
		schema: "no such operation",
		facts:  "the newer way to a management token, for logs, admin and host_details, without a body",
		reason: "it is announced to replace the one that the schema has",
		amend: func(d document) {
			old := d.operation(opManagement)
			if old == nil {
				return
			}
			operation := maps.Clone(old)
			delete(operation, "requestBody")
			delete(operation, "operationId")
			parameters, _ := operation["parameters"].([]any)
			operation["parameters"] = append(slices.Clip(parameters), decode(`{
				"in": "path", "name": "resource", "required": true, "schema": {"type": "string", "enum": ["logs", "admin", "host_details"]}
			}`))
			d.object("paths")["/accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}"] = map[string]any{"post": operation}
		},
	},
}

// result adds properties to the result of operations.
func result(properties string, operations ...string) func(document) {
	return func(d document) {
		for _, operation := range operations {
			content := d.content(operation, "200")
			if content == nil {
				continue
			}
			more := map[string]any{"type": "object", "properties": map[string]any{
				"result": map[string]any{"type": "object", "properties": decode(properties)},
			}}
			content["schema"] = map[string]any{"allOf": []any{content["schema"], more}}
		}
	}
}

// query adds a parameter to an operation.
func query(operation, name, kind string) func(document) {
	return func(d document) {
		if o := d.operation(operation); o != nil {
			parameters, _ := o["parameters"].([]any)
			o["parameters"] = append(parameters, map[string]any{"in": "query", "name": name, "schema": map[string]any{"type": kind}})
		}
	}
}

// allOf adds a schema to those that a value must all be valid by.
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
