package nodegroup

import (
	"context"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/event"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
)

// Preview is what would be done for an instance, as far as one look tells.
type Preview struct {
	NodeGroup string         `json:"nodegroup"`
	Instance  string         `json:"instance"`
	Zone      string         `json:"zone"`
	Steps     []plan.Step    `json:"steps"`
	Refusals  []plan.Refusal `json:"refusals"`
	Result    Result         `json:"result"`
}

// PreviewEvent says what Serve would do. It makes read calls only.
func (f *Function) PreviewEvent(ctx context.Context, e event.Event) (Preview, error) {
	p := f.preview(e.Instance)
	switch e.Purpose {
	case event.Attach, event.Verify:
		return f.previewLaunch(ctx, e.Instance)
	case event.LetGo:
		p.Result = Continue
	}
	return p, nil
}

// PreviewSweep says what Sweep would do: for each instance that some hook holds,
// and for each whose ENIs would be deleted.
func (f *Function) PreviewSweep(ctx context.Context) ([]Preview, error) {
	list, err := f.heldInstances(ctx)
	if err != nil {
		return nil, err
	}
	var previews []Preview
	for _, h := range list {
		p := f.preview(h.ID)
		if p.Zone, p.Result = h.Zone, Continue; h.State.launching() {
			if p, err = f.previewLaunch(ctx, h.ID); err != nil {
				return nil, err
			}
		}
		previews = append(previews, p)
	}
	garbage, err := f.garbage(ctx)
	for _, e := range garbage {
		i := slices.IndexFunc(previews, func(p Preview) bool { return p.Instance == e.Instance })
		if i < 0 {
			i, previews = len(previews), append(previews, f.preview(e.Instance))
		}
		previews[i].Steps = append(previews[i].Steps, plan.Step{Do: plan.Delete, Network: e.Network, Subnet: e.Subnet, Address: e.Primary, ENI: e.ID})
	}
	return previews, err
}

// preview is that of an instance for which nothing is done.
func (f *Function) preview(instance string) Preview {
	return Preview{NodeGroup: f.Settings.Name, Instance: instance, Steps: []plan.Step{}, Refusals: []plan.Refusal{}, Result: NotOurs}
}

func (f *Function) previewLaunch(ctx context.Context, instance string) (Preview, error) {
	r := f.newRun(instance)
	p, view, _, err := r.compare(ctx)
	if err != nil {
		return Preview{}, err
	}
	preview := f.preview(instance)
	preview.Zone, preview.Result = view.Instance.Zone, Continue
	preview.Steps = append(preview.Steps, r.addressed(view, p.Steps)...)
	preview.Refusals = append(preview.Refusals, p.Refusals...)
	if p.Waiting {
		preview.Result = Wait
	}
	if len(p.Refusals) > 0 {
		preview.Result = r.resultOf(p.Refusals)
	}
	return preview, nil
}

// addressed fills in the addresses that new ENIs would ask for.
func (r *run) addressed(view plan.View, steps []plan.Step) []plan.Step {
	steps = slices.Clone(steps)
	asked := map[string][]netip.Addr{} // by subnet
	chosen := map[string]netip.Addr{}  // by network
	for i := range steps {
		s := &steps[i]
		if s.Do == plan.Create {
			subnet := view.Subnets[s.Subnet]
			addr, _ := r.choose(r.network(s.Network), subnet, r.contents[s.Subnet], nil)
			if slices.Contains(asked[s.Subnet], addr) { // EC2 would refuse it
				addr, _ = r.choose(r.network(s.Network), subnet, r.contents[s.Subnet], asked[s.Subnet])
			}
			if addr.IsValid() {
				chosen[s.Network] = addr
				asked[s.Subnet] = append(asked[s.Subnet], addr)
			}
		}
		if s.ENI == "" {
			s.Address = chosen[s.Network]
		}
	}
	return steps
}
