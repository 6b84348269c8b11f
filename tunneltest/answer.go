package tunneltest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// answer is what an operation comes to.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// succeeded reports whether the status is of success. The API itself sends only 200.
func (a answer) succeeded() bool { return a.status >= 200 && a.status < 300 }

// resultInfo is what a page says of itself. The tunnel family has no total_pages.
type resultInfo struct {
	Count      int   `json:"count"`
	Page       int64 `json:"page"`
	PerPage    int64 `json:"per_page"`
	TotalCount int64 `json:"total_count"`
	// TotalPages is nil for lists that do not report it.
	TotalPages *int64 `json:"total_pages,omitempty"`
}

// apiError is an error of the API.
type apiError struct {
	Code    int        `json:"code"`
	Message string     `json:"message"`
	Chain   []apiError `json:"error_chain,omitempty"`
}

// envelope is what every answer is wrapped in.
type envelope struct {
	Success    bool        `json:"success"`
	Errors     []apiError  `json:"errors"`
	Messages   []message   `json:"messages"`
	Result     any         `json:"result"`
	ResultInfo *resultInfo `json:"result_info,omitempty"`
}

// message is a remark beside the result.
type message struct {
	Code    int     `json:"code"`
	Message string  `json:"message"`
	Type    *string `json:"type"`
}

func success(result any, messages ...message) answer {
	return encode(http.StatusOK, envelope{Success: true, Result: result, Messages: messages})
}

// resultFirst is success as the services for API tokens write it.
func resultFirst(result any, messages ...message) answer {
	return marshal(http.StatusOK, struct {
		Result   any        `json:"result"`
		Success  bool       `json:"success"`
		Errors   []apiError `json:"errors"`
		Messages []message  `json:"messages"`
	}{result, true, []apiError{}, append([]message{}, messages...)})
}

func page(result any, info resultInfo) answer {
	return encode(http.StatusOK, envelope{Success: true, Result: result, ResultInfo: &info})
}

func failure(status, code int, text string, chain ...apiError) answer {
	return encode(status, envelope{Errors: []apiError{{Code: code, Message: text, Chain: chain}}})
}

// encode sends empty lists as such: clients take null for a mistake.
func encode(status int, e envelope) answer {
	if e.Errors == nil {
		e.Errors = []apiError{}
	}
	if e.Messages == nil {
		e.Messages = []message{}
	}
	return marshal(status, e)
}

func marshal(status int, e any) answer {
	body, err := json.Marshal(e)
	if err != nil {
		panic("tunneltest: " + err.Error())
	}
	return answer{status: status, body: body}
}

// timestamp is a time as the API writes it.
type timestamp struct{ time.Time }

// MarshalJSON writes microseconds and Z.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05.000000Z"`)), nil
}

// orNull is nil for a time that has not come.
func orNull(t time.Time) *timestamp {
	if t.IsZero() {
		return nil
	}
	return &timestamp{t}
}

// write sends the answer, as the fault has it.
func (a answer) write(w http.ResponseWriter, f Fault) {
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
		// An empty body is cut too: one byte of it never comes.
		header.Set("Content-Length", strconv.Itoa(max(len(a.body), 1)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}
