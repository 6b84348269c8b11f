package tunneltest

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

var (
	logLevels = []tunnellogs.Level{
		tunnellogs.LevelDebug, tunnellogs.LevelInfo, tunnellogs.LevelWarn, tunnellogs.LevelError,
	}
	logEvents = []tunnellogs.EventType{
		tunnellogs.EventCloudflared, tunnellogs.EventHTTP, tunnellogs.EventTCP, tunnellogs.EventUDP,
	}
)

// allLines is the percentage of lines that a session without sampling receives.
const allLines = 100

// logFilters select the lines that a client receives.
type logFilters struct {
	level   int // the lowest level, as an index in logLevels
	events  []tunnellogs.EventType
	percent int // stays set if a later start message has no sampling
}

// updated returns the filters after a start message. ok is false if the real service could not
// parse the message.
func (f logFilters) updated(start []byte) (next logFilters, ok bool) {
	var message struct {
		Filters *struct {
			Level    *tunnellogs.Level      `json:"level"`
			Events   []tunnellogs.EventType `json:"events"`
			Sampling float64                `json:"sampling"`
		} `json:"filters"`
	}
	if json.Unmarshal(start, &message) != nil {
		return f, false
	}
	next.percent = f.percent
	if message.Filters == nil {
		return next, true
	}
	if level := message.Filters.Level; level != nil {
		if next.level = slices.Index(logLevels, *level); next.level < 0 {
			return f, false
		}
	}
	next.events = message.Filters.Events
	for _, event := range next.events {
		if !slices.Contains(logEvents, event) {
			return f, false
		}
	}
	if share := message.Filters.Sampling; share > 0 && share < 1 {
		next.percent = int(share * 100)
	}
	return next, true
}

// wants reports whether the client receives a line.
func (f logFilters) wants(line logLine) bool {
	return slices.Index(logLevels, line.Level) >= f.level &&
		(len(f.events) == 0 || slices.Contains(f.events, line.Event)) &&
		rand.IntN(100) <= f.percent
}

// logLine is a log line in the form of cloudflared. Unknown events are empty.
type logLine struct {
	Time    time.Time
	Level   tunnellogs.Level
	Event   tunnellogs.EventType
	Message string
	Fields  map[string]any
}

func newLogLine(entry tunnellogs.Entry, now time.Time) logLine {
	line := logLine{
		Time:    entry.Time,
		Level:   entry.Level,
		Event:   entry.Event,
		Message: entry.Message,
		Fields:  entry.Fields,
	}
	if line.Time.IsZero() {
		line.Time = now
	}
	if !slices.Contains(logLevels, line.Level) {
		line.Level = tunnellogs.LevelDebug
	}
	if _, isError := line.Fields["error"]; isError {
		line.Level = tunnellogs.LevelError
	}
	switch {
	case line.Event == "":
		line.Event = tunnellogs.EventCloudflared
	case !slices.Contains(logEvents, line.Event):
		line.Event = ""
	}
	return line
}

// encode returns the message with the line. The level debug and the event cloudflared are zero
// values in cloudflared, so they are omitted.
func (l logLine) encode() []byte {
	entry := struct {
		Time    string                `json:"time"`
		Level   tunnellogs.Level      `json:"level,omitempty"`
		Message string                `json:"message,omitempty"`
		Event   *tunnellogs.EventType `json:"event,omitempty"`
		Fields  map[string]any        `json:"fields,omitempty"`
	}{Time: l.Time.UTC().Format(time.RFC3339), Message: l.Message}
	if l.Level != tunnellogs.LevelDebug {
		entry.Level = l.Level
	}
	if l.Event != tunnellogs.EventCloudflared {
		entry.Event = &l.Event
	}
	if len(l.Fields) > 0 {
		// Convert numbers to float64, as cloudflared does.
		if json.Unmarshal(encodeLog(l.Fields), &entry.Fields) == nil {
			roundNumbers(entry.Fields)
		}
	}
	return encodeLog(struct {
		Type string `json:"type"`
		Logs []any  `json:"logs"`
	}{"logs", []any{entry}})
}

// encodeLog encodes a value as JSON without escaping HTML.
func encodeLog(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("tunneltest: Log: encoding the fields of the entry failed: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// maxRounded is the largest number that cloudflared rounds to six decimal places.
const maxRounded = 0x4ffffff

func roundNumbers(value any) any {
	switch value := value.(type) {
	case float64:
		if math.Abs(value) <= maxRounded {
			return math.Round(value*1e6) / 1e6
		}
	case []any:
		for i := range value {
			value[i] = roundNumbers(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = roundNumbers(value[key])
		}
	}
	return value
}

// log queues a line for the client if its filters match. The caller holds the server's mutex.
func (l *logSession) log(entry tunnellogs.Entry, now time.Time) {
	line := newLogLine(entry, now)
	switch {
	case !l.filters.wants(line):
	case l.clientLeft: // the line cannot be sent
		l.logs.streaming = nil
	case len(l.queue) < cap(l.queue):
		l.queue <- line.encode() // does not block: only this method adds to the queue
	}
}
