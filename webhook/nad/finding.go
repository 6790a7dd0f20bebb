package nad

import (
	"fmt"
	"net/netip"
	"slices"
)

// Finding is one thing that is wrong with an object, and its remedy.
type Finding struct {
	Object   string   `json:"object"` // "namespace/name"
	Severity Severity `json:"severity"`
	Rule     Rule     `json:"rule"`
	// Field is where the object says it: "spec.config.ipam.range". What is
	// below spec.config is a path into the JSON that it holds.
	Field   string `json:"field"`
	Message string `json:"message"`
}

// String is the finding as a line of text, without its object.
func (f Finding) String() string { return fmt.Sprintf("%s: %s (%s)", f.Field, f.Message, f.Rule) }

// ObjectRange is a run of addresses that an object hands out to pods.
type ObjectRange struct {
	Object string     `json:"object"` // "namespace/name"
	Start  netip.Addr `json:"start"`
	End    netip.Addr `json:"end"` // the last address, included
}

// Report is the result of checking an object.
type Report struct {
	Ranges   []ObjectRange `json:"ranges"`
	Findings []Finding     `json:"findings"`
}

// Failed reports whether a finding is an error.
func (r Report) Failed() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == Error })
}

// findings collects findings, each once. Of one rule it keeps maxOfRule and
// counts the others, whose messages are not even written.
type findings struct {
	list []Finding
	seen map[Finding]bool
	kept map[Rule]int
	more map[Rule]rest

	meant int // unknown keys of which it was worked out what was meant
}

// rest counts the findings of one rule that are not kept.
type rest struct {
	count int
	field string // of the first of them
}

func (l *findings) add(rule Rule, field, format string, args ...any) {
	if l.kept[rule] == maxOfRule {
		l.drop(rule, rest{1, field})
		return
	}
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			args[i] = shorten(arg, maxQuote)
		case error:
			args[i] = shorten(arg.Error(), maxQuote)
		}
	}
	l.keep(Finding{Severity: rule.Severity(), Rule: rule, Field: field, Message: shorten(fmt.Sprintf(format, args...), maxMessage)})
}

func (l *findings) keep(f Finding) {
	if l.seen == nil {
		l.seen, l.kept, l.more = map[Finding]bool{}, map[Rule]int{}, map[Rule]rest{}
	}
	if l.seen[f] {
		return
	}
	if l.kept[f.Rule] == maxOfRule {
		l.drop(f.Rule, rest{1, f.Field})
		return
	}
	l.seen[f] = true
	l.kept[f.Rule]++
	l.list = append(l.list, f)
}

func (l *findings) drop(rule Rule, r rest) {
	if before, found := l.more[rule]; found {
		r = rest{before.count + r.count, before.field}
	}
	l.more[rule] = r
}

// merge adds what another collector has.
func (l *findings) merge(other findings) {
	l.meant = max(l.meant, other.meant)
	for _, f := range other.list {
		l.keep(f)
	}
	for rule, r := range other.more {
		l.drop(rule, r)
	}
}

// of returns all findings, and says whose they are.
func (l *findings) of(object string) []Finding {
	all := l.list
	for _, rule := range Rules() {
		if r, found := l.more[rule]; found {
			all = append(all, Finding{Severity: rule.Severity(), Rule: rule, Field: r.field, Message: fmt.Sprintf("and %d more of the same kind, this the first of them", r.count)})
		}
	}
	for i := range all {
		all[i].Object = object
	}
	return all
}
