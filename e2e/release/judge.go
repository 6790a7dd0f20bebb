package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const sumsFile = "SHA256SUMS"

// checksums writes SHA256SUMS as "sha256sum --check" reads it.
func (o order) checksums(context.Context) error {
	text, err := sums(o.out)
	if err != nil {
		return err
	}
	return os.WriteFile(o.path(sumsFile), []byte(text), 0o600)
}

// sums lists the checksums of all results in the order of their names.
func sums(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	var text strings.Builder
	for _, file := range files {
		if filepath.Base(file) == sumsFile {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(data), filepath.Base(file))
	}
	return text.String(), nil
}

// judge holds the results against what is promised of them.
func (o order) judge(ctx context.Context) error {
	return errors.Join(o.judgePrograms(ctx), o.judgeFunctions(ctx), o.judgeChart(ctx), o.judgeImages(), o.judgeNames())
}

// judgePrograms runs each program of this machine's platform and reads what it
// says of itself.
func (o order) judgePrograms(ctx context.Context) error {
	if !slices.Contains(o.arches, runtime.GOARCH) || runtime.GOOS != "linux" {
		fmt.Fprintf(o.progress, "release: no program is for %s/%s, so none was run\n", runtime.GOOS, runtime.GOARCH)
		return nil
	}
	for _, name := range append([]string{"kubectl-ipmgr", function}, served...) {
		if err := o.judgeVersion(ctx, filepath.Join(o.scratch, "linux", runtime.GOARCH, name)); err != nil {
			return err
		}
	}
	return nil
}

// judgeVersion has a program say what it is.
func (o order) judgeVersion(ctx context.Context, program string) error {
	said, err := command(ctx, nil, program, "--version")
	if err != nil {
		return err
	}
	if want := o.version + " (commit " + o.commit + ", "; !strings.HasPrefix(said, want) {
		return fmt.Errorf("%s says that it is %q, want %q", filepath.Base(program), said, want)
	}
	return nil
}

// judgeNames wants no result to be missing.
func (o order) judgeNames() error {
	want := []string{sumsFile, "multus-ipmgr-" + chartVersion(o.version) + ".tgz", o.templateName()}
	for _, b := range o.bundles() {
		want = append(want, o.base(b.name, b.platform)+".tar.gz", o.base(b.name, b.platform)+".cdx.json")
	}
	for _, arch := range o.arches {
		want = append(want, zipBase(arch)+".zip", zipBase(arch)+".cdx.json")
		for _, name := range served {
			if base := o.base(name, platform{"linux", arch}); o.images {
				want = append(want, base+".oci.tar", base+".cdx.json")
			}
		}
	}
	for _, name := range want {
		if info, err := os.Stat(o.path(name)); err != nil || info.Size() == 0 {
			return fmt.Errorf("%s is missing or empty", o.path(name))
		}
	}
	return nil
}
