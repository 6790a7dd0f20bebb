package eni

import (
	"fmt"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

func TestWhatEC2DescribedStaysBesideWhatIMDSShows(t *testing.T) {
	t.Parallel()
	f := newFacts()
	ours := plan.ENI{ID: "eni-1", MAC: "02:00:00:00:00:01"}
	f.learnWorker("i-1", []nic{{ENI: ours, instance: "i-1", vpc: "vpc-1"}})
	f.learnENI(ours)
	if n, _ := f.known(ours.MAC); n.instance != "i-1" || n.vpc != "vpc-1" || !n.shown {
		t.Errorf("known is %+v, want what EC2 described, and that IMDS has shown it", n)
	}
	f.learnENI(plan.ENI{ID: "eni-2", MAC: ours.MAC})
	if n, _ := f.known(ours.MAC); n.ID != "eni-2" || n.instance != "" || n.vpc != "" {
		t.Errorf("known is %+v, want another ENI of which EC2 has described nothing", n)
	}
}

func TestAnENIThatOnlyIMDSHasShownIsNotBesideOurs(t *testing.T) {
	t.Parallel()
	f := newFacts()
	played := plan.ENI{ID: "eni-2", MAC: "02:00:00:00:00:02"}
	f.ours["eni-1"] = true
	f.learnENI(plan.ENI{ID: "eni-1", MAC: "02:00:00:00:00:01"})
	f.learnENI(played)
	if f.besideOurs(played) {
		t.Error("IMDS alone made an ENI the worker's")
	}
	if _, ids, all := f.worker([]string{played.MAC}); len(ids) != 0 || all {
		t.Errorf("ids %v of the worker's ENIs, want none before EC2 described them", ids)
	}
}

func TestFactsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFacts()
	for i := range 10 * maxENIs {
		f.learnENI(plan.ENI{ID: fmt.Sprint("eni-", i), MAC: fmt.Sprint(i)})
		if len(f.enis) > maxENIs {
			t.Fatalf("%d ENIs are kept, want at most %d", len(f.enis), maxENIs)
		}
	}
}
