package programs_test

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

func TestModulesAreFoundFromBelow(t *testing.T) {
	dir, err := programs.Dir("e2e/tools")
	if err != nil || !filepath.IsAbs(dir) || !strings.HasSuffix(dir, filepath.Join("e2e", "tools")) {
		t.Errorf("%q, %v", dir, err)
	}
}

func TestModulesAreNotFoundOutside(t *testing.T) {
	t.Chdir(t.TempDir())
	if dir, err := programs.Dir("e2e/tools"); err == nil {
		t.Errorf("found %s", dir)
	}
}

func TestAnUnknownProgramIsRefusedInTheWordsOfTools(t *testing.T) {
	_, err := programs.Build(t.Context(), io.Discard, "kube-nothing")
	if err == nil || !strings.Contains(err.Error(), `unknown program "kube-nothing"`) {
		t.Errorf("Build: %v", err)
	}
}
