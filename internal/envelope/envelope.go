// Package envelope decodes the JSON object that the API wraps every response in. Only this package
// chooses the JSON decoder for responses.
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

// Limits for errors and messages, because a hostile response may have any number of them.
// maxDetails is the maximum number of errors, and of messages, including those in chains. maxChain
// is the maximum depth of a chain.
const (
	maxDetails = 32
	maxChain   = 8
)

// Envelope is a response without its result.
type Envelope struct {
	// Success is the member "success", or nil if the response has no such boolean.
	Success *bool
	// Errors and Messages are decoded from every known form. They never make decoding fail.
	Errors, Messages []Detail
	// Info is nil if the response is not a page.
	Info *Info
	// NextCursor reports whether result_info has a cursor for the next page.
	NextCursor bool
	// HasErrors and HasResult report whether the response has the members "errors" and "result".
	HasErrors, HasResult bool
	// Text is the error text of JSON that is not the API's envelope: the members error, message,
	// title, detail and similar ones.
	Text string

	success bool
}

// Detail is an error or a message.
type Detail struct {
	Code                               int
	Message, DocumentationURL, Pointer string
	Chain                              []Detail
}

// Info is result_info. A field is zero if the response does not have it or if it is not a number.
type Info struct{ Page, PerPage, Count, TotalCount int }

// Decode decodes a response and stores its result in the value that result points to. If result is
// nil, it skips the result. If the response cannot be decoded, the value is zero and Decode returns
// an error that does not quote the response.
func Decode(body []byte, result any) (*Envelope, error) {
	e, err := decode(body, result)
	if err == nil || result == nil {
		return e, err
	}
	reflect.ValueOf(result).Elem().SetZero()
	// The result of a failed request may have any type. Report the failure, not the type.
	if head, headErr := decode(body, nil); headErr == nil && head.isFailure() {
		return head, nil
	}
	return nil, err
}

// DecodeItems decodes the items of a result that was decoded as a list of json.RawMessage. It
// stores item i in the value that item(i) points to, as [Decode] does with a result. The raw items
// count to the memory that decoding may use.
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
			e.Info, e.NextCursor = infoOf(value)
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

// textNames are the names of the members that hold the error text of gateways.
var textNames = []string{
	"error", "message", "msg", "title", "detail", "details", "description", "reason", "fault", "faultstring",
	"error_description", "error_message", "errormessage",
}

func isTextName(name []byte) bool {
	return slices.ContainsFunc(textNames, func(known string) bool {
		return strings.EqualFold(known, string(name))
	})
}

// Limits for the texts of errors that are not the API's.
const (
	maxTexts     = 8
	maxTextDepth = 3
)

// appendTexts appends a string, or the strings in an object or a list, without duplicates.
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

// detailsOf decodes a list of details, or a single one.
func detailsOf(data []byte) []Detail {
	if string(data) == "[]" { // the most frequent value
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

func infoOf(data []byte) (info *Info, nextCursor bool) {
	if data[0] != '{' {
		return nil, false
	}
	info = &Info{}
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
		case "cursor":
			nextCursor = text(value) != ""
		case "cursors":
			eachMember(value, func(name, value []byte) {
				nextCursor = nextCursor || string(name) == "after" && text(value) != ""
			})
		}
	})
	return info, nextCursor
}

// number decodes a JSON number or a string of digits. It returns 0 for anything else, and for
// numbers beyond 32 bits.
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

// text decodes a JSON string. It returns "" for anything else.
func text(data []byte) string {
	if isPlain(data) && data[0] == '"' {
		return string(data[1 : len(data)-1])
	}
	var s string
	_ = json.Unmarshal(data, &s)
	return s
}
