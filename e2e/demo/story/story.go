// Package story prints what a demo does so that a person can follow it: steps
// with a title, sentences, tables, and claims that were verified.
package story

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Story prints to one reader. It is not safe for concurrent use.
type Story struct {
	out    io.Writer
	colour bool
	steps  int
	step   int
}

// New returns a story of so many steps. Colour is for terminals.
func New(out io.Writer, colour bool, steps int) *Story {
	return &Story{out: out, colour: colour, steps: steps}
}

// The ANSI sequences in use.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (s *Story) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Step begins the next step.
func (s *Story) Step(title string) {
	s.step++
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, fmt.Sprintf("%d/%d  %s", s.step, s.steps, title)))
}

// Say prints lines of prose.
func (s *Story) Say(format string, args ...any) {
	s.indented(fmt.Sprintf(format, args...), func(line string) string { return line })
}

// Show prints text as it is, set off from prose.
func (s *Story) Show(text string) {
	s.indented(text, func(line string) string { return "  " + s.paint(dim, line) })
}

// Table prints a table. Words that begin with + are new and painted so.
func (s *Story) Table(header []string, rows [][]string) {
	s.indented(Table(header, rows), func(line string) string {
		return "  " + added.ReplaceAllStringFunc(line, func(word string) string { return s.paint(green, word) })
	})
}

var added = regexp.MustCompile(`\+\S+`)

// Holds prints a claim that has just been verified.
func (s *Story) Holds(format string, args ...any) {
	s.marked(s.paint(green, "✓"), fmt.Sprintf(format, args...))
}

// Fails prints why the story ends here.
func (s *Story) Fails(format string, args ...any) {
	s.marked(s.paint(red, "✗"), fmt.Sprintf(format, args...))
}

// marked puts a mark before the first line.
func (s *Story) marked(mark, text string) {
	s.indented(text, func(line string) string {
		line = mark + " " + line
		mark = " "
		return line
	})
}

func (s *Story) indented(text string, form func(line string) string) {
	for line := range strings.Lines(strings.TrimSuffix(text, "\n")) {
		fmt.Fprintf(s.out, "     %s\n", strings.TrimRight(form(strings.TrimSuffix(line, "\n")), " "))
	}
}
