package oci_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/ocitest"
)

func TestReadFindsConfigAndFilesOfTheOneImage(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	archive := ocitest.Archive{Files: []oci.File{
		{Path: "program", Mode: 0o755, Modified: at, Content: []byte("ELF")},
		{Path: "etc", Mode: fs.ModeDir | 0o755, Modified: at, Content: []byte{}},
	}}
	archive.Config.OS, archive.Config.Architecture = "linux", "arm64"
	archive.Config.Config.User = "65532:65532"
	for _, nested := range []bool{false, true} {
		archive.Nested = nested
		image, err := oci.Read(archive.Write(t))
		if err != nil {
			t.Fatalf("nested %v: %v", nested, err)
		}
		want := []oci.File{archive.Files[1], archive.Files[0]}
		if diff := cmp.Diff(want, image.Files); diff != "" {
			t.Errorf("nested %v: files (-want +got):\n%s", nested, diff)
		}
		if diff := cmp.Diff(archive.Config, image.Config); diff != "" {
			t.Errorf("nested %v: config (-want +got):\n%s", nested, diff)
		}
		if image.Compressed == 0 || !strings.HasPrefix(image.Digest, "sha256:") {
			t.Errorf("nested %v: %d bytes, digest %q", nested, image.Compressed, image.Digest)
		}
	}
}

func TestReadRefusesADamagedLayer(t *testing.T) {
	_, err := oci.Read(ocitest.Archive{Damage: true}.Write(t))
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v", err)
	}
}

func TestReadRefusesWhatIsNoArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if image, err := oci.Read(file); err == nil {
		t.Errorf("image %+v", image)
	}
}

func TestOpenNamesWhatIsMissing(t *testing.T) {
	_, err := new(oci.Image).Open("bin/sh")
	if err == nil || !strings.Contains(err.Error(), "/bin/sh") {
		t.Errorf("error %v", err)
	}
}
