package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// program says how one program is built.
type program struct {
	// module is the directory, below this one, of the module that pins it.
	module string
	// pkg is its main package.
	pkg string
	// from is the required module whose version is the program's own.
	from string
	// stamp are the linker's -X settings; VERSION, MAJOR and MINOR stand for
	// the version of from.
	stamp []string
	// tags are build tags, separated by commas.
	tags string
	// minutes a cold build takes on two cores, at most.
	minutes int
}

type programs map[string]program

// String lists the names, for messages.
func (p programs) String() string {
	return strings.Join(slices.Sorted(maps.Keys(p)), ", ")
}

// catalog holds every program that this command builds.
var catalog = programs{
	"kube-apiserver":          kubernetes("kube-apiserver", 7),
	"kube-controller-manager": kubernetes("kube-controller-manager", 7),
	"kube-scheduler":          kubernetes("kube-scheduler", 6),
	"kubelet":                 kubernetes("kubelet", 7),
	"kubectl":                 kubernetes("kubectl", 4),
	"etcd": {
		module: "etcd", pkg: "go.etcd.io/etcd/server/v3", from: "go.etcd.io/etcd/server/v3", minutes: 2,
	},
	"containerd":              containerd("containerd", 4),
	"containerd-shim-runc-v2": containerd("containerd-shim-runc-v2", 1),
	"ctr":                     containerd("ctr", 2),
	"ipvlan":                  cni("main/ipvlan"),
	"host-device":             cni("main/host-device"),
	"ptp":                     cni("main/ptp"),
	"loopback":                cni("main/loopback"),
	"host-local":              cni("ipam/host-local"),
	"static":                  cni("ipam/static"),
	"multus": {
		module: "multus", pkg: "gopkg.in/k8snetworkplumbingwg/multus-cni.v4/cmd/multus",
		from: "gopkg.in/k8snetworkplumbingwg/multus-cni.v4", minutes: 2,
		stamp: []string{"gopkg.in/k8snetworkplumbingwg/multus-cni.v4/pkg/multus.version=VERSION"},
	},
	"whereabouts": {
		module: "whereabouts", pkg: "github.com/k8snetworkplumbingwg/whereabouts/cmd",
		from: "github.com/k8snetworkplumbingwg/whereabouts", minutes: 2,
		stamp: []string{"github.com/k8snetworkplumbingwg/whereabouts/pkg/version.Version=VERSION"},
	},
	"cert-manager-controller": certManager("controller", 7),
	"cert-manager-cainjector": certManager("cainjector", 4),
	"controller-gen": {
		module: "generate", pkg: "sigs.k8s.io/controller-tools/cmd/controller-gen",
		from: "sigs.k8s.io/controller-tools", stamp: []string{"sigs.k8s.io/controller-tools/pkg/version.version=VERSION"}, minutes: 2,
	},
	"golangci-lint": {
		module: "lint", pkg: "github.com/golangci/golangci-lint/v2/cmd/golangci-lint",
		from: "github.com/golangci/golangci-lint/v2", stamp: []string{"main.version=VERSION"}, minutes: 6,
	},
	"helm": {
		module: "helm", pkg: "helm.sh/helm/v4/cmd/helm", from: "helm.sh/helm/v4",
		stamp: []string{"helm.sh/helm/v4/internal/version.version=VERSION"}, minutes: 6,
	},
	"actionlint": {
		module: "actionlint", pkg: "github.com/rhysd/actionlint/cmd/actionlint", from: "github.com/rhysd/actionlint", minutes: 1,
	},
	"helm-unittest": {
		module: "helm-unittest", pkg: "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
		from: "github.com/helm-unittest/helm-unittest", minutes: 5,
	},
	"kustomize": {
		module: "kustomize", pkg: "sigs.k8s.io/kustomize/kustomize/v5", from: "sigs.k8s.io/kustomize/kustomize/v5", minutes: 2,
	},
	"promtool": { // the clients of all clouds' discoveries left out
		module: "promtool", pkg: "github.com/prometheus/prometheus/cmd/promtool", from: "github.com/prometheus/prometheus",
		tags: "remove_all_sd", minutes: 6,
	},
	"govulncheck": {
		module: "lint", pkg: "golang.org/x/vuln/cmd/govulncheck", from: "golang.org/x/vuln", minutes: 1,
	},
}

// kubernetes describes a program of the Kubernetes repository. The version is
// stamped as its release builds do; without it nodes report v0.0.0-master.
func kubernetes(name string, minutes int) program {
	const at = "k8s.io/component-base/version."
	return program{
		module: "kubernetes", pkg: "k8s.io/kubernetes/cmd/" + name, from: "k8s.io/kubernetes", minutes: minutes,
		stamp: []string{
			at + "gitVersion=VERSION", at + "gitMajor=MAJOR", at + "gitMinor=MINOR", at + "gitTreeState=clean",
			"k8s.io/client-go/pkg/version.gitVersion=VERSION",
		},
	}
}

// containerd describes a program of containerd.
func containerd(name string, minutes int) program {
	const module = "github.com/containerd/containerd/v2"
	return program{
		module: "containerd", pkg: module + "/cmd/" + name, from: module, minutes: minutes,
		stamp: []string{module + "/version.Version=VERSION"},
	}
}

// certManager describes a program of cert-manager's packages.
func certManager(name string, minutes int) program {
	return program{
		module: "cert-manager", pkg: "github.com/multus-ipmgr/multus-ipmgr/e2e/tools/cert-manager/" + name,
		from: "github.com/cert-manager/cert-manager", minutes: minutes,
		stamp: []string{"github.com/cert-manager/cert-manager/pkg/util.AppVersion=VERSION"},
	}
}

// cni describes one of the reference CNI plugins.
func cni(path string) program {
	const module = "github.com/containernetworking/plugins"
	return program{
		module: "cni", pkg: module + "/plugins/" + path, from: module, minutes: 1,
		stamp: []string{module + "/pkg/utils/buildversion.BuildVersion=VERSION"},
	}
}

// version finds the program's version in the go.mod that pins it.
func (p program) version(goMod []byte) (string, error) {
	line := regexp.MustCompile(`(?m)^(?:require)?\s+` + regexp.QuoteMeta(p.from) + ` (v\S+)`)
	found := line.FindSubmatch(goMod)
	if found == nil {
		return "", fmt.Errorf("%s/go.mod requires no %s", p.module, p.from)
	}
	return string(found[1]), nil
}

// ldflags returns the linker's flags for a version.
func (p program) ldflags(version string) string {
	parts := append(strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3), "", "")
	fill := strings.NewReplacer("VERSION", version, "MAJOR", parts[0], "MINOR", parts[1])
	flags := []string{"-s", "-w"}
	for _, s := range p.stamp {
		flags = append(flags, "-X", fill.Replace(s))
	}
	return strings.Join(flags, " ")
}
