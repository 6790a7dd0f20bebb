package oci_test

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// archive is what write writes.
type archive struct {
	config v1.ConfigFile
	files  []oci.File
	nested bool // the index is below another one, as BuildKit's
	twice  bool // there are two images
	damage bool // the layer is not what its digest says
}

// write writes an archive to a file and returns its path.
func (a archive) write(t *testing.T) string {
	t.Helper()
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a.layer(t))), nil })
	if err != nil {
		t.Fatal(err)
	}
	a.config.RootFS.Type = "layers"
	image, err := mutate.ConfigFile(empty.Image, &a.config)
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})
	if a.nested {
		index = mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})
	}
	if a.twice {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: empty.Image})
	}
	dir := t.TempDir()
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatal(err)
	}
	if digest, err := layer.Digest(); a.damage && err == nil {
		damage(t, filepath.Join(dir, "blobs", "sha256", digest.Hex))
	}
	return pack(t, dir)
}

// damage adds a byte to a blob.
func damage(t *testing.T, blob string) {
	t.Helper()
	data, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, append(data, 0), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pack makes a tar file of a directory.
func pack(t *testing.T, dir string) string {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	if err := writer.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (a archive) layer(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	layer := tar.NewWriter(&out)
	for _, f := range a.files {
		header := &tar.Header{
			Name: f.Path, Typeflag: tar.TypeReg, Mode: int64(f.Mode.Perm()), Uid: f.UID, Gid: f.GID,
			ModTime: f.Modified, Size: int64(len(f.Content)),
		}
		if f.Mode.IsDir() {
			header.Typeflag = tar.TypeDir
		}
		if err := layer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := layer.Write(f.Content); err != nil {
			t.Fatal(err)
		}
	}
	if err := layer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReadFindsConfigAndFilesOfTheOneImage(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	a := archive{files: []oci.File{
		{Path: "program", Mode: 0o755, Modified: at, Content: []byte("ELF")},
		{Path: "etc", Mode: fs.ModeDir | 0o755, Modified: at, Content: []byte{}},
	}}
	a.config.OS, a.config.Architecture = "linux", "arm64"
	a.config.Config.User = "65532:65532"
	for _, nested := range []bool{false, true} {
		a.nested = nested
		image, err := oci.Read(a.write(t))
		if err != nil {
			t.Fatalf("nested %v: %v", nested, err)
		}
		want := []oci.File{a.files[1], a.files[0]}
		if diff := cmp.Diff(want, image.Files); diff != "" {
			t.Errorf("nested %v: files (-want +got):\n%s", nested, diff)
		}
		if diff := cmp.Diff(a.config.Config, image.Config.Config); diff != "" || image.Config.OS != "linux" || image.Config.Architecture != "arm64" {
			t.Errorf("nested %v: %s/%s, config (-want +got):\n%s", nested, image.Config.OS, image.Config.Architecture, diff)
		}
		if image.Compressed == 0 || !strings.HasPrefix(image.Digest, "sha256:") {
			t.Errorf("nested %v: %d bytes, digest %q", nested, image.Compressed, image.Digest)
		}
	}
}

func TestReadRefusesADamagedLayer(t *testing.T) {
	_, err := oci.Read(archive{damage: true}.write(t))
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v", err)
	}
}

func TestReadRefusesTwoImages(t *testing.T) {
	_, err := oci.Read(archive{twice: true}.write(t))
	if err == nil || !strings.Contains(err.Error(), "it holds 2 images, want one") {
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
