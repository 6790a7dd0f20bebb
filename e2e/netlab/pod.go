package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// PodSpec describes a pod's network as the CNI plugins would leave it.
type PodSpec struct {
	// Name appears in errors only.
	Name string
	// Eth0 is the address of the primary interface, in the management subnet.
	Eth0 netip.Prefix
	// Nets are the further interfaces, as Multus attaches them.
	Nets []Net
	// DefaultVia names the interface that carries the default route, through
	// the first host of its first address's subnet. Default: eth0.
	DefaultVia string
}

// Net is one further interface of a pod.
type Net struct {
	// Name is the interface's, such as net1.
	Name string
	// MAC is the worker ENI's, which ipvlan and host-device share; empty
	// leaves the choice to the kernel, as macvlan does.
	MAC string
	// Addrs are the interface's addresses, with the subnet's length.
	Addrs []netip.Prefix
}

// Pod is one network namespace and the processes that run in it. It is safe
// for concurrent use.
type Pod struct {
	// Name is the PodSpec's.
	Name string

	lab    *Lab
	index  int
	ns     netns.NsHandle
	handle *netlink.Handle
	runner *runner
}

// Pod makes a namespace, joins it to the cloud and returns it with all links
// up. The caller closes it, or the lab does.
func (l *Lab) Pod(spec PodSpec) (*Pod, error) {
	p, err := l.newPod(spec.Name)
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", spec.Name, explain(err))
	}
	if err := p.attach(spec); err != nil {
		return nil, errors.Join(fmt.Errorf("pod %s: %w", spec.Name, explain(err)), p.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pods = append(l.pods, p)
	return p, nil
}

func (l *Lab) newPod(name string) (*Pod, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	handle, err := netlink.NewHandleAt(ns, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	run, err := startRunner(ns)
	if err != nil {
		handle.Close()
		return nil, errors.Join(err, ns.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	return &Pod{Name: name, lab: l, index: l.made, ns: ns, handle: handle, runner: run}, nil
}

// attach adds the links, addresses and the default route of spec.
func (p *Pod) attach(spec PodSpec) error {
	if err := p.SetLink("lo", true); err != nil {
		return err
	}
	if err := p.addLink(Net{Name: "eth0", Addrs: []netip.Prefix{spec.Eth0}}, p.lab.bridge); err != nil {
		return err
	}
	for _, n := range spec.Nets {
		if err := p.AddLink(n); err != nil {
			return err
		}
	}
	if spec.DefaultVia == "" || spec.DefaultVia == "eth0" {
		return p.setDefault("eth0", p.lab.Gateway())
	}
	for _, n := range spec.Nets {
		if n.Name == spec.DefaultVia && len(n.Addrs) > 0 {
			return p.setDefault(n.Name, n.Addrs[0].Masked().Addr().Next())
		}
	}
	return fmt.Errorf("default route via %s: the pod has no such interface with an address", spec.DefaultVia)
}

// AddLink attaches one more interface, up, as a hot plug does.
func (p *Pod) AddLink(n Net) error { return p.addLink(n, nil) }

// addLink makes a veth pair whose cloud end joins master, where there is one.
func (p *Pod) addLink(n Net, master netlink.Link) error {
	veth, err := p.vethPair(n, master)
	if err != nil {
		return err
	}
	if err := p.lab.handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("add %s: %w", n.Name, err)
	}
	if err := p.lab.handle.LinkSetUp(veth); err != nil {
		return fmt.Errorf("set the cloud's end of %s up: %w", n.Name, err)
	}
	for _, a := range n.Addrs {
		if err := p.AddAddr(n.Name, a); err != nil {
			return err
		}
	}
	if err := p.SetLink(n.Name, true); err != nil || master == nil {
		return err
	}
	// The bridge goes down when its last port leaves, and up with the next.
	return errors.Join(p.lab.awaitUp(veth.Name), p.lab.awaitUp(master.Attrs().Name))
}

// awaitUp waits until the kernel has noticed that a link of the cloud has a
// peer that is up, which it may do as late as a second after the fact. Until
// then packets are dropped.
func (l *Lab) awaitUp(name string) error {
	const patience, pause = 5 * time.Second, time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		link, err := l.handle.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find the cloud's link %s: %w", name, err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the cloud's link %s is %s, want up", name, link.Attrs().OperState)
		}
	}
}

// vethPair describes the link: this end in the cloud, the peer in the pod.
func (p *Pod) vethPair(n Net, master netlink.Link) (*netlink.Veth, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.cloudEnd(n.Name)
	if len(attrs.Name) >= syscall.IFNAMSIZ {
		return nil, fmt.Errorf("interface name %q is too long", n.Name)
	}
	if master != nil {
		attrs.MasterIndex = master.Attrs().Index
	}
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: n.Name, PeerNamespace: netlink.NsFd(p.ns)}
	if n.MAC == "" {
		return veth, nil
	}
	mac, err := net.ParseMAC(n.MAC)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", n.Name, err)
	}
	veth.PeerHardwareAddr = mac
	return veth, nil
}

// cloudEnd is what the cloud calls its end of an interface.
func (p *Pod) cloudEnd(link string) string {
	return fmt.Sprintf("%s-%d-%s", p.lab.bridge.Name[len("mgmt"):], p.index, link)
}

// DelLink detaches an interface.
func (p *Pod) DelLink(name string) error {
	link, err := p.link(name)
	if err != nil {
		return err
	}
	return p.handle.LinkDel(link)
}

// SetLink sets an interface up or down.
func (p *Pod) SetLink(name string, up bool) error {
	link, err := p.link(name)
	if err != nil {
		return err
	}
	if up {
		return p.handle.LinkSetUp(link)
	}
	return p.handle.LinkSetDown(link)
}

// AddAddr adds an address to an interface. An IPv6 address is usable at once:
// duplicate address detection is off.
func (p *Pod) AddAddr(link string, prefix netip.Prefix) error {
	l, err := p.link(link)
	if err != nil {
		return err
	}
	return addAddr(p.handle, l, prefix)
}

// DelAddr removes an address from an interface.
func (p *Pod) DelAddr(link string, prefix netip.Prefix) error {
	l, err := p.link(link)
	if err != nil {
		return err
	}
	if err := p.handle.AddrDel(l, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
		return fmt.Errorf("remove %s from %s: %w", prefix, link, err)
	}
	return nil
}

// Do calls f on a thread of the pod's namespace. Sockets that f opens belong
// to the pod for good; goroutines that f starts do not run there.
func (p *Pod) Do(f func() error) error { return doIn(p.ns, f) }

// Start starts cmd in the pod, with no Linux capability and no way to gain
// one, as a restricted container runs. The process ends with the pod.
func (p *Pod) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := p.runner.do(cmd.Start); err != nil {
		return fmt.Errorf("start %s in pod %s: %w", cmd.Path, p.Name, err)
	}
	return nil
}

// Close kills what still runs in the pod and removes its namespace. Closing
// twice is not an error.
func (p *Pod) Close() error {
	if !p.runner.stop() {
		return nil
	}
	var errs []error
	for _, name := range p.links() {
		errs = append(errs, p.DelLink(name)) // at once, not when the kernel gets to it
	}
	p.handle.Close()
	return errors.Join(append(errs, p.ns.Close())...)
}

// links returns the names of the pod's veth interfaces.
func (p *Pod) links() []string {
	links, err := p.handle.LinkList()
	if err != nil {
		return nil
	}
	var names []string
	for _, l := range links {
		if l.Type() == "veth" {
			names = append(names, l.Attrs().Name)
		}
	}
	return names
}

func (p *Pod) link(name string) (netlink.Link, error) {
	l, err := p.handle.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find %s in pod %s: %w", name, p.Name, err)
	}
	return l, nil
}

func (p *Pod) setDefault(link string, via netip.Addr) error {
	l, err := p.link(link)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Gw: via.AsSlice()}
	if err := p.handle.RouteAdd(route); err != nil {
		return fmt.Errorf("default route via %s dev %s: %w", via, link, err)
	}
	return nil
}

func addAddr(h *netlink.Handle, link netlink.Link, prefix netip.Prefix) error {
	addr := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		addr.Flags = syscall.IFA_F_NODAD
	}
	if err := h.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("add %s to %s: %w", prefix, link.Attrs().Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
