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

func (a answer) succeeded() bool { return a.status == http.StatusOK }

// resultInfo is what a page says of itself. The tunnel family has no total_pages.
type resultInfo struct {
	Count      int `json:"count"`
	Page       int `json:"page"`
	PerPage    int `json:"per_page"`
	TotalCount int `json:"total_count"`
}

// apiError is an error of the API.
type apiError struct {
	Code    int        `json:"code"`
	Message string     `json:"message"`
	Chain   []apiError `json:"error_chain,omitempty"`
}

// none is an empty list of errors or messages, which the API sends as such.
var none = []apiError{}

func success(result any) answer { return encode(http.StatusOK, true, none, result, nil) }

func page(result any, info resultInfo) answer {
	return encode(http.StatusOK, true, none, result, &info)
}

func failure(status, code int, message string, chain ...apiError) answer {
	return encode(status, false, []apiError{{Code: code, Message: message, Chain: chain}}, nil, nil)
}

func encode(status int, ok bool, errors []apiError, result any, info *resultInfo) answer {
	body, err := json.Marshal(struct {
		Success    bool        `json:"success"`
		Errors     []apiError  `json:"errors"`
		Messages   []apiError  `json:"messages"`
		Result     any         `json:"result"`
		ResultInfo *resultInfo `json:"result_info,omitempty"`
	}{ok, errors, none, result, info})
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
