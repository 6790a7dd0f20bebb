package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

func TestNamesAreResolved(t *testing.T) {
	const other = "9a:00:00:00:00:07"
	eth, bridge := bound("10.10.1.81", "", mac1), addr("172.16.0.5", "", other)
	on := func(name string, a plan.Address) plan.Address { a.Interface = name; return a }
	tests := []struct {
		name               string
		required, excluded []string
		links              []plan.Address // of one interface each
		wantRequired       []string
		wantExcluded       []string
		lies               bool
	}{
		{
			name: "as they are without default networks", required: []string{"net1"}, excluded: []string{"eth0", "net2"},
			links: []plan.Address{on("net1", eth), on("net2", bridge)}, wantRequired: []string{"net1"}, wantExcluded: []string{"eth0", "net2"},
		}, {
			name: "moved by a default network that is a bridge", required: []string{"net1"}, excluded: []string{"eth0"},
			links: []plan.Address{on("net1", bridge), on("net2", eth)}, wantRequired: []string{"net2"}, wantExcluded: []string{"eth0"}, lies: true,
		}, {
			name: "moved by a default network before one that is excluded", required: []string{"net1"}, excluded: []string{"eth0", "net2"},
			links: []plan.Address{on("net1", bridge), on("net2", eth), on("net3", bridge)}, wantRequired: []string{"net2"}, wantExcluded: []string{"eth0", "net3"}, lies: true,
		}, {
			name: "moved by a default network on an ENI before one that is excluded", required: []string{"net1"}, excluded: []string{"eth0", "net2"},
			links: []plan.Address{on("net1", eth), on("net2", eth), on("net3", bridge)}, wantRequired: []string{"net2"}, wantExcluded: []string{"eth0", "net3"}, lies: true,
		}, {
			name: "moved by two default networks", required: []string{"net1"}, excluded: []string{"eth0"},
			links: []plan.Address{on("net1", bridge), on("net2", bridge), on("net3", eth)}, wantRequired: []string{"net3"}, wantExcluded: []string{"eth0"}, lies: true,
		}, {
			name: "both when a default network is on an ENI too", required: []string{"net1"}, excluded: []string{"eth0"},
			links: []plan.Address{on("net1", eth), on("net2", eth)}, wantRequired: []string{"net1", "net2"}, wantExcluded: []string{"eth0"}, lies: true,
		}, {
			name: "but for those that the pod chose itself", required: []string{"net2", "sig0"}, excluded: []string{"eth0"},
			links: []plan.Address{on("net1", bridge), on("sig0", eth), on("net3", eth)}, wantRequired: []string{"net3", "sig0"}, wantExcluded: []string{"eth0"}, lies: true,
		}, {
			name: "as they are beside a network that was plugged later", required: []string{"net1"}, excluded: []string{"eth0", "net2"},
			links: []plan.Address{on("net1", eth), on("net2", bridge), on("net3", eth)}, wantRequired: []string{"net1"}, wantExcluded: []string{"eth0", "net2"}, lies: true,
		}, {
			name: "as they are beside an interface of the application", required: []string{"net1"}, excluded: []string{"eth0"},
			links: []plan.Address{on("net1", eth), on("net7", bridge)}, wantRequired: []string{"net1"}, wantExcluded: []string{"eth0"}, lies: true,
		}, {
			name: "as they are beside an interface that no default network can have", required: []string{"net1"}, excluded: []string{"eth0"},
			links: []plan.Address{on("net1", bridge), on("net99999999999999999999", eth), on("net500", eth)}, wantRequired: []string{"net1"}, wantExcluded: []string{"eth0"},
		}, {
			name: "as they are when none is Multus's own", required: []string{"sig0"}, excluded: []string{"lo", "eth0"},
			links: []plan.Address{on("sig0", eth), on("net1", eth)}, wantRequired: []string{"sig0"}, wantExcluded: []string{"lo", "eth0"},
		}, {
			name: "as they are when an interface is missing", required: []string{"net1", "net2"}, excluded: []string{"eth0"},
			links: []plan.Address{on("net1", eth)}, wantRequired: []string{"net1", "net2"}, wantExcluded: []string{"eth0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			present := []string{"lo", "eth0"}
			for _, a := range tt.links {
				present = append(present, a.Interface)
			}
			names := plan.Names{Required: tt.required, Excluded: tt.excluded}
			got := names.Resolve(present, plan.Place(tt.links, []plan.ENI{eni0(), eni1()}, plan.Policy{}))
			want := plan.Names{Required: tt.wantRequired, Excluded: tt.wantExcluded}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if lies := names.MayLie(present); lies != tt.lies {
				t.Errorf("names may lie: %v, want %v", lies, tt.lies)
			}
		})
	}
}

func TestNamesThatCannotLie(t *testing.T) {
	names := plan.Names{Excluded: []string{"lo", "eth0", "net2", "net01", "net", "netx1", "br0"}}
	if diff := cmp.Diff([]string{"lo", "eth0", "net01", "net", "netx1", "br0"}, names.Certain()); diff != "" {
		t.Errorf("certain (-want +got):\n%s", diff)
	}
}
