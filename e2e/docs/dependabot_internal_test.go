package docs

import (
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// update is an entry of dependabot's configuration.
type update struct {
	Ecosystem   string   `json:"package-ecosystem"`
	Directory   string   `json:"directory"`
	Directories []string `json:"directories"`
}

// dependabot lists the directories that are kept up to date, by ecosystem.
func dependabot(t *testing.T) map[string][]string {
	t.Helper()
	var configuration struct {
		Version int      `json:"version"`
		Updates []update `json:"updates"`
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/dependabot.yml")), &configuration); err != nil {
		t.Fatal(err)
	}
	if configuration.Version != 2 {
		t.Errorf("version %d of the format, want 2", configuration.Version)
	}
	kept := map[string][]string{}
	for _, u := range configuration.Updates {
		if u.Directory != "" {
			u.Directories = append(u.Directories, u.Directory)
		}
		kept[u.Ecosystem] = append(kept[u.Ecosystem], u.Directories...)
	}
	return kept
}

// tracked lists the directories of the files that git knows by a pattern.
func tracked(t *testing.T, pattern string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "ls-files", pattern)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var directories []string
	for name := range strings.FieldsSeq(string(out)) {
		if dir := "/" + strings.TrimPrefix(path.Dir(name), "."); !slices.Contains(directories, dir) {
			directories = append(directories, dir)
		}
	}
	slices.Sort(directories)
	return directories
}

// What nobody looks after grows old: each module, each action and each image is
// in dependabot's configuration, and nothing else is.
func TestDependabotKeepsEveryModuleActionAndImage(t *testing.T) {
	kept := dependabot(t)
	for ecosystem, want := range map[string][]string{
		"gomod":          tracked(t, "*go.mod"),
		"docker":         tracked(t, "*Dockerfile"),
		"github-actions": {"/"},
	} {
		got := slices.Clone(kept[ecosystem])
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: dependabot looks at\n%s\nwant\n%s", ecosystem, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if len(kept) != 3 {
		t.Errorf("dependabot looks at %v, of which the test knows three kinds", kept)
	}
}

// An image by its tag is another one tomorrow, and so is an action.
func TestImagesAndActionsArePinned(t *testing.T) {
	stages := map[string]bool{"scratch": true, "${BUILDER}": true}
	for _, from := range regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+) AS (\S+)$`).FindAllStringSubmatch(read(t, "Dockerfile"), -1) {
		if !stages[from[1]] && !regexp.MustCompile(`^\S+:\S+@sha256:[0-9a-f]{64}$`).MatchString(from[1]) {
			t.Errorf("the Dockerfile's %s is not pinned by a tag and its digest", from[1])
		}
		stages[from[2]] = true
	}
	if !stages["builder"] || !strings.Contains(read(t, "Dockerfile"), "\nARG BUILDER=builder\n") {
		t.Error("the Dockerfile does not build in the stage builder")
	}
	pinned := regexp.MustCompile(`^\S+@[0-9a-f]{40} # v\S+$`)
	for _, name := range []string{"ci.yml", "release.yml"} {
		for _, used := range regexp.MustCompile(`(?m)uses: (.*)$`).FindAllStringSubmatch(read(t, ".github/workflows/"+name), -1) {
			if !strings.HasPrefix(used[1], "./") && !pinned.MatchString(used[1]) {
				t.Errorf("%s: %s is not pinned by its commit, with the version in a comment", name, used[1])
			}
		}
	}
}
