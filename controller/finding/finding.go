// Package finding reports NetworkAttachmentDefinitions (NADs) that a change of
// reservations breaks: the webhook checks a NAD only when it is written, not when
// its reservations change.
//
// Package webhook/nad decides what is wrong with a NAD; here it becomes an
// Event on the NAD, a log line and a metric.
package finding

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// verdict is a summary of a NAD's findings, which may have a hundred kilobytes.
// The zero verdict is that of a NAD without findings.
type verdict struct {
	rules  []nad.Rule // that are broken, each once
	digest [sha256.Size]byte
}

func verdictOf(found []nad.Finding) verdict {
	if len(found) == 0 {
		return verdict{}
	}
	var v verdict
	sum := sha256.New()
	for _, f := range found {
		if !slices.Contains(v.rules, f.Rule) {
			v.rules = append(v.rules, f.Rule)
		}
		fmt.Fprintf(sum, "%q", f)
	}
	sum.Sum(v.digest[:0])
	return v
}

// newChecker returns a checker of NADs against reservations. If there are none,
// known says that there have been some before, so they were taken away.
func newChecker(list []nad.Reservation, known bool) nad.Checker {
	if known && len(list) == 0 {
		// Package nad reads an empty list as "not known yet". This reservation
		// covers nothing.
		list = []nad.Reservation{{}}
	}
	return nad.NewChecker(list, nil) // reservations alone are looked at here, not other NADs
}

// judge returns the findings of a NAD that reservations cause. The error is that
// of ctx, which ended first.
func judge(ctx context.Context, checker nad.Checker, o *nadv1.NetworkAttachmentDefinition) ([]nad.Finding, error) {
	report, err := checker.NAD(ctx, nad.Definition{Namespace: o.Namespace, Name: o.Name, Labels: o.Labels, Config: o.Spec.Config})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(report.Findings, func(f nad.Finding) bool { return reasonOf(f.Rule) == "" }), nil
}

// reasonOf returns the reason of an event about a rule that a NAD may break
// without having changed, and "" for all others.
func reasonOf(rule nad.Rule) string {
	switch rule {
	case nad.NotReserved:
		return "NotReserved"
	case nad.PrefixReservation:
		return "PrefixReservation"
	case nad.AWSReserved:
		return "AWSReserved"
	default:
		return ""
	}
}

// reservations returns what the objects reserve, in a fixed order, so that two
// results can be compared.
func reservations(objects []v1alpha1.ReservedCIDR) []nad.Reservation {
	var list []nad.Reservation
	for i := range objects {
		r, _ := objects[i].Reservation() // the API server refuses what cannot be read
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b nad.Reservation) int {
		return cmp.Or(a.CIDR.Compare(b.CIDR), strings.Compare(string(a.Type), string(b.Type)), strings.Compare(a.SubnetID, b.SubnetID),
			a.SubnetCIDR.Compare(b.SubnetCIDR), strings.Compare(a.Zone, b.Zone))
	})
	return list
}

// longestNote is the longest event note that the API server accepts.
const longestNote = 1024

// note says what is wrong, in the length of an event.
func note(found []nad.Finding) string {
	text := found[0].String()
	if more := len(found) - 1; more > 0 {
		text = fmt.Sprintf("%s; and %d more: see kubectl ipmgr check", text, more)
	}
	if len(text) > longestNote {
		text = strings.ToValidUTF8(text[:longestNote-3], "") + "..."
	}
	return text
}
