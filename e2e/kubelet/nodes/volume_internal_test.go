package nodes

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVolumeSwapsAllFilesAtOnceAndKeepsNoOldOnes(t *testing.T) {
	v := &volume{dir: filepath.Join(t.TempDir(), "tls")}
	for _, content := range []string{"1", "2", "2"} {
		if err := v.write(map[string][]byte{"tls.crt": []byte(content), "tls.key": []byte(content)}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tls.crt", "tls.key"} {
			if got, err := os.ReadFile(filepath.Join(v.dir, name)); err != nil || string(got) != content {
				t.Errorf("%s: %q, %v; want %q", name, got, err, content)
			}
		}
		entries, err := os.ReadDir(v.dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains([]string{"tls.crt", "tls.key", data}, name) })
		version, err := os.Readlink(filepath.Join(v.dir, data))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{version}, names); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}
	}
}

func TestPodsAreReachedByLoopback(t *testing.T) {
	for address, want := range map[string]string{"10.244.1.7:9443": "127.2.1.7:9443", "10.96.0.1:443": "10.96.0.1:443"} {
		if got := Loopback(netip.MustParseAddrPort(address)).String(); got != want {
			t.Errorf("%s is reached at %s, want %s", address, got, want)
		}
	}
}
