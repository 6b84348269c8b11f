// Package envelope decodes the JSON object that the API wraps every answer in. It is the one place that chooses the JSON decoder of
// answers.
package envelope

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bounds on what is kept of errors and messages, which a hostile answer could make as long as it likes.
const (
	maxDetails = 32
	maxChain   = 8
)

// Envelope is an answer without its result.
type Envelope struct {
	// Success is nil where the answer does not have it.
	Success *bool
	// Errors and Messages are read in every form that was seen, and never make decoding fail.
	Errors, Messages []Detail
	// Info is nil where the answer is not a page.
	Info *Info
}

// Detail is an error or a message.
type Detail struct {
	Code                               int
	Message, DocumentationURL, Pointer string
	Chain                              []Detail
}

// Info is result_info. A field is zero where the answer does not have it or it is no number.
type Info struct{ Page, PerPage, Count, TotalCount int }

// Decode reads an answer and puts its result into the value that result points to; nil leaves the result unread. An error means that the
// answer cannot be understood. With an error, and without success, the value is not to be used: it may be filled in part.
func Decode(body []byte, result any) (*Envelope, error) {
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return nil, errors.New("it is null")
	}
	if result == nil {
		return decodeHead(body)
	}
	var answer struct {
		head
		Result any `json:"result"`
	}
	answer.Result = result
	if err := json.Unmarshal(body, &answer); err != nil {
		// A failure has a result of any type; that it cannot be read as the right one is not what went wrong.
		if envelope, headErr := decodeHead(body); headErr == nil && !envelope.succeeded() {
			return envelope, nil
		}
		return nil, describe(err)
	}
	return answer.envelope(), nil
}

func decodeHead(body []byte) (*Envelope, error) {
	var answer head
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, describe(err)
	}
	return answer.envelope(), nil
}

// describe says what is wrong with an answer in words of its own: a decoder's may quote the value, and the value may be a secret.
func describe(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("it is not valid JSON from byte %d on", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind, _, _ := strings.Cut(e.Value, " ")
		return fmt.Errorf("%s is of the wrong type, %s", cmp.Or(e.Field, "the whole"), kind)
	}
	return errors.New("it has a value of the wrong form")
}

// head leaves what differs from answer to answer raw, so that no odd form of it hides the rest.
type head struct {
	Success    json.RawMessage `json:"success"`
	Errors     json.RawMessage `json:"errors"`
	Messages   json.RawMessage `json:"messages"`
	ResultInfo json.RawMessage `json:"result_info"`
}

func (h *head) envelope() *Envelope {
	e := &Envelope{Errors: details(h.Errors), Messages: details(h.Messages), Info: info(h.ResultInfo)}
	switch string(h.Success) {
	case "true":
		e.Success = new(true)
	case "false":
		e.Success = new(false)
	}
	return e
}

func (e *Envelope) succeeded() bool { return e.Success != nil && *e.Success }

func details(raw json.RawMessage) []Detail {
	if len(raw) == 0 || string(raw) == "[]" || string(raw) == "null" {
		return nil
	}
	return detailsOf(anyOf(raw), 0)
}

func detailsOf(value any, depth int) []Detail {
	if depth > maxChain {
		return nil
	}
	items, isList := value.([]any)
	if !isList {
		items = []any{value}
	}
	var list []Detail
	for _, item := range items[:min(len(items), maxDetails)] {
		switch item := item.(type) {
		case json.Number:
			list = append(list, Detail{Code: number(item)})
		case string:
			list = append(list, Detail{Message: item})
		case map[string]any:
			source, _ := item["source"].(map[string]any)
			d := Detail{
				Code:             number(item["code"]),
				Message:          text(item["message"]),
				DocumentationURL: text(item["documentation_url"]),
				Pointer:          text(source["pointer"]),
			}
			if chain, ok := item["error_chain"]; ok && chain != nil {
				d.Chain = detailsOf(chain, depth+1)
			}
			list = append(list, d)
		}
	}
	return list
}

func info(raw json.RawMessage) *Info {
	fields, ok := anyOf(raw).(map[string]any)
	if !ok {
		return nil
	}
	return &Info{
		Page:       number(fields["page"]),
		PerPage:    number(fields["per_page"]),
		Count:      number(fields["count"]),
		TotalCount: number(fields["total_count"]),
	}
}

// anyOf leaves numbers as they stand: one that no float holds must not spoil the rest.
func anyOf(raw json.RawMessage) (value any) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	_ = decoder.Decode(&value)
	return value
}

// number reads a JSON number or a string of digits; anything else, and what no int of 32 bits holds, is zero.
func number(value any) int {
	var f float64
	switch value := value.(type) {
	case json.Number:
		f, _ = value.Float64()
	case string:
		n, _ := strconv.ParseInt(value, 10, 64)
		f = float64(n)
	}
	if f < math.MinInt32 || f > math.MaxInt32 {
		return 0
	}
	return int(f)
}

func text(value any) string {
	s, _ := value.(string)
	return s
}
