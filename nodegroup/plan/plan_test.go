package plan_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/address"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// networks are n3 at index 1 and n6 at index 2, in two zones.
func networks(change ...func([]spec.Network)) []spec.Network {
	list := []spec.Network{
		{Name: "n3", Subnets: []string{"subnet-3a", "subnet-3b"}, SecurityGroups: []string{"sg-1"}},
		{Name: "n6", Subnets: []string{"subnet-6a", "subnet-6b"}, SecurityGroups: []string{"sg-1"}},
	}
	for _, f := range change {
		f(list)
	}
	return spec.WithDefaults(list)
}

func subnets() map[string]plan.Subnet {
	all := map[string]plan.Subnet{}
	for i, id := range []string{"subnet-3a", "subnet-6a", "subnet-3b", "subnet-6b"} {
		all[id] = plan.Subnet{
			ID: id, Zone: []string{"a", "a", "b", "b"}[i], HasIPv6: true, ReservedForPods: true,
			Subnet: address.Subnet{CIDR: netip.MustParsePrefix(fmt.Sprintf("10.10.%d.0/24", i)), Reserved: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.10.%d.64/26", i))}},
		}
	}
	return all
}

func primary() plan.ENI { return at(plan.ENI{ID: "eni-0"}, 0) }

func at(e plan.ENI, device int) plan.ENI {
	e.Attachment = &plan.Attachment{ID: "attach-" + e.ID, Instance: "i-1", Device: device, Settled: true, Protected: true}
	return e
}

func ours(id, network string) plan.ENI {
	return plan.ENI{ID: id, Subnet: map[string]string{"n3": "subnet-3a", "n6": "subnet-6a"}[network], Network: network, Instance: "i-1", Checked: true}
}

func with(e plan.ENI, change func(*plan.ENI)) plan.ENI {
	change(&e)
	return e
}

func view(enis ...plan.ENI) plan.View {
	return plan.View{
		Instance: plan.Instance{ID: "i-1", Type: "m5.xlarge", Zone: "a", State: plan.Running},
		ENIs:     append([]plan.ENI{primary()}, enis...),
		Subnets:  subnets(),
		Limits:   plan.Limits{ENIs: 4, Cards: map[int]int{0: 4}},
	}
}

// sentences are steps as words.
func sentences(steps []plan.Step) []string {
	var list []string
	for _, s := range steps {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", s.Do, s.Network, s.Device, s.ENI)))
	}
	return list
}

func TestWhatIsMissingIsDone(t *testing.T) {
	unchecked := func(e *plan.ENI) { e.Checked = false }
	unprotected := func(e *plan.ENI) { e.Attachment.Protected = false }
	n6 := with(at(ours("eni-6", "n6"), 2), unchecked)
	for _, tc := range []struct {
		name  string
		view  plan.View
		steps []string
		waits bool
	}{
		{
			name: "a new instance gets one ENI in each network",
			view: view(),
			steps: []string{"create n3 1", "attach n3 1", "protect n3 1", "uncheck n3 1",
				"create n6 2", "attach n6 2", "protect n6 2", "uncheck n6 2"},
		},
		{
			name:  "one that was created before is adopted",
			view:  view(ours("eni-3", "n3"), n6),
			steps: []string{"adopt n3 1 eni-3", "attach n3 1 eni-3", "protect n3 1 eni-3", "uncheck n3 1 eni-3"},
		},
		{
			name:  "of two that are not attached the smaller id is adopted and the other deleted",
			view:  view(ours("eni-5", "n3"), ours("eni-4", "n3"), n6),
			steps: []string{"delete n3 0 eni-5", "adopt n3 1 eni-4", "attach n3 1 eni-4", "protect n3 1 eni-4", "uncheck n3 1 eni-4"},
		},
		{
			name:  "an attached one is kept, whatever its id",
			view:  view(ours("eni-1", "n3"), at(ours("eni-9", "n3"), 1), n6),
			steps: []string{"delete n3 0 eni-1", "uncheck n3 1 eni-9"},
		},
		{
			name:  "an attached one is protected before its check is turned off",
			view:  view(with(at(ours("eni-3", "n3"), 1), unprotected), n6),
			steps: []string{"protect n3 1 eni-3", "uncheck n3 1 eni-3"},
		},
		{
			name:  "while it is attaching it can be protected already, and is waited for",
			view:  view(with(with(at(ours("eni-3", "n3"), 1), unprotected), func(e *plan.ENI) { e.Attachment.Settled, e.Checked = false, false }), n6),
			steps: []string{"protect n3 1 eni-3"},
			waits: true,
		},
		{
			name:  "one that is detaching is waited for",
			view:  view(with(at(ours("eni-3", "n3"), 1), func(e *plan.ENI) { e.Attachment.Settled, e.Attachment.Leaving = false, true }), n6),
			waits: true,
		},
		{
			name: "a stranger's ENI at another index is left alone",
			view: view(at(plan.ENI{ID: "eni-cni"}, 3), with(at(ours("eni-3", "n3"), 1), unchecked), n6),
		},
		{
			name: "an ENI of another instance, or attached to one, is not this one's",
			view: view(with(ours("eni-1", "n3"), func(e *plan.ENI) { e.Instance = "i-2" }),
				with(at(ours("eni-2", "n3"), 1), func(e *plan.ENI) { e.Attachment.Instance = "i-2" }),
				with(at(ours("eni-3", "n3"), 1), unchecked), n6),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := plan.Diff(networks(), tc.view, plan.Options{})
			if len(p.Refusals) > 0 {
				t.Fatal(p.Refusals)
			}
			if diff := cmp.Diff(tc.steps, sentences(p.Steps)); diff != "" || p.Waiting != tc.waits {
				t.Errorf("waiting %t, steps (-want +got):\n%s", p.Waiting, diff)
			}
			if p.Done() != (len(tc.steps) == 0 && !tc.waits) {
				t.Errorf("done: %t", p.Done())
			}
		})
	}
}

func TestAPendingInstanceIsWaitedFor(t *testing.T) {
	v := view()
	v.Instance.State = plan.Pending
	if p := plan.Diff(networks(), v, plan.Options{}); !p.Waiting || p.Done() || len(p.Steps) > 0 {
		t.Errorf("got %+v", p)
	}
}

func TestWhyAWorkerIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name     string
		networks []spec.Network
		view     func(*plan.View)
		want     []string // network, reason and a part of the message
	}{
		{"an instance that ends", networks(), func(v *plan.View) { v.Instance.State = plan.ShuttingDown }, []string{" instance-gone instance i-1 is shutting-down"}},
		{"an instance that nobody knows", networks(), func(v *plan.View) { v.Instance.State = "" }, []string{" instance-gone EC2 does not know"}},
		{"a zone without a subnet", networks(), func(v *plan.View) { v.Instance.Zone = "c" }, []string{"n3 subnet-missing no subnet of the network is in zone c", "n6 subnet-missing"}},
		{"a subnet that does not exist", networks(), func(v *plan.View) { delete(v.Subnets, "subnet-3a") }, []string{"n3 subnet-missing (EC2 does not know subnet-3a)"}},
		{"two subnets in one zone", networks(func(n []spec.Network) { n[0].Subnets = []string{"subnet-3a", "subnet-6a"} }), nil, []string{"n3 settings subnets subnet-3a and subnet-6a are both in zone a"}},
		{"a subnet without reservation", networks(), func(v *plan.View) { v.Subnets["subnet-6a"] = unreserved(v.Subnets["subnet-6a"]) }, []string{"n6 no-reservation subnet subnet-6a has no CIDR reservation"}},
		{"a subnet without IPv6", networks(func(n []spec.Network) { n[0].IPv6 = spec.IPv6Required }), func(v *plan.View) { v.Subnets["subnet-3a"] = withoutIPv6(v.Subnets["subnet-3a"]) }, []string{"n3 ipv6-missing"}},
		{"a subnet without IPv4", networks(), func(v *plan.View) { v.Subnets["subnet-3a"] = withoutIPv4(v.Subnets["subnet-3a"]) }, []string{"n3 settings has no IPv4 range"}},
		{"workers outside the subnet", networks(func(n []spec.Network) { n[0].Workers = spec.AllSubnets("10.99.0.0/24") }), nil, []string{"n3 settings workers 10.99.0.0-10.99.0.255 leaves no address"}},
		{"a full subnet", networks(), func(v *plan.View) { v.Subnets["subnet-3a"] = full(v.Subnets["subnet-3a"]) }, []string{"n3 subnet-full no address of subnet subnet-3a"}},
		{"a stranger's ENI at the index", networks(), func(v *plan.View) { v.ENIs = append(v.ENIs, at(plan.ENI{ID: "eni-cni"}, 2)) }, []string{"n6 device-taken index 2 of card 0 of instance i-1 is taken by ENI eni-cni, which is not ours"}},
		{"our ENI of another network at the index", networks(), func(v *plan.View) { v.ENIs = append(v.ENIs, at(ours("eni-x", "n9"), 1)) }, []string{"n3 device-taken by ENI eni-x of network n9"}},
		{"its own ENI at another index", networks(), func(v *plan.View) { v.ENIs = append(v.ENIs, at(ours("eni-3", "n3"), 3)) }, []string{"n3 device-taken ENI eni-3 of the network is attached at index 3"}},
		{"more ENIs than the type has", networks(), func(v *plan.View) { v.Limits = plan.Limits{ENIs: 2, Cards: map[int]int{0: 2}} }, []string{" eni-limit m5.xlarge takes 2 ENIs, and with 2 more instance i-1 would have 3"}},
		{"more ENIs than the card has", networks(), func(v *plan.View) { v.Limits = plan.Limits{ENIs: 9, Cards: map[int]int{0: 2}} }, []string{" eni-limit card 0 of m5.xlarge takes 2 ENIs"}},
		{"a card that the type lacks", networks(func(n []spec.Network) { n[1].NetworkCard = 1 }), nil, []string{" eni-limit m5.xlarge has no network card 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := view()
			if tc.view != nil {
				tc.view(&v)
			}
			p := plan.Diff(tc.networks, v, plan.Options{})
			if len(p.Refusals) != len(tc.want) || len(p.Steps) > 0 {
				t.Fatalf("steps %v, refusals %v, want %v", p.Steps, p.Refusals, tc.want)
			}
			for i, r := range p.Refusals {
				head, rest, _ := strings.Cut(tc.want[i], " ")
				reason, message, _ := strings.Cut(rest, " ")
				if r.Network != head || string(r.Reason) != reason || !strings.Contains(r.Message, message) {
					t.Errorf("got %+v, want %s", r, tc.want[i])
				}
			}
		})
	}
}

func unreserved(s plan.Subnet) plan.Subnet  { s.ReservedForPods = false; return s }
func withoutIPv6(s plan.Subnet) plan.Subnet { s.HasIPv6 = false; return s }
func withoutIPv4(s plan.Subnet) plan.Subnet { s.CIDR = netip.Prefix{}; return s }

func full(s plan.Subnet) plan.Subnet {
	s.Held = []netip.Prefix{s.CIDR}
	return s
}

func TestWhatThereIsIsNotRefusedForWhatANewOneWouldBe(t *testing.T) {
	v := view(at(ours("eni-3", "n3"), 1), at(ours("eni-6", "n6"), 2))
	for id, s := range v.Subnets {
		v.Subnets[id] = full(unreserved(s))
	}
	v.Limits = plan.Limits{}
	if p := plan.Diff(networks(), v, plan.Options{}); len(p.Refusals) > 0 || !slices.Equal(sentences(p.Steps), []string{"uncheck n3 1 eni-3", "uncheck n6 2 eni-6"}) {
		t.Errorf("got %+v", p)
	}
}

func TestAReservationThatIsOnlyWarnedOf(t *testing.T) {
	v := view()
	v.Subnets["subnet-3a"] = unreserved(v.Subnets["subnet-3a"])
	p := plan.Diff(networks(func(n []spec.Network) { n[0].Reservation = spec.Warn }), v, plan.Options{})
	if len(p.Refusals) > 0 || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "subnet-3a") {
		t.Errorf("got %+v", p)
	}
}

func TestWithoutHooksAStrangerAtTheIndexMovesOursToTheHighestOne(t *testing.T) {
	v := view(at(plan.ENI{ID: "eni-cni"}, 1))
	p := plan.Diff(networks(), v, plan.Options{AnyIndex: true})
	if got := sentences(p.Steps); len(p.Refusals) > 0 || got[0] != "create n3 3" || got[4] != "create n6 2" {
		t.Errorf("got %v, refusals %v", got, p.Refusals)
	}
	v.ENIs = append(v.ENIs, at(plan.ENI{ID: "eni-b"}, 2), at(plan.ENI{ID: "eni-c"}, 3))
	if p := plan.Diff(networks(), v, plan.Options{AnyIndex: true}); len(p.Refusals) == 0 || p.Refusals[0].Reason != spec.DeviceTaken {
		t.Errorf("with no index left: %+v", p)
	}
	kept := view(at(plan.ENI{ID: "eni-cni"}, 1), with(at(ours("eni-3", "n3"), 3), func(e *plan.ENI) { e.Checked = false }))
	if p := plan.Diff(networks()[:1], kept, plan.Options{AnyIndex: true}); !p.Done() {
		t.Errorf("one that was moved is where it may be: %+v", p)
	}
}

func TestWhatIsLeftBehindWhenAnInstanceIsGivenUp(t *testing.T) {
	v := view(ours("eni-1", "n3"), with(at(ours("eni-2", "n6"), 2), func(e *plan.ENI) { e.Attachment.Protected = false }),
		at(ours("eni-3", "n9"), 3), plan.ENI{ID: "eni-other", Network: "n3", Instance: "i-2"}, with(at(plan.ENI{ID: "eni-cni"}, 4), func(e *plan.ENI) { e.Attachment.Protected = false }))
	want := []string{"delete n3 0 eni-1", "protect n6 2 eni-2"}
	if diff := cmp.Diff(want, sentences(plan.Leave(v))); diff != "" {
		t.Error(diff)
	}
}

func TestGarbage(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	old := func(e plan.ENI) plan.ENI { e.Created = now.Add(-time.Hour); return e }
	of := func(id, instance string) plan.ENI {
		return plan.ENI{ID: id, Network: "n3", Instance: instance}
	}
	lives := map[string]plan.Life{"i-waits": {Waiting: true}, "i-served": {Waiting: true}, "i-runs": {}, "i-ends": {Waiting: true, Gone: true}}
	served := at(of("eni-served", "i-served"), 1)
	served.Attachment.Instance = "i-served"
	for _, tc := range []struct {
		name string
		eni  plan.ENI
		want bool
	}{
		{"of an instance that nobody knows", old(of("eni-1", "i-none")), true},
		{"of one that ends", old(of("eni-1", "i-ends")), true},
		{"of one that is in service", old(of("eni-1", "i-runs")), true},
		{"of one that waits", old(of("eni-1", "i-waits")), false},
		{"of one that waits and has another one", old(of("eni-1", "i-served")), true},
		{"young", with(of("eni-1", "i-none"), func(e *plan.ENI) { e.Created = now.Add(-time.Minute) }), false},
		{"of an age that cannot be read", of("eni-1", "i-none"), false},
		{"attached", old(at(of("eni-1", "i-none"), 1)), false},
		{"not ours", old(plan.ENI{ID: "eni-1", Instance: "i-none"}), false},
	} {
		got := plan.Garbage([]plan.ENI{tc.eni, served}, lives, now.Add(-15*time.Minute))
		if (len(got) == 1) != tc.want {
			t.Errorf("%s: got %v", tc.name, got)
		}
	}
	pair := []plan.ENI{old(of("eni-1", "i-waits")), old(of("eni-2", "i-waits"))}
	if got := plan.Garbage(pair, lives, now); len(got) != 1 || got[0].ID != "eni-2" {
		t.Errorf("of two for one that waits: got %v, want the one that it will not use", got)
	}
	var many []plan.ENI
	for i := range 50 {
		many = append(many, with(of(fmt.Sprintf("eni-%02d", i), "i-none"), func(e *plan.ENI) { e.Created = now.Add(-time.Duration(i+20) * time.Minute) }))
	}
	if got := plan.Garbage(many, nil, now.Add(-15*time.Minute)); len(got) != plan.MaxGarbage || got[0].ID != "eni-49" {
		t.Errorf("%d, the first is %s", len(got), got[0].ID)
	}
}
