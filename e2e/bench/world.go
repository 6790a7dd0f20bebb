package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// topology describes one worker with two Multus ENIs in different subnets.
const topology = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/24, zone: us-west-2a}
- {id: subnet-multus-1, cidr: 10.10.1.0/24, zone: us-west-2a}
- {id: subnet-multus-2, cidr: 10.10.2.0/24, zone: us-west-2a}
instances:
- id: i-worker1
  type: m5.4xlarge
  zone: us-west-2a
  enis:
  - {id: eni-eth0, subnet: subnet-mgmt, deviceIndex: 0, mac: "02:00:00:00:01:00", primary: 10.10.12.11}
  - {id: eni-eth1, subnet: subnet-multus-1, deviceIndex: 1, mac: "02:00:00:00:01:01", primary: 10.10.1.11}
  - {id: eni-eth2, subnet: subnet-multus-2, deviceIndex: 2, mac: "02:00:00:00:01:02", primary: 10.10.2.11}
`

// bench is what the measurements share.
type bench struct {
	out  io.Writer
	root string // of the repository
	dir  string // scratch, removed at the end
}

func newBench(out io.Writer) (*bench, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "multus-ipmgr-bench-")
	if err != nil {
		return nil, err
	}
	// A new namespace's loopback is down, and not every figure makes a lab.
	if lab, err := netlab.New(netlab.Options{}); err == nil {
		_ = lab.Close()
	}
	return &bench{out: out, root: root, dir: dir}, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

func (b *bench) bin(name string) string { return filepath.Join(b.root, "bin", name) }

// world is a worker in a simulated VPC, with EC2 behind TLS.
type world struct {
	lab     *netlab.Lab
	sim     *vpcsim.Sim
	server  *vpcsim.Server // serves IMDS
	ec2     *http.Server
	bundles bundles
	environ []string // of clients that trust what ipmgr's image does
}

// newWorld serves EC2 with a certificate of a CA that stands at the end of the
// roots of ipmgr's image, so that a client reads what it reads in a pod.
func (b *bench) newWorld(ctx context.Context) (_ *world, err error) {
	w := &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.lab, err = netlab.New(netlab.Options{}); err != nil {
		return nil, err
	}
	t, err := vpcsim.Load(strings.NewReader(topology))
	if err != nil {
		return nil, err
	}
	if w.sim, err = vpcsim.New(t, vpcsim.Options{}); err != nil {
		return nil, err
	}
	gateway := w.lab.Gateway()
	metadata := net.JoinHostPort(gateway.String(), "0")
	if w.server, err = w.sim.Listen(ctx, vpcsim.Addresses{IMDS: []vpcsim.IMDSAddress{{Instance: "i-worker1", Address: metadata}}}); err != nil {
		return nil, err
	}
	cert, bundles, err := b.certificates(gateway)
	if err != nil {
		return nil, err
	}
	w.bundles = bundles
	url, err := w.serveEC2(ctx, gateway, cert)
	if err != nil {
		return nil, err
	}
	w.environ = []string{
		"AWS_REGION=us-west-2", "AWS_ACCESS_KEY_ID=" + vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + vpcsim.SecretAccessKey,
		"AWS_ENDPOINT_URL_EC2=" + url, "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + w.server.IMDSURL["i-worker1"], trusting(bundles.image),
		"SSL_CERT_DIR=" + filepath.Join(b.dir, "none"), // as in the image, where the bundle is in no directory that Go reads
	}
	return w, nil
}

// trusting is the setting of a client that trusts the roots in a file.
func trusting(bundle string) string { return "SSL_CERT_FILE=" + bundle }

func (w *world) serveEC2(ctx context.Context, gateway netip.Addr, cert tls.Certificate) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(gateway.String(), "0"))
	if err != nil {
		return "", fmt.Errorf("serving EC2: %w", err)
	}
	w.ec2 = &http.Server{Handler: w.sim.EC2(), ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}
	go func() { _ = w.ec2.ServeTLS(listener, "", "") }() // always http.ErrServerClosed
	return "https://" + listener.Addr().String(), nil
}

func (w *world) close() {
	if w.ec2 != nil {
		_ = w.ec2.Close()
	}
	if w.server != nil {
		_ = w.server.Close()
	}
	if w.lab != nil {
		_ = w.lab.Close()
	}
}

// pod makes a pod with as many Multus networks as named ENIs.
func (w *world) pod(nets int) (*netlab.Pod, error) {
	spec := netlab.PodSpec{Name: "bench", Eth0: netip.MustParsePrefix("10.10.12.101/24")}
	for i := 1; i <= nets; i++ {
		spec.Nets = append(spec.Nets, netlab.Net{
			Name: fmt.Sprintf("net%d", i), MAC: fmt.Sprintf("02:00:00:00:01:%02x", i),
			Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 10, byte(i), 81}), 24)},
		})
	}
	return w.lab.Pod(spec)
}

// command is ipmgr as the injected container runs it.
func (b *bench) command(ctx context.Context, w *world, mode string, settings ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.bin("ipmgr"), mode)
	cmd.Env = slices.Concat(w.environ, settings)
	cmd.Stderr = &strings.Builder{}
	return cmd
}

// finish waits for a command that must succeed.
func finish(cmd *exec.Cmd) error {
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, cmd.Stderr)
	}
	return nil
}

// percentile of values, which must not be empty.
func percentile(values []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

var errNoSidecar = errors.New("the sidecar did not become ready")
