package ipmgr

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// parsed is the syntax of a file of this package.
func parsed(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// constants returns the names and the values of the constants of a type in
// state.go.
func constants(t *testing.T, typeName string) (names, values []string) {
	t.Helper()
	ast.Inspect(parsed(t, "state.go"), func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := v.Type.(*ast.Ident); ok && id.Name == typeName {
			literal, _ := v.Values[0].(*ast.BasicLit)
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			names, values = append(names, v.Names[0].Name), append(values, value)
		}
		return true
	})
	return names, values
}

// inPod are the phases of an address that the pod has.
var inPod = in(wanted, claiming, claimed, held, suspect, refused, foreign)

// impossible names the pairs that the table does not have, and why.
var impossible = []struct {
	in  []phase
	on  []event
	why string
}{
	{in(absent), on(left, withdrawn, returned), "only an address of the pod leaves it"},
	{slices.Concat(inPod, in(abandoned, releasing)), on(appeared), "it is listed already, or a new entry is made of it"},
	{in(abandoned, releasing), on(left, withdrawn), "it has left"},
	{in(wanted, suspect, refused, foreign), on(withdrawn), "nothing of ours is to be given back, see assignedByUs"},

	{in(claiming, claimed, held, suspect, refused, foreign, abandoned, releasing), on(started), "only wanted addresses are claimed, see claimableAt"},
	{in(claiming, claimed, held, suspect, refused, foreign, abandoned), on(simulated), "only wanted addresses are claimed, see claimableAt"},
	{in(wanted, claimed, held, suspect, refused, foreign, releasing), on(accepted, trusted), "no assignment is in flight, see takeAnswer"},
	{in(claimed, held, suspect, refused, foreign, releasing), on(failed, denied), "no assignment is in flight, see takeAnswer, and none is due, see claimableAt"},
	{in(wanted, claiming, claimed, held, suspect, foreign, abandoned, releasing), on(retried), "it was not refused, see retryRefused"},

	{in(abandoned, releasing), on(unrelated, fixed, unplaceable, eniFound, displaced, shown, missing, overdue), "looks are at addresses of the pod, see takeView"},
	{in(wanted, claiming, claimed, held, suspect), on(eniFound), "it does not lack an ENI, see lacksENI"},
	{in(wanted, claiming, refused, foreign), on(displaced, shown, missing, overdue), "it was not assigned, see conclude"},
	{in(held, suspect), on(overdue), "the cloud has shown it, see conclude"},

	{in(wanted, claiming, claimed, held, refused, foreign, abandoned, releasing), on(confirmed, taken, lost), "nobody asks for its owner, see askOwners"},
	{slices.Concat(inPod, in(abandoned)), on(unanswered, neighbour, unassigned, unreleased, reclaimed), "it is not being released, see releaseDeparted"},
	{
		in(absent), on(started, simulated, accepted, trusted, failed, denied, retried, unrelated, fixed, unplaceable, eniFound, displaced, shown, missing, overdue, confirmed, taken, lost, unanswered, neighbour, unassigned, unreleased, reclaimed),
		"nothing is known of it",
	},
	{
		in(gone), on(appeared, left, withdrawn, returned, started, simulated, accepted, trusted, failed, denied, retried, unrelated, fixed, unplaceable, eniFound, displaced, shown, missing, overdue, confirmed, taken, lost, unanswered, neighbour, unassigned, unreleased, reclaimed),
		"nothing keeps it",
	},
}

func TestEveryPairIsInTheTableOrCannotBe(t *testing.T) {
	places := map[pair][]string{}
	for i, r := range rules() {
		for _, p := range r.in {
			for _, e := range r.on {
				places[pair{p, e}] = append(places[pair{p, e}], fmt.Sprintf("row %d of the table", i))
			}
		}
	}
	for _, r := range impossible {
		for _, p := range r.in {
			for _, e := range r.on {
				places[pair{p, e}] = append(places[pair{p, e}], "impossible: "+r.why)
			}
		}
	}
	_, phases := constants(t, "phase")
	_, events := constants(t, "event")
	for _, p := range phases {
		for _, e := range events {
			if found := places[pair{phase(p), event(e)}]; len(found) != 1 {
				t.Errorf("%s in phase %s is in %d places: %q", e, p, len(found), found)
			}
			delete(places, pair{phase(p), event(e)})
		}
	}
	for p := range places {
		t.Errorf("%v is of no phase and event", p)
	}
}

func TestEveryActionIsTakenAndPerformed(t *testing.T) {
	taken := map[string]bool{}
	for _, r := range rules() {
		taken[string(r.do)] = true
	}
	performed := map[string]bool{}
	ast.Inspect(parsed(t, "action.go"), func(n ast.Node) bool {
		if c, ok := n.(*ast.CaseClause); ok {
			for _, x := range c.List {
				if id, ok := x.(*ast.Ident); ok {
					performed[id.Name] = true
				}
			}
		}
		return true
	})
	names, values := constants(t, "action")
	for i, name := range names {
		if !taken[values[i]] {
			t.Errorf("no transition does %q", values[i])
		}
		if !performed[name] {
			t.Errorf("perform does not know %s", name)
		}
	}
	if len(taken) != len(names) {
		t.Errorf("%d actions in the table, want the %d constants", len(taken), len(names))
	}
}

// documented are the rows of a table of docs/architecture.md, by the title of
// its first column.
func documented(t *testing.T, title string) [][]string {
	t.Helper()
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "\n| "+title+" |")
	if !found {
		t.Fatalf("docs/architecture.md has no table with the title %q", title)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var rows [][]string
	for _, line := range strings.Split(table, "\n")[2:] {
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows
}

var code = regexp.MustCompile("`([a-zA-Z]+)`")

func codes(cell string) []string {
	var names []string
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		names = append(names, m[1])
	}
	return names
}

func TestTheArchitecturePageHasTheTable(t *testing.T) {
	got := map[pair]transition{}
	for _, row := range documented(t, "in phase") {
		for _, in := range codes(row[0]) {
			for _, on := range codes(row[1]) {
				p := pair{phase(in), event(on)}
				if _, twice := got[p]; twice {
					t.Errorf("the page has %v twice", p)
				}
				got[p] = transition{phase(codes(row[2])[0]), action(row[3])}
			}
		}
	}
	if diff := gocmp.Diff(transitions(), got, gocmp.AllowUnexported(pair{}, transition{})); diff != "" {
		t.Errorf("docs/architecture.md differs from ipmgr/state.go (-code +page):\n%s", diff)
	}
}

func TestTheArchitecturePageExplainsPhasesAndEvents(t *testing.T) {
	for title, typeName := range map[string]string{"phase": "phase", "event": "event"} {
		var got []string
		for _, row := range documented(t, title) {
			got = append(got, codes(row[0])...)
		}
		_, want := constants(t, typeName)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%ss of docs/architecture.md (-code +page):\n%s", typeName, diff)
		}
	}
}

// facts are what is true of an address, as the events say.
type facts struct {
	in       phase
	proven   bool // the cloud has it on its ENI, or nobody wants to know
	assigned bool // EC2 was asked for it, and may have it on our ENI
	asked    bool // neighbours are asked for
}

// after is the facts after a transition. It knows what events mean, and nothing
// of the table.
func (f facts) after(on event, t transition) facts {
	switch on {
	case shown, confirmed, fixed, trusted, simulated:
		f.proven = true
	case appeared, started, displaced, unplaceable, unrelated, missing, overdue, taken, lost:
		f.proven = false
	}
	switch on {
	case started, simulated:
		f.assigned = true
	case denied, taken, lost, unassigned:
		f.assigned = false
	}
	return facts{in: t.to, proven: f.proven, assigned: f.assigned, asked: f.asked || t.do == askNeighbours}
}

// TestNoSequenceOfEventsBreaksARule goes through all lives that an address can
// have by the table.
func TestNoSequenceOfEventsBreaksARule(t *testing.T) {
	type life struct {
		facts
		story string
	}
	seen := map[facts]bool{}
	todo := []life{{facts: facts{in: absent}}}
	for len(todo) > 0 {
		l := todo[0]
		todo = todo[1:]
		if seen[l.facts] {
			continue
		}
		seen[l.facts] = true
		if l.in == held && !l.proven {
			t.Errorf("held without proof (rule 1):%s", l.story)
		}
		if l.in == releasing && (!l.assigned || !l.asked) {
			t.Errorf("released though it was not assigned, or no neighbour was asked (rule 5):%s", l.story)
		}
		for p, to := range transitions() {
			if p.in == l.in && (p.on != withdrawn || l.assigned) { // see assignedByUs
				if p.on == unassigned && !l.asked {
					t.Errorf("unassigned unasked (rule 5):%s", l.story)
				}
				todo = append(todo, life{l.after(p.on, to), l.story + " " + string(p.on)})
			}
		}
	}
	var reached []string
	for f := range seen {
		reached = append(reached, string(f.in))
	}
	slices.Sort(reached)
	_, phases := constants(t, "phase")
	want := slices.Sorted(slices.Values(phases))
	if got := slices.Compact(reached); !slices.Equal(got, want) {
		t.Errorf("reached the phases %q, want %q", got, want)
	}
}

func TestOnlyWhatWeAssignedIsGivenBack(t *testing.T) {
	eni := plan.ENI{ID: "eni-1"}
	prefix := plan.ENI{ID: "eni-1", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.10.1.80/28")}}
	table := transitions()
	for _, in := range inPod {
		for _, release := range []bool{false, true} {
			for _, e := range []*entry{{eni: eni}, {eni: prefix}, {}} {
				e.phase, e.address.Addr = in, netip.MustParseAddr("10.10.1.81")
				want := left
				if release && slices.Contains([]phase{claiming, claimed, held}, in) && e.eni.ID != "" && e.eni.Prefixes == nil {
					want = withdrawn
				}
				if got := e.departure(release); got != want {
					t.Errorf("an address of %+v that leaves in phase %s with release %v is %s, want %s", e.eni, in, release, got, want)
				}
				if _, known := table[pair{in, e.departure(release)}]; !known {
					t.Errorf("%s in phase %s is not in the table", e.departure(release), in)
				}
			}
		}
	}
}

// TestWhatALookTellsIsInTheTable holds conclude against the table: for every
// phase and all that a placement may say.
func TestWhatALookTellsIsInTheTable(t *testing.T) {
	now := time.Now()
	mine, other := plan.ENI{ID: "eni-1"}, plan.ENI{ID: "eni-2"}
	placements := []plan.Placement{
		{ENI: mine}, {ENI: mine, Shown: true}, {ENI: other}, {ENI: other, Shown: true},
		{Foreign: true}, {ENI: mine, Fixed: true, Shown: true}, {Refused: &fault.Error{Code: fault.CodeNoENI, Meaning: fault.Refused}},
	}
	told := map[event]bool{}
	table := transitions()
	for _, in := range inPod {
		for _, since := range []time.Time{now.Add(-2 * reclaimAfter), now.Add(-time.Second), now.Add(time.Second)} {
			for _, code := range []string{fault.CodeNoENI, "UnauthorizedOperation"} {
				for _, p := range placements {
					for _, dryRun := range []bool{false, true} {
						e := &entry{phase: in, since: since, eni: mine, err: &fault.Error{Code: code, Meaning: fault.Refused}}
						ev, ok := e.conclude(p, now, dryRun)
						if !ok {
							continue
						}
						told[ev] = true
						if _, known := table[pair{in, ev}]; !known {
							t.Errorf("%s in phase %s is not in the table (%+v)", ev, in, p)
						}
						if proof := cmp.Or(ev == shown, ev == missing, ev == overdue); proof && since.After(now) {
							t.Errorf("%s in phase %s by a look that is older", ev, in)
						}
					}
				}
			}
		}
	}
	want := on(displaced, eniFound, fixed, missing, overdue, shown, unplaceable, unrelated)
	if got := slices.Sorted(maps.Keys(told)); !slices.Equal(got, want) {
		t.Errorf("looks told %q, want %q", got, want)
	}
}
