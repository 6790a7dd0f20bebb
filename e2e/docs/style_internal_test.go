package docs

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stilted are forms that were replaced once and stay out, and what to write
// instead. Each has one form of the pages, comments and messages as its example.
var stilted = []struct {
	form    *regexp.Regexp
	instead string
	example string
}{
	{regexp.MustCompile(`(?i)\bmend(s|ed|ing)?\b`), "fix", "# a mistake that was mended"},
	{regexp.MustCompile(`(?i)\bwhoever\b`), "anyone who", "// Whoever may create NADs"},
	{regexp.MustCompile(`\b(tells?|telling|told) of\b`), "reports, records or shows", "events tell of NADs"},
	{regexp.MustCompile(`\bnot to be had\b`), "cannot get", "addresses not to be had"},
	{regexp.MustCompile(`(%[qsvd]|\bthat|\bwhich|\band) is no (an? )?([A-Z]\w+|address|subnet|zone|duration|socket|worker|list|date|number|setting)\b`), "is not a", "%q is no CIDR"},
}

func TestTextsAreInPlainEnglish(t *testing.T) {
	for _, name := range texts(t) {
		for i, line := range strings.Split(read(t, name), "\n") {
			if advice := judgeStyle(line); advice != "" {
				t.Errorf("%s:%d: %s", name, i+1, advice)
			}
		}
	}
}

func TestStiltedFormsAreFound(t *testing.T) {
	for _, s := range stilted {
		if judgeStyle(s.example) == "" {
			t.Errorf("%q is not found", s.example)
		}
	}
	for _, good := range []string{"%q is not a CIDR", "there is no CIDR", "which is no longer a zone", "recommended", "told, of course"} {
		if advice := judgeStyle(good); advice != "" {
			t.Errorf("%q: %s", good, advice)
		}
	}
}

// judgeStyle says what is stilted in a line and what to write instead, or
// nothing.
func judgeStyle(line string) string {
	for _, s := range stilted {
		if found := s.form.FindString(line); found != "" {
			return fmt.Sprintf("%q: write %q", found, s.instead)
		}
	}
	return ""
}

// texts lists the pages and the Go files, but for generated ones and this test.
func texts(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch base := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(base, ".") || base == "dist" || base == "bin" || base == "testdata"):
			return filepath.SkipDir
		case strings.HasPrefix(base, "zz_generated"), base == "style_internal_test.go":
		case strings.HasSuffix(base, ".go"), strings.HasSuffix(base, ".md"):
			all = append(all, name)
		}
		return nil
	})
	if err != nil || len(all) < 100 {
		t.Fatalf("%d files, error %v", len(all), err)
	}
	return all
}
