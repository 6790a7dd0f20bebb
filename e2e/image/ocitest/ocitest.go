// Package ocitest writes small OCI archives, for tests.
package ocitest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// Archive is what is written.
type Archive struct {
	Config oci.Config
	Files  []oci.File
	Nested bool // the index is below another one, as BuildKit's
	Damage bool // the layer is not what its digest says
}

// Write writes the archive to a file and returns its path.
func (a Archive) Write(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	add := func(name string, content []byte) {
		put(t, archive, &tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg}, content)
	}
	blob := func(mediaType string, content []byte) any {
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		if a.Damage && mediaType == "layer" {
			content = append(content, 0)
		}
		add("blobs/sha256/"+digest, content)
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + digest}
	}
	config := blob("config", encode(t, a.Config))
	layer := blob("layer", a.layer(t))
	top := blob("manifest", encode(t, map[string]any{"config": config, "layers": []any{layer}}))
	if a.Nested {
		top = blob("application/vnd.oci.image.index.v1+json", encode(t, map[string]any{"manifests": []any{top}}))
	}
	add("index.json", encode(t, map[string]any{"manifests": []any{top}}))
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (a Archive) layer(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	layer := tar.NewWriter(zip)
	for _, f := range a.Files {
		header, err := tar.FileInfoHeader(info{f}, "")
		if err != nil {
			t.Fatal(err)
		}
		header.Name, header.Uid, header.Gid = f.Path, f.UID, f.GID
		put(t, layer, header, f.Content)
	}
	if err := layer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t *testing.T, to *tar.Writer, header *tar.Header, content []byte) {
	t.Helper()
	header.Size = int64(len(content))
	if err := to.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(content); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
