package tunnellogs

import (
	"encoding/json"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Filter selects what a connector sends. The zero Filter selects everything. A connector that does
// not know a level or an event type ends the stream with [ErrInvalidFilter].
type Filter struct {
	// Level is the lowest level to send. The default is LevelDebug.
	Level Level
	// Events are the types to send. The default is every type.
	Events []EventType
	// Sampling is the share of the lines to send, from 0 to 1, chosen at random after Level and
	// Events. 0 and 1 are every line. Connectors round it down to whole percents and add one.
	Sampling float64
}

func (f Filter) check() error {
	if !(f.Sampling >= 0 && f.Sampling <= 1) { // NaN is neither
		return &cftunnel.InvalidArgumentError{Name: "Sampling", Reason: "is not between 0 and 1"}
	}
	return nil
}

func (f Filter) samples() bool { return f.Sampling > 0 && f.Sampling < 1 }

// everyLine is a share that a connector samples by and that keeps every line. It is how a
// connection gets rid of an earlier sampling: connectors ignore 0 and 1.
const everyLine = 0.999

// stopMessage ends a stream's lines. A connector frees the session on it alone, not when the
// connection is closed.
const stopMessage = `{"type":"stop_streaming"}`

// startMessage asks for lines. sampled says that an earlier start of the connection had a sampling.
func (f Filter) startMessage(sampled bool) []byte {
	var filters struct {
		Level    Level       `json:"level,omitempty"` // an empty level is refused
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
	message, _ := json.Marshal(struct { // strings and a finite number: it cannot fail
		Type    string `json:"type"`
		Filters any    `json:"filters"`
	}{"start_streaming", filters})
	return message
}
