package nodegroup_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/cloud"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ground is what the tests run in: two Multus subnets in one zone and one in
// another, each with a range reserved for pods but the last.
const ground = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/22, zone: us-west-2a}
- {id: subnet-3a, cidr: 10.10.3.0/24, ipv6Cidr: "2600:1f13:0:3::/64", zone: us-west-2a}
- {id: subnet-6a, cidr: 10.10.6.0/24, zone: us-west-2a}
- {id: subnet-9a, cidr: 10.10.9.0/28, zone: us-west-2a}
- {id: subnet-3b, cidr: 10.10.4.0/24, zone: us-west-2b}
reservations:
- {subnet: subnet-3a, cidr: 10.10.3.128/25, type: explicit}
- {subnet: subnet-6a, cidr: 10.10.6.128/25, type: explicit}
securityGroups:
- {id: sg-1, name: multus, vpc: vpc-1}
instances:
`

// worker is an instance of the node group as it is launched.
func worker(id string, n int) string {
	return fmt.Sprintf(`- id: %s
  type: m5.xlarge
  zone: us-west-2a
  tags: {multus-ipmgr.io/cluster: telco, multus-ipmgr.io/nodegroup: upf}
  enis:
  - {id: eni-%s-0, subnet: subnet-mgmt, deviceIndex: 0, primary: 10.10.%d.%d}
`, id, id, 12+(n+10)/256, (n+10)%256)
}

// pipe carries requests to a handler without a network, so that a bubble of
// testing/synctest knows when nothing is under way.
type pipe struct {
	handler http.Handler
	calls   atomic.Int64
	// after is called when a call has taken effect, before its answer is seen.
	after func(number int64)
}

func (p *pipe) RoundTrip(r *http.Request) (*http.Response, error) {
	number := p.calls.Add(1)
	answered := make(chan *http.Response, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil { // the connection is cut
				close(answered)
			}
		}()
		w := httptest.NewRecorder()
		arrived := r.Clone(context.WithoutCancel(r.Context()))
		arrived.Host, arrived.RequestURI = r.URL.Host, r.URL.RequestURI()
		p.handler.ServeHTTP(w, arrived)
		answered <- w.Result()
	}()
	select {
	case response := <-answered:
		if p.after != nil {
			p.after(number)
		}
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		if response == nil {
			return nil, errors.New("connection reset by peer")
		}
		return response, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// rig is a node group in front of a simulated VPC.
type rig struct {
	t     *testing.T
	sim   *vpcsim.Sim
	pipe  *pipe
	group *nodegroup.Group
	admin *ec2.Client // another user of the account
}

// networks are n3 and n6 with what a test changes.
func networks(change ...func([]spec.Network)) []spec.Network {
	list := []spec.Network{
		{Name: "n3", Subnets: []string{"subnet-3a", "subnet-3b"}, SecurityGroups: []string{"sg-1"}},
		{Name: "n6", Subnets: []string{"subnet-6a"}, SecurityGroups: []string{"sg-1"}},
	}
	for _, f := range change {
		f(list)
	}
	return spec.WithDefaults(list)
}

// inVPC runs a test in a bubble, with workers i-1 to i-N.
func inVPC(t *testing.T, workers int, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newRig(t, workers)) })
}

func newRig(t *testing.T, workers int) *rig {
	t.Helper()
	text := ground
	for i := range workers {
		text += worker(fmt.Sprintf("i-%d", i+1), i)
	}
	topology, err := vpcsim.Load(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{Rand: rand.NewPCG(1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	r := &rig{t: t, sim: sim, pipe: &pipe{handler: sim.EC2()}}
	r.group = r.newGroup("upf", r.pipe)
	r.admin = ec2.NewFromConfig(configuration(&pipe{handler: sim.EC2()}), func(o *ec2.Options) { o.Retryer = aws.NopRetryer{} })
	return r
}

func configuration(p *pipe) aws.Config {
	return aws.Config{
		Region: "us-west-2", BaseEndpoint: aws.String("http://ec2.test"),
		Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: p},
	}
}

// newGroup is another invocation, or another node group.
func (r *rig) newGroup(name string, p *pipe) *nodegroup.Group {
	client := vpc.New(vpc.Options{Name: "test", Version: "0", Config: func(context.Context) (aws.Config, error) { return configuration(p), nil }})
	random := rand.New(rand.NewPCG(3, 4))
	var mu sync.Mutex
	return &nodegroup.Group{
		Settings: spec.Settings{Name: name, Cluster: "telco", Networks: networks(), OnRefusal: spec.OnRefusalAbandon},
		Cloud:    &cloud.Cloud{Client: client, Cluster: "telco", NodeGroup: name},
		Log:      slog.New(slog.DiscardHandler),
		Random: func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64()
		},
	}
}

func (r *rig) set(patch string) {
	r.t.Helper()
	if err := r.sim.Set(patch); err != nil {
		r.t.Fatal(err)
	}
}

// lag lets Describe calls show what was that long ago. The world is older.
func (r *rig) lag(d string) {
	r.t.Helper()
	time.Sleep(time.Minute)
	r.set(`{"describeLag":"` + d + `"}`)
}

// ensure gives an instance its ENIs within the time that a function has.
func (r *rig) ensure(g *nodegroup.Group, instance string) (nodegroup.Outcome, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 115*time.Second)
	defer cancel()
	return g.Ensure(ctx, instance)
}

// actions lists the calls since the last time, in the order of their arrival.
func (r *rig) actions() []string {
	var list []string
	for _, call := range r.sim.Calls(true) {
		list = append(list, call.Action+" "+call.Result)
	}
	r.sim.Reset()
	return list
}

// attached lists what an instance has besides its first ENI: index, network,
// address, and what it lacks.
func (r *rig) attached(instance string) []string {
	r.t.Helper()
	out, err := r.admin.DescribeInstances(r.t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{instance}})
	if err != nil {
		r.t.Fatal(err)
	}
	var list []string
	for _, e := range out.Reservations[0].Instances[0].NetworkInterfaces {
		if *e.Attachment.DeviceIndex == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s %s", *e.Attachment.DeviceIndex, r.tags(*e.NetworkInterfaceId)[nodegroup.TagNetwork], *e.PrivateIpAddress)
		if !*e.Attachment.DeleteOnTermination {
			text += " unprotected"
		}
		if *e.SourceDestCheck {
			text += " checked"
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

func (r *rig) tags(eni string) map[string]string {
	for _, e := range r.sim.ENIs() {
		if e.ID == eni {
			return e.Tags
		}
	}
	return nil
}

// leftOver lists the node group's ENIs that are attached to nothing.
func (r *rig) leftOver() []string {
	var list []string
	for _, e := range r.sim.ENIs() {
		if e.Instance == "" && e.Tags[nodegroup.TagNodeGroup] != "" {
			list = append(list, e.ID+" of "+e.Tags[nodegroup.TagNetwork])
		}
	}
	return list
}

// wantWorker checks that an instance has exactly its ENIs, and that none is
// left over.
func (r *rig) wantWorker(instance string, want ...string) {
	r.t.Helper()
	if got := r.attached(instance); !slices.Equal(got, want) {
		r.t.Errorf("%s has %q, want %q", instance, got, want)
	}
	if got := r.leftOver(); len(got) > 0 {
		r.t.Errorf("left over: %v", got)
	}
}

// launching is the Auto Scaling of a test: all its workers are being launched.
type launching []nodegroup.Launch

func (l launching) Launching(context.Context, string) ([]nodegroup.Launch, error) { return l, nil }

// describe returns an ENI as EC2 describes it.
func (r *rig) describe(id string) types.NetworkInterface {
	r.t.Helper()
	out, err := r.admin.DescribeNetworkInterfaces(r.t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{id}})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.NetworkInterfaces[0]
}
