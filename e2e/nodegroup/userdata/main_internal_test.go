package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../../config/nodegroup/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheTemplateHasTheScriptAsItIs(t *testing.T) {
	template := read(t, "template.yaml")
	got, err := embed(template, read(t, "host/multus-enis.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(template), string(got)); diff != "" {
		t.Errorf("run make generate and commit (-template +generated)\n%s", diff)
	}
}

func TestAScriptIsEmbedded(t *testing.T) {
	const before = "a:\n  cat <<'END_OF_SCRIPT'\n  old ${!x}\n  END_OF_SCRIPT\n  END_OF_SCRIPT_2\n"
	const after = "a:\n  cat <<'END_OF_SCRIPT'\n  echo ${!y} $z\n\n  exit\n  END_OF_SCRIPT\n  END_OF_SCRIPT_2\n"
	got, err := embed([]byte(before), []byte("echo ${y} $z\n\nexit\n"))
	if diff := cmp.Diff(after, string(got)); err != nil || diff != "" {
		t.Errorf("error %v (-want +got)\n%s", err, diff)
	}
}

func TestWhatCannotBeEmbedded(t *testing.T) {
	const whole = "cat <<'END_OF_SCRIPT'\nEND_OF_SCRIPT\n"
	for _, tc := range []struct{ name, template, script string }{
		{"a template without a place for it", "a: b\n", "exit\n"},
		{"a template with two places", whole + whole, "exit\n"},
		{"a place without an end", "cat <<'END_OF_SCRIPT'\nEND_OF_SCRIPT_2\n", "exit\n"},
		{"a script with the last line in it", whole, "END_OF_SCRIPT\nexit\n"},
		{"braces within braces, which Fn::Sub may match otherwise", whole, "echo ${x[${y}]}\n"},
		{"an exclamation mark, which Fn::Sub has a meaning for", whole, "echo ${!x}\n"},
	} {
		if got, err := embed([]byte(tc.template), []byte(tc.script)); err == nil {
			t.Errorf("%s: got\n%s", tc.name, got)
		}
	}
}
