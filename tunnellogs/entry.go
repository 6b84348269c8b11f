package tunnellogs

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Level is the severity of an entry. Connectors may send other values.
type Level string

// The known levels, from the lowest to the highest.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// EventType says what an entry is about. Connectors may send other values. An empty EventType is an
// event that cloudflared has no name for.
type EventType string

// The known event types.
const (
	EventCloudflared EventType = "cloudflared" // cloudflared itself
	EventHTTP        EventType = "http"        // HTTP requests
	EventTCP         EventType = "tcp"         // TCP streams
	EventUDP         EventType = "udp"         // UDP flows
)

// Entry is one line of a connector's log.
//
// It may contain cookies and tokens of other people. Every verb of package fmt omits Fields and
// redacts in Message the value of every query parameter and JSON member that is named access_token.
// This also applies to an Entry in a slice, a map or an exported struct field. Package fmt cannot
// call methods on unexported struct fields: do not print a struct that has an Entry in an
// unexported field. The JSON encoding has everything.
type Entry struct {
	// ConnectorID is the connector that logged the line.
	ConnectorID string `json:"connector_id,omitempty"`
	// Time is in UTC, in whole seconds. It is zero if the connector sent none.
	Time  time.Time `json:"time,omitzero"`
	Level Level     `json:"level"` // the severity
	Event EventType `json:"event"` // what the line is about
	// Message is the text of the line. At LevelDebug, the message of an HTTP request has the whole
	// URL.
	Message string `json:"message"`
	// Fields has the other members of the line. Numbers are float64. At LevelDebug, the fields of
	// an HTTP request have all of its headers. See Params.MaxEntryBytes for their maximum size.
	Fields map[string]any `json:"fields,omitempty"`
}

// decodeEntry decodes an object in the format of a connector. A member with an unexpected type is
// ignored. ok is false if decoding Fields may need more memory than maxFields.
func decodeEntry(data []byte, connectorID string, maxFields int64) (e Entry, ok bool) {
	var timestamp, level, event, message jsonString
	ok = true
	eachMember(data, func(name, raw []byte) {
		switch {
		case isName(name, "time"):
			timestamp.set(raw)
		case isName(name, "level"):
			level.set(raw)
		case isName(name, "event"):
			event.set(raw)
		case isName(name, "message"):
			message.set(raw)
		case isName(name, "fields") && raw[0] == 'n':
			e.Fields = nil
		case isName(name, "fields") && raw[0] == '{':
			if maxFields -= memoryOf(raw); maxFields < 0 {
				ok = false
				return
			}
			_ = json.Unmarshal(raw, &e.Fields) // adds to the fields of an earlier member
		}
	})
	if !ok {
		return Entry{}, false
	}
	e.ConnectorID, e.Level, e.Event = connectorID, LevelDebug, EventCloudflared
	e.Message = message.value()
	if level.isLast {
		e.Level = Level(level.value())
	}
	if event.isLast {
		e.Event = EventType(event.value())
	}
	if at, err := time.Parse(time.RFC3339, timestamp.value()); err == nil {
		e.Time = at.UTC()
	}
	return e, true
}

// jsonString is a member that is ignored unless it is a string.
type jsonString struct {
	raw    []byte // the latest string
	isLast bool   // whether no other value follows it
}

func (s *jsonString) set(raw []byte) {
	if s.isLast = raw[0] == '"'; s.isLast {
		s.raw = raw
	}
}

func (s *jsonString) value() string {
	if s.raw == nil {
		return ""
	}
	return decodeString(s.raw)
}

// String returns the entry on one line, without Fields. Control characters are escaped.
func (e Entry) String() string {
	parts := make([]string, 0, 5)
	if !e.Time.IsZero() {
		parts = append(parts, e.Time.Format(time.RFC3339))
	}
	for _, part := range []string{string(e.Level), string(e.Event), e.ConnectorID, e.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return escapeControls(redactAccessTokens(strings.Join(parts, " ")))
}

// Format writes the text of String for every verb. The verb q quotes it.
func (e Entry) Format(f fmt.State, verb rune) {
	text := e.String()
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	_, _ = io.WriteString(f, text)
}

// LogValue returns the entry as a group, without Fields.
func (e Entry) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 5)
	if !e.Time.IsZero() {
		attrs = append(attrs, slog.Time("time", e.Time))
	}
	for _, attr := range []struct{ key, value string }{
		{"level", string(e.Level)},
		{"event", string(e.Event)},
		{"connector_id", e.ConnectorID},
		{"message", e.Message},
	} {
		attrs = append(attrs, slog.String(attr.key, redactAccessTokens(attr.value)))
	}
	return slog.GroupValue(attrs...)
}

// escapeControls escapes characters that could control a terminal or end a line, as Go does.
func escapeControls(s string) string {
	if !strings.ContainsFunc(s, isUnprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isUnprintable(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isUnprintable(r rune) bool { return !strconv.IsPrint(r) }
