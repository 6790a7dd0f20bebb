package v1alpha1_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
)

// fields are those of a spec.
type fields = map[string]any

var creations = []struct {
	name   string
	object string // the object's name, "pool" if empty
	spec   fields
	wrong  string // part of the refusal, none if it is accepted
}{
	{name: "a range is all that is needed", spec: fields{"cidr": "10.0.1.64/26"}},
	{name: "everything that is known of an IPv4 range", spec: fields{
		"cidr": "10.0.1.64/26", "subnetID": "subnet-0a1b2c3d4e5f67890", "subnetCIDR": "10.0.1.0/24", "availabilityZone": "us-west-2a",
		"type": "explicit", "source": "manual", "create": false}},
	{name: "an IPv6 range in its subnet", spec: fields{"cidr": "2600:1f13:0:1:1::/80", "subnetCIDR": "2600:1f13:0:1::/64"}},
	{name: "a single address", spec: fields{"cidr": "10.0.1.64/32"}},
	{name: "a range as large as its subnet", spec: fields{"cidr": "10.0.1.0/24", "subnetCIDR": "10.0.1.0/24"}},
	{name: "a range for prefix delegation", spec: fields{"cidr": "10.0.1.64/26", "type": "prefix"}},
	{name: "a range that is to be reserved", spec: fields{"cidr": "10.0.1.64/26", "subnetID": "subnet-a", "create": true}},
	{name: "an IPv6 range that is to be reserved", spec: fields{"cidr": "2600:1f13:0:1:1::/80", "subnetID": "subnet-a", "create": true}},
	{name: "a Local Zone", spec: fields{"cidr": "10.0.1.64/26", "availabilityZone": "us-west-2-lax-1a"}},
	{name: "a reservation that the controller mirrors", object: "scr-0a1b2c3d4e5f67890", spec: fields{"cidr": "10.0.1.64/26", "source": "aws"}},

	{name: "no range", spec: fields{"type": "explicit"}, wrong: "spec.cidr: Required value"},
	{name: "a range that is empty", spec: fields{"cidr": ""}, wrong: "spec.cidr"},
	{name: "an address without length", spec: fields{"cidr": "10.0.1.64"}, wrong: "want a CIDR such as 10.0.1.64/26"},
	{name: "a length that IPv4 does not have", spec: fields{"cidr": "10.0.1.64/33"}, wrong: "want a CIDR such as"},
	{name: "two addresses", spec: fields{"cidr": "10.0.1.64-10.0.1.127"}, wrong: "want a CIDR such as"},
	{name: "octets with leading zeros", spec: fields{"cidr": "10.0.01.64/26"}, wrong: "want a CIDR such as"},
	{name: "address bits beyond the length", spec: fields{"cidr": "10.0.1.65/26"}, wrong: "want the canonical form"},
	{name: "IPv6 in upper case", spec: fields{"cidr": "2600:1F13::/64"}, wrong: "want the canonical form"},
	{name: "IPv6 in long form", spec: fields{"cidr": "2600:1f13:0:0::/64"}, wrong: "want the canonical form"},
	{name: "IPv4 in IPv6", spec: fields{"cidr": "::ffff:10.0.1.64/122"}, wrong: "want a CIDR such as"},
	{name: "text that is longer than any CIDR", spec: fields{"cidr": strings.Repeat("1", 44)}, wrong: "Too long"},
	{name: "a subnet that is not a CIDR", spec: fields{"cidr": "10.0.1.64/26", "subnetCIDR": "10.0.1.0"}, wrong: "want a CIDR such as 10.0.1.0/24"},
	{name: "a subnet with address bits", spec: fields{"cidr": "10.0.1.64/26", "subnetCIDR": "10.0.1.1/24"}, wrong: "want the canonical form"},
	{name: "a range outside its subnet", spec: fields{"cidr": "10.0.2.64/26", "subnetCIDR": "10.0.1.0/24"}, wrong: "cidr must lie within subnetCIDR"},
	{name: "a range larger than its subnet", spec: fields{"cidr": "10.0.0.0/16", "subnetCIDR": "10.0.1.0/24"}, wrong: "cidr must lie within subnetCIDR"},
	{name: "a range of another family than its subnet", spec: fields{"cidr": "10.0.1.64/26", "subnetCIDR": "2600:1f13:0:1::/64"}, wrong: "cidr must lie within subnetCIDR"},
	{name: "a type that EC2 does not have", spec: fields{"cidr": "10.0.1.64/26", "type": "implicit"}, wrong: `Unsupported value: "implicit"`},
	{name: "a VPC in place of a subnet", spec: fields{"cidr": "10.0.1.64/26", "subnetID": "vpc-1"}, wrong: "spec.subnetID"},
	{name: "a zone with blanks", spec: fields{"cidr": "10.0.1.64/26", "availabilityZone": "us west"}, wrong: "spec.availabilityZone"},
	{name: "a range that is to be reserved nowhere", spec: fields{"cidr": "10.0.1.64/26", "create": true}, wrong: "create needs subnetID"},
	{name: "a range for prefix delegation that is to be reserved", spec: fields{"cidr": "10.0.1.64/26", "subnetID": "subnet-a", "type": "prefix", "create": true},
		wrong: "create makes reservations of type explicit only"},
	{name: "a mirrored reservation that is to be reserved", object: "scr-1", spec: fields{"cidr": "10.0.1.64/26", "subnetID": "subnet-a", "source": "aws", "create": true},
		wrong: "create is for objects with source manual"},
	{name: "a mirrored reservation by a name of one's own", spec: fields{"cidr": "10.0.1.64/26", "source": "aws"}, wrong: "objects with source aws belong to the controller"},
	{name: "a source that is nobody", spec: fields{"cidr": "10.0.1.64/26", "source": "terraform"}, wrong: `Unsupported value: "terraform"`},
}

var changes = []struct {
	name     string
	from, to fields
	wrong    string
}{
	{name: "the subnet becomes known", from: fields{}, to: fields{"subnetID": "subnet-a", "subnetCIDR": "10.0.1.0/24", "availabilityZone": "us-west-2a"}},
	{name: "the zone is corrected", from: fields{"availabilityZone": "us-west-2a"}, to: fields{"availabilityZone": "us-west-2b"}},
	{name: "the range is to be reserved from now on", from: fields{"subnetID": "subnet-a"}, to: fields{"subnetID": "subnet-a", "create": true}},
	{name: "another range", from: fields{}, to: fields{"cidr": "10.0.1.128/26"}, wrong: "cidr is immutable"},
	{name: "another type", from: fields{}, to: fields{"type": "prefix"}, wrong: "type is immutable"},
	{name: "another subnet", from: fields{"subnetID": "subnet-a"}, to: fields{"subnetID": "subnet-b"}, wrong: "subnetID is immutable"},
	{name: "no subnet any more", from: fields{"subnetID": "subnet-a"}, to: fields{}, wrong: "subnetID is immutable"},
	{name: "another keeper", from: fields{}, to: fields{"source": "aws"}, wrong: "source is immutable"},
	{name: "the reservation is taken back", from: fields{"subnetID": "subnet-a", "create": true}, to: fields{"subnetID": "subnet-a"}, wrong: "create cannot be taken back"},
}

func object(name string, spec fields) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.Kind))
	o.SetName(cmp.Or(name, "pool"))
	return o
}

// withRange adds a range where the case is about something else.
func withRange(spec fields) fields {
	spec = maps.Clone(spec)
	if _, given := spec["cidr"]; !given {
		spec["cidr"] = "10.0.1.64/26"
	}
	return spec
}

// judge compares what the API server says with what it should say.
func judge(t *testing.T, err error, wrong string) {
	t.Helper()
	switch {
	case wrong == "" && err != nil:
		t.Errorf("refused: %v", err)
	case wrong != "" && !apierrors.IsInvalid(err):
		t.Errorf("got %v, want it to be invalid with %q", err, wrong)
	case wrong != "" && !strings.Contains(err.Error(), wrong):
		t.Errorf("got %v\nwant %q", err, wrong)
	}
}

func TestAPIServerKeepsTheRules(t *testing.T) {
	cp, err := controlplane.Start(t.Context(), controlplane.Options{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := cp.InstallCRD(t.Context(), config.ReservedCIDRs()); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	objects := client.Resource(v1alpha1.GroupVersionResource())
	for _, c := range creations {
		t.Run("create: "+c.name, func(t *testing.T) {
			_, err := objects.Create(t.Context(), object(c.object, c.spec), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			judge(t, err, c.wrong)
		})
	}
	for i, c := range changes {
		t.Run("change: "+c.name, func(t *testing.T) {
			o := object(fmt.Sprintf("scr-%d", i), withRange(c.from))
			stored, err := objects.Create(t.Context(), o, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			stored.Object["spec"] = withRange(c.to)
			_, err = objects.Update(t.Context(), stored, metav1.UpdateOptions{})
			judge(t, err, c.wrong)
		})
	}
	t.Run("defaults make a manual, explicit range", func(t *testing.T) {
		stored, err := objects.Create(t.Context(), object("plain", fields{"cidr": "10.0.1.64/26"}), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := fields{"cidr": "10.0.1.64/26", "type": "explicit", "source": "manual", "create": false}
		if diff := gocmp.Diff(want, stored.Object["spec"]); diff != "" {
			t.Errorf("spec (-want +got):\n%s", diff)
		}
	})
}
