// Command norms measures the repository against its house norms and fails
// where they are broken:
//
//	go run -C e2e/tools ./norms ../..
//
// The norms hold for what people write and users run: neither tests nor
// generated files count, nor directories named testdata.
package main

import (
	"fmt"
	"io"
	"os"
)

// The norms. They are what the best code bases of this field keep, less what
// spoils each of them: one endless function or file.
const (
	maxFunction    = 70  // lines of the longest function
	p90Function    = 40  // nine functions in ten are no longer
	medianFunction = 12  // one function in two is no longer
	maxFile        = 349 // lines of the longest file
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: norms DIRECTORY")
		os.Exit(2)
	}
	breaches, err := run(os.Args[1], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "norms:", err)
		os.Exit(1)
	}
	if breaches > 0 {
		fmt.Fprintf(os.Stderr, "norms: %d breaches\n", breaches)
		os.Exit(1)
	}
}

// run prints the figures and the breaches, and returns how many those are.
func run(root string, out io.Writer) (int, error) {
	files, err := measure(os.DirFS(root))
	if err != nil {
		return 0, err
	}
	printTable(out, files)
	breaches := judge(files)
	for _, b := range breaches {
		fmt.Fprintln(out, b)
	}
	return len(breaches), nil
}
