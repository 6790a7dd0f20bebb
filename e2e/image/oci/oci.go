// Package oci reads OCI image archives: tar files of an image layout
// (github.com/opencontainers/image-spec, image-layout.md) that holds one image.
package oci

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// maxEntry keeps a damaged archive from filling the memory.
const maxEntry = 256 << 20

// Image is one image for one platform.
type Image struct {
	Digest     string // of the manifest, "sha256:..."
	Compressed int64  // bytes of all layers as a registry keeps and a node pulls them
	Config     v1.ConfigFile
	Files      []File // of all layers, sorted by path
}

// File is an entry of a layer.
type File struct {
	Path     string // without a leading slash
	Mode     fs.FileMode
	UID, GID int
	Modified time.Time
	Content  []byte // of regular files
}

// Open returns the file at path, without a leading slash.
func (i *Image) Open(path string) (File, error) {
	at := slices.IndexFunc(i.Files, func(f File) bool { return f.Path == path })
	if at < 0 {
		return File{}, fmt.Errorf("the image holds no /%s", path)
	}
	return i.Files[at], nil
}

// Read reads the archive in file. Blobs that do not have the digest by which
// they are named are errors.
func Read(file string) (*Image, error) {
	image, err := readArchive(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return image, nil
}

func readArchive(file string) (_ *Image, err error) {
	dir, err := os.MkdirTemp("", "oci-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := unpack(file, dir); err != nil {
		return nil, err
	}
	top, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	one, err := only(top)
	if err != nil {
		return nil, err
	}
	if err := validate.Image(one); err != nil {
		return nil, fmt.Errorf("the image is damaged: %w", err)
	}
	return read(one)
}

// unpack unpacks an archive into a directory, for the library reads layouts of
// files.
func unpack(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return entries(f, func(header *tar.Header, content []byte) error {
		if header.Typeflag != tar.TypeReg {
			return nil
		}
		name := path.Clean(header.Name)
		return errors.Join(root.MkdirAll(path.Dir(name), 0o700), root.WriteFile(name, content, 0o600))
	})
}

// only returns the one image, which BuildKit puts below a second index.
func only(list v1.ImageIndex) (v1.Image, error) {
	for {
		manifest, err := list.IndexManifest()
		if err != nil {
			return nil, err
		}
		if len(manifest.Manifests) != 1 {
			return nil, fmt.Errorf("it holds %d images, want one", len(manifest.Manifests))
		}
		entry := manifest.Manifests[0]
		if !entry.MediaType.IsIndex() {
			return list.Image(entry.Digest)
		}
		if list, err = list.ImageIndex(entry.Digest); err != nil {
			return nil, err
		}
	}
}

func read(from v1.Image) (*Image, error) {
	digest, errDigest := from.Digest()
	config, errConfig := from.ConfigFile()
	layers, errLayers := from.Layers()
	if err := errors.Join(errDigest, errConfig, errLayers); err != nil {
		return nil, err
	}
	image := &Image{Digest: digest.String(), Config: *config}
	for _, layer := range layers {
		if err := image.add(layer); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(image.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return image, nil
}

// add adds the files of a layer.
func (i *Image) add(layer v1.Layer) error {
	size, err := layer.Size()
	if err != nil {
		return err
	}
	i.Compressed += size
	plain, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer plain.Close()
	return entries(plain, func(header *tar.Header, content []byte) error {
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if name == "" {
			return nil // the root itself
		}
		i.Files = append(i.Files, File{
			Path: name, Mode: header.FileInfo().Mode(), UID: header.Uid, GID: header.Gid,
			Modified: header.ModTime, Content: content,
		})
		return nil
	})
}

// entries calls visit for each entry of a tar file.
func entries(r io.Reader, visit func(*tar.Header, []byte) error) error {
	reader := tar.NewReader(r)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Size > maxEntry {
			return fmt.Errorf("%s is larger than %d bytes", header.Name, maxEntry)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
		if err := visit(header, content); err != nil {
			return err
		}
	}
}
