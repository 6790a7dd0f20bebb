package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/authorities"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// bundle is a file that crypto/x509 reads, outside the directories that it reads
// besides: in one of those it would be parsed twice.
const bundle = "etc/ssl/cert.pem"

// bars are the compressed sizes, in bytes, that images must not exceed.
var bars = map[string]int64{"ipmgr": 5_000_000}

// machines are the ELF machines of Go's architectures.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// judge holds an image against what the project promises of it, and reports
// all that is wrong.
func (o order) judge(name, arch string, image *oci.Image) error {
	wrong := []error{
		differs("platform", image.Config.OS+"/"+image.Config.Architecture, "linux/"+arch),
		differs("time of creation", image.Config.Created.Unix(), o.epoch),
		differs("user", image.Config.Config.User, "65532:65532"),
		differs("entrypoint", image.Config.Config.Entrypoint, []string{"/" + name}),
		differs("command", len(image.Config.Config.Cmd), 0),
		differs("volumes", len(image.Config.Config.Volumes), 0),
		o.judgeLabels(image.Config.Config.Labels),
		o.judgeFiles(name, image),
		judgeProgram(name, arch, image),
		o.judgeBundle(name, image),
	}
	if bar, ok := bars[name]; ok && image.Compressed > bar {
		wrong = append(wrong, fmt.Errorf("compressed it has %d bytes, the bar is %d", image.Compressed, bar))
	}
	return errors.Join(wrong...)
}

func differs[T any](what string, got, want T) error {
	if cmp.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("its %s is %v, want %v", what, got, want)
}

func (o order) judgeLabels(labels map[string]string) error {
	const at = "org.opencontainers.image."
	wrong := []error{
		differs("label version", labels[at+"version"], o.version),
		differs("label revision", labels[at+"revision"], o.commit),
		differs("label licenses", labels[at+"licenses"], "Apache-2.0"),
	}
	for _, name := range []string{"title", "description", "source"} {
		if labels[at+name] == "" {
			wrong = append(wrong, fmt.Errorf("it has no label %s", at+name))
		}
	}
	return errors.Join(wrong...)
}

// judgeFiles wants the program, the authorities and the licence, and nothing
// else: no shell above all.
func (o order) judgeFiles(name string, image *oci.Image) error {
	var regular []string
	var wrong []error
	for _, f := range image.Files {
		if f.Mode.IsRegular() {
			regular = append(regular, f.Path)
		}
		if f.Mode&^(fs.ModeDir|0o755) != 0 || f.UID != 0 || f.GID != 0 { // a link, setuid, writable
			wrong = append(wrong, fmt.Errorf("/%s is %v of %d:%d", f.Path, f.Mode, f.UID, f.GID))
		}
		if f.Modified.Unix() != o.epoch {
			wrong = append(wrong, fmt.Errorf("/%s is of %s, not of SOURCE_DATE_EPOCH", f.Path, f.Modified.UTC().Format(time.RFC3339)))
		}
	}
	want := []string{name, bundle, "licenses/LICENSE"}
	slices.Sort(want)
	return errors.Join(append(wrong, differs("list of files", regular, want))...)
}

// judgeProgram wants a static program of this repository for the architecture.
func judgeProgram(name, arch string, image *oci.Image) error {
	file, err := image.Open(name)
	if err != nil {
		return err
	}
	program, err := elf.NewFile(bytes.NewReader(file.Content))
	if err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	info, err := buildinfo.Read(bytes.NewReader(file.Content))
	if err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	interpreted := slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	return errors.Join(
		differs("machine", program.Machine, machines[arch]),
		differs("need of a dynamic loader", interpreted, false),
		differs("main package", info.Path, info.Main.Path+"/cmd/"+name),
		differs("mode of the program", file.Mode.Perm(), 0o755),
	)
}

// judgeBundle wants the authorities by which AWS's endpoints are known, and no
// others in the image that is injected into pods.
func (o order) judgeBundle(name string, image *oci.Image) error {
	file, err := image.Open(bundle)
	if err != nil {
		return err
	}
	if err := authorities.Judge(file.Content, o.trusted, name != "ipmgr"); err != nil {
		return fmt.Errorf("/%s: %w", bundle, err)
	}
	return nil
}
