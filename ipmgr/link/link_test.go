package link_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/link"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// patience is how long a test waits for the kernel.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	os.Exit(netlab.Run(func() int {
		code := m.Run()
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
		return code
	}))
}

const mac = "02:00:00:00:01:01"

func newLab(t *testing.T) *netlab.Lab {
	t.Helper()
	lab, err := netlab.New(netlab.Options{})
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return lab
}

// newPod makes a pod with eth0 and net1, which has the MAC mac.
func newPod(t *testing.T, lab *netlab.Lab, addrs ...string) *netlab.Pod {
	t.Helper()
	return podLike(t, lab, netlab.PodSpec{Nets: []netlab.Net{{Name: "net1", MAC: mac, Addrs: prefixes(addrs)}}})
}

func podLike(t *testing.T, lab *netlab.Lab, spec netlab.PodSpec) *netlab.Pod {
	t.Helper()
	spec.Name, spec.Eth0 = "pod-1", netip.MustParsePrefix("10.10.12.21/24")
	pod, err := lab.Pod(spec)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func prefixes(texts []string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// within runs f in the pod's namespace.
func within(t *testing.T, pod *netlab.Pod, f func() error) {
	t.Helper()
	if err := pod.Do(f); err != nil {
		t.Fatal(err)
	}
}

// list returns what Addresses says in the pod, as "interface address" texts.
func list(t *testing.T, pod *netlab.Pod, l *link.Links) []string {
	t.Helper()
	var found []string
	within(t, pod, func() error {
		addrs, err := l.Addresses(t.Context())
		for _, a := range addrs {
			found = append(found, a.Interface+" "+a.String())
		}
		return err
	})
	slices.Sort(found)
	return found
}

func standard() *link.Links { return link.New([]string{"lo", "eth0"}) }

func wantAddresses(t *testing.T, pod *netlab.Pod, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, list(t, pod, standard())); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestAddressesNameTheirInterfaceAndMAC(t *testing.T) {
	pod := newPod(t, newLab(t), "10.10.1.81/24")
	var got []plan.Address
	within(t, pod, func() (err error) {
		got, err = standard().Addresses(t.Context())
		return err
	})
	want := []plan.Address{{Addr: netip.MustParseAddr("10.10.1.81"), Interface: "net1", MAC: mac}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestAddressesLeaveOutExcludedLinksAndLoopback(t *testing.T) {
	pod := newPod(t, newLab(t), "10.10.1.81/24")
	tests := []struct {
		name    string
		exclude []string
		want    []string
	}{
		{"the default", []string{"lo", "eth0"}, []string{"net1 10.10.1.81"}},
		{"nothing excluded: loopback stays out", nil, []string{"eth0 10.10.12.21", "net1 10.10.1.81"}},
		{"everything excluded", []string{"eth0", "net1"}, nil},
		{"a link that does not exist", []string{"eth0", "net7"}, []string{"net1 10.10.1.81"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, list(t, pod, link.New(tt.exclude))); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAddressesOfAllKinds(t *testing.T) {
	tests := []struct {
		name  string
		addrs []string
		want  []string
	}{
		{"an IPv4 and an IPv6 address", []string{"10.10.1.81/24", "2600:1f13:0:1::81/64"}, []string{"net1 10.10.1.81", "net1 2600:1f13:0:1::81"}},
		{"a floating /32 and /128", []string{"10.10.1.90/32", "2600:1f13:0:1::90/128"}, []string{"net1 10.10.1.90", "net1 2600:1f13:0:1::90"}},
		{"two of one subnet, of which the kernel calls one secondary", []string{"10.10.1.81/24", "10.10.1.82/24"}, []string{"net1 10.10.1.81", "net1 10.10.1.82"}},
		{"link-local ones", []string{"fe80::7/64", "169.254.7.7/16"}, nil},
		{"a unique local one", []string{"fd00:10::81/64"}, []string{"net1 fd00:10::81"}},
		{"none", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantAddresses(t, newPod(t, newLab(t), tt.addrs...), tt.want...) })
	}
}

// addFlagged gives a link an address with kernel flags or another scope.
func addFlagged(t *testing.T, pod *netlab.Pod, name, prefix string, change func(*netlink.Addr)) {
	t.Helper()
	within(t, pod, func() error {
		to, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		change(addr)
		return netlink.AddrAdd(to, addr)
	})
}

func TestAddressesByFlagAndScope(t *testing.T) {
	tests := []struct {
		name   string
		prefix string
		change func(*netlink.Addr)
		want   []string
	}{
		{"link scope is for the link alone", "10.10.1.81/24", func(a *netlink.Addr) { a.Scope = unix.RT_SCOPE_LINK }, nil},
		{"host scope is for the host alone", "10.10.1.81/24", func(a *netlink.Addr) { a.Scope = unix.RT_SCOPE_HOST }, nil},
		{
			"deprecated, as keepalived marks IPv6 addresses", "2600:1f13:0:1::90/128",
			func(a *netlink.Addr) { a.Flags, a.PreferedLft, a.ValidLft = unix.IFA_F_NODAD, 0, 3600 },
			[]string{"net1 2600:1f13:0:1::90"},
		},
		{"that lasts an hour, as DHCP gives it", "10.10.1.81/24", func(a *netlink.Addr) { a.PreferedLft, a.ValidLft = 3600, 3600 }, []string{"net1 10.10.1.81"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := newPod(t, newLab(t))
			addFlagged(t, pod, "net1", tt.prefix, tt.change)
			wantAddresses(t, pod, tt.want...)
		})
	}
}

// flags returns the kernel's flags of an IPv6 address, 0 without it.
func flags(t *testing.T, pod *netlab.Pod, addr string) int {
	t.Helper()
	found := 0
	within(t, pod, func() error {
		addrs, err := netlink.AddrList(nil, netlink.FAMILY_V6)
		for _, a := range addrs {
			if a.IP.Equal(net.ParseIP(addr)) {
				found |= a.Flags
			}
		}
		return err
	})
	return found
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s in vain", what)
		}
	}
}

func TestTentativeAddressesCount(t *testing.T) {
	pod := newPod(t, newLab(t))
	if err := pod.SetLink("net1", false); err != nil { // the kernel cannot probe, so it stays tentative
		t.Fatal(err)
	}
	const addr = "2600:1f13:0:1::81"
	addFlagged(t, pod, "net1", addr+"/64", func(*netlink.Addr) {})
	if f := flags(t, pod, addr); f&unix.IFA_F_TENTATIVE == 0 {
		t.Fatalf("flags %#x, want tentative", f)
	}
	wantAddresses(t, pod, "net1 "+addr)
}

func TestAddressesThatLostDuplicateDetectionDoNotCount(t *testing.T) {
	const addr = "2600:1f13:0:1::81"
	pod := newPod(t, newLab(t), "10.10.1.81/24")
	within(t, pod, func() error { return plug("net2", "taken") })
	t.Cleanup(func() { within(t, pod, func() error { return unplug("net2") }) })
	addFlagged(t, pod, "taken", addr+"/64", func(a *netlink.Addr) { a.Flags = unix.IFA_F_NODAD })
	addFlagged(t, pod, "net2", addr+"/64", func(*netlink.Addr) {})
	eventually(t, "duplicate address detection", func() bool { return flags(t, pod, addr)&unix.IFA_F_DADFAILED != 0 })
	if diff := cmp.Diff([]string{"net1 10.10.1.81"}, list(t, pod, link.New([]string{"eth0", "taken"}))); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

// plug adds a veth pair with both ends in this namespace, up.
func plug(name, peer string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer}); err != nil {
		return err
	}
	for _, name := range []string{name, peer} {
		end, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(end)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func unplug(name string) error {
	end, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkDel(end)
}

func TestAddressesAfterALinkWent(t *testing.T) {
	pod := newPod(t, newLab(t), "10.10.1.81/24")
	if err := pod.DelLink("net1"); err != nil {
		t.Fatal(err)
	}
	wantAddresses(t, pod)
}

// subscribe opens a subscription in the pod.
func subscribe(t *testing.T, pod *netlab.Pod) (<-chan struct{}, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var changes <-chan struct{}
	within(t, pod, func() (err error) {
		changes, err = standard().Changes(ctx)
		return err
	})
	return changes, cancel
}

func TestChangesWake(t *testing.T) {
	tests := []struct {
		name string
		do   func(*netlab.Pod) error
	}{
		{"when an address comes", func(p *netlab.Pod) error { return p.AddAddr("net1", netip.MustParsePrefix("10.10.1.90/32")) }},
		{"when an IPv6 address comes", func(p *netlab.Pod) error { return p.AddAddr("net1", netip.MustParsePrefix("2600:1f13:0:1::90/128")) }},
		{"when an address goes", func(p *netlab.Pod) error { return p.DelAddr("net1", netip.MustParsePrefix("10.10.1.81/24")) }},
		{"when a link goes, and its addresses with it", func(p *netlab.Pod) error { return p.DelLink("net1") }},
		{"when a link comes with an address", func(p *netlab.Pod) error {
			return p.AddLink(netlab.Net{Name: "net2", Addrs: prefixes([]string{"10.10.2.81/24"})})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := newPod(t, newLab(t), "10.10.1.81/24")
			changes, _ := subscribe(t, pod)
			if err := tt.do(pod); err != nil {
				t.Fatal(err)
			}
			select {
			case _, open := <-changes:
				if !open {
					t.Error("the subscription ended")
				}
			case <-time.After(patience):
				t.Error("no wake-up")
			}
		})
	}
}

func TestChangesCoalesceAndLoseNothing(t *testing.T) {
	pod := newPod(t, newLab(t))
	changes, _ := subscribe(t, pod)
	const many = 200
	for i := range many { // nobody reads meanwhile
		addr := netip.AddrFrom4([4]byte{10, 10, 7, byte(i)})
		if err := pod.AddAddr("net1", netip.PrefixFrom(addr, 32)); err != nil {
			t.Fatal(err)
		}
	}
	wakeUps := 0
	eventually(t, "a wake-up after the last change", func() bool {
		select {
		case <-changes:
			wakeUps++
		default:
		}
		return wakeUps > 0 && len(list(t, pod, standard())) == many
	})
	if wakeUps >= many {
		t.Errorf("%d wake-ups for %d changes, want them coalesced", wakeUps, many)
	}
}

func TestLeftTellsOfAnAddressThatHasComeBack(t *testing.T) {
	for name, floating := range map[string]string{"IPv4": "10.10.1.90/32", "IPv6": "2600:1f13:0:1::90/128"} {
		t.Run(name, func(t *testing.T) {
			pod, prefix := newPod(t, newLab(t), "10.10.1.81/24", floating), netip.MustParsePrefix(floating)
			links := standard()
			within(t, pod, func() error {
				_, err := links.Changes(t.Context())
				return err
			})
			if err := errors.Join(pod.DelAddr("net1", prefix), pod.AddAddr("net1", prefix)); err != nil {
				t.Fatal(err)
			}
			var left []netip.Addr
			eventually(t, "the kernel reported it", func() bool {
				left = append(left, links.Left()...)
				return len(left) > 0
			})
			if len(left) != 1 || left[0] != prefix.Addr() {
				t.Errorf("left: %s, want %s only", left, prefix.Addr())
			}
			if again := links.Left(); len(again) > 0 {
				t.Errorf("reported twice: %s", again)
			}
		})
	}
}

func TestChangesEndWithTheirContext(t *testing.T) {
	pod := newPod(t, newLab(t))
	changes, cancel := subscribe(t, pod)
	cancel()
	select {
	case <-drained(changes):
	case <-time.After(patience):
		t.Error("the channel stays open")
	}
}

// drained is closed when changes is.
func drained(changes <-chan struct{}) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range changes {
		}
	}()
	return done
}
