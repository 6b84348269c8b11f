package tunnellogs

import "math"

const (
	// Fields may need this many bytes of memory for each byte of MaxEntryBytes, plus baseMemory.
	// The fields of HTTP requests need much less.
	memoryFactor = 8
	baseMemory   = 8 << 20
)

// fieldsLimit returns how much memory Fields may need if a message may have maxBytes.
func fieldsLimit(maxBytes int64) int64 {
	return min(maxBytes, math.MaxInt64/(2*memoryFactor))*memoryFactor + baseMemory
}

// memoryOf returns an upper bound of the memory, in bytes, that encoding/json allocates for a value
// of type any. raw must be valid.
func memoryOf(raw []byte) (n int64) {
	const (
		object = 320 // a map with room for eight members
		list   = 96  // with its first item
		next   = 112 // a further item, and the copies of a list that grows
		member = 96  // a member, and the copies of a map that grows
		inText = 3   // a byte of a string, which may become three
	)
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{':
			n += object
		case '[':
			n += list
		case ',':
			n += next
		case ':':
			n += member
		case '"':
			from := i
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
			n += int64(i-from) * inText
		default:
			n++
		}
	}
	return n
}
