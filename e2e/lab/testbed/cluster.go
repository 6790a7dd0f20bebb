package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// populate installs the resources and rights of Multus and whereabouts.
func (l *Lab) populate(ctx context.Context) error {
	if err := l.grant(ctx, multusUser, multusRules()); err != nil {
		return err
	}
	if err := l.grant(ctx, whereaboutsUser, whereaboutsRules()); err != nil {
		return err
	}
	if err := l.plane.InstallNADs(ctx); err != nil {
		return err
	}
	dir, err := whereaboutsCRDs(ctx)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "whereabouts.cni.cncf.io_*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no resources of whereabouts in %s", dir)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := l.plane.InstallCRD(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// whereaboutsCRDs finds the resources in the module that pins whereabouts.
func whereaboutsCRDs(ctx context.Context) (string, error) {
	tools, err := programs.Dir("e2e/tools")
	if err != nil {
		return "", err
	}
	// The program may be in the cache although its module is not.
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", "github.com/k8snetworkplumbingwg/whereabouts")
	cmd.Dir = filepath.Join(tools, "whereabouts")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("get the module of whereabouts: %w: %s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("get the module of whereabouts: %w", err)
	}
	return filepath.Join(module.Dir, "doc", "crds"), nil
}

func multusRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"k8s.cni.cncf.io"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		{APIGroups: []string{""}, Resources: []string{"pods", "pods/status"}, Verbs: []string{"get", "list", "update", "watch"}},
		{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch", "update"}},
	}
}

func whereaboutsRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{
			APIGroups: []string{"whereabouts.cni.cncf.io"}, Resources: []string{"ippools", "overlappingrangeipreservations"},
			Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"},
		},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"*"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get"}},
		{APIGroups: []string{"k8s.cni.cncf.io"}, Resources: []string{"network-attachment-definitions"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch", "update", "get"}},
	}
}

// grant lets a user do what rules say.
func (l *Lab) grant(ctx context.Context, user string, rules []rbacv1.PolicyRule) error {
	kube, err := client.NewForConfig(l.Config())
	if err != nil {
		return err
	}
	meta := metav1.ObjectMeta{Name: strings.ReplaceAll(strings.TrimPrefix(user, "system:serviceaccount:"), ":", "-")}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	if _, err := kube.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	_, err = kube.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	return err
}
