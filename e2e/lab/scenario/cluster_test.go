//go:build lab

package scenario_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

func kube(t *testing.T) client.Interface {
	t.Helper()
	k, err := client.NewForConfig(bed.Config())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// optedIn makes a namespace whose pods get the IP manager and must satisfy the
// restricted Pod Security Standard. It is deleted, with all in it, at the
// test's end.
func optedIn(t *testing.T, name string, labels ...string) {
	t.Helper()
	optedOut(t, name, append(labels, "multus-ipmgr.io/inject=enabled")...)
}

// optedOut makes the same without the IP manager.
func optedOut(t *testing.T, name string, labels ...string) {
	t.Helper()
	createNamespace(t, name, labels...)
	t.Cleanup(func() { empty(t, name) })
}

func createNamespace(t *testing.T, name string, labels ...string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		ns.Labels[key] = value
	}
	if _, err := kube(t).CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// emptyTimeout is for a busy machine: a pod goes in 3 to 10 s on an idle one.
const emptyTimeout = 2 * time.Minute

// empty deletes a namespace and waits until its pods are gone, so that the next
// scenario finds workers that have nothing to do.
func empty(t *testing.T, namespace string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), emptyTimeout)
	defer cancel()
	if err := kube(t).CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
		return
	}
	within(ctx, t, "the pods of "+namespace+" are gone", func(ctx context.Context) error {
		pods, err := kube(t).CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d are left", len(pods.Items))
		}
		return err
	})
}

// within asks until holds returns nil or ctx ends.
func within(ctx context.Context, t *testing.T, what string, holds func(context.Context) error) {
	t.Helper()
	last := holds(ctx)
	for ; last != nil && ctx.Err() == nil; last = holds(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not in time: %v", what, last)
		case <-time.After(100 * time.Millisecond):
		}
	}
	if last != nil {
		t.Fatalf("%s: not in time: %v", what, last)
	}
}

// apply creates the objects of a file below testdata in a namespace; objects
// that name another one go there. Words are pairs of a text and its replacement.
func apply(t *testing.T, namespace, name string, words ...string) {
	t.Helper()
	text := manifest(t, name)
	if len(words) > 0 {
		text = []byte(strings.NewReplacer(words...).Replace(string(text)))
	}
	if err := bed.ApplyIn(t.Context(), namespace, bytes.TrimSpace(text)); err != nil {
		t.Fatal(err)
	}
}

// readyPods waits until as many pods with a label are Ready, and returns them in
// the order of their workers and names.
func readyPods(t *testing.T, namespace, selector string, count int) []testbed.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	var names []string
	within(ctx, t, fmt.Sprintf("%d pods %s in %s", count, selector, namespace), func(ctx context.Context) error {
		list, err := kube(t).CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		names = nil
		for _, p := range list.Items {
			if p.DeletionTimestamp == nil {
				names = append(names, p.Name)
			}
		}
		if len(names) != count {
			return fmt.Errorf("there are %d", len(names))
		}
		return nil
	})
	var pods []testbed.Pod
	for _, name := range names {
		pod, err := bed.AwaitPod(ctx, namespace, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s on %s: %s, %v", pod.Name, pod.Worker, pod.Address, pod.Networks)
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b testbed.Pod) int {
		return strings.Compare(a.Worker+" "+a.Name, b.Worker+" "+b.Name)
	})
	return pods
}

// owner returns the ENI to which the VPC delivers an address, or nothing.
func owner(addr netip.Addr) string {
	eni, _ := bed.Sim().RoutedTo(addr)
	return eni
}

// holders lists the ENIs that EC2 knows an address on.
func holders(addr netip.Addr) (enis []string) {
	for _, e := range bed.Sim().ENIs() {
		if slices.Contains(append(append(e.Secondaries, e.IPv6...), e.Primary), addr) {
			enis = append(enis, e.ID)
		}
	}
	return enis
}

// remove deletes a pod and waits until it is gone.
func remove(t *testing.T, namespace, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), emptyTimeout)
	defer cancel()
	pods := kube(t).CoreV1().Pods(namespace)
	if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	within(ctx, t, name+" is gone", func(ctx context.Context) error {
		_, err := pods.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("it is there"), err)
	})
}

// giveBack takes the pods' addresses, which outlive them in init mode, off the
// ENIs: the scenario can be played again.
func giveBack(t *testing.T, pods ...testbed.Pod) {
	t.Helper()
	var addrs []netip.Addr
	for _, pod := range pods {
		for _, list := range pod.Networks {
			addrs = append(addrs, list...)
		}
	}
	ctx := context.WithoutCancel(t.Context())
	for _, e := range bed.Sim().ENIs() {
		others := func(a netip.Addr) bool { return !slices.Contains(addrs, a) }
		v4, v6 := slices.DeleteFunc(slices.Clone(e.Secondaries), others), slices.DeleteFunc(slices.Clone(e.IPv6), others)
		if len(v4) > 0 {
			_, err := cloud().UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: &e.ID, PrivateIpAddresses: texts(v4)})
			if err != nil {
				t.Error(err)
			}
		}
		if len(v6) > 0 {
			_, err := cloud().UnassignIpv6Addresses(ctx, &ec2.UnassignIpv6AddressesInput{NetworkInterfaceId: &e.ID, Ipv6Addresses: texts(v6)})
			if err != nil {
				t.Error(err)
			}
		}
	}
}

func texts(addrs []netip.Addr) (list []string) {
	for _, addr := range addrs {
		list = append(list, addr.String())
	}
	return list
}
