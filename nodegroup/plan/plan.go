// Package plan compares the ENIs that a worker should have with those that it
// has, and says what is to be done. It is pure: settings and a view in, steps
// and refusals out.
//
// A view may be old. What a plan does is therefore safe to do twice, or beside
// somebody who does the same, because EC2 refuses what was done already; and
// nothing that is attached is ever detached.
package plan

import (
	"net/netip"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// Do is what one step does.
type Do string

// The steps, in the order in which one ENI goes through them.
const (
	Create  Do = "create"  // make an ENI
	Adopt   Do = "adopt"   // use one that is there, with our tags
	Attach  Do = "attach"  // to the instance
	Protect Do = "protect" // have EC2 delete it with the instance
	Uncheck Do = "uncheck" // turn the source/destination check off
	Delete  Do = "delete"  // one too many
)

// Step is one thing to be done.
type Step struct {
	Do      Do         `json:"do"`
	Network string     `json:"network"`
	Device  int        `json:"device"`
	Card    int        `json:"card"`
	Subnet  string     `json:"subnet"`
	Address netip.Addr `json:"address"`
	ENI     string     `json:"eni"` // empty until it is created
}

// Refusal says why a worker cannot get an ENI.
type Refusal struct {
	Network string      `json:"network"`
	Reason  spec.Reason `json:"reason"`
	Message string      `json:"message"`
}

// Plan is what is to be done for an instance.
type Plan struct {
	// Steps are in an order in which they can be done. Those for an ENI that is
	// created follow its Create.
	Steps []Step
	// Refusals stand in the way. If there is one, there are no steps.
	Refusals []Refusal
	// Warnings are findings that stand in nobody's way.
	Warnings []string
	// Waiting is true while EC2 has not carried out what was asked of it: the
	// instance is pending, or an attachment is under way.
	Waiting bool
}

// Done reports whether the instance has all its ENIs, as far as the view shows.
func (p *Plan) Done() bool { return len(p.Steps) == 0 && len(p.Refusals) == 0 && !p.Waiting }

// Options say how strict a plan is.
type Options struct {
	// AnyIndex takes the highest free device index where the wanted one is
	// taken, and leaves ENIs at the index that they have. Without it the worker
	// is refused: there is nothing else than the index by which it names links.
	AnyIndex bool
}

// Diff returns what is missing for the instance to have one ENI in each
// network.
func Diff(networks []spec.Network, view View, o Options) Plan {
	if view.Instance.State.Gone() {
		return Plan{Refusals: []Refusal{{Reason: spec.InstanceGone, Message: gone(view.Instance)}}}
	}
	d := diff{view: view, options: o, places: newPlaces(&view)}
	for i := range networks {
		d.add(&networks[i])
	}
	d.checkLimits()
	switch {
	case len(d.plan.Refusals) > 0:
		d.plan.Steps, d.plan.Waiting = nil, false
	case view.Instance.State != Running && view.Instance.State != Stopped:
		d.plan.Steps, d.plan.Waiting = nil, true // EC2 attaches to those that run or are stopped
	}
	return d.plan
}

func gone(i Instance) string {
	if i.State == "" {
		return "EC2 does not know instance " + i.ID
	}
	return "instance " + i.ID + " is " + string(i.State)
}

// diff is one comparison.
type diff struct {
	view    View
	options Options
	places  *places
	plan    Plan
}

// add plans the ENI of one network.
func (d *diff) add(n *spec.Network) {
	subnet, ok := d.subnetOf(n)
	if !ok {
		return
	}
	enis := d.view.of(n.Name)
	for _, e := range enis[min(1, len(enis)):] {
		if e.Attachment == nil {
			d.plan.Steps = append(d.plan.Steps, Step{Do: Delete, Network: n.Name, ENI: e.ID, Subnet: e.Subnet})
		}
	}
	switch {
	case len(enis) == 0:
		d.create(n, subnet)
	case enis[0].Attachment == nil:
		d.attach(n, enis[0])
	default:
		d.complete(n, enis[0])
	}
}

// create plans a new ENI, if the subnet is as the network demands.
func (d *diff) create(n *spec.Network, subnet Subnet) {
	if !d.accepts(n, subnet) {
		return
	}
	device, ok := d.place(n)
	if !ok {
		return
	}
	step := Step{Network: n.Name, Device: device, Card: n.NetworkCard, Subnet: subnet.ID}
	d.plan.Steps = append(d.plan.Steps, step.as(Create), step.as(Attach), step.as(Protect))
	if !n.SourceDestCheck {
		d.plan.Steps = append(d.plan.Steps, step.as(Uncheck))
	}
}

// attach plans to use an ENI that is there.
func (d *diff) attach(n *spec.Network, e ENI) {
	device, ok := d.place(n)
	if !ok {
		return
	}
	step := Step{Network: n.Name, Device: device, Card: n.NetworkCard, Subnet: e.Subnet, Address: e.Primary, ENI: e.ID}
	d.plan.Steps = append(d.plan.Steps, step.as(Adopt), step.as(Attach), step.as(Protect))
	if e.Checked && !n.SourceDestCheck {
		d.plan.Steps = append(d.plan.Steps, step.as(Uncheck))
	}
}

// complete plans what an attached ENI lacks.
func (d *diff) complete(n *spec.Network, e ENI) {
	at := e.Attachment
	if !d.options.AnyIndex && (at.Device != n.DeviceIndex || at.Card != n.NetworkCard) {
		d.refuse(n, spec.DeviceTaken, "ENI %s of the network is attached at index %d of card %d, and the settings say index %d of card %d: nothing detaches it; end the instance",
			e.ID, at.Device, at.Card, n.DeviceIndex, n.NetworkCard)
		return
	}
	d.plan.Waiting = d.plan.Waiting || !at.Settled
	if at.Leaving {
		return
	}
	step := Step{Network: n.Name, Device: at.Device, Card: at.Card, Subnet: e.Subnet, Address: e.Primary, ENI: e.ID}
	if !at.Protected {
		d.plan.Steps = append(d.plan.Steps, step.as(Protect))
	}
	if e.Checked && !n.SourceDestCheck {
		d.plan.Steps = append(d.plan.Steps, step.as(Uncheck))
	}
}

func (s Step) as(do Do) Step {
	s.Do = do
	return s
}

// Leave returns what is to be done before an instance is given up: what is
// attached ends with it, the rest is deleted.
func Leave(view View) []Step {
	var steps []Step
	for _, e := range view.ENIs {
		if e.Network == "" || e.Instance != view.Instance.ID {
			continue
		}
		step := Step{Network: e.Network, Subnet: e.Subnet, Address: e.Primary, ENI: e.ID}
		switch at := e.on(view.Instance.ID); {
		case e.Attachment == nil:
			steps = append(steps, step.as(Delete))
		case at != nil && !at.Protected && !at.Leaving:
			step.Device, step.Card = at.Device, at.Card
			steps = append(steps, step.as(Protect))
		}
	}
	return steps
}
