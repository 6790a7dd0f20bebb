package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
)

// figures sum up some files.
type figures struct {
	files, lines, testLines int
	functions               []int // lines of each, sorted
	longest                 int   // lines of the longest file
	exported, documented    int
}

func sum(files []file) figures {
	var s figures
	for _, f := range files {
		if f.test {
			s.testLines += f.lines
			continue
		}
		s.files++
		s.lines += f.lines
		s.longest = max(s.longest, f.lines)
		s.exported += f.exported
		s.documented += f.exported - len(f.bare)
		for _, fn := range f.functions {
			s.functions = append(s.functions, fn.lines)
		}
	}
	slices.Sort(s.functions)
	return s
}

// quantile returns the lines that a share q of the functions do not exceed.
func (s figures) quantile(q float64) int {
	if len(s.functions) == 0 {
		return 0
	}
	return s.functions[int(q*float64(len(s.functions)-1)+0.5)]
}

// part names the piece of the repository that a file belongs to: its top
// level directory, or the one below e2e.
func part(name string) string {
	parts := strings.Split(path.Dir(name), "/")
	if parts[0] == "e2e" && len(parts) > 1 {
		return path.Join(parts[:2]...)
	}
	return parts[0]
}

func printTable(out io.Writer, files []file) {
	groups := map[string][]file{}
	for _, f := range files {
		groups[part(f.path)] = append(groups[part(f.path)], f)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "part\tfiles\tlines\ttests\tfunctions\tmedian\tp90\tmax\tlongest file\tdocumented\t")
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		printRow(w, name, sum(groups[name]))
	}
	printRow(w, "all", sum(files))
	_ = w.Flush()
}

func printRow(w io.Writer, name string, s figures) {
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d/%d\t\n", name, s.files, s.lines, s.testLines,
		len(s.functions), s.quantile(0.5), s.quantile(0.9), s.quantile(1), s.longest, s.documented, s.exported)
}

// judge returns one line per breach.
func judge(files []file) []string {
	var breaches []string
	add := func(format string, args ...any) { breaches = append(breaches, fmt.Sprintf(format, args...)) }
	for _, f := range files {
		if f.test {
			continue
		}
		if f.lines > maxFile {
			add("%s: %d lines, the norm is at most %d", f.path, f.lines, maxFile)
		}
		for _, fn := range f.functions {
			if fn.lines > maxFunction {
				add("%s:%d: %s has %d lines, the norm is at most %d", f.path, fn.line, fn.name, fn.lines, maxFunction)
			}
		}
		for _, name := range f.bare {
			add("%s has no doc comment", name)
		}
	}
	for _, dir := range undocumented(files) {
		add("%s: the package has no comment", dir)
	}
	all := sum(files)
	if got := all.quantile(0.5); got > medianFunction {
		add("the median function has %d lines, the norm is at most %d", got, medianFunction)
	}
	if got := all.quantile(0.9); got > p90Function {
		add("one function in ten has more than %d lines, the norm is %d", got, p90Function)
	}
	slices.SortStableFunc(breaches, cmp.Compare)
	return breaches
}

// undocumented returns the directories whose package has no comment.
func undocumented(files []file) []string {
	packaged := map[string]bool{}
	for _, f := range files {
		if !f.test {
			packaged[path.Dir(f.path)] = packaged[path.Dir(f.path)] || f.packaged
		}
	}
	maps.DeleteFunc(packaged, func(_ string, ok bool) bool { return ok })
	return slices.Sorted(maps.Keys(packaged))
}
