package kubectl

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// common counts the directories that two files have in common, and the file
// itself.
func common(a, b string) int {
	left, right := strings.Split(filepath.Clean(a), "/"), strings.Split(filepath.Clean(b), "/")
	n := 0
	for n < len(left) && n < len(right) && left[n] == right[n] {
		n++
	}
	return n
}

func TestTheNearestDefinitionsAreThoseWithMostInCommon(t *testing.T) {
	files := []string{
		"a.yaml", "./a.yaml", "b.yaml", "x/a.yaml", "x//b.yaml", "x/y/a.yaml", "x/y/b.yaml", "xy/a.yaml", "x/y", "../a.yaml", "../x/a.yaml",
		"/a.yaml", "/x/a.yaml", "/x/y/a.yaml", "standard input", "https://example.com/x/a.yaml", "https://example.com/y/a.yaml", "",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		d := definitions[int]{}
		var defined []string
		for i := range 1 + random.IntN(6) {
			file := files[random.IntN(len(files))]
			defined = append(defined, file)
			d.add("net", file, i)
		}
		of := files[random.IntN(len(files))]
		var want []int
		most := 0
		for i, file := range defined {
			if n := common(file, of); n > most {
				most, want = n, nil
			}
			if common(file, of) == most {
				want = append(want, i)
			}
		}
		if diff := cmp.Diff(want, d.nearest("net", of)); diff != "" {
			t.Fatalf("defined in %q; nearest to %q (-want +got):\n%s", defined, of, diff)
		}
		if got := d.nearest("other", of); got != nil {
			t.Fatalf("a name that nothing defines has %v", got)
		}
	}
}
