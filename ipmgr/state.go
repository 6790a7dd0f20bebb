package ipmgr

import (
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// phase is where an address stands. The status shows those from wanted to
// foreign; the others are of addresses that are not in the pod.
type phase string

const (
	absent    phase = "absent"    // not in the pod yet
	wanted    phase = "wanted"    // to be assigned when it is due
	claiming  phase = "claiming"  // the assignment is in flight
	claimed   phase = "claimed"   // EC2 accepted it; the cloud was not yet seen to show it
	held      phase = "held"      // the cloud showed it on the right ENI
	suspect   phase = "suspect"   // gone from the cloud's view; its owner is being asked for
	refused   phase = "refused"   // refused for good
	foreign   phase = "foreign"   // of no ENI, on an interface that need not have one
	abandoned phase = "abandoned" // left while its assignment was in flight
	releasing phase = "releasing" // left; unassigned once no pod on this worker has it
	gone      phase = "gone"      // left, nothing remains to be done
)

// event is what was learnt of one address.
type event string

const (
	// The pod.
	appeared  event = "appeared"  // the kernel lists it
	left      event = "left"      // it left, and nothing is given back
	withdrawn event = "withdrawn" // it left, and our assignment is to be given back
	returned  event = "returned"  // it left and came back, or moved to another link: a new life begins

	// The assignment.
	started   event = "started"   // it begins
	simulated event = "simulated" // a dry run says what it would do
	accepted  event = "accepted"  // EC2 made it
	trusted   event = "trusted"   // EC2 made it, and IPMGR_VERIFY is off
	failed    event = "failed"    // it was not made, and may be later
	denied    event = "denied"    // it was not made, and will not be
	retried   event = "retried"   // the pause after a refusal is over

	// A look at the worker's ENIs, see conclude.
	unrelated   event = "unrelated"   // no ENI has to do with it, and none must
	fixed       event = "fixed"       // it is the ENI's primary address, or in a delegated prefix
	unplaceable event = "unplaceable" // it has no ENI (any more), or may not be on it
	eniFound    event = "eniFound"    // there is an ENI for it now
	displaced   event = "displaced"   // it belongs on another ENI than the one that it was assigned to
	shown       event = "shown"       // the ENI shows it
	missing     event = "missing"     // the ENI does not show it
	overdue     event = "overdue"     // the same, although EC2 accepted it long ago

	// EC2's answer to who owns it.
	confirmed event = "confirmed" // our ENI
	taken     event = "taken"     // another ENI
	lost      event = "lost"      // nobody, or EC2 does not say

	// The release of an address that left.
	unanswered event = "unanswered" // it is not known whether another pod on this worker has it
	neighbour  event = "neighbour"  // another pod on this worker has it
	unassigned event = "unassigned" // EC2 took it off the ENI
	unreleased event = "unreleased" // EC2 did not
	reclaimed  event = "reclaimed"  // not known, and the pod has it again
)

// action is what a transition does beside changing the phase, see perform.
type action string

const (
	nothing       action = "nothing"
	retrySoon     action = "try again after a pause"
	retryLater    action = "try again after a long pause"
	lookFirst     action = "look at the worker before the next try"
	lookNow       action = "look at once"
	lookAgain     action = "look again, ever later"
	claimAgain    action = "assign it again"
	recordHeld    action = "report it as assigned"
	recordDryRun  action = "say what would be assigned"
	recordFixed   action = "report it as assigned, never to be released"
	recordLeft    action = "say that it is left alone"
	noteENI       action = "remember the ENI, end the extra look"
	endWatch      action = "end the extra look"
	askOwner      action = "ask EC2 who owns it"
	reclaim       action = "assign it again, from the second loss on after a pause"
	awaitAnswer   action = "wait for EC2's answer"
	askNeighbours action = "ask whether another pod has it"
	askAgain      action = "ask again, ever later"
	stopAsking    action = "stop asking"
	recordRelease action = "report how it ended"
)

// rule is one row of the table: in any of the phases, each of the events leads
// to the same phase and action.
type rule struct {
	in []phase
	on []event
	to phase
	do action
}

func in(phases ...phase) []phase { return phases }

func on(events ...event) []event { return events }

// rules are all transitions of an address. docs/architecture.md has the same
// table, and a test compares them. What is not in it cannot happen.
func rules() []rule {
	return []rule{
		{in(absent), on(appeared), wanted, nothing},

		{in(wanted), on(started), claiming, nothing},
		{in(wanted), on(simulated), held, recordDryRun},
		{in(wanted), on(unplaceable), wanted, nothing}, // its claim fails, and says why
		{in(wanted, claiming), on(failed), wanted, retrySoon},
		{in(wanted, claiming), on(denied), refused, retryLater},

		{in(claiming), on(accepted), claimed, lookNow},
		{in(claiming), on(trusted), held, recordHeld},
		{in(claiming), on(unrelated, fixed, unplaceable), claiming, nothing}, // the answer comes first

		{in(claimed), on(shown), held, recordHeld},
		{in(claimed), on(missing), claimed, lookAgain},
		{in(claimed), on(overdue), wanted, claimAgain},

		{in(held), on(shown), held, endWatch},
		{in(held), on(missing), suspect, askOwner},
		{in(held), on(fixed), held, noteENI},
		{in(claimed, held), on(displaced, unplaceable), wanted, nothing},

		{in(suspect), on(confirmed), held, nothing},
		{in(suspect), on(lost, taken), wanted, reclaim},
		{in(suspect), on(shown, missing, displaced, unplaceable), suspect, nothing}, // EC2 knows better

		{in(refused), on(retried), wanted, lookFirst},
		{in(refused), on(unplaceable), refused, nothing},
		{in(refused, foreign), on(eniFound), wanted, nothing},

		{in(foreign), on(unplaceable), wanted, nothing},
		{in(foreign), on(unrelated), foreign, nothing},
		{in(wanted, claimed, held, suspect, refused), on(unrelated), foreign, recordLeft},
		{in(wanted, claimed, suspect, refused, foreign), on(fixed), held, recordFixed},

		{in(wanted, claiming, claimed, held, suspect, refused, foreign), on(left, returned), gone, nothing},
		{in(claiming), on(withdrawn), abandoned, awaitAnswer},
		{in(claimed, held), on(withdrawn), releasing, askNeighbours},

		{in(abandoned), on(accepted, trusted, failed), releasing, askNeighbours}, // without an answer it may be there too
		{in(abandoned), on(denied, returned), gone, nothing},

		{in(releasing), on(unanswered), releasing, askAgain},
		{in(releasing), on(returned), releasing, stopAsking},
		{in(releasing), on(reclaimed, simulated), gone, nothing},
		{in(releasing), on(neighbour, unassigned, unreleased), gone, recordRelease},
	}
}

// transition is what a pair of phase and event leads to.
type transition struct {
	to phase
	do action
}

type pair struct {
	in phase
	on event
}

// transitions is the table by pairs.
func transitions() map[pair]transition {
	table := map[pair]transition{}
	for _, r := range rules() {
		for _, in := range r.in {
			for _, on := range r.on {
				table[pair{in, on}] = transition{r.to, r.do}
			}
		}
	}
	return table
}

// entry is one address of the pod, from its appearance until it is gone.
type entry struct {
	address  plan.Address
	appeared time.Time
	floating bool // it appeared while the application may run

	phase phase
	since time.Time // start of the phase
	// eni is the ENI that the address was found to belong on when its claim was
	// due, as the cloud showed it then. Empty before that, and when there is none.
	eni plan.ENI
	// tryAt is when a wanted or refused address is assigned next; zero is at once.
	tryAt time.Time
	// lookAt is when a claimed address, or one that was held for a moment, must
	// be looked at, apart from the resync. Zero is never.
	lookAt time.Time
	// looks counts the looks at a claimed address that did not show it.
	looks int
	// firstLook is the number of the first look that counts for the address.
	// What is known from looks before, such as that no ENI is there for it, may
	// be outdated.
	firstLook int

	// What outlasts a phase.
	tries         int       // assignments that failed, since the last that did not
	err           error     // why the last one failed, or why the address is not held any more
	claimedBefore bool      // its next claim is not the first one
	heldSince     time.Time // when it was assigned last
	losses        losses
}

// losses is how often an address was lost. A long hold lets it be forgotten.
type losses struct {
	count int
	taken int         // of these, to another ENI
	taker plan.Holder // the last of these ENIs
	open  bool        // the last loss was to taker, and the address was not assigned again since
}

// news is what an event brings along, as far as its action needs it.
type news struct {
	err       error          // failed, denied, unanswered, unreleased
	placement plan.Placement // fixed, simulated
	started   time.Time      // start of a look
	owner     plan.Holder    // taken
	event     event
}

// reclaimAfter is how long an accepted assignment may stay invisible before it
// is made again. IMDS has been seen to lag by a second and more; its bound is
// not documented.
const reclaimAfter = 30 * time.Second

// conclude is the event that a look is for an address, given where the address
// belongs by it; none when the look says nothing. Only a look that started after
// the phase did says whether the ENI has the address.
func (e *entry) conclude(p plan.Placement, started time.Time, dryRun bool) (ev event, ok bool) {
	assigned := e.phase == claimed || e.phase == held || e.phase == suspect
	switch {
	case p.Foreign:
		return unrelated, true
	case p.Fixed:
		return fixed, true
	case p.Refused != nil:
		return unplaceable, true
	case e.lacksENI():
		return eniFound, true
	case !assigned || started.Before(e.since):
		return "", false
	case p.ENI.ID != e.eni.ID:
		return displaced, true
	case p.Shown:
		return shown, true
	case dryRun: // it never was assigned
		return "", false
	case e.phase == claimed && time.Since(e.since) > reclaimAfter:
		return overdue, true
	}
	return missing, true
}

// lacksENI reports whether no ENI was found for the address.
func (e *entry) lacksENI() bool {
	return e.phase == foreign || e.phase == refused && fault.CodeOf(e.err) == fault.CodeNoENI
}

// assignedByUs reports whether we had EC2 assign the address, and nothing says
// that it was taken away since.
func (e *entry) assignedByUs() bool {
	assigned := e.phase == claiming || e.phase == claimed || e.phase == held
	return assigned && e.eni.ID != "" && !e.eni.Fixes(e.address.Addr)
}

// departure is the event of an address that left the pod, where ours may be
// given back or not.
func (e *entry) departure(givesBack bool) event {
	if givesBack && e.assignedByUs() {
		return withdrawn
	}
	return left
}

// failure is the event of an assignment that was not made.
func failure(err error) event {
	if fault.IsPermanent(err) {
		return denied
	}
	return failed
}

// acceptance is the event of an assignment that EC2 made, whether a look must
// show it or not.
func acceptance(verify bool) event {
	if verify {
		return accepted
	}
	return trusted
}

// ownership is the event of EC2's answer to who owns a suspect address.
func (e *entry) ownership(owner plan.Holder, err error) event {
	switch {
	case err != nil || owner.ENI == "":
		return lost
	case owner.ENI == e.eni.ID:
		return confirmed
	}
	return taken
}
