package main

import "strings"

// step is a row of the picture of a call: a function, and what it uses on its right. Both are
// chains of names, in which each function uses the next name. The picture shows the last names.
type step struct {
	function string
	uses     []string
}

const (
	loop = "Client.send > call.run > "          // the function that makes attempts
	wire = "call.attempt > roundtrip.Client.Do" // the function that sends to the network
)

var (
	before = []step{
		{"TunnelsService.Get", []string{
			"TunnelsService.Get > request",
			"TunnelsService.Get > doTunnel > doItem",
		}},
		{"doItem > Client.send", []string{
			"Client.send > Client.newCall",
			"Client.send > Client.newCall > request.path",
			"Client.send > Client.newCall > encodeBody",
		}},
	}
	attempt = []step{
		{loop + "call.ready", []string{
			"call.ready > call.credential",
			"call.ready > call.wait > limiter.Limiter.Wait",
			"call.ready > credential.header",
		}},
		{loop + "call.attempt", []string{
			wire,
			"call.attempt > call.decode > envelope.Decode",
			"call.attempt > request.classify",
		}},
		{loop + "call.note", []string{
			"call.note > call.attemptError",
			"call.note > call.attemptError > call.details > call.detailsWithin > " +
				"redact.Redactor.Redact",
			"call.note > limiter.Limiter.Throttled",
		}},
		{loop + "call.pause", []string{
			"call.run > retry.Delays.Next",
		}},
	}
)

// The columns: the functions in the first one, and what they use in the three others.
const (
	mainX, mainWidth = 56, 222
	usesX, usesWidth = 310, 190
	usesGap          = 24
	rowGap           = 28
	frameTop         = 50 // from the top of the frame to its first row
	frameEnd         = 14 // from its last row to its bottom
)

// drawCall draws the path of a call from a method to the network and back.
func drawCall(root string) (*picture, error) {
	s, err := readSource(root, ".", "internal/limiter", "internal/roundtrip", "internal/envelope",
		"internal/redact", "internal/retry")
	if err != nil {
		return nil, err
	}
	beforeRows, err := s.rows(before)
	if err != nil {
		return nil, err
	}
	attemptRows, err := s.rows(attempt)
	if err != nil {
		return nil, err
	}
	run, err := s.last(strings.TrimSuffix(loop, " > "))
	if err != nil {
		return nil, err
	}
	failure, err := s.last("Error")
	if err != nil {
		return nil, err
	}

	p := &picture{
		title: "The path of a call",
		description: "A method describes a request, and send makes a call of it. For each " +
			"attempt, run waits for the rate limit, sends the request, decides what the response " +
			"means, and records it. If another attempt may help, it follows after a pause.",
		width: 960,
	}
	start := rect{mainX, 16, mainWidth, heightOf(1)}
	p.box("outside", start, line{heading, "your program"})
	p.text(caption, "", usesX, start.y+20,
		"The functions of a call, from top to bottom. On their right is what they use, in order.")
	from, y := start.bottom(), start.bottom()+rowGap
	for _, row := range beforeRows {
		from = p.row(row, from, y)
		y += row.height + rowGap
	}

	frame := rect{16, y, p.width - 32, frameTop - rowGap + frameEnd}
	for _, row := range attemptRows {
		frame.height += row.height + rowGap
	}
	p.box("frame", frame)
	p.declaration(run, y+22)
	y += frameTop
	var first, last int
	for i, row := range attemptRows {
		from = p.row(row, from, y)
		if i == 0 {
			first = y
		}
		last = y
		y += row.height + rowGap
	}
	p.text(caption, "", start.center()+8, last-10, "if another attempt may help")
	p.arrow(mainX, last+20, 36, last+20, 36, first+20, mainX, first+20)

	end := rect{mainX, frame.bottom() + rowGap, mainWidth, heightOf(2)}
	p.arrow(end.center(), frame.bottom(), end.center(), end.y)
	p.box("outside", end, line{heading, "your program"},
		line{caption, "gets the result, or an *Error"})
	p.declaration(failure, end.y+20)
	x := usesX + 2*(usesWidth+usesGap)
	for i, kind := range []struct{ class, text string }{
		{"root", "in the root package"}, {"internal", "in an internal package"},
	} {
		p.box(kind.class, rect{x, end.y + 8 + 20*i, 14, 14})
		p.text(caption, "", x+22, end.y+20+20*i, kind.text)
	}
	p.height = end.bottom() + 16
	return p, nil
}

// declaration draws a declaration without a box.
func (p *picture) declaration(d declaration, y int) {
	p.text(name, "", usesX, y, d.name)
	p.text(caption, "", usesX+int(name.width(d.name))+8, y, d.comment)
	p.text(detail, "", usesX, y+lineHeight, d.file)
}

// row is a step with its texts.
type row struct {
	main    block
	uses    []block
	hasWire bool // below the first of uses
	height  int
}

// block is the text of a declaration.
type block struct {
	class string
	lines []line
}

const wireHeight = rowGap + lineHeight + padding + 6

// rows returns the texts of steps. It checks that the functions use each other in this order.
func (s source) rows(steps []step) ([]row, error) {
	var rows []row
	var functions []string
	for _, step := range steps {
		main, err := s.block(step.function, mainWidth)
		if err != nil {
			return nil, err
		}
		r := row{main: main, height: heightOf(len(main.lines))}
		for i, use := range step.uses {
			used, err := s.block(use, usesWidth)
			if err != nil {
				return nil, err
			}
			height := heightOf(len(used.lines))
			if i == 0 && use == wire {
				r.hasWire = true
				height += wireHeight
			}
			r.uses = append(r.uses, used)
			r.height = max(r.height, height)
		}
		if err := s.checkOrder(step.uses); err != nil {
			return nil, err
		}
		if strings.HasPrefix(step.function, loop) {
			functions = append(functions, step.function)
		}
		rows = append(rows, r)
	}
	return rows, s.checkOrder(functions)
}

// block returns the text of the last declaration of a chain.
func (s source) block(chain string, width int) (block, error) {
	d, err := s.last(chain)
	if err != nil {
		return block{}, err
	}
	class := "root"
	if strings.HasPrefix(d.file, "internal/") {
		class = "internal"
	}
	return block{class, append([]line{{name, d.name}, {detail, d.file}},
		caption.wrapped(d.comment, width-2*padding)...)}, nil
}

// row draws a row and an arrow from above. It returns where the next arrow begins.
func (p *picture) row(r row, from, y int) int {
	main := rect{mainX, y, mainWidth, heightOf(len(r.main.lines))}
	p.arrow(main.center(), from, main.center(), y)
	p.box(r.main.class, main, r.main.lines...)
	for i, used := range r.uses {
		x := usesX + i*(usesWidth+usesGap)
		left := x - usesGap
		if i == 0 {
			left = main.right()
		}
		p.arrow(left, y+20, x, y+20)
		box := rect{x, y, usesWidth, heightOf(len(used.lines))}
		p.box(used.class, box, used.lines...)
		if i == 0 && r.hasWire {
			p.arrow(box.center()-14, box.bottom(), box.center()-14, box.bottom()+rowGap)
			p.arrow(box.center()+14, box.bottom()+rowGap, box.center()+14, box.bottom())
			p.box("outside", rect{x, box.bottom() + rowGap, usesWidth, heightOf(1)},
				line{heading, "Cloudflare’s API"})
		}
	}
	return main.bottom()
}
