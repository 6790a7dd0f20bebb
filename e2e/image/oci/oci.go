// Package oci reads OCI image archives: tar files of an image layout
// (github.com/opencontainers/image-spec, image-layout.md) that holds one image.
package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// maxEntry keeps a damaged archive from filling the memory.
const maxEntry = 256 << 20

// Image is one image for one platform.
type Image struct {
	Digest     string // of the manifest, "sha256:..."
	Compressed int64  // bytes of all layers as a registry keeps and a node pulls them
	Config     Config
	Files      []File // of all layers, sorted by path
}

// Config is what the image's configuration says, as far as it is judged here.
type Config struct {
	Created      time.Time `json:"created"`
	OS           string    `json:"os"`
	Architecture string    `json:"architecture"`
	Config       struct {
		User       string              `json:"User"`
		Entrypoint []string            `json:"Entrypoint"`
		Cmd        []string            `json:"Cmd"`
		Volumes    map[string]struct{} `json:"Volumes"`
		Labels     map[string]string   `json:"Labels"`
	} `json:"config"`
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

// descriptor points to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// index is a list of images, and manifest what one image is made of.
type index struct {
	Manifests []descriptor `json:"manifests"`
}

type manifest struct {
	Config descriptor   `json:"config"`
	Layers []descriptor `json:"layers"`
}

// layout is the files of an archive by name.
type layout map[string][]byte

// Read reads the archive in file. Blobs that do not have the digest by which
// they are named are errors.
func Read(file string) (*Image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := layout{}
	err = entries(f, func(header *tar.Header, content []byte) {
		files[path.Clean(header.Name)] = content
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	image, err := files.image()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return image, nil
}

// image follows the index to the one image.
func (l layout) image() (*Image, error) {
	top, err := l.manifest()
	if err != nil {
		return nil, err
	}
	image := &Image{Digest: top.Digest}
	var parts manifest
	if err := l.decode(top, &parts); err != nil {
		return nil, err
	}
	if err := l.decode(parts.Config, &image.Config); err != nil {
		return nil, err
	}
	for _, layer := range parts.Layers {
		if err := l.layer(layer, image); err != nil {
			return nil, fmt.Errorf("layer %s: %w", layer.Digest, err)
		}
	}
	slices.SortFunc(image.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return image, nil
}

// manifest finds the one manifest, which BuildKit puts below a second index.
func (l layout) manifest() (descriptor, error) {
	var list index
	if err := json.Unmarshal(l["index.json"], &list); err != nil {
		return descriptor{}, fmt.Errorf("index.json: %w", err)
	}
	for {
		if len(list.Manifests) != 1 {
			return descriptor{}, fmt.Errorf("it holds %d images, want one", len(list.Manifests))
		}
		only := list.Manifests[0]
		if !strings.Contains(only.MediaType, "index") {
			return only, nil
		}
		list = index{}
		if err := l.decode(only, &list); err != nil {
			return descriptor{}, err
		}
	}
}

// layer adds the files of a layer.
func (l layout) layer(d descriptor, image *Image) error {
	blob, err := l.blob(d)
	if err != nil {
		return err
	}
	image.Compressed += int64(len(blob))
	plain, err := gzip.NewReader(bytes.NewReader(blob))
	if err != nil {
		return fmt.Errorf("%s is not gzip: %w", d.MediaType, err)
	}
	return entries(plain, func(header *tar.Header, content []byte) {
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if name == "" {
			return // the root itself
		}
		image.Files = append(image.Files, File{
			Path: name, Mode: header.FileInfo().Mode(), UID: header.Uid, GID: header.Gid,
			Modified: header.ModTime, Content: content,
		})
	})
}

func (l layout) decode(d descriptor, into any) error {
	blob, err := l.blob(d)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(blob, into); err != nil {
		return fmt.Errorf("%s: %w", d.Digest, err)
	}
	return nil
}

// blob returns what has the digest.
func (l layout) blob(d descriptor) ([]byte, error) {
	name, ok := strings.CutPrefix(d.Digest, "sha256:")
	if !ok {
		return nil, fmt.Errorf("digest %q: want sha256", d.Digest)
	}
	blob, ok := l["blobs/sha256/"+name]
	if !ok {
		return nil, fmt.Errorf("%s is missing", d.Digest)
	}
	if sum := sha256.Sum256(blob); hex.EncodeToString(sum[:]) != name {
		return nil, fmt.Errorf("%s is damaged", d.Digest)
	}
	return blob, nil
}

// entries calls visit for each entry of a tar file.
func entries(r io.Reader, visit func(*tar.Header, []byte)) error {
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
		visit(header, content)
	}
}
