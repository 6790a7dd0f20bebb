package kubectl_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl"
)

var update = flag.Bool("update", false, "rewrite what is wanted in testdata")

// result is what a command came to.
type result struct {
	code     int
	out, err string
}

// run runs a command in a directory without a cluster.
func run(t *testing.T, dir, stdin string, arguments ...string) result {
	t.Helper()
	t.Chdir(dir)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	var out, err bytes.Buffer
	code := kubectl.Run(t.Context(), arguments, "v1.2.3", kubectl.Streams{In: strings.NewReader(stdin), Out: &out, Err: &err})
	return result{code, out.String(), err.String()}
}

// TestCommandsDoWhatTestdataShows runs each file of testdata. Its comment
// explains it and ends in the command line; "stdin" is given to the command,
// "stdout", "stderr" and "exit" are wanted, and all else are files.
func TestCommandsDoWhatTestdataShows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			given, want := sections(archive)
			dir := populate(t, given)
			lines := strings.Split(strings.TrimSpace(string(archive.Comment)), "\n")
			arguments := strings.Fields(strings.TrimPrefix(lines[len(lines)-1], "kubectl ipmgr "))
			got := run(t, dir, want["stdin"], arguments...)
			if *update {
				rewrite(t, file, archive, got)
				return
			}
			code := fmt.Sprintf("%d\n", got.code)
			if diff := cmp.Diff([]string{want["exit"], want["stdout"], want["stderr"]}, []string{code, got.out, got.err}); diff != "" {
				t.Errorf("exit, stdout, stderr (-want +got; -update rewrites them):\n%s", diff)
			}
		})
	}
}

// sections tells files from what is wanted.
func sections(archive *txtar.Archive) (given []txtar.File, want map[string]string) {
	want = map[string]string{}
	for _, f := range archive.Files {
		if slices.Contains([]string{"stdin", "stdout", "stderr", "exit"}, f.Name) {
			want[f.Name] = string(f.Data)
			continue
		}
		given = append(given, f)
	}
	return given, want
}

func populate(t *testing.T, files []txtar.File) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name := filepath.Join(dir, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, f.Data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func rewrite(t *testing.T, file string, archive *txtar.Archive, got result) {
	t.Helper()
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool {
		return slices.Contains([]string{"stdout", "stderr", "exit"}, f.Name)
	})
	for _, f := range []txtar.File{{Name: "exit", Data: fmt.Appendln(nil, got.code)}, {Name: "stdout", Data: []byte(got.out)}, {Name: "stderr", Data: []byte(got.err)}} {
		if len(f.Data) > 0 {
			archive.Files = append(archive.Files, f)
		}
	}
	if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMistakesInFlagsAreTold(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", "kubectl ipmgr check"},
		{"chekc", `there is no command "chekc"; want check, inject, version or help`},
		{"check", "no manifests: name a file or directory by -f"},
		{"check file.yaml", `check takes flags only, not "file.yaml"; name files by -f`},
		{"check -x", "check: unknown shorthand flag: 'x' in -x; --help lists the flags"},
		{"check -f a -o xml", "-o xml: want table, json or yaml"},
		{"check -f a --reserved 10.0.0.1/24", "10.0.0.1/24 has host bits set; write 10.0.0.0/24"},
		{"check -f a --reserved 10.0.0.0/24,x", `"x" is not a CIDR`},
		{"check -f none.yaml", "reading manifests: stat none.yaml: no such file or directory"},
		{"check -f .", ".: no file ends in .yaml, .yml or .json"},
		{"check -f - --context prod", "reading the kubeconfig"},
		{"inject -f a --sidecar-style side", "want \"native\" or \"container\""},
		{"inject -f a --env X", "want NAME=VALUE"},
		{"inject -f a --env POD_NAME=p", "is set for each pod"},
		{"inject -f a --env A=1 --env A=2", "is given twice"},
		{"inject -f a --env IPMGR_TIMEOUT=soon", "IPMGR_TIMEOUT"},
		{"check -f a -k b", "-k cannot be used together with -f or -R"},
		{"check -k none", "building the kustomization"},
		{"check -f *.yaml", "reading manifests: stat *.yaml: no such file or directory"},
		{"check -f a -o go-template", "-o go-template: template format specified but no template given"},
		{"inject -f a --context prod", "inject: unknown flag: --context; --help lists the flags"},
	} {
		t.Run(c.line, func(t *testing.T) {
			got := run(t, t.TempDir(), "", strings.Fields(c.line)...)
			if got.code != 2 || got.out != "" || !strings.Contains(got.err, c.want) {
				t.Errorf("exit %d, stdout %q, stderr %q; want 2 and %q", got.code, got.out, got.err, c.want)
			}
		})
	}
}

func TestAllMistakesInFlagsAreToldAtOnce(t *testing.T) {
	for line, want := range map[string][]string{
		"check -o xml --reserved x,10.0.0.1/24":                                     {"no manifests", "-o xml", `"x"`, "10.0.0.1/24 has host bits set"},
		"inject --sidecar-style side --env X --env IPMGR_TIMEOUT=soon --env POD_IP": {"no manifests", "side", "--env X", "IPMGR_TIMEOUT", "--env POD_IP"},
	} {
		got := run(t, t.TempDir(), "", strings.Fields(line)...)
		for _, part := range want {
			if got.code != 2 || !strings.Contains(got.err, part) {
				t.Errorf("%s: exit %d, stderr %q; want 2 and %q", line, got.code, got.err, part)
			}
		}
	}
}

func TestHelpIsStandardOutput(t *testing.T) {
	for _, line := range []string{"help", "--help", "check --help", "inject -h", "version", "--version", "help check", "completion bash"} {
		if got := run(t, t.TempDir(), "", strings.Fields(line)...); got.code != 0 || got.out == "" || got.err != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", line, got.code, got.out, got.err)
		}
	}
}

// cluster is an API server that knows ReservedCIDRs and NADs, one a page.
func cluster(t *testing.T, reserved, nads []string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		items, kind := reserved, "ReservedCIDRList"
		if strings.HasSuffix(r.URL.Path, "network-attachment-definitions") {
			items, kind = nads, "NetworkAttachmentDefinitionList"
		}
		if items == nil {
			http.NotFound(w, r)
			return
		}
		var page int
		_, _ = fmt.Sscanf(r.URL.Query().Get("continue"), "page%d", &page)
		next := ""
		if page+1 < len(items) {
			next = fmt.Sprintf("page%d", page+1)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":%q,"metadata":{"continue":%q},"items":[%s]}`, kind, next, strings.Join(items[min(page, len(items)):min(page+1, len(items))], ","))
	}))
	t.Cleanup(server.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c"}}]}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

const (
	reservedA = `{"apiVersion":"multus-ipmgr.io/v1alpha1","kind":"ReservedCIDR","metadata":{"name":"a"},"spec":{"cidr":"10.10.1.64/26","type":"explicit","subnetID":"subnet-a","subnetCIDR":"10.10.1.0/24"}}`
	reservedB = `{"apiVersion":"multus-ipmgr.io/v1alpha1","kind":"ReservedCIDR","metadata":{"name":"b"},"spec":{"cidr":"10.10.1.128/26","type":"explicit","subnetID":"subnet-a","subnetCIDR":"10.10.1.0/24"}}`
	refusedB  = `{"apiVersion":"multus-ipmgr.io/v1alpha1","kind":"ReservedCIDR","metadata":{"name":"b"},"spec":{"cidr":"10.10.1.128/26","type":"explicit","subnetID":"subnet-a","subnetCIDR":"10.10.1.0/24","create":true},"status":{"conditions":[{"type":"Reserved","status":"False","reason":"Overlap"}]}}`
	nadX      = `{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":{"name":"x","namespace":"other"},"spec":{"config":"{\"type\":\"ipvlan\",\"master\":\"eth1\",\"ipam\":{\"type\":\"whereabouts\",\"range\":\"10.10.1.120-10.10.1.125/24\"}}"}}`
	nadY      = `{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":{"name":"y","namespace":"default"},"spec":{"config":"{\"type\":\"ipvlan\",\"master\":\"eth1\",\"ipam\":{\"type\":\"whereabouts\",\"range\":\"10.10.1.100-10.10.1.130/24\"}}"}}`
)

func TestTheClusterTellsWhatIsReserved(t *testing.T) {
	for _, c := range []struct {
		name           string
		reserved, nads []string
		flags          []string
		code           int
		rules          []string
	}{
		{"reservations on two pages, and a NAD that overlaps", []string{reservedA, reservedB}, []string{nadY, nadX}, nil, 0, []string{"range-overlap"}},
		{"one reservation does not suffice", []string{reservedA}, []string{}, nil, 1, []string{"not-reserved"}},
		{"EC2 refuses a reservation that was asked for", []string{reservedA, refusedB}, []string{}, nil, 1, []string{"not-reserved"}},
		{"the cluster does not know the resources", nil, nil, nil, 0, []string{"no-reservation"}},
		{"--reserved goes before the cluster's, whose NADs still count", []string{}, []string{nadX}, []string{"--reserved", "10.10.1.0/24"}, 0, []string{"range-overlap"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags := append([]string{"check", "-f", "-", "-o", "json", "--kubeconfig", cluster(t, c.reserved, c.nads)}, c.flags...)
			got := run(t, t.TempDir(), nadY, flags...)
			var report struct {
				Findings []struct{ Rule string }
			}
			if err := json.Unmarshal([]byte(got.out), &report); err != nil {
				t.Fatalf("stdout %q, stderr %q: %v", got.out, got.err, err)
			}
			var rules []string
			for _, f := range report.Findings {
				rules = append(rules, f.Rule)
			}
			if diff := cmp.Diff(c.rules, rules); diff != "" || got.code != c.code {
				t.Errorf("exit %d, want %d; rules (-want +got):\n%s", got.code, c.code, diff)
			}
		})
	}
}

func TestReservationsOfFilesJoinThoseOfTheNamedCluster(t *testing.T) {
	files := nadY + "\n---\n" + reservedB // which together with the cluster's covers the NAD
	got := run(t, t.TempDir(), files, "check", "-f", "-", "--kubeconfig", cluster(t, []string{reservedA}, []string{}))
	if got.code != 0 || !strings.Contains(got.out, "errors: 0") {
		t.Errorf("exit %d, stdout %q, stderr %q", got.code, got.out, got.err)
	}
}

func TestTheClustersNetworksSayWhatPodsAskFor(t *testing.T) {
	const bridge = `{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":{"name":"inner","namespace":"default"},"spec":{"config":"{\"type\":\"bridge\",\"capabilities\":{\"ips\":true},\"ipam\":{\"type\":\"static\"}}"}}`
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","annotations":{"k8s.v1.cni.cncf.io/networks":"[{\"name\":\"inner\",\"ips\":[\"192.168.0.5/24\"]}]"}}}`
	for _, c := range []struct {
		name string
		nads []string
		code int
	}{
		{"a network whose addresses do not belong to ENIs", []string{bridge}, 0},
		{"a network that does not exist", []string{}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, t.TempDir(), pod, "check", "-f", "-", "--kubeconfig", cluster(t, []string{reservedA}, c.nads))
			if got.code != c.code || strings.Contains(got.out, "not-reserved") != (c.code == 1) {
				t.Errorf("exit %d, want %d; stdout %q, stderr %q", got.code, c.code, got.out, got.err)
			}
		})
	}
}

func TestAClusterThatCannotBeReadIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "broken", http.StatusForbidden)
	}))
	defer server.Close()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"current-context":"c","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c"}}]}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, t.TempDir(), nadX, "check", "-f", "-", "--kubeconfig", kubeconfig)
	if got.code != 2 || !strings.Contains(got.err, "reading reservedcidrs from the cluster (give --reserved to do without it)") {
		t.Errorf("exit %d, stderr %q", got.code, got.err)
	}
}

func TestTheImageIsThatOfTheManifests(t *testing.T) {
	manifest, err := os.ReadFile("../../config/webhook/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manifest), "--image=")
	image, _, _ := strings.Cut(rest, "\n")
	const pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    k8s.v1.cni.cncf.io/networks: x\nspec:\n  containers: []\n"
	if got := run(t, t.TempDir(), pod, "inject", "-f", "-"); image == "" || !strings.Contains(got.out, "image: "+image+"\n") {
		t.Errorf("want image %q; stdout %q, stderr %q", image, got.out, got.err)
	}
}

// broken is an output that takes nothing.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, command := range []string{"check", "inject"} {
		var err bytes.Buffer
		streams := kubectl.Streams{In: strings.NewReader(nadX), Out: broken{}, Err: &err}
		if code := kubectl.Run(t.Context(), []string{command, "-f", "-"}, "v1", streams); code != 2 || !strings.Contains(err.String(), "writing") {
			t.Errorf("%s: exit %d, stderr %q", command, code, err.String())
		}
	}
}
