package main

import (
	"context"
	_ "embed" // the topology
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

//go:embed topology.yaml
var topologyYAML string

// delays are how long the simulated EC2 takes, about as in AWS.
const delays = `{"latency": "100ms", "dataPathLag": "500ms"}`

// metadata is where pods expect the metadata service of their worker.
const metadata = "169.254.169.254"

// vpc is the simulated VPC. IMDS sees by its source which worker a question
// comes from, as on a real one.
type vpc struct {
	topology vpcsim.Topology
	sim      *vpcsim.Sim
	server   *vpcsim.Server
	imds     *http.Server
	wire     string // directory of the ENIs' sockets

	mu     sync.Mutex
	placed map[netip.Addr]string // instances by their pods' eth0
}

// newVPC starts the simulator in the cloud's namespace of the lab.
func newVPC(ctx context.Context, lab *netlab.Lab, dir string) (_ *vpc, err error) {
	v := &vpc{wire: filepath.Join(dir, "wire"), placed: map[netip.Addr]string{}}
	if v.topology, err = vpcsim.Load(strings.NewReader(topologyYAML)); err != nil {
		return nil, err
	}
	if v.sim, err = vpcsim.New(v.topology, vpcsim.Options{}); err != nil {
		return nil, err
	}
	free := netip.AddrPortFrom(lab.Gateway(), 0).String()
	if v.server, err = v.sim.Listen(ctx, vpcsim.Addresses{EC2: free, Wire: v.wire}); err != nil {
		return nil, err
	}
	if err := errors.Join(v.sim.Set(delays), lab.AddAddr(netip.PrefixFrom(netip.MustParseAddr(metadata), 32)), v.serveIMDS(ctx)); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

func (v *vpc) serveIMDS(ctx context.Context) error {
	handlers := map[string]http.Handler{}
	for _, i := range v.topology.Instances {
		var err error
		if handlers[i.ID], err = v.sim.IMDS(i.ID, vpcsim.PodHops); err != nil {
			return err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(metadata, "80"))
	if err != nil {
		return fmt.Errorf("serve IMDS: %w", err)
	}
	v.imds = &http.Server{
		ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h := handlers[v.instanceOf(r.RemoteAddr)]; h != nil {
				h.ServeHTTP(w, r)
				return
			}
			http.NotFound(w, r)
		}),
	}
	go func() { _ = v.imds.Serve(listener) }() // ends with the server
	return nil
}

// instanceOf returns the instance on which a pod runs.
func (v *vpc) instanceOf(pod string) string {
	at, err := netip.ParseAddrPort(pod)
	if err != nil {
		return ""
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.placed[at.Addr()]
}

// place says on which instance the pod with this eth0 runs.
func (v *vpc) place(eth0 netip.Addr, instance string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.placed[eth0] = instance
}

func (v *vpc) close() error {
	var err error
	if v.imds != nil {
		err = v.imds.Close()
	}
	return errors.Join(err, v.server.Close())
}

// administrator is a client of EC2 with every right.
func (v *vpc) administrator() *ec2.Client {
	return ec2.New(ec2.Options{
		Region: v.topology.Region, BaseEndpoint: &v.server.EC2URL,
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: vpcsim.AccessKeyID, SecretAccessKey: vpcsim.SecretAccessKey}, nil
		}),
	})
}

// reservations reads the subnet's reservations as the controller does.
func (v *vpc) reservations(ctx context.Context) ([]nad.Reservation, error) {
	i := slices.IndexFunc(v.topology.Subnets, func(s subnet) bool { return s.ID == multusSubnet })
	if i < 0 {
		return nil, fmt.Errorf("the topology has no %s", multusSubnet)
	}
	subnet := v.topology.Subnets[i]
	out, err := v.administrator().GetSubnetCidrReservations(ctx, &ec2.GetSubnetCidrReservationsInput{SubnetId: &subnet.ID})
	if err != nil {
		return nil, err
	}
	var all []nad.Reservation
	for _, r := range out.SubnetIpv4CidrReservations {
		reservation, err := nad.ParseReservation(*r.Cidr, string(r.ReservationType), subnet.ID, subnet.CIDR.String(), subnet.Zone)
		if err != nil {
			return nil, err
		}
		all = append(all, reservation)
	}
	return all, nil
}

// reserve runs the command of a message that says how to reserve a range.
func (v *vpc) reserve(ctx context.Context, subnet, cidr string) error {
	_, err := v.administrator().CreateSubnetCidrReservation(ctx, &ec2.CreateSubnetCidrReservationInput{
		SubnetId: &subnet, Cidr: &cidr, ReservationType: types.SubnetCidrReservationTypeExplicit,
	})
	return err
}
