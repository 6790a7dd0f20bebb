package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write leaves files in a new directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTargetsOfAllModulesAreFound(t *testing.T) {
	root := write(t, map[string]string{
		"go.mod":              "module a\n",
		"a_test.go":           "package a\n\nfunc FuzzA(f *testing.F) {}\n\nfunc Fuzz(f *testing.F) {}\n",
		"b/b_test.go":         "package b\n\nfunc FuzzB(f *testing.F) {}\n\nfunc TestB(t *testing.T) {}\n",
		"inner/go.mod":        "module inner\n",
		"inner/c/c_test.go":   "//go:build lab\n\npackage c_test\n\nfunc FuzzC(f *testing.F) {}\n",
		"not/not_test.go":     "package not\n\nfunc Fuzzy(f *testing.F) {}\n\nfunc FuzzHelper(f *testing.F, n int) {}\n\nfunc (x) FuzzM(f *testing.F) {}\n",
		"not/not.go":          "package not\n\nfunc FuzzNot(f *testing.F) {}\n",
		"testdata/no_test.go": "package no\n\nfunc FuzzNo(f *testing.F) {}\n",
	})
	got, err := find(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []target{
		{root, ".", "FuzzA"}, {root, ".", "Fuzz"}, {root, "b", "FuzzB"}, {filepath.Join(root, "inner"), "c", "FuzzC"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(target{})); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}

// The repository has targets in two modules; a target that is not found would
// not be played.
func TestTheRepositorysTargetsAreFound(t *testing.T) {
	targets, err := find("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"webhook/review FuzzReview", "e2e/lab/mgmt FuzzAnyQuestionIsAnsweredOrIgnored", "webhook/nad FuzzParse"} {
		if len(selected(append([]target(nil), targets...), []string{filepath.FromSlash("../../" + want)})) == 0 {
			t.Errorf("%s is not found", want)
		}
	}
	if len(targets) < 22 {
		t.Errorf("%d targets are found, there were 22 when this was written", len(targets))
	}
}

const failing = `package p

import "testing"

func FuzzFails(f *testing.F) {
	f.Add(0)
	f.Fuzz(func(t *testing.T, n int) {
		if n != 0 {
			t.Error("not zero")
		}
	})
}

func FuzzHolds(f *testing.F) {
	f.Fuzz(func(*testing.T, int) {})
}
`

// One failure neither hides what caused it nor keeps the others from their turn.
func TestAFailureIsNamedWithItsInputAndTheOthersArePlayed(t *testing.T) {
	root := write(t, map[string]string{
		"go.mod": "module p\n\ngo 1.24\n", "p_test.go": failing, "inner/go.mod": "module inner\n\ngo 1.24\n",
		"inner/broken_test.go": "package inner\n\nimport \"testing\"\n\nfunc FuzzBroken(f *testing.F) { undefined() }\n",
	})
	var output strings.Builder
	err := run(t.Context(), []string{"--root", root, "--time", "100x"}, &output)
	if err == nil {
		t.Fatalf("it succeeds:\n%s", output.String())
	}
	for _, want := range []string{
		root + " FuzzFails fails with the input " + filepath.Join(root, "testdata/fuzz/FuzzFails") + "/",
		"go test fuzz v1\nint(", "play it again: go -C " + root + " test -run '^FuzzFails$/^",
		root + "/inner FuzzBroken: exit status",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	for _, want := range []string{"FuzzHolds for 100x", "undefined: undefined"} {
		if !strings.Contains(output.String(), want) {
			t.Errorf("the output does not say %q:\n%s", want, output.String())
		}
	}
	if strings.Contains(err.Error(), "FuzzHolds") {
		t.Errorf("a target that holds is named: %v", err)
	}
}

func TestOnlyTheEndOfTheTimeIsNoFailure(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"Go's race at the end of the time": {"fuzz: elapsed: 3s, execs: 40304 (0/sec)\n--- FAIL: FuzzX (3.20s)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\tx\t3.2s\n", true},
		"a target whose own deadline ends": {"--- FAIL: FuzzX (3.20s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:3: context deadline exceeded\n    \nFAIL\n", false},
		"another failure beside it":        {"--- FAIL: FuzzX (3.20s)\n    context deadline exceeded\n    bad\nFAIL\n", false},
		"a build that fails":               {"# x\n./x_test.go:3: undefined\nFAIL\tx [build failed]\nFAIL\n", false},
		"nothing":                          {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := isDeadline(test.text); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
