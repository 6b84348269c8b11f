package tunneltest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// response is the response to a request.
type response struct {
	status int
	header http.Header
	body   []byte
}

// succeeded reports whether the status is 2xx. The API only sends 200, but a handler of Handle can
// send another status.
func (a *response) succeeded() bool { return a.status >= 200 && a.status < 300 }

// resultInfo describes a page of a list.
type resultInfo struct {
	Count      int   `json:"count"`
	Page       int64 `json:"page"`
	PerPage    int64 `json:"per_page"`
	TotalCount int64 `json:"total_count"`
	// TotalPages is nil for lists that do not report it, such as the lists of tunnels.
	TotalPages *int64 `json:"total_pages,omitempty"`
}

// apiError is an error of the API.
type apiError struct {
	Code    int        `json:"code"`
	Message string     `json:"message"`
	Chain   []apiError `json:"error_chain,omitempty"`
}

// envelope is the common form of all responses.
type envelope struct {
	Success    bool        `json:"success"`
	Errors     []apiError  `json:"errors"`
	Messages   []message   `json:"messages"`
	Result     any         `json:"result"`
	ResultInfo *resultInfo `json:"result_info,omitempty"`
}

// message is an informational message in a response.
type message struct {
	Code    int     `json:"code"`
	Message string  `json:"message"`
	Type    *string `json:"type"`
}

func success(result any, messages ...message) *response {
	return encode(http.StatusOK, envelope{Success: true, Result: result, Messages: messages})
}

// successResultFirst is success with the field order of the endpoints for API tokens.
func successResultFirst(result any, messages ...message) *response {
	return marshal(http.StatusOK, struct {
		Result   any        `json:"result"`
		Success  bool       `json:"success"`
		Errors   []apiError `json:"errors"`
		Messages []message  `json:"messages"`
	}{result, true, []apiError{}, append([]message{}, messages...)})
}

func successPage(result any, info resultInfo) *response {
	return encode(http.StatusOK, envelope{Success: true, Result: result, ResultInfo: &info})
}

func failure(status, code int, text string, chain ...apiError) *response {
	return encode(status, envelope{Errors: []apiError{{Code: code, Message: text, Chain: chain}}})
}

// encode encodes an envelope. Lists without items are [], not null.
func encode(status int, e envelope) *response {
	if e.Errors == nil {
		e.Errors = []apiError{}
	}
	if e.Messages == nil {
		e.Messages = []message{}
	}
	return marshal(status, e)
}

func marshal(status int, e any) *response {
	body, err := json.Marshal(e)
	if err != nil {
		panic("tunneltest: " + err.Error())
	}
	return &response{status: status, body: body}
}

// timestamp is a time in a response.
type timestamp struct{ time.Time }

// MarshalJSON formats the time in UTC with microseconds, as the API does.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05.000000Z"`)), nil
}

// nullTime returns nil, which is encoded as null, for the zero time.
func nullTime(t time.Time) *timestamp {
	if t.IsZero() {
		return nil
	}
	return &timestamp{t}
}

// write sends the response with the header and the cut of a fault.
func (a *response) write(w http.ResponseWriter, f Fault) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cf-Ray", randomHex(8)+"-FRA")
	for _, more := range []http.Header{a.header, f.Header} {
		for key, values := range more {
			if len(values) == 1 && values[0] == "" {
				header[http.CanonicalHeaderKey(key)] = nil
				continue
			}
			header[http.CanonicalHeaderKey(key)] = values
		}
	}
	if f.Cut == CutInside {
		// If the body is empty, promise one byte, so that the response is incomplete.
		header.Set("Content-Length", strconv.Itoa(max(len(a.body), 1)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}
