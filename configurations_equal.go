package cftunnel

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strconv"
	"time"
)

// Equal reports whether the API stores c and other as the same configuration. The API drops a
// WARPRouting that is off and hostnames and paths that are empty; it adds an OriginRequest that is
// empty, and to Access and IPRule the fields that are zero. None of that makes a difference here.
func (c TunnelConfig) Equal(other TunnelConfig) bool {
	one, err := c.tidied()
	two, otherErr := other.tidied()
	return err == nil && otherErr == nil && reflect.DeepEqual(one, two)
}

// tidied returns the one form that all configurations equal to c have.
func (c TunnelConfig) tidied() (map[string]any, error) {
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
	tidyOrigin(config)
	if routing, ok := config["warp-routing"].(map[string]any); ok {
		tidySettings(routing)
		if len(routing) == 0 || routing["enabled"] == false {
			delete(config, "warp-routing")
		}
	}
	rules, isList := config["ingress"].([]any)
	for _, rule := range rules {
		if rule, ok := rule.(map[string]any); ok {
			tidyOrigin(rule)
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

// tidyOrigin tidies the originRequest of a configuration or a rule.
func tidyOrigin(holder map[string]any) {
	dropNull(holder)
	origin, ok := holder["originRequest"].(map[string]any)
	if !ok {
		return
	}
	tidySettings(origin)
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
		delete(holder, "originRequest")
	}
}

// tidySettings makes numbers of seconds of Go durations.
func tidySettings(object map[string]any) {
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
