package story_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
)

func tell(colour bool) string {
	var out strings.Builder
	s := story.New(&out, colour, 2)
	s.Step("First")
	s.Say("said %d\nand on", 1)
	s.Show("text: {a: b}\n")
	s.Table([]string{"ENI", "ADDRESSES"}, [][]string{{"eni-1", "10.0.0.1  +10.0.0.2"}})
	s.Holds("it holds")
	s.Step("Second")
	s.Fails("because\nof this")
	return out.String()
}

func TestStoryIsPlainWithoutATerminal(t *testing.T) {
	want := `
1/2  First
     said 1
     and on
       text: {a: b}
       ENI    ADDRESSES
       eni-1  10.0.0.1  +10.0.0.2
     ✓ it holds

2/2  Second
     ✗ because
       of this
`
	if diff := cmp.Diff(want, tell(false)); diff != "" {
		t.Errorf("story (-want +got):\n%s", diff)
	}
}

func TestColourChangesNoCharacter(t *testing.T) {
	coloured := tell(true)
	for _, want := range []string{"\x1b[1m1/2  First\x1b[0m", "\x1b[32m+10.0.0.2\x1b[0m", "\x1b[32m✓\x1b[0m", "\x1b[31m✗\x1b[0m"} {
		if !strings.Contains(coloured, want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	for _, code := range []string{"1", "2", "31", "32", "0"} {
		coloured = strings.ReplaceAll(coloured, "\x1b["+code+"m", "")
	}
	if diff := cmp.Diff(tell(false), coloured); diff != "" {
		t.Errorf("without colours (-want +got):\n%s", diff)
	}
}

func TestColumnsAreAsWideAsTheirWidestCell(t *testing.T) {
	for name, test := range map[string]struct {
		header []string
		rows   [][]string
		want   string
	}{
		"a header alone":              {[]string{"A", "B"}, nil, "A  B\n"},
		"cells wider than the header": {[]string{"A", "B"}, [][]string{{"long", "x"}}, "A     B\nlong  x\n"},
		"letters count, not bytes":    {[]string{"A", "B"}, [][]string{{"→→", "x"}, {"aaa", "y"}}, "A    B\n→→   x\naaa  y\n"},
		"a short row":                 {[]string{"A", "B"}, [][]string{{"x"}}, "A  B\nx\n"},
		"an empty first cell":         {[]string{"", "B"}, [][]string{{"x", "y"}}, "   B\nx  y\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, story.Table(test.header, test.rows)); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}
