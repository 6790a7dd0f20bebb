package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// maxFile keeps a damaged archive from filling the memory.
const maxFile = 256 << 20

// pack writes files as a compressed tar archive that depends on nothing but
// their paths, modes and contents, and the time.
func pack(files []oci.File, modified time.Time) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(writeTar(compressed, files, modified), compressed.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeTar writes files in their order.
func writeTar(out io.Writer, files []oci.File, modified time.Time) error {
	archive := tar.NewWriter(out)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.Path, Mode: int64(f.Mode.Perm()), Size: int64(len(f.Content)),
			ModTime: modified, Format: tar.FormatUSTAR,
		}
		if f.Mode.IsDir() {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if _, err := archive.Write(f.Content); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return archive.Close()
}

// retime writes an OCI archive again, whose own entries bear the time at which
// it was written; what is in the image does not change.
func retime(data []byte, modified time.Time) ([]byte, error) {
	files, err := readTar(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b oci.File) int { return strings.Compare(a.Path, b.Path) })
	var out bytes.Buffer
	err = writeTar(&out, files, modified)
	return out.Bytes(), err
}

// unpack reads what pack or helm wrote, in its order.
func unpack(data []byte) ([]oci.File, error) {
	compressed, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return readTar(compressed)
}

// readTar reads directories and regular files.
func readTar(in io.Reader) ([]oci.File, error) {
	var files []oci.File
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(archive, maxFile))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
		mode := header.FileInfo().Mode() & (fs.ModePerm | fs.ModeDir)
		files = append(files, oci.File{Path: header.Name, Mode: mode, Modified: header.ModTime, Content: content})
	}
}
