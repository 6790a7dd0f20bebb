// Package fleet launches workers of node groups and tells what their Multus ENIs
// cost. The function is the real program in a simulated Lambda, EC2 and Auto
// Scaling are simulated, and time is real.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lambdasim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// ground is two Multus subnets, of which the upper half is reserved for pods.
const ground = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/22, zone: us-west-2a}
- {id: subnet-3, cidr: 10.10.3.0/24, zone: us-west-2a}
- {id: subnet-6, cidr: 10.10.6.0/24, zone: us-west-2a}
reservations:
- {subnet: subnet-3, cidr: 10.10.3.128/25, type: explicit}
- {subnet: subnet-6, cidr: 10.10.6.128/25, type: explicit}
securityGroups: [{id: sg-1, name: multus, vpc: vpc-1}]
groups:
`

const networks = `[{"name":"n3","subnets":["subnet-3"],"securityGroups":["sg-1"]},{"name":"n6","subnets":["subnet-6"],"securityGroups":["sg-1"]}]`

// ENIsPerWorker is how many Multus ENIs each worker gets.
const ENIsPerWorker = 2

// Fleet is some node groups, each with a function.
type Fleet struct {
	sim       *vpcsim.Sim
	server    *vpcsim.Server
	functions []*lambdasim.Function
	environ   [][]string // of each function

	mu    sync.Mutex
	first time.Time // when the first event was delivered
}

// Start builds an account with groups node groups, whose functions run program.
// With sweep they are invoked each minute too.
func Start(ctx context.Context, program string, groups int, sweep bool, settings string) (_ *Fleet, err error) {
	var text strings.Builder
	text.WriteString(ground)
	for i := range groups {
		fmt.Fprintf(&text, "- {name: group-%d, type: m5.xlarge, subnets: [subnet-mgmt], max: 100, tags: {multus-ipmgr.io/cluster: bench, "+
			"multus-ipmgr.io/nodegroup: ng-%[1]d}, hooks: [{name: multus-ipmgr/bench/ng-%[1]d, transition: launching, heartbeat: 300s}]}\n", i)
	}
	topology, err := vpcsim.Load(strings.NewReader(text.String() + "settings: " + settings + "\n"))
	if err != nil {
		return nil, err
	}
	f := &Fleet{}
	if f.sim, err = vpcsim.New(topology, vpcsim.Options{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if f.server, err = f.sim.Listen(ctx, vpcsim.Addresses{EC2: "127.0.0.1:0", AutoScaling: "127.0.0.1:0"}); err != nil {
		return nil, err
	}
	for i := range groups {
		if err := f.deploy(ctx, program, fmt.Sprintf("ng-%d", i), sweep); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// deploy starts the function of one node group. Its rule passes its own hook's
// events alone, as that of the template does.
func (f *Fleet) deploy(ctx context.Context, program, name string, sweep bool) error {
	environ := []string{
		"AWS_REGION=us-west-2", "AWS_ACCESS_KEY_ID=" + vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + vpcsim.SecretAccessKey,
		"AWS_ENDPOINT_URL_EC2=" + f.server.EC2URL, "AWS_ENDPOINT_URL_AUTO_SCALING=" + f.server.AutoScalingURL,
		"NODEGROUP_NAME=" + name, "NODEGROUP_CLUSTER=bench", "NODEGROUP_NETWORKS=" + networks,
	}
	function, err := lambdasim.New(ctx, lambdasim.Options{Command: []string{program}, Env: environ, Concurrency: 50})
	if err != nil {
		return err
	}
	f.functions, f.environ = append(f.functions, function), append(f.environ, environ)
	hook := `"multus-ipmgr/bench/` + name + `"`
	f.sim.Subscribe(func(event []byte) {
		if strings.Contains(string(event), hook) {
			f.begin()
			_ = function.Invoke(event) // what is refused shows as a worker that waits
		}
	})
	if sweep {
		function.Every(time.Minute, []byte(`{"sweep":true}`))
	}
	return nil
}

func (f *Fleet) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first.IsZero() {
		f.first = time.Now()
	}
}

// Close ends everything.
func (f *Fleet) Close() error {
	for _, function := range f.functions {
		function.Close()
	}
	if f.server != nil {
		return f.server.Close()
	}
	f.sim.Close()
	return nil
}

// Result is what launching workers came to.
type Result struct {
	Workers int
	// Took is the time from the first event, or from the launch where none was
	// delivered, to the last CONTINUE.
	Took time.Duration
	// Creates counts calls of CreateNetworkInterface, refused ones included; EC2
	// and Scaling those of the two services.
	Creates, EC2, Scaling int
	// Surplus are ENIs that no worker needs, Lacking those that are missing,
	// Reserved those with an address of a reservation.
	Surplus, Lacking, Reserved int
}

// Launch has each group launch workers, and waits until all are in service.
func (f *Fleet) Launch(ctx context.Context, workers int) (Result, error) {
	began := time.Now()
	for i := range f.functions {
		if err := f.sim.SetDesired(fmt.Sprintf("group-%d", i), workers); err != nil {
			return Result{}, err
		}
	}
	r := Result{Workers: workers * len(f.functions)}
	for f.inService() < r.Workers {
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("%d of %d workers are in service: %w", f.inService(), r.Workers, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	for _, function := range f.functions {
		if err := function.Wait(ctx); err != nil {
			return r, err
		}
	}
	f.count(&r, began)
	return r, nil
}

func (f *Fleet) inService() (n int) {
	for _, g := range f.sim.Groups() {
		for _, m := range g.Members {
			if m.State == "InService" {
				n++
			}
		}
	}
	return n
}

// count fills in what was called and what is there.
func (f *Fleet) count(r *Result, began time.Time) {
	f.mu.Lock()
	if !f.first.IsZero() {
		began = f.first
	}
	f.mu.Unlock()
	for _, c := range f.sim.Calls(false) {
		switch c.Action {
		case "CompleteLifecycleAction", "DescribeAutoScalingGroups", "RecordLifecycleActionHeartbeat":
			r.Scaling++
		default:
			r.EC2++
		}
		if c.Action == "CreateNetworkInterface" {
			r.Creates++
		}
		if c.Action == "CompleteLifecycleAction" && c.Result == "ok" {
			r.Took = max(r.Took, c.At.Sub(began))
		}
	}
	reserved := []netip.Prefix{netip.MustParsePrefix("10.10.3.128/25"), netip.MustParsePrefix("10.10.6.128/25")}
	attached := map[string]bool{}
	for _, e := range f.sim.ENIs() {
		network := e.Tags["multus-ipmgr.io/network"]
		if network == "" {
			continue
		}
		if place := e.Instance + " " + network; e.Instance == "" || attached[place] {
			r.Surplus++
		} else {
			attached[place] = true
		}
		for _, p := range reserved {
			if p.Contains(e.Primary) {
				r.Reserved++
			}
		}
	}
	r.Lacking = r.Workers*ENIsPerWorker - len(attached)
}

// IdleSweep counts the calls of a sweep that finds nothing to do.
func (f *Fleet) IdleSweep(ctx context.Context) (calls int, err error) {
	f.sim.Reset()
	if err := f.functions[0].Invoke([]byte(`{"sweep":true}`)); err != nil {
		return 0, err
	}
	if err := f.functions[0].Wait(ctx); err != nil {
		return 0, err
	}
	return len(f.sim.Calls(true)), nil
}

// Command is the program on its own, with the settings of the first function.
func (f *Fleet) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = f.environ[0]
	return cmd
}
