package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/image"
)

// files reads a tar.
func files(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	found := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = string(text)
	}
}

func unpack(t *testing.T, packed string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnArchiveHoldsWhatItsListNames(t *testing.T) {
	var archive bytes.Buffer
	box := image.Image{Tag: "docker.io/lab/box:1", Name: "box", Program: []byte("program"), Args: []string{"pause"}}
	if err := image.Write(&archive, box); err != nil {
		t.Fatal(err)
	}
	found := files(t, archive.Bytes())
	var list []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(found["manifest.json"]), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || len(list[0].Layers) != 1 {
		t.Fatalf("list %+v", list)
	}
	layer := unpack(t, found[list[0].Layers[0]])
	if diff := cmp.Diff(map[string]string{"box": "program"}, files(t, []byte(layer))); diff != "" {
		t.Errorf("layer (-want +got):\n%s", diff)
	}
	var config struct {
		OS     string
		Config struct{ Entrypoint, Cmd []string }
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal([]byte(found[list[0].Config]), &config); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(layer))
	got := append([]string{config.OS, list[0].RepoTags[0], config.RootFS.DiffIDs[0]}, append(config.Config.Entrypoint, config.Config.Cmd...)...)
	want := []string{"linux", "docker.io/lab/box:1", "sha256:" + hex.EncodeToString(sum[:]), "/box", "pause"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
}

func TestAnImageHoldsAllFilesOfATreeWithTheirModes(t *testing.T) {
	dir := t.TempDir()
	for path, mode := range map[string]fs.FileMode{"usr/sbin/keepalived": 0o755, "lib64/libc.so.6": 0o644} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(path), mode); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := image.ReadTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree = append(tree, image.File{Path: "lib", Link: "usr/lib"})
	var archive bytes.Buffer
	if err := image.Write(&archive, image.Image{Tag: "docker.io/lab/keepalived:1", Name: "usr/sbin/keepalived", Files: tree, User: "0"}); err != nil {
		t.Fatal(err)
	}
	var layer string
	for name, text := range files(t, archive.Bytes()) {
		if strings.HasSuffix(name, ".tar.gz") {
			layer = unpack(t, text)
		}
		if strings.HasPrefix(text, `{"architecture"`) && !strings.Contains(text, `"User":"0"`) {
			t.Errorf("the image's configuration names no user 0: %s", text)
		}
	}
	got := map[string]fs.FileMode{}
	for r := tar.NewReader(strings.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = h.FileInfo().Mode()
	}
	want := map[string]fs.FileMode{"lib64/libc.so.6": 0o644, "usr/sbin/keepalived": 0o755, "lib": fs.ModeSymlink | 0o777}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("layer (-want +got):\n%s", diff)
	}
}
