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

// Report is what is known of an object once it has been checked.
type Report struct {
	Ranges   []ObjectRange `json:"ranges"`
	Findings []Finding     `json:"findings"`
}

// Failed reports whether a finding is an error.
func (r Report) Failed() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == Error })
}

// findings collects findings, each once.
type findings []Finding

func (l *findings) add(rule Rule, field, format string, args ...any) {
	f := Finding{Severity: rule.Severity(), Rule: rule, Field: field, Message: fmt.Sprintf(format, args...)}
	if !slices.Contains(*l, f) {
		*l = append(*l, f)
	}
}

// of says whose findings they are.
func (l *findings) of(object string) []Finding {
	for i := range *l {
		(*l)[i].Object = object
	}
	return *l
}
