package guest_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

func TestAWorkerReadsWhatTheLabWrote(t *testing.T) {
	want := guest.Config{
		Name: "worker-1", Modules: "/modules", Load: []string{"ipvlan"}, Binds: map[string]string{"/lab/a": "/host/a"},
		Files: map[string]string{"/etc/hostname": "worker-1\n"}, Gateway: netip.MustParseAddr("10.10.12.1"),
		Interfaces: []guest.Interface{{Device: "vec0", Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.12.11/24")}}},
		Services:   []guest.Service{{Name: "kubelet", Args: []string{"/lab/bin/kubelet"}}},
	}
	path := filepath.Join(t.TempDir(), "worker-1.json")
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := guest.Read("mem=768M quiet " + guest.Argument + path + " vec0:transport=bess\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestAWorkerSaysWhatIsWrongWithItsConfiguration(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ line, want string }{
		"no argument":  {"quiet ro", "has no " + guest.Argument},
		"no such file": {guest.Argument + "/nowhere", "no such file"},
		"no JSON":      {guest.Argument + broken, broken},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := guest.Read(c.line); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Read: %v, want %q", err, c.want)
			}
		})
	}
}
