// Command image builds the images of the Dockerfile, judges them, and writes
// for each and for every architecture
//
//	dist/images/NAME-ARCH.tar       an OCI archive
//	dist/images/NAME-ARCH.cdx.json  its bill of materials (CycloneDX)
//
// It uses docker where a daemon answers, and else buildah, which needs no
// daemon and here no registry either: it makes the builder image of Debian
// packages and this machine's Go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/authorities"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/sbom"
)

// order is what is to be built.
type order struct {
	names    []string // of images, programs and the Dockerfile's targets
	arches   []string
	version  string
	commit   string
	epoch    int64  // SOURCE_DATE_EPOCH
	builder  string // empty: the Dockerfile's
	out      string
	trusted  []authorities.Authority // in every image, and alone in that of ipmgr
	progress io.Writer
}

// engine builds images.
type engine interface {
	fmt.Stringer
	// build leaves the OCI archive of an image in file.
	build(ctx context.Context, name, arch, file string) error
	// close removes what the engine needed.
	close(ctx context.Context) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, output io.Writer) error {
	o, err := parse(arguments, output)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o750); err != nil {
		return err
	}
	e, err := choose(ctx, o)
	if err != nil {
		return err
	}
	err = o.all(ctx, e)
	if closing := e.close(ctx); err == nil {
		err = closing
	}
	return err
}

func parse(arguments []string, output io.Writer) (order, error) {
	o := order{trusted: authorities.AWS(), progress: output}
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	names := flags.String("images", "webhook,ipmgr,controller", "`names` of the images to build")
	arches := flags.String("arches", "amd64,arm64", "`architectures` to build them for")
	flags.StringVar(&o.version, "version", "devel", "`version` to stamp")
	flags.StringVar(&o.commit, "commit", "unknown", "`commit` to label")
	flags.Int64Var(&o.epoch, "epoch", 0, "`seconds` since 1970 that every time in the images is (SOURCE_DATE_EPOCH)")
	flags.StringVar(&o.builder, "builder", "", "`image` to compile in, instead of the Dockerfile's")
	flags.StringVar(&o.out, "out", "dist/images", "`directory` for the archives")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	o.names, o.arches = strings.Split(*names, ","), strings.Split(*arches, ",")
	return o, nil
}

// all builds, judges and describes every image.
func (o order) all(ctx context.Context, e engine) error {
	for _, arch := range o.arches {
		for _, name := range o.names {
			if err := o.one(ctx, e, name, arch); err != nil {
				return fmt.Errorf("%s for %s: %w", name, arch, err)
			}
		}
	}
	return nil
}

func (o order) one(ctx context.Context, e engine, name, arch string) error {
	began := time.Now()
	base := filepath.Join(o.out, name+"-"+arch)
	fmt.Fprintf(o.progress, "image: %s linux/%s %s, with %s\n", name, arch, o.version, e)
	if err := e.build(ctx, name, arch, base+".tar"); err != nil {
		return err
	}
	image, err := oci.Read(base + ".tar")
	if err != nil {
		return err
	}
	if err := o.judge(name, arch, image); err != nil {
		return fmt.Errorf("the image is not as promised:\n%w", err)
	}
	document, err := sbom.Describe(name, image)
	if err != nil {
		return err
	}
	data, err := document.JSON()
	if err != nil {
		return err
	}
	if err := os.WriteFile(base+".cdx.json", data, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(o.progress, "image: %s.tar: %.2f MB compressed, %d modules, %s, after %.0f s\n", base,
		float64(image.Compressed)/1e6, document.Modules(), image.Digest, time.Since(began).Seconds())
	return nil
}
