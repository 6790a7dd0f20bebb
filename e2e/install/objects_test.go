package install_test

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// noise are the beginnings of what comes and goes by itself.
var noise = []string{
	"events ", "events.events.k8s.io ", "componentstatuses ", "leases.coordination.k8s.io kube-node-lease/", "pods shop/load-",
}

// objects lists all objects of the cluster as "RESOURCE [NAMESPACE/]NAME".
func (c *cluster) objects(t *testing.T) []string {
	t.Helper()
	// Without the cache of a mapper: CustomResourceDefinitions come and go.
	lists, err := c.client.Discovery().ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		t.Fatal(err)
	}
	names := []string{}
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || strings.Contains(r.Name, "/") {
				continue
			}
			names = append(names, c.list(t, group.WithResource(r.Name))...)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(noise, func(beginning string) bool { return strings.HasPrefix(name, beginning) })
	})
	slices.Sort(names)
	return names
}

func (c *cluster) list(t *testing.T, r schema.GroupVersionResource) (names []string) {
	t.Helper()
	list, err := c.all.Resource(r).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("list %s: %v", r, err)
	}
	for _, item := range list.Items {
		name := item.GetName()
		if cidr, found, _ := unstructured.NestedString(item.Object, "spec", "cidr"); found {
			name = cidr // EC2's name of a reservation is another every time
		}
		if item.GetNamespace() != "" {
			name = item.GetNamespace() + "/" + name
		}
		names = append(names, r.GroupResource().String()+" "+name)
	}
	return names
}

// added lists what is in after and not in before.
func added(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(after), func(name string) bool { return slices.Contains(before, name) })
}
