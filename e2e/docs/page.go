// Package docs reads the project's Markdown pages as far as they can be wrong:
// links, headings, examples, and names of files, settings and metrics in the
// text. Its test, which is run by make test and by make docs, holds them against
// the repository, and tests of programs hold docs/metrics.md against what was
// scraped of them. External links are checked for their form only: there is no
// network where the tests run.
package docs

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Page is a Markdown page.
type Page struct {
	Anchors map[string]bool // of its headings
	Links   []Text          // targets
	Codes   []Text          // code within lines
	Fences  []Fence         // blocks of code
}

// Text is something on a line of a page.
type Text struct {
	Line int
	Text string
}

// Fence is a block of code.
type Fence struct {
	Line     int
	Language string // empty: not said
	Text     string
	Run      bool // a line "<!-- run -->" comes before it: the test executes it
}

var (
	inlineCode = regexp.MustCompile("`([^`]+)`")
	link       = regexp.MustCompile(`\]\(([^()\s]*)\)`)
	heading    = regexp.MustCompile(`^#{1,6}\s+(.+?)\s*#*$`)
	fence      = regexp.MustCompile("^\\s*```(\\w*)$")
)

// Parse reads a page.
func Parse(text string) Page {
	p := Page{Anchors: map[string]bool{}}
	var open *Fence
	run := false
	for i, line := range strings.Split(text, "\n") {
		found := fence.FindStringSubmatch(line)
		switch {
		case found != nil && open == nil:
			open = &Fence{Line: i + 1, Language: found[1], Run: run}
		case found != nil:
			p.Fences, open = append(p.Fences, *open), nil
		case open != nil:
			open.Text += line + "\n"
		default:
			p.prose(i+1, line)
		}
		run = strings.TrimSpace(line) == "<!-- run -->"
	}
	return p
}

// prose reads a line that is not in a block of code.
func (p *Page) prose(number int, line string) {
	if found := heading.FindStringSubmatch(line); found != nil {
		p.anchor(found[1])
	}
	for _, found := range inlineCode.FindAllStringSubmatch(line, -1) {
		p.Codes = append(p.Codes, Text{number, found[1]})
	}
	for _, found := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, "code"), -1) {
		p.Links = append(p.Links, Text{number, found[1]})
	}
}

// anchor adds the anchor that GitHub gives a heading; headings with the same
// text are counted.
func (p *Page) anchor(title string) {
	title = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(title, "$1")
	var slug strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r == ' ':
			slug.WriteByte('-')
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			slug.WriteRune(r)
		}
	}
	name := slug.String()
	for i := 1; p.Anchors[name]; i++ {
		name = slug.String() + "-" + strconv.Itoa(i)
	}
	p.Anchors[name] = true
}
