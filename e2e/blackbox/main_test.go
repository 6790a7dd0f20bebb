// Package blackbox_test runs the real ipmgr program in network namespaces that
// play pods, against the simulated VPC of e2e/vpcsim, and looks at what it
// leaves behind: which ENI holds which address, the exit code, the termination
// message, the log. It knows nothing of how ipmgr is made.
//
// A test has a scene: a VPC of its own, and pods. After every test the reports
// of all programs that ran in it are compared with the VPC's history: what is
// logged as assigned must have been assigned.
package blackbox_test

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// parallel is how many tests run at a time: they wait more than they compute.
const parallel = "8"

func TestMain(m *testing.M) {
	os.Exit(netlab.Run(func() int {
		lab, err := netlab.New(netlab.Options{})
		if err == nil {
			err = errors.Join(lab.Close(), enterMounts())
		}
		if err != nil {
			fmt.Println("termination messages are read from the log instead:", err)
		}
		return run(m)
	}))
}

// run runs the tests inside the lab.
func run(m *testing.M) int {
	if err := flag.Set("test.parallel", parallel); err != nil {
		fmt.Println(err)
	}
	dir, err := os.MkdirTemp("", "blackbox")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	workDir = dir
	code := m.Run()
	if lab, err := sharedLab(); err == nil {
		err = errors.Join(lab.Close(), goleak.Find())
		if err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Println(err)
		code = 1
	}
	return code
}

// What all scenes share, made by the first test that needs it.
var (
	workDir       string // for files, until the tests end
	sharedLab     = sync.OnceValues(newLab)
	sharedProgram = sync.OnceValues(build) // path of ipmgr
)

// Addresses of the cloud that only the pods' default route leads to.
const (
	outside    = "198.51.100.7"
	nameServer = "198.51.100.53"
	metadata   = "169.254.169.254"
)

func newLab() (*netlab.Lab, error) {
	lab, err := netlab.New(netlab.Options{Gateway: netip.MustParsePrefix("10.200.0.1/16")})
	if err != nil {
		return nil, err
	}
	for _, addr := range []string{outside, nameServer, metadata} {
		if err := lab.AddAddr(netip.PrefixFrom(netip.MustParseAddr(addr), 32)); err != nil {
			return nil, errors.Join(err, lab.Close())
		}
	}
	return lab, nil
}

// build compiles ipmgr as the Makefile does.
func build() (string, error) {
	path := filepath.Join(workDir, "ipmgr")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags",
		"-s -w -X github.com/multus-ipmgr/multus-ipmgr/version.version=blackbox", "-o", path, "github.com/multus-ipmgr/multus-ipmgr/cmd/ipmgr")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}
