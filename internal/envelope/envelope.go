// Package envelope decodes the JSON object that the API wraps every response in. It is the only place
// that chooses the JSON decoder of responses.
package envelope

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-faster/jx"
)

// Bounds on what is kept of errors and messages, which a hostile response could make as long as it
// likes. maxDetails is for all of one kind, those in chains included.
const (
	maxDetails = 32
	maxChain   = 8
)

// Envelope is a response without its result.
type Envelope struct {
	// Success is nil if the response does not have it.
	Success *bool
	// Errors and Messages are read in every form that was seen, and never make decoding fail.
	Errors, Messages []Detail
	// Info is nil if the response is not a page.
	Info *Info
	// HasErrors and HasResult report whether the response has these members.
	HasErrors, HasResult bool
	// Text is what a response says that is JSON, but not the API's envelope: its members error,
	// message, title, detail and the like.
	Text string

	success bool
}

// Detail is an error or a message.
type Detail struct {
	Code                               int
	Message, DocumentationURL, Pointer string
	Chain                              []Detail
}

// Info is result_info. A field is zero if the response does not have it, or it is not a number.
type Info struct{ Page, PerPage, Count, TotalCount int }

// Decode reads a response and puts its result into the value that result points to; nil leaves the
// result unread. An error means that the response cannot be understood; it quotes nothing of it. The
// value is then zero.
func Decode(body []byte, result any) (*Envelope, error) {
	e, err := decode(body, result)
	if err == nil || result == nil {
		return e, err
	}
	reflect.ValueOf(result).Elem().SetZero()
	// A failure has a result of any type. That it cannot be read is not what went wrong.
	if head, headErr := decode(body, nil); headErr == nil && head.isFailure() {
		return head, nil
	}
	return nil, err
}

// DecodeItems reads the items of a result that was decoded as a list of json.RawMessage, each into the
// value that item returns a pointer to, as Decode reads a result. The items themselves are part of the
// memory that decoding may need.
func DecodeItems(items []json.RawMessage, item func(i int) any) error {
	memory := baseMemory
	for _, data := range items {
		memory += (maxMemoryFactor-1)*len(data) - wordSize
	}
	for i, data := range items {
		var r reader
		r.reset(data)
		r.memory = memory
		v := reflect.ValueOf(item(i)).Elem()
		if err := r.value(v, planOf(v.Type())); err != nil {
			return fmt.Errorf("item %d: %w", i, explain(err))
		}
		memory = r.memory
	}
	return nil
}

func (e *Envelope) isFailure() bool {
	return e.HasErrors && e.Success == nil || e.Success != nil && !*e.Success
}

func decode(body []byte, result any) (*Envelope, error) {
	var r reader
	r.reset(body)
	if r.json.Next() != jx.Object {
		if err := r.json.Skip(); err != nil || !r.end() {
			return nil, errors.New("it is not valid JSON")
		}
		return nil, errors.New("it is not an object")
	}
	e := &Envelope{}
	var texts []string
	err := r.json.ObjBytes(func(_ *jx.Decoder, key []byte) error {
		switch string(key) {
		case "result":
			e.HasResult = true
			if result == nil || r.json.Next() == jx.Null {
				return r.json.Skip()
			}
			v := reflect.ValueOf(result).Elem()
			v.SetZero()
			return at("result", r.value(v, planOf(v.Type())))
		case "success", "errors", "messages", "result_info":
		default:
			if !isTextName(key) {
				return r.json.Skip()
			}
		}
		name := string(key)
		value, err := r.json.Raw()
		if err != nil {
			return err
		}
		switch name {
		case "success":
			e.Success = nil
			if value[0] == 't' || value[0] == 'f' {
				e.success = value[0] == 't'
				e.Success = &e.success
			}
		case "errors":
			e.HasErrors = true
			e.Errors = detailsOf(value)
		case "messages":
			e.Messages = detailsOf(value)
		case "result_info":
			e.Info = infoOf(value)
		default:
			texts = appendTexts(texts, value, 0)
		}
		return nil
	})
	if err != nil {
		return nil, explain(err)
	}
	if !r.end() {
		return nil, errors.New("it is not valid JSON")
	}
	e.Text = strings.Join(texts, ": ")
	return e, nil
}

// textNames are the members that errors of gateways have their text in.
var textNames = []string{
	"error", "message", "msg", "title", "detail", "details", "description", "reason", "fault", "faultstring",
	"error_description", "error_message", "errormessage",
}

func isTextName(name []byte) bool {
	return slices.ContainsFunc(textNames, func(known string) bool { return strings.EqualFold(known, string(name)) })
}

// Bounds on the texts of errors that are not the API's.
const (
	maxTexts     = 8
	maxTextDepth = 3
)

// appendTexts appends a text, or those in an object or a list, each once.
func appendTexts(texts []string, data []byte, depth int) []string {
	switch {
	case len(texts) == maxTexts || depth > maxTextDepth:
	case data[0] == '{':
		eachMember(data, func(name, value []byte) {
			if isTextName(name) {
				texts = appendTexts(texts, value, depth+1)
			}
		})
	case data[0] == '[':
		eachItem(data, func(item []byte) { texts = appendTexts(texts, item, depth+1) })
	default:
		if found := text(data); found != "" && !slices.Contains(texts, found) {
			texts = append(texts, found)
		}
	}
	return texts
}

// detailsOf reads a list of details, or a single one.
func detailsOf(data []byte) []Detail {
	if string(data) == "[]" { // which is what there mostly is
		return nil
	}
	left := maxDetails
	return details(data, 0, &left)
}

func details(data []byte, depth int, left *int) []Detail {
	if depth > maxChain {
		return nil
	}
	var list []Detail
	if data[0] != '[' {
		return appendDetail(list, data, depth, left)
	}
	eachItem(data, func(item []byte) { list = appendDetail(list, item, depth, left) })
	return list
}

func appendDetail(list []Detail, data []byte, depth int, left *int) []Detail {
	if *left == 0 {
		return list
	}
	switch data[0] {
	case '"':
		*left--
		return append(list, Detail{Message: text(data)})
	case '{':
		*left--
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
				d.Chain = details(value, depth+1, left)
			}
		})
		return append(list, d)
	case 'n', 't', 'f', '[':
		return list
	}
	*left--
	return append(list, Detail{Code: number(data)})
}

func infoOf(data []byte) *Info {
	if data[0] != '{' {
		return nil
	}
	info := &Info{}
	eachMember(data, func(name, value []byte) {
		switch string(name) {
		case "page":
			info.Page = number(value)
		case "per_page":
			info.PerPage = number(value)
		case "count":
			info.Count = number(value)
		case "total_count":
			info.TotalCount = number(value)
		}
	})
	return info
}

// number reads a JSON number or a string of digits; anything else, and what no int of 32 bits holds,
// is zero.
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
