// Command release builds everything that a release publishes, on this machine
// and with no registry, and leaves in dist/release
//
//	multus-ipmgr_VERSION_linux_ARCH.tar.gz   all programs
//	kubectl-ipmgr_VERSION_OS_ARCH.tar.gz     the plugin of kubectl
//	NAME_VERSION_linux_ARCH.oci.tar          the images, as OCI archives
//	nodegroup-linux-ARCH.zip                 the function for AWS Lambda
//	nodegroup-VERSION.yaml                   the CloudFormation template that uses it
//	multus-ipmgr-VERSION.tgz                 the Helm chart
//	*.cdx.json                               a bill of materials for each archive and image
//	SHA256SUMS                               of all of them
//
// With --lambda it leaves only the function's archives, in dist/lambda.
//
// The same commit, version and Go give the same bytes. What comes out is
// judged: release fails if it breaks a promise of docs/images.md or docs/release.md.
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
)

// order is what is to be released.
type order struct {
	version  string
	commit   string
	epoch    time.Time // that every file in the archives is of
	arches   []string
	images   bool
	lambda   bool   // the function alone
	out      string // directory
	scratch  string // directory
	progress io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, output io.Writer) error {
	o, err := parse(arguments, output)
	if err != nil {
		return err
	}
	o.scratch, err = os.MkdirTemp("", "multus-ipmgr-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(o.scratch) }()
	// What an earlier run left would be released too.
	if err := os.RemoveAll(o.out); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o750); err != nil {
		return err
	}
	return o.all(ctx)
}

func parse(arguments []string, output io.Writer) (order, error) {
	o := order{progress: output}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	arches := flags.String("arches", "amd64,arm64", "`architectures` to build for")
	epoch := flags.Int64("epoch", 0, "`seconds` since 1970 that every time is (SOURCE_DATE_EPOCH)")
	flags.StringVar(&o.version, "version", "devel", "`version` to stamp")
	flags.StringVar(&o.commit, "commit", "unknown", "`commit` to stamp")
	flags.BoolVar(&o.images, "images", true, "build the images, which needs docker or buildah")
	flags.BoolVar(&o.lambda, "lambda", false, "build the function for AWS Lambda alone")
	flags.StringVar(&o.out, "out", "", "`directory` for the results; what is in it is removed (dist/release, or dist/lambda)")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	o.arches, o.epoch = strings.Split(*arches, ","), time.Unix(*epoch, 0).UTC()
	if o.out == "" {
		o.out = map[bool]string{false: "dist/release", true: "dist/lambda"}[o.lambda]
	}
	if strings.ContainsAny(o.version, "/ ") {
		return o, fmt.Errorf("version %q cannot be in a file's name", o.version)
	}
	return o, nil
}

// step is a part of the work.
type step struct {
	what string
	do   func(context.Context) error
}

// steps are those of the order. The programs come first: the images' are
// compared with them.
func (o order) steps() []step {
	if o.lambda {
		return []step{{"function", o.functions}, {"judgement", o.judgeFunctions}}
	}
	return []step{
		{"programs", o.programs},
		{"function", o.functions},
		{"template", o.template},
		{"chart", o.chart},
		{"images", o.buildImages},
		{"checksums", o.checksums},
		{"judgement", o.judge},
	}
}

// all makes and judges everything.
func (o order) all(ctx context.Context) error {
	for _, step := range o.steps() {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Fprintf(o.progress, "release: %s after %.0f s\n", step.what, time.Since(began).Seconds())
	}
	return nil
}

// path is where a result belongs.
func (o order) path(name string) string { return filepath.Join(o.out, name) }
