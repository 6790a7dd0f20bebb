package docs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/docs"
)

func TestPagesAreReadAsGitHubReadsThem(t *testing.T) {
	got := docs.Parse("# The `ipmgr` loop: once, twice\n\nSee [it](a.md#b) and `code [no](link)`.\n## Same\n## Same\n" +
		"```sh\n# no heading [no](link)\n```\n<!-- run -->\n```console\n$ true\n```\n")
	want := docs.Page{
		Anchors: map[string]bool{"the-ipmgr-loop-once-twice": true, "same": true, "same-1": true},
		Links:   []docs.Text{{Line: 3, Text: "a.md#b"}},
		Codes:   []docs.Text{{Line: 1, Text: "ipmgr"}, {Line: 3, Text: "code [no](link)"}},
		Fences: []docs.Fence{
			{Line: 6, Language: "sh", Text: "# no heading [no](link)\n"},
			{Line: 10, Language: "console", Text: "$ true\n", Run: true},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestCommandsOfAScriptAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   [][]string
	}{
		"comments and variables": {"# make nothing\nA=1 B=2 make test # make more\nC=3\n", [][]string{{"make", "test"}}},
		"lists and pipes":        {"make a && make b | tee log; make c", [][]string{{"make", "a"}, {"make", "b"}, {"tee", "log"}, {"make", "c"}}},
		"continued lines":        {"helm install x \\\n  --set a=b\n", [][]string{{"helm", "install", "x", "--set", "a=b"}}},
		"quotes":                 {`make ARGS='a | b' "c;d"`, [][]string{{"make", "ARGS=a | b", "c;d"}}},
		"here-documents":         {"cat <<EOF\nmake nothing\nEOF\nmake a\n", [][]string{{"cat"}, {"make", "a"}}},
		"substitution":           {"V=$(go env GOROOT) make x$(make v)", [][]string{{"make", "xx"}, {"go", "env", "GOROOT"}, {"make", "v"}}},
		"a sharp in a word":      {"make a#b", [][]string{{"make", "a#b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, docs.Commands(test.script)); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}
