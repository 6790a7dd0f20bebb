package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// buildImages has e2e/image build and judge the images, and gives them the
// names of the release.
func (o order) buildImages(ctx context.Context) error {
	if !o.images {
		return nil
	}
	dir := filepath.Join(o.scratch, "images")
	said, err := command(ctx, nil, "go", "run", "./e2e/image", "--version", o.version, "--commit", o.commit,
		"--epoch", strconv.FormatInt(o.epoch.Unix(), 10), "--arches", strings.Join(o.arches, ","), "--out", dir)
	if err != nil {
		return err
	}
	fmt.Fprint(o.progress, said)
	for _, arch := range o.arches {
		for _, name := range served {
			from, to := filepath.Join(dir, name+"-"+arch), o.path(o.base(name, platform{"linux", arch}))
			if err := errors.Join(o.archive(from+".tar", to+".oci.tar"), move(from+".cdx.json", to+".cdx.json")); err != nil {
				return err
			}
		}
	}
	return nil
}

// archive copies an OCI archive, all of whose times become the commit's.
func (o order) archive(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	data, err = retime(data, o.epoch)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, data, 0o600)
}

// move copies, as the scratch directory may be on another file system.
func move(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// judgeImages wants the programs of the images to be those of the archives,
// byte for byte: a check of one is a check of the other.
func (o order) judgeImages() error {
	if !o.images {
		return nil
	}
	for _, arch := range o.arches {
		for _, name := range served {
			image, err := oci.Read(o.path(o.base(name, platform{"linux", arch}) + ".oci.tar"))
			if err != nil {
				return err
			}
			inside, err := image.Open(name)
			if err != nil {
				return err
			}
			outside, err := os.ReadFile(filepath.Join(o.scratch, "linux", arch, name))
			if err != nil {
				return err
			}
			if !bytes.Equal(inside.Content, outside) {
				return fmt.Errorf("the program in the image of %s for %s is not the one in the archive: is Go's version in the Dockerfile the one on this machine?", name, arch)
			}
		}
	}
	return nil
}
