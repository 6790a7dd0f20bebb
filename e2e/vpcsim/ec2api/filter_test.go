package ec2api

import (
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		name, pattern, text string
		want                bool
	}{
		{"equal text", "eni-1", "eni-1", true},
		{"other text", "eni-1", "eni-2", false},
		{"a part is not enough", "eni", "eni-1", false},
		{"case counts", "ENI-1", "eni-1", false},
		{"a star at the end", "eni-*", "eni-1", true},
		{"a star for nothing", "eni-1*", "eni-1", true},
		{"a star at the start", "*-1", "eni-1", true},
		{"several stars", "*n*-*", "eni-1", true},
		{"stars that must go back", "*ab*b", "aabab-bb", true},
		{"a star cannot invent text", "*z*", "eni-1", false},
		{"a question mark is one character", "eni-?", "eni-1", true},
		{"and not none", "eni-1?", "eni-1", false},
		{"an escaped star is a star", `a\*b`, "a*b", true},
		{"and nothing else", `a\*b`, "axb", false},
		{"an escaped backslash", `a\\b`, `a\b`, true},
		{"only stars match the empty text", "**", "", true},
		{"nothing matches nothing", "", "", true},
		{"nothing does not match text", "", "a", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Match(tc.pattern, tc.text); got != tc.want {
				t.Errorf("Match(%q, %q) = %v", tc.pattern, tc.text, got)
			}
		})
	}
}

// FuzzMatch checks the matcher against its definition by recursion.
func FuzzMatch(f *testing.F) {
	f.Add("*a?b*", "xaybz")
	f.Add(`\*`, "*")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 12 || len(text) > 12 {
			return // the definition takes exponential time
		}
		if got, want := Match(pattern, text), matches(pattern, text); got != want {
			t.Errorf("Match(%q, %q) = %v, want %v", pattern, text, got, want)
		}
	})
}

func matches(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return matches(pattern[1:], text) || text != "" && matches(pattern, text[1:])
	case text == "":
		return false
	case pattern[0] == '?':
		return matches(pattern[1:], text[1:])
	case pattern[0] == '\\':
		return len(pattern) > 1 && pattern[1] == text[0] && matches(pattern[2:], text[1:])
	default:
		return pattern[0] == text[0] && matches(pattern[1:], text[1:])
	}
}

// FuzzPagesAndFilters looks for panics.
func FuzzPagesAndFilters(f *testing.F) {
	f.Add("Action=DescribeNetworkInterfaces&Filter.1.Name=name&Filter.1.Value.1=vpc-1&NextToken=e30=")
	f.Fuzz(func(_ *testing.T, form string) {
		p, err := query.ParseQuery(form)
		if err != nil {
			return
		}
		_, _ = readCursor(p)
		_, _ = parseFilters(p, fields[string]{"name": one}, nil)
	})
}
