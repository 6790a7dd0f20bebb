package eni_test

import (
	"fmt"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

func TestMoreLinksThanOneCallTakesValues(t *testing.T) {
	t.Parallel()
	for _, links := range []int{199, 200, 201, 450} {
		t.Run(fmt.Sprint(links), func(t *testing.T) {
			t.Parallel()
			inVPC(t, withHost, func(r *rig) {
				var pod []plan.Address
				for i := range links - 1 { // an application may add any number of them
					pod = append(pod, onLink(fmt.Sprintf("02:aa:00:00:%02x:%02x", i/256, i%256), "10.10.1.71")...)
				}
				pod = append(pod, onLink(macEth1, "10.10.1.70")...) // the last is in the last call
				r.attached(pod, eth0(), eth1())
			})
		})
	}
}

func TestEmptyPagesAndAnyOrder(t *testing.T) {
	t.Parallel()
	inVPC(t, withHost, func(r *rig) {
		r.set(`{"emptyPages":true,"order":"random"}`)
		r.attached(onLink(macPod, "10.10.1.70"), eth0(), eth1())
		r.assign(true, []string{"2600:1f13:0:1::70"}, nil)
		r.attached(onLink(macPod, "2600:1f13:0:1::70"), eth0(), withAddrs(eth1(), "2600:1f13:0:1::70"))
	})
}
