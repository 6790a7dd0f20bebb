// Package finding tells the owners of NetworkAttachmentDefinitions (NADs) when
// a change of reservations breaks them: a NAD was checked when it was written,
// and nobody looks at it again when the ground it stands on moves.
//
// What is wrong with a NAD is package webhook/nad's to say; here it becomes an
// Event on the NAD and a metric.
package finding

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// verdicts are the findings that reservations cause, by NAD. NADs without such
// findings are not in it.
type verdicts map[types.NamespacedName][]nad.Finding

// judge checks all NADs against the reservations. known says that there have
// been reservations before: if there are none now, they were taken away. The
// error is that of ctx, which ended first.
func judge(ctx context.Context, reserved []v1alpha1.ReservedCIDR, known bool, definitions []nad.Definition) (verdicts, error) {
	var list []nad.Reservation
	for i := range reserved {
		r, _ := reserved[i].Reservation() // the API server refuses what cannot be read
		list = append(list, r)
	}
	if known && len(list) == 0 {
		// Package nad takes no reservation for "not known yet". This one covers
		// nothing.
		list = []nad.Reservation{{}}
	}
	checker := nad.NewChecker(list, nil) // NADs do not break each other by this
	found := verdicts{}
	for _, d := range definitions {
		report, err := checker.NAD(ctx, d)
		if err != nil {
			return nil, err
		}
		caused := slices.DeleteFunc(report.Findings, func(f nad.Finding) bool { return reasonOf(f.Rule) == "" })
		if len(caused) > 0 {
			found[types.NamespacedName{Namespace: d.Namespace, Name: d.Name}] = caused
		}
	}
	return found, nil
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

// differences returns the NADs whose verdict is another than before, in order,
// and those that have none any more.
func differences(before, now verdicts) (broken, mended []types.NamespacedName) {
	for name, found := range now {
		if !slices.Equal(before[name], found) {
			broken = append(broken, name)
		}
	}
	for name := range before {
		if _, still := now[name]; !still {
			mended = append(mended, name)
		}
	}
	compare := func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(broken, compare)
	slices.SortFunc(mended, compare)
	return broken, mended
}

// longestNote is what the API server takes of an event's note.
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
