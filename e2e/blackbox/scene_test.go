package blackbox_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

const (
	// patience is how long a test waits for what must happen. It is no
	// promise of the product's: a test that works never waits so long.
	patience = 60 * time.Second
	poll     = 5 * time.Millisecond
)

// scene is one VPC, and the pods and programs of one test.
type scene struct {
	*testing.T
	lab    *netlab.Lab
	sim    *vpcsim.Sim
	server *vpcsim.Server
	ec2    *ec2.Client // of an administrator
	before []vpcsim.ENI
	eth0   map[*netlab.Pod]netip.Addr

	mu        sync.Mutex
	forgotten []vpcsim.Call // calls from before the last reset
	processes []*process
}

// newScene builds the standard VPC (see vpc_test.go) with changes.
func newScene(t *testing.T, changes ...func(*vpcsim.Topology)) *scene {
	t.Helper()
	lab, err := sharedLab()
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	topology := standard(t)
	for _, change := range changes {
		if change != nil {
			change(&topology)
		}
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	free := netip.AddrPortFrom(lab.Gateway(), 0).String()
	server, err := sim.Listen(t.Context(), vpcsim.Addresses{EC2: free, Control: free, IMDS: []vpcsim.IMDSAddress{{Instance: worker1, Address: free}, {Instance: worker2, Address: free}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{T: t, lab: lab, sim: sim, server: server, before: sim.ENIs(), eth0: map[*netlab.Pod]netip.Addr{}}
	s.ec2 = administrator(server.EC2URL)
	t.Cleanup(s.end)
	return s
}

// end judges what the programs reported, and takes the scene down.
func (s *scene) end() {
	for _, p := range s.processes {
		p.stop()
		s.judge(p)
	}
	if err := s.server.Close(); err != nil {
		s.Error(err)
	}
	if s.Failed() {
		s.dump()
	}
}

// dump shows what happened.
func (s *scene) dump() {
	for _, c := range s.calls() {
		s.Logf("call %s %s %v: %s", c.At.Format(time.StampMicro), c.Action, c.Params, c.Result)
	}
	for _, p := range s.processes {
		s.Logf("log of ipmgr %s in %s:\n%s", p.mode, p.pod.Name, p.log.text())
	}
}

func administrator(endpoint string) *ec2.Client {
	return ec2.New(ec2.Options{
		Region: region, BaseEndpoint: &endpoint,
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: vpcsim.AccessKeyID, SecretAccessKey: vpcsim.SecretAccessKey}, nil
		}),
	})
}

// set changes settings of the simulator.
func (s *scene) set(patch string) {
	s.Helper()
	if patch == "" {
		return
	}
	if err := s.sim.Set(patch); err != nil {
		s.Fatal(err)
	}
}

// inject adds faults.
func (s *scene) inject(faults ...vpcsim.Fault) {
	s.Helper()
	if err := s.sim.Inject(faults...); err != nil {
		s.Fatal(err)
	}
}

// heal removes all faults.
func (s *scene) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = append(s.forgotten, s.sim.Calls(true)...)
	s.sim.Reset()
}

// calls lists all EC2 calls of the scene.
func (s *scene) calls() []vpcsim.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.forgotten, s.sim.Calls(true))
}

// actions lists the actions of all EC2 calls, in alphabetical order: calls for
// two ENIs or families are made at the same time.
func (s *scene) actions() []string {
	list := []string{}
	for _, c := range s.calls() {
		list = append(list, c.Action)
	}
	slices.Sort(list)
	return list
}

// holdings is what ENIs hold besides their primary IPv4 address: addresses in
// order, separated by blanks. ENIs without any are missing.
type holdings map[string]string

func (s *scene) holdings() holdings {
	h := holdings{}
	for _, e := range s.sim.ENIs() {
		var texts []string
		for _, a := range slices.Concat(e.Secondaries, e.IPv6) {
			texts = append(texts, a.String())
		}
		slices.Sort(texts)
		if len(texts) > 0 {
			h[e.ID] = strings.Join(texts, " ")
		}
	}
	return h
}

// eventually waits until ok; state says what is there instead.
func (s *scene) eventually(what string, ok func() (done bool, state any)) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for {
		done, state := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("waiting for %s in vain; there is %v", what, state)
		}
		time.Sleep(poll)
	}
}

// hostNumber makes addresses of eth0 that no two pods share.
var hostNumber atomic.Uint32

// pod makes a pod on worker 1 with nets besides its eth0.
func (s *scene) pod(name string, nets ...netlab.Net) *netlab.Pod {
	s.Helper()
	return s.podLike(netlab.PodSpec{Name: name, Nets: nets})
}

// podLike makes a pod and chooses the address of its eth0.
func (s *scene) podLike(spec netlab.PodSpec) *netlab.Pod {
	s.Helper()
	gateway := s.lab.Gateway().As4()
	number := binary.BigEndian.Uint32(gateway[:]) + hostNumber.Add(1)
	var host [4]byte
	binary.BigEndian.PutUint32(host[:], number)
	spec.Eth0 = netip.PrefixFrom(netip.AddrFrom4(host), 16)
	pod, err := s.lab.Pod(spec)
	if err != nil {
		s.Fatal(err)
	}
	s.eth0[pod] = spec.Eth0.Addr()
	s.Cleanup(func() {
		if err := pod.Close(); err != nil {
			s.Errorf("close pod %s: %v", pod.Name, err)
		}
	})
	return pod
}

// do fails the test if a step of its preparation fails.
func (s *scene) do(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// add gives a pod's interface an address.
func (s *scene) add(pod *netlab.Pod, link, prefix string) {
	s.Helper()
	s.do(pod.AddAddr(link, netip.MustParsePrefix(prefix)))
}

// remove takes an address from a pod's interface.
func (s *scene) remove(pod *netlab.Pod, link, prefix string) {
	s.Helper()
	s.do(pod.DelAddr(link, netip.MustParsePrefix(prefix)))
}

// take gives an address to an ENI behind ipmgr's back.
func (s *scene) take(eni string, addrs ...string) {
	s.Helper()
	_, err := s.ec2.AssignPrivateIpAddresses(s.Context(), &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &eni, PrivateIpAddresses: addrs, AllowReassignment: aws.Bool(true)})
	s.do(err)
}

// drop takes an address from an ENI behind ipmgr's back.
func (s *scene) drop(eni string, addrs ...string) {
	s.Helper()
	_, err := s.ec2.UnassignPrivateIpAddresses(s.Context(), &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: &eni, PrivateIpAddresses: addrs})
	s.do(err)
}

// drop6 takes an IPv6 address from an ENI behind ipmgr's back.
func (s *scene) drop6(eni string, addrs ...string) {
	s.Helper()
	_, err := s.ec2.UnassignIpv6Addresses(s.Context(), &ec2.UnassignIpv6AddressesInput{NetworkInterfaceId: &eni, Ipv6Addresses: addrs})
	s.do(err)
}

// detach takes an ENI off its worker. It does not describe the ENI for that: a
// fault may wait for the next such call of ipmgr.
func (s *scene) detach(eni string) {
	s.Helper()
	out, err := s.ec2.DescribeInstances(s.Context(), &ec2.DescribeInstancesInput{})
	s.do(err)
	for _, reservation := range out.Reservations {
		for _, instance := range reservation.Instances {
			for _, e := range instance.NetworkInterfaces {
				if *e.NetworkInterfaceId == eni {
					_, err = s.ec2.DetachNetworkInterface(s.Context(), &ec2.DetachNetworkInterfaceInput{AttachmentId: e.Attachment.AttachmentId})
					s.do(err)
					return
				}
			}
		}
	}
	s.Fatalf("ENI %s is not attached", eni)
}

// destroy detaches and deletes an ENI.
func (s *scene) destroy(eni string) {
	s.Helper()
	s.detach(eni)
	_, err := s.ec2.DeleteNetworkInterface(s.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &eni})
	s.do(err)
}

// attach puts an ENI on a worker.
func (s *scene) attach(eni, instance string, index int32) {
	s.Helper()
	_, err := s.ec2.AttachNetworkInterface(s.Context(), &ec2.AttachNetworkInterfaceInput{NetworkInterfaceId: &eni, InstanceId: &instance, DeviceIndex: &index})
	s.do(err)
}
