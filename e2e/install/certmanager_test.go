package install_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// Programs made of cert-manager's packages, see e2e/tools/cert-manager.
const (
	controller = "cert-manager-controller"
	cainjector = "cert-manager-cainjector"
)

// startCertManager installs cert-manager's CustomResourceDefinitions and starts
// its programs, which end with the test.
func (c *cluster) startCertManager(t *testing.T) {
	t.Helper()
	crds := filepath.Join(moduleOf(t, "github.com/cert-manager/cert-manager"), "deploy", "crds")
	for _, name := range []string{"certificates", "certificaterequests", "issuers", "clusterissuers"} {
		crd, err := os.ReadFile(filepath.Join(crds, "cert-manager.io_"+name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.InstallCRD(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{controller, cainjector} {
		cmd := exec.Command(c.tools[name], "--kubeconfig", c.Kubeconfig())
		cmd.Env = []string{}
		program, err := programs.Run(c.dir, cmd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			select {
			case <-program.Over():
				t.Errorf("%s ended with code %d", name, program.Code())
			default:
				program.Stop(0)
			}
			if t.Failed() {
				t.Logf("the log of %s ends:\n%s", name, program.Tail())
			}
		})
	}
}

// moduleOf returns the directory of the module that e2e/tools/cert-manager pins.
func moduleOf(t *testing.T, module string) string {
	t.Helper()
	dir, err := programs.Dir("e2e/tools/cert-manager")
	if err != nil {
		t.Fatal(err)
	}
	version := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Path}}@{{.Version}}", module)
	version.Dir = dir
	pinned, err := version.Output()
	if err != nil {
		t.Fatal(err)
	}
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", strings.TrimSpace(string(pinned)))
	download.Dir = dir
	said, err := download.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Dir string }
	if err := json.Unmarshal(said, &got); err != nil {
		t.Fatal(err)
	}
	return got.Dir
}
