package bystander

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/podbox/probe"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

const topology = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-1, cidr: 10.10.1.0/24, ipv6Cidr: "2600:1f13:0:1::/64", zone: us-west-2a}
instances:
- id: i-1
  type: m5.xlarge
  zone: us-west-2a
  hopLimit: 2
  enis:
  - {id: eni-1, subnet: subnet-1, deviceIndex: 0, mac: "02:00:00:00:01:00", primary: 10.10.1.11, ipv6: ["2600:1f13:0:1::11"]}
- id: i-2
  type: m5.xlarge
  zone: us-west-2a
  hopLimit: 2
  enis:
  - {id: eni-2, subnet: subnet-1, deviceIndex: 0, mac: "02:00:00:00:02:00", primary: 10.10.1.12}
`

func TestABystanderLosesWhatTheVPCDoesNotDeliver(t *testing.T) {
	for name, floating := range map[string]string{"IPv4": "10.10.1.98/24", "IPv6": "2600:1f13:0:1::98/64"} {
		t.Run(name, func(t *testing.T) {
			to := netip.MustParsePrefix(floating)
			dir, cloud := vpc(t)
			one := join(t, dir, "eni-1", "02:00:00:00:01:00", "10.10.1.11/24", "2600:1f13:0:1::11/64")
			echo(t, join(t, dir, "eni-2", "02:00:00:00:02:00", floating), to.Addr())
			p, err := one.Probe(to.Addr())
			if err != nil {
				t.Fatal(err)
			}
			until(t, func() bool { return len(p.Report().Gaps) == 1 })
			if r := p.Report(); r.Answered > 0 {
				t.Errorf("an address that no ENI has answers: %+v", r)
			}
			assign(t, cloud, "eni-2", to.Addr())
			until(t, func() bool { return p.Report().Answered > 0 })
			r := p.Stop()
			if len(r.Gaps) != 1 || r.Gaps[0].Open || len(r.By) != 1 || r.By[0].Pod != "second" {
				t.Errorf("report %+v, want one gap and then answers of the second host", r)
			}
		})
	}
}

func TestABystanderNeedsACable(t *testing.T) {
	_, err := Join(t.Context(), Config{Socket: filepath.Join(t.TempDir(), "none.sock")})
	if err == nil || !strings.Contains(err.Error(), "none.sock") {
		t.Errorf("joined without a cable: %v", err)
	}
}

func vpc(t *testing.T) (dir string, cloud *ec2.Client) {
	t.Helper()
	shape, err := vpcsim.Load(strings.NewReader(topology))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(shape, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	server, err := sim.Listen(t.Context(), vpcsim.Addresses{EC2: "127.0.0.1:0", Wire: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir, ec2.New(ec2.Options{
		Region: "us-west-2", BaseEndpoint: aws.String(server.EC2URL),
		Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
	})
}

func join(t *testing.T, dir, eni, mac string, addresses ...string) *Host {
	t.Helper()
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Socket: filepath.Join(dir, eni+".sock"), MAC: hardware}
	for _, a := range addresses {
		c.Addresses = append(c.Addresses, netip.MustParsePrefix(a))
	}
	h, err := Join(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// echo answers probes as podbox does.
func echo(t *testing.T, h *Host, at netip.Addr) {
	t.Helper()
	conn, err := gonet.DialUDP(h.stack, &tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(at.AsSlice()), Port: probe.Port}, nil, protocol(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(append(buf[:n:n], "second"...), from)
		}
	}()
}

func assign(t *testing.T, cloud *ec2.Client, eni string, addr netip.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	if addr.Is4() {
		_, err = cloud.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &eni, PrivateIpAddresses: []string{addr.String()}})
	} else {
		_, err = cloud.AssignIpv6Addresses(ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: &eni, Ipv6Addresses: []string{addr.String()}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(probe.Every) {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s")
		}
	}
}
