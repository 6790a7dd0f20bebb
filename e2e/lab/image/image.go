// Package image writes images as docker save does, for containerd to import.
package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// Image is an image that runs one program.
type Image struct {
	// Tag is its name with a version.
	Tag string
	// Name is the program's, as a path from the image's root.
	Name    string
	Program []byte
	// Files are what the program needs beside itself.
	Files []File
	// Args are the default arguments.
	Args []string
	// User runs the program. Default: 65532, who is not root.
	User string
}

// File is a file of an image.
type File struct {
	// Path is from the image's root, without a slash before it.
	Path    string
	Mode    fs.FileMode
	Content []byte
	// Link makes it a symbolic link to that path, without content and mode.
	Link string
}

// ReadTree reads all files below a directory, with their permissions.
func ReadTree(dir string) (files []File, err error) {
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(root, path)
		files = append(files, File{Path: path, Mode: info.Mode().Perm(), Content: content})
		return err
	})
	return files, err
}

// entry is one item of the list that is an archive's contents.
type entry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// config is what a runtime reads of an image.
type config struct {
	Architecture string         `json:"architecture"`
	OS           string         `json:"os"`
	Config       map[string]any `json:"config"`
	RootFS       rootFS         `json:"rootfs"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Write writes an archive of images.
func Write(w io.Writer, images ...Image) error {
	archive := tar.NewWriter(w)
	var list []entry
	for _, i := range images {
		e, err := i.write(archive)
		if err != nil {
			return err
		}
		list = append(list, e)
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := add(archive, "manifest.json", text, 0o644); err != nil {
		return err
	}
	return archive.Close()
}

// write adds the image's layer and configuration.
func (i Image) write(archive *tar.Writer) (entry, error) {
	var layer bytes.Buffer
	inner := tar.NewWriter(&layer)
	files := i.Files
	if i.Program != nil {
		files = append([]File{{Path: i.Name, Mode: 0o755, Content: i.Program}}, files...)
	}
	for _, f := range files {
		if err := f.add(inner); err != nil {
			return entry{}, err
		}
	}
	if err := inner.Close(); err != nil {
		return entry{}, err
	}
	// Workers keep layers in memory, packed as they came.
	packed, err := pack(layer.Bytes())
	if err != nil {
		return entry{}, err
	}
	text, err := json.Marshal(config{
		Architecture: runtime.GOARCH, OS: "linux",
		Config: map[string]any{"Entrypoint": []string{"/" + i.Name}, "Cmd": i.Args, "User": cmp.Or(i.User, "65532")},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{"sha256:" + digestOf(layer.Bytes())}},
	})
	if err != nil {
		return entry{}, err
	}
	e := entry{Config: digestOf(text) + ".json", RepoTags: []string{i.Tag}, Layers: []string{digestOf(packed) + ".tar.gz"}}
	if err := add(archive, e.Layers[0], packed, 0o644); err != nil {
		return entry{}, err
	}
	return e, add(archive, e.Config, text, 0o644)
}

// pack compresses as fast as may be: it is done at each start of a lab.
func pack(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func (f File) add(layer *tar.Writer) error {
	if f.Link != "" {
		return layer.WriteHeader(&tar.Header{Name: f.Path, Linkname: f.Link, Mode: 0o777, Typeflag: tar.TypeSymlink})
	}
	return add(layer, f.Path, f.Content, f.Mode)
}

func add(archive *tar.Writer, name string, content []byte, mode fs.FileMode) error {
	h := &tar.Header{Name: name, Mode: int64(mode), Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}
