// Package image writes images as docker save does, for containerd to import.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"runtime"
)

// Image is an image of one static program.
type Image struct {
	// Tag is its name with a version.
	Tag string
	// Name is the program's, at the image's root.
	Name    string
	Program []byte
	// Args are the default arguments.
	Args []string
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
	if err := add(inner, i.Name, i.Program, 0o755); err != nil {
		return entry{}, err
	}
	if err := inner.Close(); err != nil {
		return entry{}, err
	}
	digest := digestOf(layer.Bytes())
	text, err := json.Marshal(config{
		Architecture: runtime.GOARCH, OS: "linux",
		Config: map[string]any{"Entrypoint": []string{"/" + i.Name}, "Cmd": i.Args, "User": "65532"},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{"sha256:" + digest}},
	})
	if err != nil {
		return entry{}, err
	}
	e := entry{Config: digestOf(text) + ".json", RepoTags: []string{i.Tag}, Layers: []string{digest + ".tar"}}
	if err := add(archive, e.Layers[0], layer.Bytes(), 0o644); err != nil {
		return entry{}, err
	}
	return e, add(archive, e.Config, text, 0o644)
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func add(archive *tar.Writer, name string, content []byte, mode int64) error {
	h := &tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}
