package config_test

import (
	"os"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/multus-ipmgr/multus-ipmgr/config"
)

func TestControllerMayDoWhatIsListedAndNothingByWildcard(t *testing.T) {
	var rules []rbacv1.PolicyRule
	for _, object := range decode(t, config.ControllerRBAC()) {
		switch role := object.(type) {
		case *rbacv1.ClusterRole:
			rules = append(rules, role.Rules...)
		case *rbacv1.Role:
			rules = append(rules, role.Rules...)
		}
	}
	if len(rules) == 0 {
		t.Fatal("no rules")
	}
	for _, rule := range rules {
		words := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs)
		if slices.Contains(words, "*") || slices.Contains(rule.Resources, "secrets") {
			t.Errorf("%v is more than the controller needs", rule)
		}
	}
}

func TestControllerDeploymentIsRestrictedAndDoubled(t *testing.T) {
	data, err := os.ReadFile("controller/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	deployment, ok := decode(t, data)[0].(*appsv1.Deployment)
	if !ok {
		t.Fatal("the first object is no Deployment")
	}
	spec := deployment.Spec.Template.Spec
	if *deployment.Spec.Replicas < 2 || !*spec.SecurityContext.RunAsNonRoot || len(spec.Containers) != 1 {
		t.Errorf("replicas %d, pod %+v", *deployment.Spec.Replicas, spec.SecurityContext)
	}
	c := spec.Containers[0]
	if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || !*c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation {
		t.Errorf("container: %+v %+v", c.Resources, c.SecurityContext)
	}
}
