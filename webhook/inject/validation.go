package inject

import (
	"context"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Validation says what happens to objects with errors.
type Validation string

// The ways to validate.
const (
	Enforce  Validation = "enforce" // they are refused
	WarnOnly Validation = "warn"    // they are admitted, and the user is warned
	Off      Validation = "off"     // nothing is checked
)

// ValidateLabel on a namespace is a Validation, for what is in it.
const ValidateLabel = "multus-ipmgr.io/validate"

// Validations lists the accepted values, the default first.
func Validations() []Validation { return []Validation{Enforce, WarnOnly, Off} }

// ValidationIn returns how objects of a namespace are validated: by its label, or
// else by the installation's setting. An unknown value counts as none.
func (p Policy) ValidationIn(ns Namespace) Validation {
	if label := Validation(ns.Labels[ValidateLabel]); slices.Contains(Validations(), label) {
		return label
	}
	return p.Validation
}

// checkAddresses checks the addresses that a pod asks for. It returns those that
// the pod must not have, and warnings for the user. The error is that of
// ctx, which ended first.
func checkAddresses(ctx context.Context, selections []nad.Selection, v View, policy Policy, how Validation) (errors, warnings []string, err error) {
	if how == Off {
		return nil, nil, nil
	}
	checker := nad.NewChecker(v.Reservations, v.Others)
	if policy.AllowForeign {
		checker = checker.AllowForeign()
	}
	found, err := checker.Pod(ctx, "", selections, v.Networks.nad)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range found {
		if f.Severity == nad.Error {
			errors = append(errors, f.String())
			continue
		}
		warnings = append(warnings, f.String())
	}
	return errors, warnings, nil
}

// denyAddresses is the decision about a pod that asks for addresses that it must
// not have.
func denyAddresses(errors, warnings []string) Decision {
	return Decision{Reason: InvalidAddresses, Detail: strings.Join(errors, "\n"), Warnings: warnings}
}
