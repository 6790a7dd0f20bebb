package mgmt_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/mgmt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	gateway = netip.MustParsePrefix("10.10.12.1/24")
	service = netip.MustParseAddr("169.254.169.254")
)

// worker is another network stack, which plays a worker's kernel: the worker's
// address and one of its pods'.
type worker struct {
	mgmt.Worker
	stack *stack.Stack
}

// bed starts a network with workers 1 to n.
func bed(t *testing.T, n int) (*mgmt.Network, []worker) {
	t.Helper()
	var workers []worker
	config := mgmt.Config{Gateway: gateway, Addresses: []netip.Addr{service}}
	for i := 1; i <= n; i++ {
		w := mgmt.Worker{
			Name: fmt.Sprintf("worker-%d", i), MAC: net.HardwareAddr{2, 0, 0, 0, byte(i), 0},
			Address: netip.AddrFrom4([4]byte{10, 10, 12, byte(10 + i)}),
			Pods:    netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24),
			Socket:  filepath.Join(t.TempDir(), "e0"),
		}
		config.Workers = append(config.Workers, w)
		workers = append(workers, worker{Worker: w})
	}
	network, err := mgmt.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range workers {
		workers[i].boot(t)
	}
	return network, workers
}

func (w *worker) pod() netip.Addr { return w.Pods.Addr().Next() }

// boot connects the worker.
func (w *worker) boot(t *testing.T) {
	t.Helper()
	link := channel.New(64, 1514, tcpip.LinkAddress(w.MAC))
	w.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := w.stack.CreateNIC(1, ethernet.New(link)); err != nil {
		t.Fatal(err)
	}
	for _, a := range []netip.Addr{w.Address, w.pod()} {
		p := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFromSlice(a.AsSlice()).WithPrefix()}
		if err := w.stack.AddProtocolAddress(1, p, stack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
	}
	subnet := tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4([4]byte{10, 10, 12, 0}), PrefixLen: 24}.Subnet()
	any4 := tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4([4]byte{}), PrefixLen: 0}.Subnet()
	w.stack.SetRouteTable([]tcpip.Route{
		{Destination: subnet, NIC: 1},
		{Destination: any4, Gateway: tcpip.AddrFromSlice(gateway.Addr().AsSlice()), NIC: 1},
	})
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: w.Socket, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); conn.Close(); w.stack.Destroy() })
	go func() {
		for packet := link.ReadContext(ctx); packet != nil; packet = link.ReadContext(ctx) {
			conn.Write(packet.ToView().AsSlice())
		}
	}()
	go func() {
		frame := make([]byte, 1<<16)
		for {
			n, err := conn.Read(frame)
			if err != nil || n == 0 {
				return
			}
			link.InjectInbound(0, stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(append([]byte(nil), frame[:n]...))}))
		}
	}()
}

func full(a netip.Addr, port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFromSlice(a.AsSlice()), Port: port}
}

// get asks a URL from one of the worker's addresses.
func (w *worker) get(t *testing.T, from netip.Addr, to netip.AddrPort) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return gonet.DialTCPWithBind(ctx, w.stack, full(from, 0), full(to.Addr(), to.Port()), ipv4.ProtocolNumber)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+to.String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(text)), err
}

// serveHTTP serves until the test ends.
func serveHTTP(t *testing.T, l net.Listener, h http.Handler) {
	t.Helper()
	server := &http.Server{Handler: h}
	t.Cleanup(func() { server.Close() })
	go func() { _ = server.Serve(l) }() // ends with ErrServerClosed
}

func TestEachWorkerAndItsPodsHaveTheirOwnMetadata(t *testing.T) {
	network, workers := bed(t, 2)
	at := netip.AddrPortFrom(service, 80)
	l, err := network.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, l, network.IMDS(func(s mgmt.Source) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%s pod=%t", s.Worker, s.Pod) }), nil
	}))
	for _, w := range workers {
		for from, want := range map[netip.Addr]string{w.Address: w.Name + " pod=false", w.pod(): w.Name + " pod=true"} {
			if got, err := w.get(t, from, at); got != want {
				t.Errorf("from %s: %q, %v; want %q", from, got, err, want)
			}
		}
	}
}

func TestWhatHasNoListenerDoesNotExist(t *testing.T) {
	_, workers := bed(t, 1)
	if _, err := workers[0].get(t, workers[0].Address, netip.AddrPortFrom(gateway.Addr(), 22)); err == nil {
		t.Error("a port without listener answers")
	}
}

func TestWorkersAndTheirPodsReachEachOther(t *testing.T) {
	_, workers := bed(t, 2)
	for name, between := range map[string][2]netip.Addr{
		"worker to worker": {workers[0].Address, workers[1].Address},
		"pod to pod":       {workers[0].pod(), workers[1].pod()},
		"pod to worker":    {workers[1].pod(), workers[0].Address},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := between[0], between[1]
			client, server := workers[0], workers[1]
			if from == workers[1].pod() {
				client, server = server, client
			}
			l, err := gonet.ListenTCP(server.stack, full(to, 80), ipv4.ProtocolNumber)
			if err != nil {
				t.Fatal(err)
			}
			serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
			got, err := client.get(t, from, netip.AddrPortFrom(to, 80))
			if err != nil || !strings.HasPrefix(got, from.String()+":") {
				t.Errorf("seen from %q, %v", got, err)
			}
		})
	}
}

// This is the API server's way to a kubelet, and the lab's to an agent.
func TestTheProxyLeadsToWorkersAndPods(t *testing.T) {
	network, workers := bed(t, 1)
	path := filepath.Join(t.TempDir(), "proxy")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	service := netip.MustParseAddr("10.96.3.4")
	go network.ServeConnect(t.Context(), l, func(_ context.Context, to netip.AddrPort) (netip.AddrPort, error) {
		if to.Addr() == service {
			return netip.AddrPortFrom(workers[0].pod(), to.Port()), nil
		}
		return to, nil
	})
	for _, to := range []netip.Addr{workers[0].Address, workers[0].pod()} {
		at, err := gonet.ListenTCP(workers[0].stack, full(to, 7000), ipv4.ProtocolNumber)
		if err != nil {
			t.Fatal(err)
		}
		serveHTTP(t, at, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Exit")
			fmt.Fprintf(w, "%s from %s", r.FormValue("arg"), strings.Split(r.RemoteAddr, ":")[0])
			w.Header().Set("Exit", "ok")
		}))
		var out strings.Builder
		if err := guest.By(path).Run(t.Context(), to, nil, &out, "hello"); err != nil {
			t.Fatal(err)
		}
		if want := "hello from " + gateway.Addr().String(); out.String() != want {
			t.Errorf("%s answers %q, want %q", to, out.String(), want)
		}
	}
	var out strings.Builder
	if err := guest.By(path).Run(t.Context(), service, nil, &out, "service"); err != nil || !strings.HasPrefix(out.String(), "service") {
		t.Errorf("a service answers %q, %v", out.String(), err)
	}
	if err := guest.By(path).Run(t.Context(), workers[0].Pods.Addr().Prev(), nil, io.Discard, "hello"); err == nil {
		t.Error("an address that nobody has answers")
	}
}

func TestForwardLeadsToTheHost(t *testing.T) {
	network, workers := bed(t, 1)
	host, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, host, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "host") }))
	at := netip.AddrPortFrom(gateway.Addr(), 6443)
	l, err := network.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go mgmt.Forward(t.Context(), l, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", host.Addr().String())
	})
	if got, err := workers[0].get(t, workers[0].pod(), at); got != "host" {
		t.Errorf("%q, %v", got, err)
	}
}
