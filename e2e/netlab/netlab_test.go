package netlab_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// childKey makes the test program play a process in a pod.
const childKey = "NETLAB_TEST_CHILD"

func TestMain(m *testing.M) {
	role := os.Getenv(childKey)
	if play, ok := roles[role]; ok {
		os.Exit(netlab.Run(play))
	}
	switch role {
	case "sleep":
		time.Sleep(time.Hour)
	case "status":
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.Write(status)
		os.Exit(0)
	}
	os.Exit(netlab.Run(func() int {
		code := m.Run()
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
		return code
	}))
}

func newLab(t *testing.T, o netlab.Options) *netlab.Lab {
	t.Helper()
	lab, err := netlab.New(o)
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

func newPod(t *testing.T, lab *netlab.Lab, spec netlab.PodSpec) *netlab.Pod {
	t.Helper()
	pod, err := lab.Pod(spec)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func worker1() netlab.PodSpec {
	return netlab.PodSpec{
		Name: "pod-1",
		Eth0: netip.MustParsePrefix("10.10.12.21/24"),
		Nets: []netlab.Net{{
			Name: "net1",
			MAC:  "02:00:00:00:01:01",
			Addrs: []netip.Prefix{
				netip.MustParsePrefix("10.10.1.81/24"),
				netip.MustParsePrefix("2600:1f13:0:1::81/64"),
			},
		}},
	}
}

// child returns a command that runs this test program in another role.
func child(ctx context.Context, role string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childKey+"="+role)
	return cmd
}

// globals lists the interfaces of the calling thread's namespace: name, MAC
// where it was chosen, addresses that are not link-local.
func globals() (map[string][]string, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	seen := map[string][]string{}
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if p := netip.MustParsePrefix(a.String()); !p.Addr().IsLinkLocalUnicast() {
				seen[l.Name] = append(seen[l.Name], p.String())
			}
		}
		slices.Sort(seen[l.Name])
	}
	return seen, nil
}

func interfaces(t *testing.T, pod *netlab.Pod) map[string][]string {
	t.Helper()
	var seen map[string][]string
	err := pod.Do(func() (err error) {
		seen, err = globals()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestPodHasTheInterfacesOfItsSpec(t *testing.T) {
	pod := newPod(t, newLab(t, netlab.Options{}), worker1())
	want := map[string][]string{
		"lo":   {"127.0.0.1/8", "::1/128"},
		"eth0": {"10.10.12.21/24"},
		"net1": {"10.10.1.81/24", "2600:1f13:0:1::81/64"},
	}
	if diff := cmp.Diff(want, interfaces(t, pod)); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
	var mac string
	err := pod.Do(func() error {
		link, err := net.InterfaceByName("net1")
		if err == nil {
			mac = link.HardwareAddr.String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("02:00:00:00:01:01", mac); diff != "" {
		t.Errorf("MAC of net1 (-want +got):\n%s", diff)
	}
}

func TestAddressesAndLinksChangeWhileThePodLives(t *testing.T) {
	pod := newPod(t, newLab(t, netlab.Options{}), worker1())
	floating := netip.MustParsePrefix("10.10.1.90/32")
	for _, step := range []func() error{
		func() error { return pod.AddAddr("net1", floating) },
		func() error { return pod.DelAddr("net1", netip.MustParsePrefix("10.10.1.81/24")) },
		func() error {
			return pod.AddLink(netlab.Net{Name: "net2", Addrs: []netip.Prefix{netip.MustParsePrefix("10.10.2.5/24")}})
		},
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]string{
		"lo":   {"127.0.0.1/8", "::1/128"},
		"eth0": {"10.10.12.21/24"},
		"net1": {"10.10.1.90/32", "2600:1f13:0:1::81/64"},
		"net2": {"10.10.2.5/24"},
	}
	if diff := cmp.Diff(want, interfaces(t, pod)); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
	if err := pod.DelLink("net2"); err != nil {
		t.Fatal(err)
	}
	delete(want, "net2")
	if diff := cmp.Diff(want, interfaces(t, pod)); diff != "" {
		t.Errorf("interfaces after net2 left (-want +got):\n%s", diff)
	}
}

// greet dials address from the pod and returns what the server says.
func greet(pod *netlab.Pod, address string) (string, error) {
	var said []byte
	err := pod.Do(func() error {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		said, err = io.ReadAll(conn)
		return err
	})
	return string(said), err
}

// serve answers every connection with the peer's address.
func serve(t *testing.T, address string) net.Addr {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", address)
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
	return l.Addr()
}

func TestPodsReachTheCloudThroughEth0(t *testing.T) {
	lab := newLab(t, netlab.Options{})
	if err := lab.AddAddr(netip.MustParsePrefix("169.254.169.254/32")); err != nil {
		t.Fatal(err)
	}
	one := newPod(t, lab, worker1())
	two := newPod(t, lab, netlab.PodSpec{Name: "pod-2", Eth0: netip.MustParsePrefix("10.10.12.22/24")})
	for _, at := range []string{netip.MustParsePrefix(netlab.Gateway).Addr().String(), "169.254.169.254"} {
		server := serve(t, net.JoinHostPort(at, "0")).String()
		for pod, want := range map[*netlab.Pod]string{one: "10.10.12.21", two: "10.10.12.22"} {
			got, err := greet(pod, server)
			if err != nil {
				t.Errorf("%s to %s: %v", pod.Name, server, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("address that %s sees of %s (-want +got):\n%s", server, pod.Name, diff)
			}
		}
	}
}

func TestDefaultRouteMayLeadThroughTheMultusInterface(t *testing.T) {
	spec := worker1()
	spec.DefaultVia = "net1"
	pod := newPod(t, newLab(t, netlab.Options{}), spec)
	var local string
	err := pod.Do(func() error {
		conn, err := net.Dial("udp", "192.0.2.1:9") // sends nothing: asks for the route
		if err != nil {
			return err
		}
		defer conn.Close()
		local, _, err = net.SplitHostPort(conn.LocalAddr().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("10.10.1.81", local); diff != "" {
		t.Errorf("source of the default route (-want +got):\n%s", diff)
	}
}

func TestProcessesInAPodHaveNoCapability(t *testing.T) {
	pod := newPod(t, newLab(t, netlab.Options{}), worker1())
	cmd := child(t.Context(), "status")
	var out strings.Builder
	cmd.Stdout = &out
	if err := pod.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	const none = "0000000000000000"
	want := map[string]string{"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1"}
	got := map[string]string{}
	for line := range strings.Lines(out.String()) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if _, ok := want[key]; ok {
			got[key] = value
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
	}
}

func TestProcessesEndWithTheirPod(t *testing.T) {
	pod := newPod(t, newLab(t, netlab.Options{}), worker1())
	cmd := child(t.Context(), "sleep")
	if err := pod.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := pod.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v, want killed", cmd.ProcessState)
	}
	if err := pod.Start(child(t.Context(), "sleep")); err == nil {
		t.Error("a closed pod started a process")
	}
}

func TestTwoLabsLiveSideBySide(t *testing.T) {
	first := newPod(t, newLab(t, netlab.Options{}), worker1())
	second := newPod(t, newLab(t, netlab.Options{Gateway: netip.MustParsePrefix("10.20.0.1/24")}),
		netlab.PodSpec{Name: "other", Eth0: netip.MustParsePrefix("10.20.0.9/24")})
	_, port, err := net.SplitHostPort(serve(t, "0.0.0.0:0").String())
	if err != nil {
		t.Fatal(err)
	}
	for pod, gateway := range map[*netlab.Pod]string{first: "10.10.12.1", second: "10.20.0.1"} {
		to := net.JoinHostPort(gateway, port)
		if _, err := greet(pod, to); err != nil {
			t.Errorf("%s to %s: %v", pod.Name, to, err)
		}
	}
}

func TestBadPodsAreRefusedWithTheirName(t *testing.T) {
	lab := newLab(t, netlab.Options{})
	for name, change := range map[string]func(*netlab.PodSpec){
		"a MAC that is none":                          func(s *netlab.PodSpec) { s.Nets[0].MAC = "02:zz" },
		"an interface name too long for the kernel":   func(s *netlab.PodSpec) { s.Nets[0].Name = "a-very-long-name" },
		"a default route through a missing interface": func(s *netlab.PodSpec) { s.DefaultVia = "net7" },
		"two interfaces of one name":                  func(s *netlab.PodSpec) { s.Nets = append(s.Nets, s.Nets[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			spec := worker1()
			change(&spec)
			_, err := lab.Pod(spec)
			if err == nil || !strings.Contains(err.Error(), "pod-1") {
				t.Errorf("Pod: %v, want an error that names pod-1", err)
			}
		})
	}
}
