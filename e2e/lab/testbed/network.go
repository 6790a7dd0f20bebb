package testbed

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/mgmt"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

//go:embed topology.yaml
var topologyYAML []byte

// The addresses of services on the workers' network.
var (
	gateway    = netip.MustParsePrefix("10.10.12.1/24")
	ec2        = netip.MustParseAddr("10.10.12.10")
	imds       = netip.MustParseAddr("169.254.169.254")
	kubernetes = netip.MustParseAddr("10.96.0.1")
	dns        = netip.MustParseAddr("10.96.0.10")
)

const (
	apiServerPort = 6443
	httpPort      = 80
	httpsPort     = 443
	dnsPort       = 53
)

const defaultWorkers = 2

// startVPC starts the simulator and lays the cables of all ENIs.
func (l *Lab) startVPC(ctx context.Context) error {
	t, err := vpcsim.Load(bytes.NewReader(topologyYAML))
	if err != nil {
		return err
	}
	if l.workers, err = workersOf(t, cmp.Or(l.options.Workers, defaultWorkers)); err != nil {
		return err
	}
	t.Instances = t.Instances[:len(l.workers)] // EC2 knows no instance that does not run
	if !l.options.NodeGroup {
		t.Groups = nil
	}
	if l.sim, err = vpcsim.New(t, vpcsim.Options{}); err != nil {
		return err
	}
	const free = "127.0.0.1:0"
	l.vpc, err = l.sim.Listen(ctx, vpcsim.Addresses{EC2: free, AutoScaling: free, Control: free, Wire: l.path("vpc")})
	if err != nil || !l.options.NodeGroup {
		return err
	}
	launched, err := l.launched(ctx)
	l.workers = append(l.workers, launched)
	return err
}

// network is the workers' first network with all its services.
type network struct {
	*mgmt.Network
	closers []io.Closer
	stop    context.CancelFunc
	running sync.WaitGroup
}

func (l *Lab) startNetwork(ctx context.Context) error {
	config := mgmt.Config{Gateway: gateway, Addresses: []netip.Addr{ec2, imds, kubernetes, dns}}
	for _, w := range l.workers {
		config.Workers = append(config.Workers, mgmt.Worker{
			Name: w.name, MAC: w.mac, Address: w.address.Addr(), Pods: w.pods, Socket: l.path(w.name + ".e0"),
		})
	}
	n, err := mgmt.New(ctx, config)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.network = &network{Network: n, stop: stop}
	return l.network.serve(ctx, l)
}

// serve starts the services.
func (n *network) serve(ctx context.Context, l *Lab) error {
	instances := map[string]string{}
	for _, w := range l.workers {
		instances[w.name] = w.instance
	}
	metadata := n.IMDS(func(s mgmt.Source) (http.Handler, error) {
		if s.Pod {
			return l.sim.IMDS(instances[s.Worker], vpcsim.PodHops)
		}
		return l.sim.IMDS(instances[s.Worker], vpcsim.HostHops)
	})
	names, err := n.ListenPacket(netip.AddrPortFrom(dns, dnsPort))
	if err != nil {
		return err
	}
	n.closers = append(n.closers, names)
	n.running.Go(func() {
		mgmt.ServeDNS(names, map[string]netip.Addr{
			"kubernetes.default.svc.cluster.local": kubernetes,
			"ec2." + l.region() + ".amazonaws.com": ec2,
		})
	})
	proxy, err := new(net.ListenConfig).Listen(ctx, "unix", l.path(ProxyName))
	if err != nil {
		return err
	}
	n.closers = append(n.closers, proxy)
	n.running.Go(func() { n.ServeConnect(ctx, proxy, l.endpoint) })
	toPlane := func(ctx context.Context) (net.Conn, error) {
		if l.plane == nil {
			return nil, errors.New("there is no control plane yet")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", l.plane.Address())
	}
	return errors.Join(
		n.http(netip.AddrPortFrom(imds, httpPort), metadata),
		n.http(netip.AddrPortFrom(ec2, httpPort), l.sim.EC2()),
		n.forward(ctx, netip.AddrPortFrom(gateway.Addr(), apiServerPort), toPlane),
		n.forward(ctx, netip.AddrPortFrom(kubernetes, httpsPort), toPlane),
	)
}

func (l *Lab) region() string { return l.workers[0].region }

func (n *network) http(at netip.AddrPort, h http.Handler) error {
	listener, err := n.Listen(at)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // workers die on purpose
	}
	n.closers = append(n.closers, server)
	n.running.Go(func() { _ = server.Serve(listener) }) // ends with ErrServerClosed
	return nil
}

func (n *network) forward(ctx context.Context, at netip.AddrPort, dial mgmt.Dialer) error {
	listener, err := n.Listen(at)
	if err != nil {
		return err
	}
	n.closers = append(n.closers, listener)
	n.running.Go(func() { mgmt.Forward(ctx, listener, dial) })
	return nil
}

func (n *network) close() error {
	n.stop()
	var errs []error
	for _, c := range n.closers {
		errs = append(errs, c.Close())
	}
	n.running.Wait()
	return errors.Join(append(errs, n.Network.Close())...)
}

// worker is a worker as its topology says.
type worker struct {
	joins                  bool // it is booted by Join, not at the start
	turn                   int  // which of the workers it is
	name, instance, region string
	zone, kind             string // the instance's
	mac                    net.HardwareAddr
	address                netip.Prefix // of eth0
	pods                   netip.Prefix
	links                  []link
}

// link is an ENI beside the first one.
type link struct {
	eni, mac, name string
	addresses      []netip.Prefix
}

// workersOf reads the first workers of a topology.
func workersOf(t topology.Topology, count int) ([]worker, error) {
	if count < 1 || count > len(t.Instances) {
		return nil, fmt.Errorf("%d workers: the topology has %d", count, len(t.Instances))
	}
	subnets := map[string]topology.Subnet{}
	for _, s := range t.Subnets {
		subnets[s.ID] = s
	}
	var workers []worker
	for i, in := range t.Instances[:count] {
		w := worker{
			turn: i, name: fmt.Sprintf("worker-%d", i+1), instance: in.ID, region: t.Region, zone: in.Zone, kind: in.Type,
			pods: podsOf(i),
		}
		for _, e := range in.ENIs {
			primary := netip.PrefixFrom(e.Primary, subnets[e.Subnet].CIDR.Bits())
			if e.DeviceIndex > 0 {
				w.links = append(w.links, linkOf(e, primary, subnets[e.Subnet].IPv6CIDR.Bits()))
				continue
			}
			mac, err := net.ParseMAC(e.MAC)
			if err != nil {
				return nil, err
			}
			w.mac, w.address = mac, primary
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// podsOf is the range of the pods of a worker.
func podsOf(turn int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(turn + 1), 0}), 24)
}

func linkOf(e topology.ENI, primary netip.Prefix, bits6 int) link {
	l := link{eni: e.ID, mac: e.MAC, name: fmt.Sprintf("eth%d", e.DeviceIndex), addresses: []netip.Prefix{primary}}
	for _, a := range e.IPv6 {
		l.addresses = append(l.addresses, netip.PrefixFrom(a, bits6))
	}
	return l
}
