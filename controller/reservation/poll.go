package reservation

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
)

// Poll looks at EC2's subnets at every interval until ctx ends, and puts those
// that are due into queue.
func (r *Reconciler) Poll(ctx context.Context, queue workqueue.TypedInterface[string]) {
	trouble := ""
	for {
		trouble = r.look(ctx, trouble)
		for _, id := range r.due(ctx) {
			queue.Add(id)
		}
		timer := time.NewTimer(jittered(r.Interval))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// look updates the catalog and reports what changed. It returns what is wrong
// now.
func (r *Reconciler) look(ctx context.Context, before string) string {
	subnets, err := r.Cloud.Subnets(ctx, r.Selection)
	err = r.catalog.update(subnets, err)
	now := troubleOf(err)
	switch {
	case ctx.Err() != nil || now == before:
	case now != "":
		r.Log.LogAttrs(ctx, slog.LevelError, "subnets cannot be listed", slog.Any(keyError, err))
	default:
		r.Log.LogAttrs(ctx, slog.LevelInfo, "subnets are listed again", slog.Int(keySubnets, len(subnets)))
	}
	return now
}

// due lists the subnets that are selected, and those of which there are still
// objects.
func (r *Reconciler) due(ctx context.Context) []string {
	ids := r.catalog.ids()
	var list v1alpha1.ReservedCIDRList
	if err := r.Client.List(ctx, &list); err != nil {
		r.Log.LogAttrs(ctx, slog.LevelError, "objects cannot be listed", slog.Any(keyError, err))
	}
	for i := range list.Items {
		if ours(&list.Items[i]) {
			ids = append(ids, list.Items[i].Spec.SubnetID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// jittered returns d, give or take a tenth.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
