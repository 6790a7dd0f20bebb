package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/sbom"
)

const (
	// function is the program that AWS Lambda runs, under the name that its
	// runtime wants.
	function  = "nodegroup"
	bootstrap = "bootstrap"
	// maxZip is what a function may weigh.
	maxZip = 8 << 20
)

// zipBase is the name of a function's archive without its ending. It has no
// version: people upload it under a key of their own.
func zipBase(arch string) string { return function + "-linux-" + arch }

// functions writes the archive of the function for each architecture, with its
// bill.
func (o order) functions(ctx context.Context) error {
	for _, arch := range o.arches {
		content, err := o.compile(ctx, function, platform{"linux", arch})
		if err != nil {
			return err
		}
		files := []oci.File{{Path: bootstrap, Mode: 0o755, Content: content}}
		data, err := zipped(files, o.epoch)
		if err != nil {
			return err
		}
		base := zipBase(arch)
		document, err := sbom.Archive(base+".zip", o.version, o.epoch, files)
		if err != nil {
			return err
		}
		bill, err := document.JSON()
		if err != nil {
			return err
		}
		err = errors.Join(os.WriteFile(o.path(base+".cdx.json"), bill, 0o600), os.WriteFile(o.path(base+".zip"), data, 0o600))
		if err != nil {
			return err
		}
		fmt.Fprintf(o.progress, "release: %s has %.1f MB\n", o.path(base+".zip"), float64(len(data))/(1<<20))
	}
	return nil
}

// templateName is that of the CloudFormation template of this version.
func (o order) templateName() string { return function + "-" + o.version + ".yaml" }

// template copies the template that runs the function.
func (o order) template(context.Context) error {
	data, err := os.ReadFile("config/nodegroup/template.yaml")
	if err != nil {
		return err
	}
	return os.WriteFile(o.path(o.templateName()), data, 0o600)
}

// zipped writes files as a zip archive that depends on nothing but their
// paths, modes and contents, and the time. It cannot be before 1980.
func zipped(files []oci.File, modified time.Time) ([]byte, error) {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	if first := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC); modified.Before(first) {
		modified = first
	}
	for _, f := range files {
		header := &zip.FileHeader{Name: f.Path, Method: zip.Deflate, Modified: modified.UTC()}
		header.SetMode(f.Mode.Perm())
		w, err := archive.CreateHeader(header)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	err := archive.Close()
	return out.Bytes(), err
}

// judgeFunctions holds the archives against what Lambda wants of them, and runs
// the program if it is for this machine.
func (o order) judgeFunctions(ctx context.Context) error {
	for _, arch := range o.arches {
		name := o.path(zipBase(arch) + ".zip")
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		program, err := unzipped(data, arch)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if arch != runtime.GOARCH || runtime.GOOS != "linux" {
			continue
		}
		file := filepath.Join(o.scratch, bootstrap)
		if err := os.WriteFile(file, program, 0o700); err != nil { //nolint:gosec // it is run
			return err
		}
		if err := o.judgeVersion(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// unzipped returns the program of a function's archive, if Lambda can run it on
// an architecture.
func unzipped(data []byte, arch string) ([]byte, error) {
	if len(data) > maxZip {
		return nil, fmt.Errorf("%d bytes; want at most %d", len(data), maxZip)
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	if len(archive.File) != 1 || archive.File[0].Name != bootstrap || archive.File[0].Mode() != 0o755 {
		return nil, fmt.Errorf("want one file %s that everybody may run", bootstrap)
	}
	file, err := archive.Open(bootstrap)
	if err != nil {
		return nil, err
	}
	program, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	return program, static(program, arch)
}

// static wants a program for Linux on an architecture that needs no libraries.
func static(program []byte, arch string) error {
	parsed, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	interpreted := slices.ContainsFunc(parsed.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if parsed.Machine != machine || interpreted {
		return fmt.Errorf("%s is for %v, want a static program for %s", bootstrap, parsed.Machine, arch)
	}
	return nil
}
