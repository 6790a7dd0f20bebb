package inject

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of the length and the cost of one answer. The bounds of networks
// annotations are in package nad.
const (
	// MaxLiveReads bounds how many networks one admission reads from the API
	// server. A pod may name many that no cache knows; those beyond the bound
	// count as not confirmed.
	MaxLiveReads = 4
	// MaxWarnings is the number of characters that the warnings of one answer have. The
	// API server cuts each warning to 256 once those of all webhooks have more
	// than 4096.
	MaxWarnings = 3072
	// MaxDetail is how many characters a denial has.
	MaxDetail = 4096

	// maxText is how many characters one warning or one line of a denial has.
	maxText = 1024
	// maxTerms is how many terms of a pod's own node affinity get a zone each.
	maxTerms = 1000
)

// Bounded returns as many of the texts as have so many characters together,
// and says how many of the kind it leaves out. Those that matter stand first.
func Bounded(texts []string, kind string, most int) []string {
	var kept []string
	for i, text := range texts {
		text = cut(text)
		if most -= utf8.RuneCountInString(text); most < 0 {
			return append(kept, fmt.Sprintf("and %d more %s", len(texts)-i, kind))
		}
		kept = append(kept, text)
	}
	return kept
}

// cut shortens a text that is too long, in its middle: its end says what to do.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText/2], "") + " ... " + strings.ToValidUTF8(text[len(text)-maxText/2:], "")
}
