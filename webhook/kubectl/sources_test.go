package kubectl_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// podNamed is a pod on a network.
func podNamed(name string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\n  annotations:\n    k8s.v1.cni.cncf.io/networks: x\nspec:\n  containers:\n  - name: app\n"
}

func TestManifestsComeFromWhereKubectlTakesThem(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/pod.yaml" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(podNamed("from-url")))
	}))
	defer server.Close()
	dir := populate(t, []txtar.File{
		{Name: "a.yaml", Data: []byte(podNamed("a"))},
		{Name: "b.yml", Data: []byte(podNamed("b"))},
		{Name: "c.txt", Data: []byte(podNamed("c"))},
		{Name: "below/d.json", Data: []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"d"}}`)},
		{Name: "base/kustomization.yaml", Data: []byte("resources: [../a.yaml]\n")},
		{Name: "site/kustomization.yaml", Data: []byte("namePrefix: site-\nresources: [../base]\n")},
	})
	for _, c := range []struct {
		name, line string
		want       []string
		code       int
	}{
		{"a file", "-f a.yaml", []string{"a"}, 0},
		{"a file of any name", "-f c.txt", []string{"c"}, 0},
		{"several, in their order", "-f b.yml -f a.yaml", []string{"b", "a"}, 0},
		{"several in one flag", "-f b.yml,a.yaml", []string{"b", "a"}, 0},
		{"a pattern", "-f *.y*ml", []string{"a", "b"}, 0},
		{"a directory", "-f .", []string{"a", "b"}, 0},
		{"a directory and those in it", "-R -f below", []string{"d"}, 0},
		{"a URL", "-f " + server.URL + "/pod.yaml", []string{"from-url"}, 0},
		{"a URL that there is not", "-f " + server.URL + "/none.yaml", nil, 2},
		{"standard input", "-f -", []string{"in"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, dir, podNamed("in"), append([]string{"inject"}, strings.Fields(c.line)...)...)
			if diff := cmp.Diff(c.want, names(got.out)); diff != "" || got.code != c.code {
				t.Errorf("exit %d, want %d, stderr %q; pods (-want +got):\n%s", got.code, c.code, got.err, diff)
			}
		})
	}
	t.Run("a kustomization", func(t *testing.T) {
		if err := os.Remove(filepath.Join(dir, "c.txt")); err != nil {
			t.Fatal(err)
		}
		// kustomize refuses files above the kustomization, as for kubectl.
		if got := run(t, dir, "", "inject", "-k", "site"); got.code != 2 || !strings.Contains(got.err, "building the kustomization") {
			t.Errorf("exit %d, stderr %q", got.code, got.err)
		}
		if err := os.Rename(filepath.Join(dir, "a.yaml"), filepath.Join(dir, "base", "a.yaml")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "base", "kustomization.yaml"), []byte("resources: [a.yaml]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := run(t, dir, "", "inject", "-k", "site")
		if got.code != 0 || !cmp.Equal(names(got.out), []string{"site-a"}) || !strings.Contains(got.out, "name: multus-ipmgr") {
			t.Errorf("exit %d, stdout %q, stderr %q", got.code, got.out, got.err)
		}
	})
}

// names are those of the pods that are printed.
func names(text string) []string {
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(text, `"`, "")) {
		line = strings.TrimSpace(line)
		if _, rest, json := strings.Cut(line, "metadata:{name:"); json {
			line = "name: " + strings.TrimRight(rest, "}")
		}
		name, found := strings.CutPrefix(line, "name: ")
		if found && name != "app" && name != "multus-ipmgr" {
			all = append(all, name)
		}
	}
	return all
}

func TestReportsComeInKubectlsFormats(t *testing.T) {
	for _, c := range []struct {
		name      string
		arguments []string
		want      string
	}{
		{"jsonpath", []string{"-o", "jsonpath={.findings[*].rule}"}, "not-reserved"},
		{"a template", []string{"-o", `go-template={{range .findings}}{{.severity}} {{.object}}{{end}}`}, "error other/x"},
		{"a template by its flag", []string{"--template", "{{len .ranges}}"}, "1"},
		{"kyaml", []string{"-o", "kyaml"}, "---\n{\n  ranges: [{\n    object: \"other/x\",\n"},
		{"yaml", []string{"--output", "yaml"}, "findings:\n- field: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, t.TempDir(), nadX, append([]string{"check", "-f", "-", "--reserved", "10.10.2.0/24"}, c.arguments...)...)
			if got.code != 1 || !strings.HasPrefix(got.out, c.want) || got.err != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want 1 and %q", got.code, got.out, got.err, c.want)
			}
		})
	}
}

func TestTheClusterIsAskedAsKubectlAsksIt(t *testing.T) {
	asked := make(chan http.Header, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"v1","kind":"AnyList","metadata":{},"items":[]}`))
	}))
	defer server.Close()
	got := run(t, t.TempDir(), nadX, "check", "-f", "-", "--server", server.URL, "--as", "planner", "--as-group", "network", "--token", "t")
	if got.code != 0 {
		t.Fatalf("exit %d, stdout %q, stderr %q", got.code, got.out, got.err)
	}
	header := <-asked
	want := map[string]string{"Impersonate-User": "planner", "Impersonate-Group": "network"}
	for key, value := range want {
		if header.Get(key) != value {
			t.Errorf("header %s: %q, want %q", key, header.Get(key), value)
		}
	}
}

func TestShellsCompleteCommandsFlagsAndContexts(t *testing.T) {
	kubeconfig := cluster(t, []string{}, []string{})
	for _, c := range []struct {
		name  string
		words []string
		want  string
	}{
		{"commands", []string{""}, "check\t"},
		{"flags", []string{"check", "--as"}, "--as-group\t"},
		{"formats", []string{"check", "-o", ""}, "table\njson\n"},
		{"styles of sidecars", []string{"inject", "--sidecar-style", ""}, "native\ncontainer\n"},
		{"contexts of the kubeconfig", []string{"check", "--kubeconfig", kubeconfig, "--context", ""}, "c\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := run(t, t.TempDir(), "", append([]string{"__complete"}, c.words...)...); got.code != 0 || !strings.Contains(got.out, c.want) {
				t.Errorf("exit %d, stdout %q, want %q; stderr %q", got.code, got.out, c.want, got.err)
			}
		})
	}
}
