package nad

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// longestWord is the length, in bytes, above which Nearest does not look.
const longestWord = 64

// Nearest returns the known word that was probably meant by one that is not
// known: what differs from it by its case, or by a letter in three at most
// (one at least, three at most) that is missing, too many, wrong or swapped
// with its neighbour, or by the order of its letters. It is empty when no known
// word is that near.
func Nearest(word string, known []string) string {
	if word == "" || len(word) > longestWord || !utf8.ValidString(word) {
		return ""
	}
	best, least := "", min(max(utf8.RuneCountInString(word)/3, 1), 3)+1
	letters := fold(word)
	for _, candidate := range known {
		if d := len(letters) - len(candidate); d > least || -d > least+2 {
			continue // the candidate's own separators are two at most
		}
		if d := distance(letters, fold(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// fold takes away what people forget: case, and what separates words.
func fold(word string) []rune {
	folded := make([]rune, 0, len(word))
	for _, r := range word {
		if r != '-' && r != '_' {
			folded = append(folded, unicode.ToLower(r))
		}
	}
	return folded
}

// distance is the number of letters that are inserted, deleted, replaced or
// swapped with their neighbours (optimal string alignment); 1 at most when the
// letters are the same.
func distance(a, b []rune) int {
	if slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))) {
		return min(1, alignment(a, b))
	}
	return alignment(a, b)
}

func alignment(a, b []rune) int {
	row := make([]int, len(b)+1) // distances of a[:i] to the beginnings of b
	for j := range row {
		row[j] = j
	}
	before := slices.Clone(row) // the same of a[:i-1]
	for i := range a {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range b {
			replaced := row[j]
			if a[i] != b[j] {
				replaced++
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, replaced)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
