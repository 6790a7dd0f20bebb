package ipmgr

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// publishStatus makes the loop's state visible to other goroutines, and reports
// changes of readiness once.
func (l *loop) publishStatus() {
	s := l.counters
	s.Err = fault.NewList(l.missing())
	for _, e := range l.book {
		s.Addresses = append(s.Addresses, AddressStatus{Addr: e.address.Addr, Interface: e.address.Interface, ENI: e.eni.ID, State: string(e.phase), Contests: e.losses.taken, Taker: e.losses.taker})
	}
	slices.SortFunc(s.Addresses, func(a, b AddressStatus) int { return a.Addr.Compare(b.Addr) })
	l.status.Store(&s)
	l.reportReadiness(s)
}

// reportReadiness logs that readiness changed, as it does for a moment with each
// floating address that appears. One that comes and goes must not fill the log.
func (l *loop) reportReadiness(s Status) {
	ready := s.Err == nil
	if ready == l.ready {
		return
	}
	l.ready, l.wasReady = ready, l.wasReady || ready
	say := l.Log.Debug
	if l.pace.readiness.Allow() {
		say = l.Log.Info
	}
	switch {
	case !ready:
		say("not all addresses are assigned", keyError, s.Err)
	case !l.Settings.DryRun:
		say("all addresses are assigned", keyAddresses, len(s.Addresses))
	}
}

// remindEvery is how often init mode logs what it waits for. An init container
// has no probe and no event, and its termination message is read at its end: the
// log is the one place where a user sees why the pod does not start.
const remindEvery = 15 * time.Second

// remindOfMissing logs what init mode waits for.
func (l *loop) remindOfMissing() {
	now := time.Now()
	if l.mode != spec.Init || now.Before(l.remindAt) {
		return
	}
	first := l.remindAt.IsZero()
	l.remindAt = now.Add(remindEvery)
	if missing := l.missing(); !first && len(missing) > 0 {
		err := fault.NewList(missing)
		l.Log.Warn("still waiting", keyCode, fault.CodeOf(err), keyError, err)
	}
}

// satisfied reports whether everything the pod needs is on the right ENI.
func (l *loop) satisfied() bool { return len(l.missing()) == 0 }

// stuck reports whether something was refused for good and nothing else can
// still succeed.
func (l *loop) stuck() bool {
	if l.lookErr != nil && fault.IsPermanent(l.lookErr) {
		return true
	}
	refusals := 0
	for _, e := range l.book {
		switch e.phase {
		case refused:
			if l.blocks(e) {
				refusals++
			}
		case held, foreign:
		default:
			return false
		}
	}
	return refusals > 0
}

// missing lists what keeps the pod from having all its addresses.
func (l *loop) missing() []error {
	var errs []error
	if l.listErr != nil {
		errs = append(errs, l.listErr)
	}
	carried := map[string]bool{}
	for _, e := range l.book {
		if e.phase == foreign {
			continue
		}
		carried[e.address.Interface] = true
		if err := l.problem(e); err != nil && l.blocks(e) {
			errs = append(errs, err)
		}
	}
	if l.lookErr != nil && (!l.hasView() || len(errs) > 0) {
		errs = append(errs, l.lookErr)
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return append(errs, l.uncarried(carried)...)
}

// blocks reports whether an address that was refused for good keeps the pod
// from being ready. What IPAM gave a required interface does; what the
// application may have added does not, because it would end a pod whose sidecar
// restarts. In init mode no application runs yet, and where no interface is
// required, everything is. All others block until they are held or refused.
//
// The answer depends on the kernel's and the cloud's state only, so that it is
// the same before and after a restart. The first address of an interface is
// never Late: a pod whose only address is refused is not ready.
func (l *loop) blocks(e *entry) bool {
	if e.phase == held || !fault.IsPermanent(e.err) { // refused, or being tried again since
		return true
	}
	late := e.address.Late && l.mode == spec.Sidecar && len(l.policy.Required) > 0
	return l.policy.Requires(e.address.Interface) && !late
}

// uncarried reports the interfaces that must carry an address and do not. Where no
// interface must, a pod without any is a mistake in init mode, which would have
// nothing to do; a sidecar may wait for floating addresses.
func (l *loop) uncarried(carried map[string]bool) []error {
	if l.mode == spec.Init && len(l.policy.Required) == 0 && len(carried) == 0 {
		return []error{noAddress(errors.New("no interface of the pod carries an address to manage"))}
	}
	var errs []error
	for _, name := range l.policy.Required {
		switch {
		case carried[name]:
		case l.isMissing(name):
			errs = append(errs, noInterface(name))
		default:
			errs = append(errs, noAddress(errors.New("interface "+name+" carries no address")))
		}
	}
	return errs
}

// noInterface is the fault of an interface that is not there: one is made when the pod starts, or never.
func noInterface(name string) error {
	return &fault.Error{
		Code: fault.CodeNoAddress, Err: errors.New("interface " + name + " is missing: Multus did not attach it when the pod started"),
		Advice: "delete the pod, its interfaces are made when it is created again; check first that Multus is ready on the worker and that the pod's k8s.v1.cni.cncf.io/networks annotation names the network",
	}
}

func noAddress(err error) error {
	return &fault.Error{Code: fault.CodeNoAddress, Err: err, Advice: "check the pod's k8s.v1.cni.cncf.io/network-status annotation and the IPAM section of the NetworkAttachmentDefinition"}
}

// problem is what stands between the address and its ENI, or nil.
func (l *loop) problem(e *entry) error {
	pending := func(code, text, advice string) error {
		return &fault.Error{Addr: e.address.Addr, ENI: e.eni.ID, Code: code, Err: errors.New(text), Advice: advice}
	}
	switch {
	case e.phase == held:
		return nil
	case e.err != nil:
		return e.err
	case e.phase == wanted && l.pace.addressDelay(e, time.Now()) > 0:
		return pending(fault.CodePending, "it comes and goes, and its next claim waits", "find out what adds and removes it, such as two masters of one VRRP router")
	case e.phase == claiming:
		return pending(fault.CodePending, "EC2 has not answered yet", "wait, or check the pod's route to the EC2 endpoint (NAT gateway or VPC endpoint), its DNS and its network policies")
	case e.phase == claimed:
		return pending(fault.CodeNotVisible, "EC2 accepted the assignment but does not show it yet", "wait, or raise IPMGR_TIMEOUT")
	case e.phase == suspect:
		return pending(fault.CodePending, "the cloud does not show it any more", "wait: its owner is being asked for")
	}
	return pending(fault.CodePending, "the worker's ENIs are being looked up", "wait, or raise IPMGR_TIMEOUT")
}
