package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

const dockerfileGo = "1.26.8"

var epoch = time.Unix(1_700_000_000, 0).UTC()

func TestArchivesDependOnNothingButTheirFiles(t *testing.T) {
	files := []oci.File{
		{Path: "LICENSE", Mode: 0o644, Content: []byte("Apache")},
		{Path: "ipmgr", Mode: 0o755, Content: []byte("program")},
	}
	first, err := pack(files, epoch)
	if err != nil {
		t.Fatal(err)
	}
	files[0].Modified, files[1].UID = time.Now(), 1000
	second, err := pack(files, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error("times and owners of the files changed the archive")
	}
	got, err := unpack(second)
	if err != nil {
		t.Fatal(err)
	}
	want := []oci.File{
		{Path: "LICENSE", Mode: 0o644, Modified: epoch, Content: []byte("Apache")},
		{Path: "ipmgr", Mode: 0o755, Modified: epoch, Content: []byte("program")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestTheTimeAnImageWasArchivedIsForgotten(t *testing.T) {
	files := []oci.File{
		{Path: "blobs/", Mode: fs.ModeDir | 0o755},
		{Path: "blobs/layer", Mode: 0o644, Content: []byte("layer")},
		{Path: "index.json", Mode: 0o644, Content: []byte("{}")},
	}
	var archives [2][]byte
	for i, order := range [][]oci.File{files, {files[2], files[0], files[1]}} {
		var written bytes.Buffer
		if err := writeTar(&written, order, epoch.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		again, err := retime(written.Bytes(), epoch)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = again
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of one image differ")
	}
	got, err := readTar(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, got, cmpopts.IgnoreFields(oci.File{}, "Modified"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestTheChartHasASemanticVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v0.1.0":            "0.1.0",
		"1.2.3-rc.1":        "1.2.3-rc.1",
		"v0.1.0-4-g6f91243": "0.1.0-4-g6f91243",
		"6f91243":           "0.0.0-g6f91243",
		"0123456-dirty":     "0.0.0-g0123456-dirty",
		"devel":             "0.0.0-gdevel",
		"v1.2":              "0.0.0-gv1-2",
	} {
		if got := chartVersion(version); got != want {
			t.Errorf("%s gives %s, want %s", version, got, want)
		}
	}
}

func TestChecksumsAreOfAllResultsInOrder(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"b.tar.gz": "b", "a.tgz": "a", sumsFile: "old"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sums(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.tgz\n" +
		"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b.tar.gz\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checksums (-want +got):\n%s", diff)
	}
}

func TestAMissingResultIsNoticed(t *testing.T) {
	o := order{version: "v1", arches: []string{"amd64"}, out: t.TempDir(), progress: io.Discard, images: true}
	names := []string{
		"SHA256SUMS", "multus-ipmgr-0.0.0-gv1.tgz", "nodegroup-v1.yaml", "nodegroup-linux-amd64.zip", "nodegroup-linux-amd64.cdx.json",
		"multus-ipmgr_v1_linux_amd64.tar.gz", "multus-ipmgr_v1_linux_amd64.cdx.json",
		"kubectl-ipmgr_v1_linux_amd64.tar.gz", "kubectl-ipmgr_v1_linux_amd64.cdx.json",
		"kubectl-ipmgr_v1_darwin_amd64.tar.gz", "kubectl-ipmgr_v1_darwin_amd64.cdx.json",
		"webhook_v1_linux_amd64.oci.tar", "webhook_v1_linux_amd64.cdx.json",
		"ipmgr_v1_linux_amd64.oci.tar", "ipmgr_v1_linux_amd64.cdx.json",
		"controller_v1_linux_amd64.oci.tar", "controller_v1_linux_amd64.cdx.json",
	}
	for i, name := range names {
		if err := o.judgeNames(); err == nil {
			t.Fatalf("nothing is missing with %d of %d results", i, len(names))
		}
		if err := os.WriteFile(o.path(name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.judgeNames(); err != nil {
		t.Error(err)
	}
}

// The programs in the images and in the archives are compared byte for byte.
func TestTheWorkflowHasTheGoOfTheDockerfile(t *testing.T) {
	for file, pattern := range map[string]string{
		"../../Dockerfile": `golang:([0-9.]+)-`, "../../.github/workflows/release.yml": `go-version: "([0-9.]+)"`,
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(data)
		if len(found) != 2 || string(found[1]) != dockerfileGo {
			t.Errorf("%s names Go %q, want %s as the others", file, found, dockerfileGo)
		}
	}
}

func TestAVersionMustFitIntoNames(t *testing.T) {
	_, err := parse([]string{"--version", "feature/x"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "feature/x") {
		t.Errorf("error %v, want one that names the version", err)
	}
}
