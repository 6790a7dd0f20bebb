package reservation_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/reservation"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cloud is an EC2 with one subnet, in memory.
type cloud struct {
	subnets      map[string]vpc.Subnet
	reservations []vpc.Reservation
	unlisted     bool  // reservations are not listed yet
	gap          bool  // the next list lacks the last reservation
	gapAfter     int   // lists that are whole before it
	err          error // of all calls
	once         error // of the next list of reservations, after
	onceAfter    int   // so many that succeed
	enisErr      error // of all lists of ENIs
	refuse       error // of all attempts to reserve
	deaf         int   // releases that are answered like those of what does not exist
	made         int
	enis         []vpc.ENI
}

func (c *cloud) Subnets(context.Context, vpc.Selection) (map[string]vpc.Subnet, error) {
	return maps.Clone(c.subnets), c.err
}

func (c *cloud) Reservations(context.Context, string) ([]vpc.Reservation, error) {
	if c.unlisted {
		return nil, c.err
	}
	if err := c.once; err != nil && c.onceAfter == 0 {
		c.once = nil
		return nil, err
	}
	c.onceAfter = max(0, c.onceAfter-1)
	if c.gapAfter > 0 {
		c.gapAfter--
	} else if c.gap {
		c.gap = false
		return slices.Clone(c.reservations[:len(c.reservations)-1]), c.err
	}
	return slices.Clone(c.reservations), c.err
}

// failAfter lets a list of reservations fail once, after n that succeed.
func (c *cloud) failAfter(n int, err error) { c.once, c.onceAfter = err, n }

func (c *cloud) ENIs(context.Context, string) ([]vpc.ENI, error) {
	return c.enis, cmp.Or(c.err, c.enisErr)
}

func (c *cloud) Reserve(_ context.Context, r vpc.Request) (vpc.Reservation, error) {
	if err := cmp.Or(c.err, c.refuse); err != nil {
		return vpc.Reservation{}, err
	}
	c.made++
	made := vpc.Reservation{ID: fmt.Sprintf("scr-%d", c.made), SubnetID: r.SubnetID, CIDR: r.CIDR, Type: "explicit", Tags: r.Tags}
	c.reservations = append(c.reservations, made)
	return made, nil
}

func (c *cloud) Release(_ context.Context, id string) error {
	if c.deaf > 0 {
		c.deaf--
		return c.err
	}
	c.reservations = slices.DeleteFunc(c.reservations, func(r vpc.Reservation) bool { return r.ID == id })
	return c.err
}

// failure is an error as package vpc returns it. Each has another request id.
func failure(code string, meaning fault.Meaning) error {
	return &fault.Error{Action: "GetSubnetCidrReservations", Code: code, Meaning: meaning,
		Err: fmt.Errorf("request %d: %w", time.Now().UnixNano(), &smithy.GenericAPIError{Code: code, Message: "as EC2 words it"})}
}

// rig is a reconciler between a cloud and objects in memory. Its time is that
// of the bubble of testing/synctest that it is made in.
type rig struct {
	*reservation.Reconciler
	t       bubble
	cloud   *cloud
	client  client.Client
	log     bytes.Buffer
	written map[string]int // status writes by object
}

func newRig(t bubble, objects ...client.Object) *rig {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, written: map[string]int{}, cloud: &cloud{subnets: map[string]vpc.Subnet{"subnet-a": {
		ID: "subnet-a", Zone: "us-west-2a", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	}}}}
	r.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.ReservedCIDR{}).
		WithIndex(&v1alpha1.ReservedCIDR{}, reservation.IndexSubnet, func(o client.Object) []string {
			reserved, _ := o.(*v1alpha1.ReservedCIDR)
			return []string{reserved.Spec.SubnetID}
		}).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
				o.SetUID(types.UID("uid of " + o.GetName()))
				return c.Create(ctx, o, options...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
				r.written[o.GetName()]++
				return c.SubResource(sub).Patch(ctx, o, patch, options...)
			},
		}).Build()
	r.Reconciler = reservation.New(reservation.Options{
		Client: r.client, Cloud: r.cloud, Selection: vpc.Selection{IDs: []string{"subnet-a"}},
		Interval: time.Minute, Settle: 30 * time.Second,
		Limiter: workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, time.Minute),
		Log:     slog.New(slog.NewJSONHandler(&r.log, nil)), Now: time.Now,
	})
	return r
}

// queue takes what Poll finds due, and ends it after one look.
type queue struct {
	workqueue.TypedInterface[string]
	due []string
	end func()
}

func (q *queue) Add(id string) { q.due = append(q.due, id); q.end() }

// look lets the reconciler look at EC2's subnets once.
func (r *rig) look() []string {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	q := &queue{end: cancel}
	r.Poll(ctx, q)
	return q.due
}

// pass makes one pass over the subnet.
func (r *rig) pass() reconcile.Result {
	r.t.Helper()
	r.look()
	result, err := r.Reconcile(r.t.Context(), "subnet-a")
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func (r *rig) get(name string) *v1alpha1.ReservedCIDR {
	r.t.Helper()
	var o v1alpha1.ReservedCIDR
	if err := r.client.Get(r.t.Context(), client.ObjectKey{Name: name}, &o); err != nil {
		r.t.Fatal(err)
	}
	return &o
}

// said counts the lines of the log with a message.
func (r *rig) said(message string) int {
	return strings.Count(r.log.String(), `"msg":"`+message+`"`)
}

// gather returns the metrics by name and labels.
func (r *rig) gather() map[string]float64 {
	r.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r.Collector())
	families, err := registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetName() + "=" + label.GetValue()
			}
			values[name] = metric.GetGauge().GetValue()
		}
	}
	return values
}

func condition(o *v1alpha1.ReservedCIDR, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(o.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// mirrored puts n reservations into the cloud.
func (r *rig) mirrored(n int) {
	for i := range n {
		r.cloud.reservations = append(r.cloud.reservations, vpc.Reservation{
			ID: fmt.Sprintf("scr-m%d", i), SubnetID: "subnet-a", Type: "explicit",
			CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i), 0}), 24),
		})
	}
}

// wish is an object that asks for a reservation.
func wish(name, cidr string) *v1alpha1.ReservedCIDR {
	return &v1alpha1.ReservedCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid of " + name)},
		Spec:       v1alpha1.ReservedCIDRSpec{CIDR: cidr, SubnetID: "subnet-a", Type: v1alpha1.Explicit, Source: v1alpha1.Manual, Create: true},
	}
}
