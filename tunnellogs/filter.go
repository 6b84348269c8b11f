package tunnellogs

import (
	"encoding/json"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Filter selects the lines that a connector sends. The zero Filter selects every line. A connector
// that does not support a level or an event type ends the stream with [ErrInvalidFilter].
type Filter struct {
	// Level is the lowest level to send. The default is LevelDebug, which selects every level.
	Level Level
	// Events are the event types to send. The default is every type.
	Events []EventType
	// Sampling is the share of the lines to send, from 0 to 1. 0 and 1 send every line. Lines are
	// selected at random from those that match Level and Events. Connectors round the share down to
	// whole percents and add one percent: 0.01 sends 2% of the lines, and 0.99 all.
	Sampling float64
}

func (f Filter) check() error {
	if !(f.Sampling >= 0 && f.Sampling <= 1) { // NaN fails both
		return &cftunnel.InvalidArgumentError{Name: "Sampling", Reason: "is not between 0 and 1"}
	}
	return nil
}

func (f Filter) samples() bool { return f.Sampling > 0 && f.Sampling < 1 }

// everyLine is a share with which a connector still samples but keeps every line. Connectors ignore
// the shares 0 and 1, so these do not reset an earlier sampling.
const everyLine = 0.999

// stopMessage ends the streaming. It alone frees the connector's session; closing the connection
// does not.
const stopMessage = `{"type":"stop_streaming"}`

// startMessage starts the streaming. sampled says that an earlier start on the connection had a
// sampling.
func (f Filter) startMessage(sampled bool) []byte {
	var filters struct {
		Level    Level       `json:"level,omitempty"` // an empty level would be refused
		Events   []EventType `json:"events,omitempty"`
		Sampling float64     `json:"sampling,omitempty"`
	}
	filters.Level, filters.Events = f.Level, f.Events
	switch {
	case f.samples():
		filters.Sampling = f.Sampling
	case sampled:
		filters.Sampling = everyLine
	}
	message, _ := json.Marshal(struct { // it cannot fail: strings and a finite number
		Type    string `json:"type"`
		Filters any    `json:"filters"`
	}{"start_streaming", filters})
	return message
}
