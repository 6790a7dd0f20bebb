package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModulesAreFoundByNameWithWhatTheyNeed(t *testing.T) {
	got := parseDependencies(`kernel/fs/overlayfs/overlay.ko:
kernel/drivers/net/ipvlan/ipvlan.ko: kernel/net/l3mdev/l3mdev.ko kernel/net/ipv6/ipv6.ko
kernel/net/netfilter/nf-conntrack.ko: kernel/lib/libcrc32c.ko

not a dependency
`)
	want := map[string][]string{
		"overlay":      {"kernel/fs/overlayfs/overlay.ko"},
		"ipvlan":       {"kernel/drivers/net/ipvlan/ipvlan.ko", "kernel/net/l3mdev/l3mdev.ko", "kernel/net/ipv6/ipv6.ko"},
		"nf_conntrack": {"kernel/net/netfilter/nf-conntrack.ko", "kernel/lib/libcrc32c.ko"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
