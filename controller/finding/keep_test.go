package finding

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

func TestTheCacheKeepsOfANADWhatIsNeeded(t *testing.T) {
	identity := metav1.ObjectMeta{Namespace: "core", Name: "pods", UID: "u", ResourceVersion: "7"}
	labelled := identity
	labelled.Labels = map[string]string{nad.ManagedLabel: "false"}
	left := identity
	left.Annotations = map[string]string{leftOut: "true"}
	large := strings.Repeat("x", 250_000)
	for _, c := range []struct {
		name   string
		given  metav1.ObjectMeta
		config int
		want   metav1.ObjectMeta
		kept   int
	}{
		{"an ordinary one is kept", identity, 500, identity, 500},
		{"the longest that is kept", identity, keptConfig, identity, keptConfig},
		{"a longer one is left out", identity, keptConfig + 1, left, 0},
		{"the longest that is checked is left out", identity, nad.MaxConfig, left, 0},
		{"one that is never checked is not read again either", identity, nad.MaxConfig + 1, identity, 0},
		{"one of 1.2 MB", identity, 1_200_000, identity, 0},
		{"one without configuration", identity, 0, identity, 0},
		{"of labels and annotations only ours are kept", metav1.ObjectMeta{
			Namespace: "core", Name: "pods", UID: "u", ResourceVersion: "7", GenerateName: large,
			Labels: map[string]string{nad.ManagedLabel: "false", "other": large}, Annotations: map[string]string{"other": large},
			Finalizers: []string{large}, OwnerReferences: []metav1.OwnerReference{{Name: large}}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: large}},
		}, 500, labelled, 500},
		{"an annotation of that name means nothing where there is a configuration", left, 500, identity, 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &nadv1.NetworkAttachmentDefinition{ObjectMeta: c.given}
			o.Spec.Config = strings.Repeat("x", c.config)
			for range 2 { // the list strips, and the informer again
				if _, err := Strip(o); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, o.ObjectMeta); diff != "" || len(o.Spec.Config) != c.kept {
					t.Errorf("%d bytes of configuration are kept, want %d; metadata (-want +got):\n%s", len(o.Spec.Config), c.kept, diff)
				}
			}
		})
	}
}
