package tunnellogs

import (
	"encoding/json"

	"github.com/coder/websocket"
)

// decode returns the entries of a message. A message of another type has none.
func (s *Stream) decode(kind websocket.MessageType, data []byte) ([]Entry, *StreamError) {
	switch {
	case int64(len(data)) > s.maxBytes:
		return nil, &StreamError{ConnectorID: s.connectorID, cause: ErrEntryTooLarge}
	case kind != websocket.MessageText:
		return nil, nil
	case !json.Valid(data):
		return nil, &StreamError{ConnectorID: s.connectorID, Reason: "a message is not JSON"}
	}
	var message struct {
		Type string            `json:"type"`
		Logs []json.RawMessage `json:"logs"`
	}
	if json.Unmarshal(data, &message) != nil || message.Type != "logs" {
		return nil, nil
	}
	entries := make([]Entry, 0, len(message.Logs))
	for _, raw := range message.Logs {
		if entry, ok := decodeEntry(raw, s.connectorID); ok {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}
