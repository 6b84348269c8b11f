package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// picture is an SVG. It has its own background, so it can be read in light and dark themes.
type picture struct {
	title, description string
	width, height      int
	dark               bool // the colors of a terminal
	body               strings.Builder
	err                error // the first text that does not fit
}

// style is a style of text.
type style struct {
	class string
	size  float64
	mono  bool
}

var (
	heading = style{"h", 13, false}
	name    = style{"n", 12, true}
	detail  = style{"d", 10.5, true}
	caption = style{"c", 12, false}
	output  = style{"o", 12, true}
)

// width returns the width of a text, which is an estimate if the characters have different widths.
func (s style) width(text string) float64 {
	perCharacter := 0.52
	if s.mono {
		perCharacter = 0.61
	}
	return perCharacter * s.size * float64(utf8.RuneCountInString(text))
}

// line is a line of text in a box.
type line struct {
	style
	text string
}

// wrapped returns lines that are at most width wide.
func (s style) wrapped(text string, width int) []line {
	var lines []line
	current := ""
	for word := range strings.FieldsSeq(text) {
		longer := strings.TrimSpace(current + " " + word)
		if current != "" && s.width(longer) > float64(width) {
			lines = append(lines, line{s, current})
			longer = word
		}
		current = longer
	}
	return append(lines, line{s, current})
}

const (
	lineHeight = 16
	padding    = 10
)

// rect is a place in a picture.
type rect struct{ x, y, width, height int }

func (r rect) right() int  { return r.x + r.width }
func (r rect) bottom() int { return r.y + r.height }
func (r rect) center() int { return r.x + r.width/2 }

// heightOf returns the height of a box with that many lines.
func heightOf(lines int) int { return lines*lineHeight + padding + 6 }

// box draws a rectangle with lines of text. class is its color.
func (p *picture) box(class string, r rect, lines ...line) {
	fmt.Fprintf(&p.body, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="6"/>`+"\n",
		class, r.x, r.y, r.width, r.height)
	for i, line := range lines {
		if line.width(line.text) > float64(r.width-padding) {
			p.fail(line.text)
		}
		p.text(line.style, "", r.x+padding, r.y+padding+lineHeight*i+10, line.text)
	}
}

func (p *picture) fail(text string) {
	if p.err == nil {
		p.err = fmt.Errorf("no space for %q", text)
	}
}

// text draws a line of text. anchor is "" for a text that begins at x, else "middle" or "end".
func (p *picture) text(s style, anchor string, x, y int, text string) {
	if anchor != "" {
		anchor = ` text-anchor="` + anchor + `"`
	}
	fmt.Fprintf(&p.body, `<text class="%s" x="%d" y="%d"%s>%s</text>`+"\n",
		s.class, x, y, anchor, escape(text))
}

// arrow draws an arrow along points, which are pairs of x and y.
func (p *picture) arrow(points ...int) {
	p.body.WriteString(`<path class="a" d="`)
	for i := 0; i < len(points); i += 2 {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&p.body, "%s%d %d", command, points[i], points[i+1])
	}
	p.body.WriteString(`"/>` + "\n")
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder returns no error
	return b.String()
}

const (
	sansFonts = `-apple-system,"Segoe UI","Noto Sans",Helvetica,Arial,sans-serif`
	monoFonts = `ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace`

	lightStyle = `.bg{fill:#fff;stroke:#d0d7de}
.root{fill:#ddf4ff;stroke:#54aeff}
.internal{fill:#fbefff;stroke:#c297ff}
.outside{fill:#f6f8fa;stroke:#8c959f}
.frame{fill:#f6f8fa;stroke:#8c959f;stroke-dasharray:5 4}
.outer{fill:#f6f8fa;stroke:#8c959f}
.inner{fill:#fff;stroke:#54aeff}
.a{fill:none;stroke:#57606a;stroke-width:1.5;marker-end:url(#tip)}
#tip path{fill:#57606a}
.h{font:600 13px ` + sansFonts + `;fill:#1f2328}
.n{font:600 12px ` + monoFonts + `;fill:#0550ae}
.d{font:10.5px ` + monoFonts + `;fill:#57606a}
.c{font:12px ` + sansFonts + `;fill:#1f2328}
`
	darkStyle = `.bg{fill:#0d1117;stroke:#30363d}
.o{font:12px ` + monoFonts + `;fill:#c9d1d9;white-space:pre}
.prompt{fill:#7ee787}
.command{fill:#fff;font-weight:600}
.info{fill:#56d4dd}
.warn{fill:#e3b341}
.error{fill:#ff7b72}
`
)

func (p *picture) svg() []byte {
	style, tip := lightStyle, `<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" `+
		`markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">`+
		`<path d="M0 0L8 4L0 8z"/></marker></defs>`+"\n"
	if p.dark {
		style, tip = darkStyle, ""
	}
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" `+
		`width="%[1]d" height="%[2]d" role="img" aria-labelledby="title desc">
<title id="title">%[3]s</title>
<desc id="desc">%[4]s</desc>
<style>
%[5]s</style>
%[6]s<rect class="bg" x="0.5" y="0.5" width="%[7]d" height="%[8]d" rx="8"/>
%[9]s</svg>
`, p.width, p.height, escape(p.title), escape(p.description), style, tip,
		p.width-1, p.height-1, p.body.String())
}
