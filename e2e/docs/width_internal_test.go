package docs

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// pageWidth is how many characters a line of prose has at most. One width for
// all pages keeps a change of a sentence from looking like a change of a page.
const pageWidth = 100

func TestProseWrapsAtOneWidth(t *testing.T) {
	for _, name := range texts(t) {
		if filepath.Ext(name) != ".md" {
			continue
		}
		for _, number := range tooWide(read(t, name)) {
			t.Errorf("%s:%d: longer than %d characters", name, number, pageWidth)
		}
	}
}

func TestOnlyProseIsMeasured(t *testing.T) {
	long := strings.Repeat("word ", 30)
	page := strings.Join([]string{long, "| " + long + "|", "```", long, "```", "- " + long, "# " + long, strings.Repeat("x", 130)}, "\n")
	if got := tooWide(page); len(got) != 2 || got[0] != 1 || got[1] != 6 {
		t.Errorf("lines %v are too wide, want 1 and 6", got)
	}
}

// tooWide lists the lines of prose, from 1, that are too wide. Tables, code,
// headings, HTML and a word that cannot be divided may be as wide as they need.
func tooWide(page string) []int {
	var numbers []int
	code := false
	for i, line := range strings.Split(page, "\n") {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "```") || strings.HasPrefix(text, "~~~") {
			code = !code
		}
		if code || strings.HasPrefix(text, "|") || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "<") || !strings.Contains(text, " ") {
			continue
		}
		if utf8.RuneCountInString(line) > pageWidth {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}
