package link_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/link"
)

// outside is an address of the cloud that no route but the default leads to.
const outside = "198.51.100.7"

// listen answers every connection with the peer's address.
func listen(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = io.WriteString(conn, host)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// source dials address from the pod and returns the address that the server
// saw.
func source(t *testing.T, pod *netlab.Pod, l *link.Links, address string) (string, error) {
	t.Helper()
	return sourceBy(t, pod, l.Dial, address)
}

func sourceBy(t *testing.T, pod *netlab.Pod, dial func(context.Context, string, string) (net.Conn, error), address string) (string, error) {
	t.Helper()
	var seen []byte
	err := pod.Do(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := dial(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		seen, err = io.ReadAll(conn)
		return err
	})
	return string(seen), err
}

func wantSource(t *testing.T, pod *netlab.Pod, l *link.Links, address, want string) {
	t.Helper()
	got, err := source(t, pod, l, address)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("source address that the server sees (-want +got):\n%s", diff)
	}
}

// newCloud makes a lab that also has the address outside.
func newCloud(t *testing.T) *netlab.Lab {
	t.Helper()
	lab := newLab(t)
	if err := lab.AddAddr(netip.MustParsePrefix(outside + "/32")); err != nil {
		t.Fatal(err)
	}
	return lab
}

func throughNet1(t *testing.T, lab *netlab.Lab) *netlab.Pod {
	t.Helper()
	return podLike(t, lab, netlab.PodSpec{
		Nets:       []netlab.Net{{Name: "net1", MAC: mac, Addrs: prefixes([]string{"10.10.1.81/24"})}},
		DefaultVia: "net1",
	})
}

func TestDialLeavesByThePrimaryInterface(t *testing.T) {
	tests := []struct {
		name string
		pod  func(*testing.T, *netlab.Lab) *netlab.Pod
		host string
	}{
		{"where the default route leads there anyway", func(t *testing.T, lab *netlab.Lab) *netlab.Pod { t.Helper(); return newPod(t, lab, "10.10.1.81/24") }, outside},
		{"although the default route leads to net1", throughNet1, outside},
		{"although the default route leads to net1, to a neighbour of eth0", throughNet1, "10.10.12.1"},
		{"although both have a default route and net1's is better", func(t *testing.T, lab *netlab.Lab) *netlab.Pod {
			t.Helper()
			pod := newPod(t, lab, "10.10.1.81/24")
			within(t, pod, func() error { return worsenDefault("net1", "10.10.1.1") })
			return pod
		}, outside},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lab := newCloud(t)
			wantSource(t, tt.pod(t, lab), standard(), listen(t, net.JoinHostPort(tt.host, "0")), "10.10.12.21")
		})
	}
}

// worsenDefault gives the default route that there is a worse metric than one
// through name.
func worsenDefault(name, via string) error {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_DST)
	if err != nil {
		return err
	}
	for _, route := range routes {
		if err := netlink.RouteDel(&route); err != nil {
			return err
		}
		route.Priority = 200
		if err := netlink.RouteAdd(&route); err != nil {
			return err
		}
	}
	better, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: better.Attrs().Index, Gw: net.ParseIP(via), Priority: 100})
}

func TestDialReachesLoopback(t *testing.T) {
	pod := newPod(t, newLab(t), "10.10.1.81/24")
	var address string
	within(t, pod, func() error {
		address = listen(t, "127.0.0.1:0")
		return nil
	})
	wantSource(t, pod, standard(), address, "127.0.0.1")
}

func TestDialReachesThePodItself(t *testing.T) {
	pod := throughNet1(t, newLab(t))
	var address string
	within(t, pod, func() error {
		address = listen(t, "10.10.1.81:0")
		return nil
	})
	wantSource(t, pod, standard(), address, "10.10.1.81")
}

func TestDialWithoutPrimaryInterfaceFollowsTheRoutes(t *testing.T) {
	lab := newCloud(t)
	pod := newPod(t, lab, "10.10.1.81/24")
	wantSource(t, pod, link.New([]string{"lo", "ens9"}), listen(t, net.JoinHostPort(outside, "0")), "10.10.12.21")
}

func TestDialTakesTheFirstExcludedLinkThatExists(t *testing.T) {
	lab := newCloud(t)
	pod := throughNet1(t, lab)
	wantSource(t, pod, link.New([]string{"lo", "ens9", "eth0"}), listen(t, net.JoinHostPort(outside, "0")), "10.10.12.21")
}

func TestDialLeavesByThePrimaryInterfaceAlsoWhereNet1IsExcluded(t *testing.T) {
	lab := newCloud(t)
	pod := throughNet1(t, lab)
	wantSource(t, pod, link.New([]string{"lo", "eth0", "net1"}), listen(t, net.JoinHostPort(outside, "0")), "10.10.12.21")
}

func TestDialFailsWhenNobodyListens(t *testing.T) {
	lab := newCloud(t)
	pod := throughNet1(t, lab)
	if _, err := source(t, pod, standard(), net.JoinHostPort(outside, "1")); err == nil {
		t.Error("connected to a port that is closed")
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	pod := newPod(t, newLab(t), "10.10.1.81/24")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	within(t, pod, func() error {
		conn, err := standard().Dial(ctx, "tcp", "10.10.12.1:1")
		if err == nil {
			conn.Close()
			t.Error("connected with a context that had ended")
		}
		return nil
	})
}

// The worker's services, and an application of the pod that plays them.
const (
	service4 = "169.254.169.254"
	service6 = "fd00:ec2::254"
)

// play makes the pod answer at a service's address, by a link of its own.
func play(t *testing.T, pod *netlab.Pod, name, address string) {
	t.Helper()
	addr := netip.MustParseAddr(address)
	within(t, pod, func() error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		own := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}}
		if addr.Is6() {
			own.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(l, own); err != nil {
			return err
		}
		listen(t, net.JoinHostPort(address, "80"))
		return nil
	})
}

func TestAServiceOfTheWorkerIsNotPlayedByThePod(t *testing.T) {
	lab := newLab(t)
	for _, address := range []string{service4, service6} {
		for _, name := range []string{"lo", "net1", "eth0"} {
			t.Run(address+" on "+name, func(t *testing.T) {
				pod := podLike(t, lab, netlab.PodSpec{Nets: []netlab.Net{{Name: "net1", MAC: mac, Addrs: prefixes([]string{"10.10.1.81/24"})}}})
				play(t, pod, name, address)
				target := net.JoinHostPort(address, "80")
				eventually(t, "the pod plays the service: it reaches itself", func() bool {
					_, err := source(t, pod, standard(), target)
					return err == nil
				})
				got, err := sourceBy(t, pod, standard().DialWorker, target)
				if err == nil || !strings.Contains(err.Error(), "address of this pod") {
					t.Errorf("connected from %q with error %v", got, err)
				}
			})
		}
	}
}

func TestAServiceOfTheWorkerIsReachedByThePrimaryInterface(t *testing.T) {
	lab := newLab(t)
	if err := lab.AddAddr(netip.MustParsePrefix(service4 + "/32")); err != nil {
		t.Fatal(err)
	}
	pod := throughNet1(t, lab)
	got, err := sourceBy(t, pod, standard().DialWorker, listen(t, net.JoinHostPort(service4, "0")))
	if err != nil || got != "10.10.12.21" {
		t.Errorf("source %q and error %v", got, err)
	}
}
