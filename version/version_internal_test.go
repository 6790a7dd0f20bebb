package version

import (
	"runtime"
	"strings"
	"testing"
)

func TestTheLineNamesWhatTheBuildWasStampedWith(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "v1.2.3", "0123456789abcdef"
	want := "v1.2.3 (commit 0123456789abcdef, " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
	if got := Line(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestABuildWithoutAStampSaysSo(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "", ""
	if got := String(); !strings.HasPrefix(got, "devel") {
		t.Errorf("version %q, want one that begins with devel", got)
	}
	if Commit() == "" {
		t.Error("no commit, want one or unknown")
	}
}
