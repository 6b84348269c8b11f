package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// sessionFile has what the terminal shows.
const sessionFile = "internal/test/pictures/session.txt"

// commands are the programs in the terminal.
var commands = []string{
	"go run ./examples/quickstart",
	"go run ./examples/tail -level info",
}

const prompt = "$ "

// record runs the commands without credentials, and returns them with what they print.
func record() (string, error) {
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "CLOUDFLARE_")
	})
	var sessions []string
	for _, command := range commands {
		words := strings.Fields(command)
		run := exec.Command(words[0], words[1:]...) //nolint:noctx // ends on its own
		var out bytes.Buffer
		run.Env, run.Stdout, run.Stderr = environment, &out, &out
		if err := run.Run(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", command, err, out.String())
		}
		sessions = append(sessions, prompt+command+"\n"+out.String())
	}
	return strings.Join(sessions, "\n"), nil
}

// substitutions replace what differs in each run.
var substitutions = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "ID"},
	{regexp.MustCompile(`\b\d{4}-?\d\d-?\d\d[-T ]\d\d:?\d\d:?\d\d(\.\d+|Z)?\b`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(` +[0-9.]+(µs|ms|s)  `), " DURATION  "},
	{regexp.MustCompile(`\b[0-9a-f]{8}  `), "ID  "}, // the beginning of one
}

// substitute returns a session without what differs in each run.
func substitute(session string) string {
	for _, s := range substitutions {
		session = s.pattern.ReplaceAllString(session, s.replacement)
	}
	return session
}

// level matches the level in a line of tail, which has a color if tail writes to a terminal.
var level = regexp.MustCompile(`^(\S+Z )(info|warn|error)( .*)$`)

// drawTerminal draws a terminal with a session.
func drawTerminal(session string) *picture {
	const left, top, height = 20, 32, 18
	lines := strings.Split(strings.TrimSuffix(session, "\n"), "\n")
	p := &picture{
		title: "A terminal with two of the examples",
		description: "The output of " + strings.Join(commands, " and ") + ": a tunnel is " +
			"created, started, listed, renamed and deleted; then the live logs of a tunnel.",
		height: top + height*len(lines) + 4, dark: true,
	}
	columns := 0
	for i, text := range lines {
		columns = max(columns, utf8.RuneCountInString(text))
		content := escape(text)
		if command, ok := strings.CutPrefix(text, prompt); ok {
			content = span("prompt", "$") + " " + span("command", command)
		} else if parts := level.FindStringSubmatch(text); parts != nil {
			content = escape(parts[1]) + span(parts[2], parts[2]) + escape(parts[3])
		}
		if text != "" {
			fmt.Fprintf(&p.body, `<text class="o" xml:space="preserve" x="%d" y="%d">%s</text>`+"\n",
				left, top+height*i, content)
		}
	}
	p.width = 2*left + int(output.width(strings.Repeat("0", columns)))
	return p
}

func span(class, text string) string {
	return `<tspan class="` + class + `">` + escape(text) + `</tspan>`
}
