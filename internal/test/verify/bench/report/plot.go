package main

import (
	"fmt"
	"strings"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
)

// group is bars that belong together.
type group struct {
	name string
	bars []bar
}

// bar is a ratio to the floor.
type bar struct {
	client string
	value  float64
}

var colours = map[string]string{bench.Floor: "#8c8c8c", bench.Ours: "#d9620c", bench.V7: "#3568b8", v7Root: "#1f3d6d", bench.V0: "#4c9f70"}

func buildPlot(r *results) string {
	var groups []group
	for _, c := range []struct {
		name   string
		figure func(*build) float64
	}{
		{"CPU time", func(b *build) float64 { return median(b.cpu) }},
		{"compiler's memory", func(b *build) float64 { return median(b.memory) }},
		{"stripped binary", func(b *build) float64 { return b.stripped }},
	} {
		g := group{name: c.name}
		for _, program := range programs {
			if b := r.builds[program]; b != nil {
				g.bars = append(g.bars, bar{program, c.figure(b) / c.figure(r.builds[bench.Floor])})
			}
		}
		groups = append(groups, g)
	}
	return draw("A cold build of a program with one Get, the floor being 1", groups)
}

func callPlot(r *results) string {
	var groups []group
	for _, c := range []struct{ name, benchmark string }{
		{"Get", "Call/Get"}, {"Create", "Call/Create"}, {"error 404", "Call/NotFound"},
		{"1,000 tunnels", "List/Tunnels"}, {"50 connectors", "List/Connectors"},
	} {
		g := group{name: c.name}
		floor := median(r.values[key{c.benchmark, bench.Floor, "sec/op"}])
		for _, contestant := range bench.Contestants() {
			g.bars = append(g.bars, bar{contestant.Name, median(r.values[key{c.benchmark, contestant.Name, "sec/op"}]) / floor})
		}
		groups = append(groups, g)
	}
	return draw("Time of a call over a standing connection, the floor being 1", groups)
}

// Lengths in the picture.
const (
	width     = 760
	left      = 160 // of the bars
	right     = 90  // for the value of the longest
	top       = 48
	thickness = 16
	distance  = 14 // between groups
)

// draw makes a picture of bars that lie, on white, so that it can be read on any page.
func draw(title string, groups []group) string {
	longest, bars := 1.0, 0
	for _, g := range groups {
		bars += len(g.bars)
		for _, b := range g.bars {
			longest = max(longest, b.value)
		}
	}
	height := top + bars*thickness + len(groups)*distance + 16
	scale := float64(width-left-right) / longest

	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`,
		width, height, width, height)
	fmt.Fprintf(&s, "\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n<text x=\"16\" y=\"26\" font-size=\"15\" font-weight=\"bold\">%s</text>\n", title)
	fmt.Fprintf(&s, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#404040\" stroke-dasharray=\"3 3\"/>\n",
		left+scale, top-4, left+scale, height-distance-8)
	y := top
	for _, g := range groups {
		fmt.Fprintf(&s, "<text x=\"16\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y+12, g.name)
		for _, b := range g.bars {
			long := b.value * scale
			fmt.Fprintf(&s, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", left, y, long, thickness-3, colours[b.client])
			// On the line, the text has white around it.
			fmt.Fprintf(&s, "<text x=\"%.1f\" y=\"%d\" stroke=\"white\" stroke-width=\"4\" paint-order=\"stroke\">%s %s</text>\n",
				left+long+5, y+11, ratio(b.value, 1), b.client)
			y += thickness
		}
		y += distance
	}
	fmt.Fprint(&s, "</svg>\n")
	return s.String()
}
