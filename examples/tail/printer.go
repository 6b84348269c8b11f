package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

// printer writes each entry on a line of its own.
type printer struct {
	out                 io.Writer
	json, fields, color bool
}

func newPrinter(out io.Writer, json, fields bool) *printer {
	return &printer{out: out, json: json, fields: fields, color: isTerminal(out)}
}

// isTerminal reports whether out is a terminal that shows colors.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// colors are the terminal color codes of the levels.
var colors = map[tunnellogs.Level]int{
	tunnellogs.LevelDebug: 90,
	tunnellogs.LevelInfo:  36,
	tunnellogs.LevelWarn:  33,
	tunnellogs.LevelError: 31,
}

func (p *printer) print(e tunnellogs.Entry) error {
	if p.json {
		line, err := encode(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.out, "%s\n", line)
		return err
	}
	level := fmt.Sprintf("%-5s", clean(string(e.Level)))
	if code, ok := colors[e.Level]; ok && p.color {
		level = fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, level)
	}
	line := fmt.Sprintf("%s %s %-11s %.8s  %s", e.Time.Format(time.RFC3339), level,
		clean(string(e.Event)), clean(e.ConnectorID), clean(e.Message))
	if p.fields && len(e.Fields) > 0 {
		fields, err := encode(e.Fields)
		if err != nil {
			return err
		}
		line += "  " + clean(string(fields))
	}
	_, err := fmt.Fprintln(p.out, line)
	return err
}

// clean returns a text as an entry prints it: without access tokens and without control characters.
func clean(text string) string { return tunnellogs.Entry{Message: text}.String() }

// encode returns a value as JSON without HTML escapes.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(b.Bytes()), err
}
