package main

import (
	"context"
	"errors"
	goversion "go/version"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/authorities"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

const epoch = 1_700_000_000

func testOrder() order {
	return order{version: "v1.2.3", commit: "abc", epoch: epoch, progress: io.Discard}
}

// good is an order, and an image as it wants it but for its program.
func good(t *testing.T) (order, *oci.Image) {
	t.Helper()
	o, ca := testOrder(), authority(t, "Amazon Root CA 1")
	o.trusted = []authorities.Authority{authorities.Of(ca.Cert)}
	image := &oci.Image{Compressed: 4_000_000}
	for path, content := range map[string][]byte{
		"ipmgr": []byte("text"), bundle: ca.PEM, "licenses/LICENSE": []byte("Apache"),
	} {
		image.Files = append(image.Files, oci.File{Path: path, Mode: 0o644, Modified: time.Unix(epoch, 0), Content: content})
	}
	image.Files = append(image.Files, oci.File{Path: "licenses", Mode: fs.ModeDir | 0o755, Modified: time.Unix(epoch, 0)})
	slices.SortFunc(image.Files, func(a, b oci.File) int { return strings.Compare(a.Path, b.Path) })
	c := &image.Config
	c.Created, c.OS, c.Architecture = v1.Time{Time: time.Unix(epoch, 0)}, "linux", "amd64"
	c.Config.User, c.Config.Entrypoint = "65532:65532", []string{"/ipmgr"}
	c.Config.Labels = map[string]string{}
	for name, value := range map[string]string{
		"version": "v1.2.3", "revision": "abc", "licenses": "Apache-2.0", "title": "T", "description": "D", "source": "S",
	} {
		c.Config.Labels["org.opencontainers.image."+name] = value
	}
	return o, image
}

func authority(t *testing.T, name string) *testca.CA {
	t.Helper()
	ca, err := testca.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// noProgram is what is wrong with a good image: its program is a text.
const noProgram = "/ipmgr: EOF"

func TestJudgeNamesEveryBrokenPromise(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(*oci.Image)
		want   string
	}{
		{"nothing but the program is wrong", func(*oci.Image) {}, ""},
		{"it runs as root", func(i *oci.Image) { i.Config.Config.User = "" }, "its user is , want 65532:65532"},
		{"it starts another program", func(i *oci.Image) { i.Config.Config.Entrypoint = []string{"sh"} }, "its entrypoint is [sh]"},
		{"it has arguments", func(i *oci.Image) { i.Config.Config.Cmd = []string{"init"} }, "its command is 1"},
		{"it is of another architecture", func(i *oci.Image) { i.Config.Architecture = "arm64" }, "its platform is linux/arm64"},
		{"it was made now", func(i *oci.Image) { i.Config.Created.Time = time.Unix(1, 0) }, "its time of creation is 1"},
		{"its version is another", func(i *oci.Image) { i.Config.Config.Labels["org.opencontainers.image.version"] = "v0" }, "its label version is v0"},
		{"it has no title", func(i *oci.Image) { delete(i.Config.Config.Labels, "org.opencontainers.image.title") }, "no label org.opencontainers.image.title"},
		{"it holds a shell", func(i *oci.Image) {
			i.Files = append(i.Files, oci.File{Path: "sh", Mode: 0o755, Modified: time.Unix(epoch, 0)})
		}, "its list of files is"},
		{"a file may be written by all", func(i *oci.Image) { i.Files[0].Mode = 0o666 }, "is -rw-rw-rw- of 0:0"},
		{"a file changes the user", func(i *oci.Image) { i.Files[0].Mode |= fs.ModeSetuid }, "is urw-r--r-- of 0:0"},
		{"a file is of now", func(i *oci.Image) { i.Files[0].Modified = time.Unix(1, 0) }, "not of SOURCE_DATE_EPOCH"},
		{"no authority vouches for AWS", func(i *oci.Image) { i.Files[0].Content = nil }, "holds no Amazon Root CA 1"},
		{"another authority is trusted", func(i *oci.Image) {
			i.Files[0].Content = append(i.Files[0].Content, authority(t, "Another").PEM...)
		}, "holds Another with the key"},
		{"it is too large", func(i *oci.Image) { i.Compressed = 5_000_001 }, "the bar is 5000000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, image := good(t)
			test.damage(image)
			got := strings.Split(o.judge("ipmgr", "amd64", image).Error(), "\n")
			got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, noProgram) })
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("judged %q, want %q", got, test.want)
			}
		})
	}
}

func TestOnlyTheInjectedImageTrustsNothingButAWS(t *testing.T) {
	o, image := good(t)
	image.Files[0].Content = append(image.Files[0].Content, authority(t, "Another").PEM...)
	for name, want := range map[string]bool{"webhook": true, "controller": true, "ipmgr": false} {
		if err := o.judgeBundle(name, image); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	image.Files[0].Content = authority(t, "Another").PEM
	if err := o.judgeBundle("controller", image); err == nil {
		t.Error("a controller that knows AWS by nobody passes")
	}
}

func TestOrderIsReadFromFlags(t *testing.T) {
	o, err := parse([]string{"--images=ipmgr", "--arches=arm64", "--version=v1", "--commit=c", "--epoch=7", "--builder=b", "--out=o"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"--target", "ipmgr", "--platform", "linux/arm64", "--build-arg", "VERSION=v1", "--build-arg", "COMMIT=c",
		"--build-arg", "SOURCE_DATE_EPOCH=7", "--build-arg", "BUILDER=b",
	}
	if diff := cmp.Diff(want, o.arguments(o.names[0], o.arches[0])); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(authorities.AWS(), o.trusted); diff != "" {
		t.Errorf("trusted authorities (-want +got):\n%s", diff)
	}
}

func TestBuilderHasMozillasAuthoritiesInOrder(t *testing.T) {
	root := t.TempDir()
	if _, err := mozillas(root); err == nil {
		t.Error("a root without authorities is accepted")
	}
	dir := filepath.Join(root, "usr/share/ca-certificates/mozilla")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(filepath.Join(root, "bin"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"B.crt": "b\n", "A.crt": "a", "notes.txt": "n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := furnish(root); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, builderBundle))
	if err != nil || string(got) != "a\nb\n" {
		t.Errorf("bundle %q, error %v", got, err)
	}
	if link, err := os.Readlink(filepath.Join(root, "bin/sh")); err != nil || link != "busybox" {
		t.Errorf("the shell is %q, error %v", link, err)
	}
}

// broken is an engine that builds nothing of use.
type broken struct{ file string }

func (broken) String() string              { return "broken" }
func (broken) close(context.Context) error { return nil }
func (b broken) build(_ context.Context, _, _, file string) error {
	return os.WriteFile(file, []byte(b.file), 0o600)
}

func TestAnImageThatIsNoneIsNamed(t *testing.T) {
	o := testOrder()
	o.names, o.arches, o.out = []string{"ipmgr"}, []string{"arm64"}, t.TempDir()
	err := o.all(t.Context(), broken{"text"})
	if err == nil || !strings.HasPrefix(err.Error(), "ipmgr for arm64: ") {
		t.Errorf("error %v", err)
	}
}

func TestBuilderOfTheDockerfileHasTheGoThatTheModuleWants(t *testing.T) {
	find := func(file, pattern string) string {
		data, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(data)
		if found == nil {
			t.Fatalf("%s has no line like %s", file, pattern)
		}
		return "go" + string(found[1])
	}
	has, wants := find("Dockerfile", `(?m)^FROM \S+ golang:([0-9.]+)-`), find("go.mod", `(?m)^go (\S+)$`)
	if goversion.Compare(has, wants) < 0 {
		t.Errorf("the builder has %s, go.mod wants %s", has, wants)
	}
}
