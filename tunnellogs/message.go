package tunnellogs

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"

	"github.com/coder/websocket"
	"github.com/go-faster/jx"
)

// errStop ends a walk over a list.
var errStop = errors.New("stop")

// decode returns an iterator over the entries of a message. A message of another type has none. An
// error is the last item. The iterator decodes an entry when it is its turn, because all entries
// together can need many times the memory of the message.
func (s *Stream) decode(kind websocket.MessageType, data []byte) iter.Seq2[Entry, *StreamError] {
	return func(yield func(Entry, *StreamError) bool) {
		failure := &StreamError{ConnectorID: s.connectorID}
		switch {
		case int64(len(data)) > s.maxBytes:
			failure.cause = ErrEntryTooLarge
			yield(Entry{}, failure)
			return
		case kind != websocket.MessageText:
			return
		case !json.Valid(data):
			failure.Reason = "a message is not JSON"
			yield(Entry{}, failure)
			return
		}
		d := jx.DecodeBytes(logsOf(data))
		_ = d.Arr(func(*jx.Decoder) error {
			raw, err := d.Raw()
			if err != nil || raw[0] != '{' {
				return err
			}
			entry, ok := decodeEntry(raw, s.connectorID, fieldsLimit(s.maxBytes))
			if !ok {
				failure.Reason = "decoding the Fields of an entry needs too much memory"
				failure.cause = ErrEntryTooLarge
				yield(Entry{}, failure)
				return errStop
			}
			if !yield(entry, nil) {
				return errStop
			}
			return nil
		})
	}
}

// logsOf returns the list of entries in a message. It returns nil for a message of another type,
// and for one with a member of an unexpected type.
func logsOf(data []byte) (logs []byte) {
	isLogs, isValid := false, true
	eachMember(data, func(name, raw []byte) {
		switch {
		case isName(name, "type") && raw[0] == '"':
			isLogs = decodeString(raw) == "logs"
		case isName(name, "type"):
			isValid = isValid && raw[0] == 'n'
		case isName(name, "logs") && raw[0] == '[':
			logs = raw
		case isName(name, "logs"):
			logs, isValid = nil, isValid && raw[0] == 'n'
		}
	})
	if !isLogs || !isValid {
		return nil
	}
	return logs
}

// eachMember calls f with each member of an object. It does nothing if data is not an object. data
// must be valid.
func eachMember(data []byte, f func(name, raw []byte)) {
	d := jx.DecodeBytes(data)
	_ = d.ObjBytes(func(_ *jx.Decoder, name []byte) error {
		raw, err := d.Raw()
		if err == nil {
			f(name, raw)
		}
		return err
	})
}

// isName ignores case, as encoding/json does.
func isName(name []byte, want string) bool { return bytes.EqualFold(name, []byte(want)) }

func decodeString(raw []byte) (s string) {
	_ = json.Unmarshal(raw, &s) // raw is a valid string
	return s
}
