// Package kerneltest_test plugs Linux's own network stack into the simulated
// VPC: network namespaces play workers, and what their kernel sends and believes
// decides whether the VPC answers ARP and neighbour discovery as it should.
package kerneltest_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
)

func TestMain(m *testing.M) { os.Exit(netlab.Run(m.Run)) }

const (
	patience = 30 * time.Second
	topology = "../testdata/two-workers.yaml"
)

// bed is a VPC and two namespaces that play workers, cabled to eni-w1-eth1 and
// eni-w2-eth1.
type bed struct {
	t             *testing.T
	sim           *vpcsim.Sim
	ec2           *ec2.Client
	first, second *netlab.Pod
}

func start(t *testing.T) *bed {
	t.Helper()
	lab, err := netlab.New(netlab.Options{Gateway: netip.MustParsePrefix("10.200.0.1/24")})
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, lab.Close()) })
	f, err := os.Open(topology)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	vpc, err := vpcsim.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(vpc, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	srv, err := sim.Listen(t.Context(), vpcsim.Addresses{EC2: "127.0.0.1:0", Wire: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, srv.Close()) })
	return &bed{
		t: t, sim: sim,
		ec2: ec2.New(ec2.Options{
			Region: vpc.Region, BaseEndpoint: aws.String(srv.EC2URL),
			Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
		}),
		first:  worker(t, lab, dir, "eni-w1-eth1", "02:00:00:00:01:01", "10.200.0.11/24", "10.10.1.80/24", "2600:1f13:0:1::80/64"),
		second: worker(t, lab, dir, "eni-w2-eth1", "02:00:00:00:02:01", "10.200.0.12/24", "10.10.1.81/24", "2600:1f13:0:1::81/64"),
	}
}

func closed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// worker makes a namespace whose eth1 is cabled to an ENI.
func worker(t *testing.T, lab *netlab.Lab, dir, eni, mac, eth0 string, addrs ...string) *netlab.Pod {
	t.Helper()
	pod, err := lab.Pod(netlab.PodSpec{Name: eni, Eth0: netip.MustParsePrefix(eth0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := pod.AddLink(netlab.Net{Name: "eth1", MAC: mac}); err != nil {
		t.Fatal(err)
	}
	unplug, err := pod.Cable("eth1", filepath.Join(dir, eni+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, unplug()) })
	for _, a := range addrs {
		if err := pod.AddAddr("eth1", netip.MustParsePrefix(a)); err != nil {
			t.Fatal(err)
		}
	}
	return pod
}

// probe pings between two addresses of the workers.
type probe struct {
	network, src, dst string
	request, reply    icmp.Type
	protocol          int
}

var probes = map[string]probe{
	"IPv4": {"ip4:icmp", "10.10.1.80", "10.10.1.81", ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, 1},
	"IPv6": {"ip6:ipv6-icmp", "2600:1f13:0:1::80", "2600:1f13:0:1::81", ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58},
}

// open returns a socket of a worker from which it pings.
func (p probe) open(t *testing.T, worker *netlab.Pod) *icmp.PacketConn {
	t.Helper()
	var conn *icmp.PacketConn
	err := worker.Do(func() (err error) {
		conn, err = icmp.ListenPacket(p.network, p.src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func (p probe) send(t *testing.T, conn *icmp.PacketConn, seq int) {
	t.Helper()
	body, err := (&icmp.Message{Type: p.request, Body: &icmp.Echo{ID: 7, Seq: seq}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.WriteTo(body, &net.IPAddr{IP: net.ParseIP(p.dst)}); err != nil {
		t.Fatal(err)
	}
}

// replied waits for the reply to one ping.
func (p probe) replied(t *testing.T, conn *icmp.PacketConn, seq int) {
	t.Helper()
	buffer := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("%s does not answer %s: %v", p.dst, p.src, err)
		}
		m, err := icmp.ParseMessage(p.protocol, buffer[:n])
		if err != nil {
			t.Fatal(err)
		}
		if echo, ok := m.Body.(*icmp.Echo); ok && m.Type == p.reply && echo.Seq == seq {
			return
		}
	}
}

// dropped waits until the data plane has dropped a frame for a reason.
func (b *bed) dropped(want string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var all []string
		for _, d := range b.sim.DataPlane().Status().Drops {
			all = append(all, string(d.Reason)+" "+d.Detail+" from "+d.From)
		}
		if slices.Contains(all, want) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("dropped:\n%s\nwant %s", strings.Join(all, "\n"), want)
		}
	}
}

func (b *bed) assign(ctx context.Context, eni, addr string) {
	b.t.Helper()
	var err error
	if netip.MustParseAddr(addr).Is6() {
		_, err = b.ec2.AssignIpv6Addresses(ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: &eni, Ipv6Addresses: []string{addr}})
	} else {
		_, err = b.ec2.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &eni, PrivateIpAddresses: []string{addr}})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestLinuxPingsOnceBothAddressesAreAssigned(t *testing.T) {
	for name, p := range probes {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			conn := p.open(t, b.first)
			p.send(t, conn, 1)
			b.dropped(string(fabric.SourceAddress) + " " + p.src + " from eni-w1-eth1")
			b.assign(t.Context(), "eni-w1-eth1", p.src)
			p.send(t, conn, 2)
			b.dropped(string(fabric.NoOwner) + " " + p.dst + " from eni-w1-eth1")
			b.assign(t.Context(), "eni-w2-eth1", p.dst)
			p.send(t, conn, 3)
			p.replied(t, conn, 3)
		})
	}
}
