package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
)

// cloud is EC2 as far as it decides between actors: one ENI for one client
// token, one ENI at an index, no deletion of what is attached.
type cloud struct {
	history [][]plan.ENI // what each moment showed, the last is now
	tokens  map[string]string
	made    int
}

func (c *cloud) now() []plan.ENI { return c.history[len(c.history)-1] }

// change makes a new moment.
func (c *cloud) change(do func(enis []plan.ENI) []plan.ENI) {
	var enis []plan.ENI
	for _, e := range c.now() {
		if e.Attachment != nil {
			at := *e.Attachment
			e.Attachment = &at
		}
		enis = append(enis, e)
	}
	c.history = append(c.history, do(enis))
}

// actor is one invocation: it looks, and does steps. What it created it
// remembers.
type actor struct {
	view    plan.View
	created map[string]plan.ENI
}

// look shows the actor a moment of the past, and what it made itself.
func (a *actor) look(c *cloud, age int) {
	a.view = view()
	seen := c.history[max(len(c.history)-1-age, 0)]
	a.view.ENIs = slices.Clone(seen)
	for id, e := range a.created {
		if !slices.ContainsFunc(seen, func(s plan.ENI) bool { return s.ID == id }) {
			a.view.ENIs = append(a.view.ENIs, e)
		}
	}
}

// do carries out one step as EC2 would. It reports whether EC2 did it.
func (c *cloud) do(a *actor, s plan.Step) bool {
	find := func(id string) int { return slices.IndexFunc(c.now(), func(e plan.ENI) bool { return e.ID == id }) }
	if s.Do == plan.Create {
		if c.tokens[s.Network] != "" {
			return false // "Wrong arguments for token": look again
		}
		c.made++
		e := ours(fmt.Sprintf("eni-%03d", c.made), s.Network)
		c.tokens[s.Network], a.created[e.ID] = e.ID, e
		c.change(func(enis []plan.ENI) []plan.ENI { return append(enis, e) })
		return true
	}
	if s.Do == plan.Adopt {
		return true
	}
	if s.ENI == "" { // the rest of a Create
		for _, e := range a.created {
			if e.Network == s.Network {
				s.ENI = e.ID
			}
		}
	}
	i := find(s.ENI)
	if i < 0 {
		return false
	}
	attached := c.now()[i].Attachment != nil
	taken := slices.ContainsFunc(c.now(), func(e plan.ENI) bool { return e.Attachment != nil && e.Attachment.Device == s.Device })
	switch {
	case s.Do == plan.Attach && (attached || taken), s.Do == plan.Delete && attached, s.Do == plan.Protect && !attached:
		return false
	}
	c.change(func(enis []plan.ENI) []plan.ENI {
		switch e := &enis[i]; s.Do {
		case plan.Attach:
			*e = at(*e, s.Device)
			e.Attachment.Protected = false
		case plan.Protect:
			e.Attachment.Protected = true
		case plan.Uncheck:
			e.Checked = false
		case plan.Delete:
			return slices.Delete(enis, i, i+1)
		}
		return enis
	})
	return true
}

// TestThreeActorsEndWithOneENIPerNetwork lets three invocations work on one
// instance at once, each with views of different age. Whatever they do in
// whatever order, in the end each network has one ENI, and none is left over.
func TestThreeActorsEndWithOneENIPerNetwork(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		c := &cloud{history: [][]plan.ENI{{primary()}}, tokens: map[string]string{}}
		actors := []*actor{{created: map[string]plan.ENI{}}, {created: map[string]plan.ENI{}}, {created: map[string]plan.ENI{}}}
		for range 40 {
			a := actors[random.IntN(len(actors))]
			a.look(c, random.IntN(6))
			for _, s := range plan.Diff(networks(), a.view, plan.Options{}).Steps {
				if !c.do(a, s) || random.IntN(4) == 0 {
					break // refused, or killed: look again
				}
			}
		}
		last := &actor{created: map[string]plan.ENI{}}
		for range 3 {
			last.look(c, 0)
			for _, s := range plan.Diff(networks(), last.view, plan.Options{}).Steps {
				if !c.do(last, s) {
					t.Fatalf("seed %d: EC2 refuses %+v", seed, s)
				}
			}
		}
		last.look(c, 0)
		if p := plan.Diff(networks(), last.view, plan.Options{}); !p.Done() || len(c.now()) != 3 || c.made != 2 {
			t.Fatalf("seed %d: %d ENIs, %d made, plan %+v", seed, len(c.now()), c.made, p)
		}
	}
}
