package cftunnel

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strconv"
	"time"
)

// Equal reports whether the API stores c and other as the same configuration. It ignores what the
// API adds and removes. The API removes a WARPRouting that is off, an empty Hostname and an empty
// Path. It adds an empty OriginRequest, and the zero fields of Access and IPRule.
func (c TunnelConfig) Equal(other TunnelConfig) bool {
	a, errA := c.normalized()
	b, errB := other.normalized()
	return errA == nil && errB == nil && reflect.DeepEqual(a, b)
}

// normalized returns the JSON of c in the form that all equal configurations share.
func (c TunnelConfig) normalized() (map[string]any, error) {
	encoded, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var config map[string]any
	if err := decoder.Decode(&config); err != nil {
		return nil, err
	}
	normalizeOrigin(config)
	if routing, ok := config["warp-routing"].(map[string]any); ok {
		normalizeSettings(routing)
		if len(routing) == 0 || routing["enabled"] == false {
			delete(config, "warp-routing")
		}
	}
	rules, isList := config["ingress"].([]any)
	for _, rule := range rules {
		if rule, ok := rule.(map[string]any); ok {
			normalizeOrigin(rule)
			maps.DeleteFunc(rule, func(name string, value any) bool {
				return (name == "hostname" || name == "path") && value == ""
			})
		}
	}
	if isList && len(rules) == 0 {
		delete(config, "ingress")
	}
	return config, nil
}

// normalizeOrigin normalizes the originRequest of a configuration or a rule.
func normalizeOrigin(parent map[string]any) {
	dropNull(parent)
	origin, ok := parent["originRequest"].(map[string]any)
	if !ok {
		return
	}
	normalizeSettings(origin)
	if access, ok := origin["access"].(map[string]any); ok {
		maps.DeleteFunc(access, isZeroJSON)
	}
	list, isList := origin["ipRules"].([]any)
	for _, rule := range list {
		if rule, ok := rule.(map[string]any); ok {
			maps.DeleteFunc(rule, isZeroJSON)
		}
	}
	if isList && len(list) == 0 {
		delete(origin, "ipRules")
	}
	if len(origin) == 0 {
		delete(parent, "originRequest")
	}
}

// normalizeSettings converts Go durations, such as "30s", to numbers of seconds.
func normalizeSettings(object map[string]any) {
	dropNull(object)
	inSeconds := []string{"connectTimeout", "keepAliveTimeout", "tcpKeepAlive", "tlsTimeout"}
	for _, name := range inSeconds {
		text, _ := object[name].(string)
		if d, err := time.ParseDuration(text); err == nil && d%time.Second == 0 {
			object[name] = json.Number(strconv.FormatInt(int64(d/time.Second), 10))
		}
	}
}

func dropNull(object map[string]any) {
	maps.DeleteFunc(object, func(_ string, value any) bool { return value == nil })
}

func isZeroJSON(_ string, value any) bool {
	list, isList := value.([]any)
	return value == nil || value == false || value == "" || isList && len(list) == 0
}
