// Command userdata puts the script of a worker into the user data of
// template.yaml, in which CloudFormation replaces what is in ${}.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: userdata DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "userdata:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	name := filepath.Join(dir, "template.yaml")
	template, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	script, err := os.ReadFile(filepath.Join(dir, "host", "multus-enis.sh"))
	if err != nil {
		return err
	}
	if template, err = embed(template, script); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, template, 0o644) //nolint:gosec // everyone reads it
}

// end is the last line of the here-document that holds the script.
const end = "END_OF_SCRIPT"

// ambiguous is what Fn::Sub may read otherwise than ${NAME}, of which it makes
// a reference, and ${!TEXT}, of which it makes ${TEXT}.
var ambiguous = regexp.MustCompile(`\$\{(!|[^}]*\$\{)`)

// embed replaces the lines between the two that name the end.
func embed(template, script []byte) ([]byte, error) {
	if ambiguous.Match(script) || bytes.Contains(script, []byte(end)) {
		return nil, fmt.Errorf("the script has ${ within ${}, ${! or %s", end)
	}
	var out strings.Builder
	found, inside := 0, false
	for line := range strings.Lines(string(template)) {
		text := strings.TrimSpace(line)
		inside = inside && text != end
		if !inside {
			out.WriteString(line)
		}
		if strings.HasSuffix(text, "<<'"+end+"'") {
			found, inside = found+1, true
			out.WriteString(indented(script, strings.TrimSuffix(strings.TrimRight(line, "\n"), text)))
		}
	}
	if found != 1 || inside {
		return nil, fmt.Errorf("want one here-document that ends with %s", end)
	}
	return []byte(out.String()), nil
}

// indented returns the script as it stands in a template.
func indented(script []byte, indent string) string {
	var out strings.Builder
	for line := range strings.Lines(string(script)) {
		if line != "\n" {
			line = indent + strings.ReplaceAll(line, "${", "${!")
		}
		out.WriteString(line)
	}
	return out.String()
}
