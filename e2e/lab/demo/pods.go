package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
)

const (
	busybox   = "busybox" // the Deployment, and its container
	manager   = "multus-ipmgr"
	secondary = "net1"
)

// replica is a pod of the Deployment.
type replica struct {
	*ledger.Pod

	spec corev1.PodSpec
}

// eniOf names the ENI that is a worker's eth1, as the lab's topology does.
func eniOf(worker string) string { return "eni-w" + strings.TrimPrefix(worker, "worker-") + "-eth1" }

// replicas waits until all pods of the Deployment are Ready.
func (d *demo) replicas(ctx context.Context) ([]*replica, error) {
	if _, err := d.run(ctx, "-n", namespace, "rollout", "status", "deployment/"+busybox, "--timeout=9m"); err != nil {
		return nil, err
	}
	list, err := d.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + busybox})
	if err != nil {
		return nil, err
	}
	var all []*replica
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil {
			continue // of the former generation
		}
		pod, err := d.bed.AwaitPod(ctx, namespace, p.Name)
		if err != nil {
			return nil, err
		}
		if len(pod.Networks[secondary]) != 1 {
			return nil, fmt.Errorf("pod %s has the networks %v, want one address on %s", pod.Name, pod.Networks, secondary)
		}
		all = append(all, &replica{
			&ledger.Pod{Name: pod.Name, Worker: pod.Worker, ENI: eniOf(pod.Worker), Addr: pod.Networks[secondary][0]}, p.Spec,
		})
	}
	slices.SortFunc(all, func(a, b *replica) int { return strings.Compare(a.Worker+a.Name, b.Worker+b.Name) })
	return all, nil
}

// pings asks each address that follows, one packet each, and prints those that
// answer.
const pings = `for a; do ping -c 1 -W 2 $a >/dev/null && echo $a; done; true`

// hearEachOther lets all pods ping all others and tells who was heard.
func (d *demo) hearEachOther(ctx context.Context, pods []*replica) error {
	d.tell.Say("in each pod, for all others: $ kubectl -n %s exec POD -- ping -c 1 -W 2 ADDRESS", namespace)
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	for _, p := range pods {
		asking.Go(func() {
			if err := d.hear(ctx, p, pods); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	d.tell.Table(ledger.PodHeader(), ledger.PodRows(pictures(pods)))
	return failed
}

func (d *demo) hear(ctx context.Context, p *replica, pods []*replica) error {
	args := []string{"-n", namespace, "exec", p.Name, "--", "sh", "-c", pings, "sh"}
	for _, other := range pods {
		if other != p {
			args = append(args, other.Addr.String())
		}
	}
	out, err := d.run(ctx, args...)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		addr, err := netip.ParseAddr(strings.TrimSpace(line))
		if err != nil {
			return fmt.Errorf("ping in pod %s: %w", p.Name, err)
		}
		p.Heard = append(p.Heard, addr)
	}
	return nil
}

// pictures are what the story shows pods.
func pictures(pods []*replica) []*ledger.Pod {
	var all []*ledger.Pod
	for _, p := range pods {
		all = append(all, p.Pod)
	}
	return all
}

// injected verifies that multus-ipmgr goes before all else in each pod.
func injected(pods []*replica) error {
	for _, p := range pods {
		if len(p.spec.InitContainers) != 1 || p.spec.InitContainers[0].Name != manager {
			return fmt.Errorf("pod %s: want the container %s first", p.Name, manager)
		}
	}
	return nil
}

func (d *demo) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	return d.kube.AppsV1().Deployments(namespace).Get(ctx, busybox, metav1.GetOptions{})
}

// sameButRestarted verifies that a restart is all that happened to a Deployment.
func sameButRestarted(before, after *appsv1.Deployment) error {
	spec := after.Spec.DeepCopy()
	maps.DeleteFunc(spec.Template.Annotations, func(key, _ string) bool { return key == "kubectl.kubernetes.io/restartedAt" })
	if !equality.Semantic.DeepEqual(&before.Spec, spec) {
		return fmt.Errorf("the Deployment %s has changed: %+v, before: %+v", after.Name, spec, before.Spec)
	}
	return nil
}
