package docs

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/controller"
	"github.com/multus-ipmgr/multus-ipmgr/webhook"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl"
)

const root = "../.."

// repository is what the pages speak of.
type repository struct {
	pages     map[string]Page // by path from the root
	targets   map[string]bool // of make
	variables map[string]bool // of make
	values    map[string]any  // of the chart
	flags     map[string]map[string]bool
	settings  string // the source that names all environment variables
}

// unread are directories without pages of the project.
var unread = map[string]bool{".git": true, "bin": true, "dist": true, "testdata": true, "node_modules": true}

func readRepository(t *testing.T) repository {
	t.Helper()
	r := repository{pages: map[string]Page{}, targets: map[string]bool{}, variables: map[string]bool{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && unread[d.Name()] {
			return fs.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		name, err := filepath.Rel(root, path)
		r.pages[name] = Parse(read(t, name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	makefile := read(t, "Makefile")
	for _, found := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(makefile, -1) {
		r.targets[found[1]] = true
	}
	for _, found := range regexp.MustCompile(`(?m)^([A-Z]+) *\?=`).FindAllStringSubmatch(makefile, -1) {
		r.variables[found[1]] = true
	}
	if err := yaml.Unmarshal([]byte(read(t, "charts/multus-ipmgr/values.yaml")), &r.values); err != nil {
		t.Fatal(err)
	}
	r.settings = read(t, "ipmgr/spec/spec.go")
	r.flags = programFlags(t)
	return r
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// programFlags asks each program, and each command of kubectl-ipmgr, for its flags.
func programFlags(t *testing.T) map[string]map[string]bool {
	t.Helper()
	help := map[string]string{}
	collect := func(name string, ask func(io.Writer)) {
		var out bytes.Buffer
		ask(&out)
		help[name] = out.String()
	}
	collect("webhook", func(w io.Writer) { _, _ = webhook.ParseOptions([]string{"--help"}, "v0", "", w) })
	collect("controller", func(w io.Writer) { _, _ = controller.ParseOptions([]string{"--help"}, "v0", "", w) })
	for _, command := range []string{"check", "inject"} {
		collect("kubectl-ipmgr "+command, func(w io.Writer) {
			kubectl.Run(t.Context(), []string{command, "--help"}, "v0", kubectl.Streams{In: strings.NewReader(""), Out: w, Err: w})
		})
	}
	flags := map[string]map[string]bool{}
	for name, text := range help {
		flags[name] = map[string]bool{"help": true}
		for _, line := range regexp.MustCompile(`(?m)^ {2,6}(-[A-Za-z], )?--?[A-Za-z-]+`).FindAllString(text, -1) {
			for flag := range strings.SplitSeq(line, ",") {
				flags[name][strings.TrimLeft(flag, " -")] = true
			}
		}
		if len(flags[name]) < 3 {
			t.Fatalf("%s --help lists no flags:\n%s", name, text)
		}
	}
	return flags
}

// exists reports whether a path from the root is there.
func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil
}

// hasValue reports whether the chart has a value of the name; below one whose
// default is empty, anything may be.
func (r repository) hasValue(name string) bool {
	var at any = r.values
	for _, key := range strings.FieldsFunc(name, func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
		switch values := at.(type) {
		case map[string]any:
			next, ok := values[key]
			if !ok {
				return len(values) == 0
			}
			at = next
		case []any:
			return true
		default:
			return false
		}
	}
	return true
}
