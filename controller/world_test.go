package controller_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/controller"
	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	namespace = "multus-ipmgr-system"
	// serviceAccount is whom the controller is to the API server: it may do
	// what config/controller/rbac.yaml grants, and nothing else.
	serviceAccount = "system:serviceaccount:" + namespace + ":multus-ipmgr-controller"
	// patience is how long the world may take to become what it should be.
	patience = 2 * time.Minute
)

// cluster is a control plane with the controller's manifests.
type cluster struct {
	plane *controlplane.ControlPlane
	admin client.WithWatch
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := plane.CreateNamespace(t.Context(), namespace, nil); err != nil {
		t.Fatal(err)
	}
	if err := plane.InstallCRD(t.Context(), config.ReservedCIDRs()); err != nil {
		t.Fatal(err)
	}
	if err := plane.InstallNADs(t.Context()); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), nadv1.AddToScheme(scheme), eventsv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	admin, err := client.NewWithWatch(plane.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{plane: plane, admin: admin}
	c.apply(t, config.ControllerRBAC())
	return c
}

// apply creates the objects of a manifest.
func (c *cluster) apply(t *testing.T, manifest []byte) {
	t.Helper()
	for document := range bytes.SplitSeq(manifest, []byte("\n---\n")) {
		var o unstructured.Unstructured
		if err := yaml.Unmarshal(document, &o.Object); err != nil {
			t.Fatal(err)
		}
		if err := c.admin.Create(t.Context(), &o); err != nil {
			t.Fatal(err)
		}
	}
}

// world is a cluster, a VPC, and what happens between them.
type world struct {
	*cluster
	t   *testing.T
	sim *vpcsim.Sim
	ec2 *ec2.Client
	cut atomic.Int32 // 0, or how many second pages were refused and 1
}

// newWorld gives a test a VPC of its own, and cleans up the cluster behind it.
func newWorld(t *testing.T, c *cluster, subnets string) *world {
	t.Helper()
	topology, err := vpcsim.Load(strings.NewReader("region: us-west-2\nvpc: {id: vpc-1, cidr: 10.0.0.0/8}\n" + subnets))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{cluster: c, t: t, sim: sim}
	server := httptest.NewServer(http.HandlerFunc(w.serveEC2))
	t.Cleanup(func() { sim.Close(); server.Close() })
	for name, value := range map[string]string{
		"AWS_REGION": "us-west-2", "AWS_ENDPOINT_URL_EC2": server.URL, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY": vpcsim.SecretAccessKey,
	} {
		t.Setenv(name, value)
	}
	w.ec2 = ec2.New(ec2.Options{
		Region: "us-west-2", BaseEndpoint: aws.String(server.URL), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
	})
	t.Cleanup(w.clean)
	return w
}

// serveEC2 is the simulator, but that it may refuse second pages.
func (w *world) serveEC2(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	if n := w.cut.Load(); n > 0 && bytes.Contains(body, []byte("NextToken=")) {
		w.cut.Add(1)
		http.Error(rw, "", http.StatusForbidden)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.sim.EC2().ServeHTTP(rw, r)
}

// cutSecondPages refuses all pages but the first from now on. It returns what
// tells how many were refused.
func (w *world) cutSecondPages() func() int {
	w.cut.Store(1)
	return func() int { return int(w.cut.Load()) - 1 }
}

// clean removes what is left of all objects.
func (w *world) clean() {
	ctx := context.WithoutCancel(w.t.Context())
	var list v1alpha1.ReservedCIDRList
	if err := w.admin.List(ctx, &list); err != nil {
		w.t.Fatal(err)
	}
	for _, o := range list.Items {
		o.Finalizers = nil
		_ = w.admin.Update(ctx, &o)
		_ = w.admin.Delete(ctx, &o)
	}
}

// replica is a running controller.
type replica struct {
	t    *testing.T
	ops  string
	log  *buffer
	stop func() // and waits
}

// start runs a controller as its service account.
func (w *world) start(selection vpc.Selection) *replica {
	w.t.Helper()
	user, err := w.plane.ConfigFor(serviceAccount)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	log := &buffer{}
	c, err := controller.New(ctx, controller.Options{
		Selection: selection, SyncInterval: 500 * time.Millisecond, Settle: time.Second,
		Namespace: namespace, OpsAddress: "127.0.0.1:0", Version: "test",
	}, user, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		w.t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- c.Start(ctx) }()
	r := &replica{t: w.t, ops: "http://" + c.OpsAddress(), log: log}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-over; err != nil {
			w.t.Errorf("controller: %v", err)
		}
	}
	w.t.Cleanup(func() {
		r.stop()
		if w.t.Failed() {
			w.t.Logf("log of the controller:\n%s", log)
		}
	})
	return r
}

// metric returns the lines of a metric, of all its series.
func (r *replica) metric(name string) string {
	r.t.Helper()
	response, err := http.Get(r.ops + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, name) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// objects returns all objects by name.
func (w *world) objects() map[string]v1alpha1.ReservedCIDR {
	w.t.Helper()
	var list v1alpha1.ReservedCIDRList
	if err := w.admin.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	objects := map[string]v1alpha1.ReservedCIDR{}
	for _, o := range list.Items {
		objects[o.Name] = o
	}
	return objects
}

// get returns an object, or nil.
func (w *world) get(name string) *v1alpha1.ReservedCIDR {
	w.t.Helper()
	var o v1alpha1.ReservedCIDR
	err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: name}, &o)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return &o
}

func (w *world) create(name string, spec v1alpha1.ReservedCIDRSpec) *v1alpha1.ReservedCIDR {
	w.t.Helper()
	o := &v1alpha1.ReservedCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	if err := w.admin.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) delete(name string) {
	w.t.Helper()
	o := &v1alpha1.ReservedCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := w.admin.Delete(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits until the world is as it should be.
func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	err := wait.PollUntilContextTimeout(w.t.Context(), 50*time.Millisecond, patience, true,
		func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		w.t.Fatalf("it does not come about that %s; objects:\n%s", what, w)
	}
}

// passes waits for n more complete passes over EC2.
func (w *world) passes(n int) {
	w.t.Helper()
	before := w.calls("DescribeNetworkInterfaces")
	w.eventually("EC2 is read again", func() bool { return w.calls("DescribeNetworkInterfaces") >= before+n })
}

// calls counts the EC2 calls of an action that succeeded.
func (w *world) calls(action string) int {
	n := 0
	for _, call := range w.sim.Calls(false) {
		if call.Action == action && call.Result == "ok" {
			n++
		}
	}
	return n
}

// String shows all objects, for failures.
func (w *world) String() string {
	var b strings.Builder
	n := 0
	for name, o := range w.objects() {
		n++
		if n > 10 {
			fmt.Fprintln(&b, "...")
			break
		}
		fmt.Fprintf(&b, "%s %+v %+v\n", name, o.Spec, o.Status)
	}
	return b.String()
}

// reserve makes a reservation in EC2 by hand.
func (w *world) reserve(subnet, cidr string, tags map[string]string) string {
	w.t.Helper()
	in := &ec2.CreateSubnetCidrReservationInput{
		SubnetId: &subnet, Cidr: &cidr, ReservationType: types.SubnetCidrReservationTypeExplicit,
	}
	for key, value := range tags {
		in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeSubnetCidrReservation, Tags: []types.Tag{{Key: &key, Value: &value}}}}
	}
	out, err := w.ec2.CreateSubnetCidrReservation(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.SubnetCidrReservation.SubnetCidrReservationId
}

func (w *world) unreserve(id string) {
	w.t.Helper()
	if _, err := w.ec2.DeleteSubnetCidrReservation(w.t.Context(), &ec2.DeleteSubnetCidrReservationInput{SubnetCidrReservationId: &id}); err != nil {
		w.t.Fatal(err)
	}
}

// reservations returns the CIDRs of a subnet's reservations by id, of fewer
// than 255.
func (w *world) reservations(subnet string) map[string]string {
	w.t.Helper()
	out, err := w.ec2.GetSubnetCidrReservations(w.t.Context(), &ec2.GetSubnetCidrReservationsInput{SubnetId: &subnet})
	if err != nil {
		w.t.Fatal(err)
	}
	cidrs := map[string]string{}
	for _, r := range append(out.SubnetIpv4CidrReservations, out.SubnetIpv6CidrReservations...) {
		cidrs[*r.SubnetCidrReservationId] = *r.Cidr
	}
	return cidrs
}

// condition returns STATUS/REASON of a condition, or "".
func condition(o *v1alpha1.ReservedCIDR, kind string) string {
	if o == nil {
		return ""
	}
	c := meta.FindStatusCondition(o.Status.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

func message(o *v1alpha1.ReservedCIDR, kind string) string {
	if c := meta.FindStatusCondition(o.Status.Conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

// set changes settings of the simulator.
func (w *world) set(patch string) {
	w.t.Helper()
	if err := w.sim.Set(patch); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) inject(faults ...vpcsim.Fault) {
	w.t.Helper()
	if err := w.sim.Inject(faults...); err != nil {
		w.t.Fatal(err)
	}
}

// tag tags a resource of EC2.
func (w *world) tag(resource, key, value string) {
	w.t.Helper()
	_, err := w.ec2.CreateTags(w.t.Context(), &ec2.CreateTagsInput{Resources: []string{resource}, Tags: []types.Tag{{Key: &key, Value: &value}}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// nopSerializer decodes what a REST client of no particular type receives.
func nopSerializer() runtime.NegotiatedSerializer {
	return serializer.WithoutConversionCodecFactory{CodecFactory: serializer.NewCodecFactory(runtime.NewScheme())}
}
