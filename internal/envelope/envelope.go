// Package envelope decodes the JSON object that the API wraps every answer in. It is the one place that chooses the JSON decoder of
// answers.
package envelope

import (
	"bytes"
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
func (d *Decoder) Decode(body []byte, result any) (*Envelope, error) {
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return nil, errors.New("it is null")
	}
	if result == nil {
		return d.decodeHead(body)
	}
	var answer struct {
		head
		Result any `json:"result"`
	}
	answer.Result = result
	if err := d.unmarshal(body, &answer, result); err != nil {
		// A failure has a result of any type; that it cannot be read as the right one is not what went wrong.
		if envelope, headErr := d.decodeHead(body); headErr == nil && !envelope.succeeded() {
			return envelope, nil
		}
		return nil, describe(err)
	}
	return answer.envelope(), nil
}

func (d *Decoder) decodeHead(body []byte) (*Envelope, error) {
	var answer head
	if err := d.unmarshal(body, &answer, nil); err != nil {
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
		return fmt.Errorf("%s is of the wrong type, %s", place(e.Field), kind)
	}
	return errors.New("it has a value of the wrong form")
}

// place names a field by its path, unless there are keys of the server's own in it.
func place(field string) string {
	const long = 100
	odd := func(r rune) bool {
		return r != '_' && r != '.' && !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
	}
	switch {
	case field == "":
		return "the whole"
	case len(field) > long || strings.ContainsFunc(field, odd):
		return "a part of the result"
	}
	return field
}

// head takes every form of what differs from answer to answer, so that no odd one hides the rest.
type head struct {
	Success    flag    `json:"success"`
	Errors     details `json:"errors"`
	Messages   details `json:"messages"`
	ResultInfo info    `json:"result_info"`

	read Envelope // what they come to
}

func (h *head) envelope() *Envelope {
	h.read = Envelope{Errors: h.Errors, Messages: h.Messages, Info: h.ResultInfo.value}
	if h.Success.known {
		h.read.Success = &h.Success.value
	}
	return &h.read
}

func (e *Envelope) succeeded() bool { return e.Success != nil && *e.Success }

type flag struct{ known, value bool }

// UnmarshalJSON takes true and false.
func (f *flag) UnmarshalJSON(data []byte) error {
	text := string(data)
	*f = flag{known: text == "true" || text == "false", value: text == "true"}
	return nil
}

type details []Detail

// UnmarshalJSON takes everything.
func (d *details) UnmarshalJSON(data []byte) error {
	if *d = nil; string(data) != "[]" { // which is what there mostly is
		*d = detailsOf(data, 0)
	}
	return nil
}

// detailsOf reads a list of details, or a single one.
func detailsOf(data []byte, depth int) []Detail {
	if depth > maxChain {
		return nil
	}
	var list []Detail
	if data[0] != '[' {
		return appendDetail(list, data, depth)
	}
	n := 0
	eachItem(data, func(item []byte) {
		if n++; n <= maxDetails {
			list = appendDetail(list, item, depth)
		}
	})
	return list
}

func appendDetail(list []Detail, data []byte, depth int) []Detail {
	switch data[0] {
	case '"':
		return append(list, Detail{Message: text(data)})
	case '{':
		var d Detail
		eachMember(data, func(name, value []byte) {
			switch string(name) {
			case "code":
				d.Code = number(value)
			case "message":
				d.Message = text(value)
			case "documentation_url":
				d.DocumentationURL = text(value)
			case "source":
				d.Pointer = ""
				eachMember(value, func(name, value []byte) {
					if string(name) == "pointer" {
						d.Pointer = text(value)
					}
				})
			case "error_chain":
				d.Chain = detailsOf(value, depth+1)
			}
		})
		return append(list, d)
	case 'n', 't', 'f', '[':
		return list
	}
	return append(list, Detail{Code: number(data)})
}

type info struct{ value *Info }

// UnmarshalJSON takes an object.
func (i *info) UnmarshalJSON(data []byte) error {
	i.value = nil
	if data[0] != '{' {
		return nil
	}
	i.value = &Info{}
	eachMember(data, func(name, value []byte) {
		switch string(name) {
		case "page":
			i.value.Page = number(value)
		case "per_page":
			i.value.PerPage = number(value)
		case "count":
			i.value.Count = number(value)
		case "total_count":
			i.value.TotalCount = number(value)
		}
	})
	return nil
}

// number reads a JSON number or a string of digits; anything else, and what no int of 32 bits holds, is zero.
func number(data []byte) int {
	var f float64
	if data[0] == '"' {
		n, _ := strconv.ParseInt(text(data), 10, 64)
		f = float64(n)
	} else {
		f, _ = strconv.ParseFloat(string(data), 64)
	}
	if f < math.MinInt32 || f > math.MaxInt32 {
		return 0
	}
	return int(f)
}

// text reads a JSON string; anything else is empty.
func text(data []byte) string {
	if isPlain(data) && data[0] == '"' {
		return string(data[1 : len(data)-1])
	}
	var s string
	_ = json.Unmarshal(data, &s)
	return s
}
