package cftunnel_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// header returns a header field encoded with HPACK, without compression.
func header(name, value string) []byte {
	text := func(s string) []byte {
		if len(s) < 127 {
			return append([]byte{byte(len(s))}, s...)
		}
		return append([]byte{127, byte(len(s)-127)&127 | 128, byte((len(s) - 127) >> 7)}, s...)
	}
	return append(append([]byte{0}, text(name)...), text(value)...)
}

// headerFrame returns a HEADERS frame.
func headerFrame(flags byte, stream uint32, headers ...[]byte) []byte {
	var block []byte
	for _, h := range headers {
		block = append(block, h...)
	}
	return http2Frame(frameHeaders, flags|flagEndHeaders, stream, block...)
}

func TestBrokenHTTP2_ShowsNoToken(t *testing.T) {
	t.Parallel()
	ok := []byte{0x88} // :status 200
	for kind, token := range unknownTokens {
		envelope := `{"success":true,"errors":[],"messages":[],"result":"` + token + `"}`
		data := func(id uint32) []byte { return http2Frame(frameData, 0, id, []byte(envelope)...) }
		for broken, frames := range map[string]func(id uint32) []byte{
			"GOAWAY with a text":           func(id uint32) []byte { return goAwayFrame(id, codeProtocol, token) },
			"GOAWAY with JSON":             func(id uint32) []byte { return goAwayFrame(id, codeInternal, envelope) },
			"GOAWAY for stream 0":          func(uint32) []byte { return goAwayFrame(0, codeCalm, token) },
			"GOAWAY in pieces":             func(id uint32) []byte { return goAwayFrame(id, codeProtocol, inPieces(token, 20, "\n")) },
			"upper case in a name":         func(id uint32) []byte { return headerFrame(0, id, ok, header("X"+token, "x")) },
			"unknown pseudo header":        func(id uint32) []byte { return headerFrame(0, id, ok, header(":"+token, "x")) },
			"pseudo header after a header": func(id uint32) []byte { return headerFrame(0, id, header("x", token), ok) },
			"two statuses":                 func(id uint32) []byte { return headerFrame(0, id, ok, header(":status", token)) },
			"token as the status":          func(id uint32) []byte { return headerFrame(0, id, header(":status", token)) },
			"control character in a value": func(id uint32) []byte { return headerFrame(0, id, ok, header("x", token+"\x01")) },
			"no header block":              func(id uint32) []byte { return http2Frame(frameHeaders, flagEndHeaders, id, []byte(token)...) },
			"JSON instead of a frame":      func(uint32) []byte { return []byte(envelope) },
			"HTTP/1.1":                     func(uint32) []byte { return []byte(response("200 OK", envelope)) },
			"too long a body": func(id uint32) []byte {
				return append(headerFrame(0, id, ok, header("content-length", "5")), data(id)...)
			},
			"too short a body": func(id uint32) []byte {
				frames := append(headerFrame(0, id, ok, header("content-length", "9999")),
					data(id)...)
				return append(frames, http2Frame(frameData, flagEndStream, id)...)
			},
			"reset after the data": func(id uint32) []byte {
				return append(append(headerFrame(0, id, ok), data(id)...),
					resetFrame(id, codeInternal)...)
			},
			"trailers": func(id uint32) []byte {
				frames := append(headerFrame(0, id, ok), data(id)[:9+20]...)
				frames[len(frames)-9-20+2] = 20 // the length of the truncated DATA frame
				return append(frames, headerFrame(flagEndStream, id, header(":"+token, token))...)
			},
		} {
			t.Run(kind+", "+broken, func(t *testing.T) {
				t.Parallel()
				for _, name := range []string{"Token", "Create", "Do"} {
					synctest.Test(t, func(t *testing.T) {
						d := &recorder{}
						respond := func(s http2Stream) ([]byte, bool) {
							return frames(s.stream), true
						}
						retry := cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 2})
						_, client := newHTTP2Client(t, respond, append(d.options(), retry)...)
						err := secretCalls[name](t.Context(), client)
						require.Error(t, err)
						d.addError(err)
						_, err = client.Tunnels.Get(t.Context(), tunnelID)
						d.addError(err)
						d.assertHides(t, token)
					})
				}
			})
		}
	}
}
