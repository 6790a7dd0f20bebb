package install_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// users create pods at a time.
const users = 6

// failure is a pod that was refused, or admitted without the IP manager.
type failure struct {
	at  time.Time
	err error
}

// load creates pods in a namespace that opted in until it is stopped.
type load struct {
	pods kubernetes.Interface
	stop context.CancelFunc
	done sync.WaitGroup
	// bare allows pods without the IP manager, as while it is uninstalled.
	bare atomic.Bool

	mu       sync.Mutex
	admitted int
	failed   []failure
	slowest  time.Duration
}

func (c *cluster) load(t *testing.T) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{pods: c.client, stop: cancel}
	t.Cleanup(cancel)
	for user := range users {
		l.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				began := time.Now()
				err := l.start(context.WithoutCancel(ctx), fmt.Sprintf("load-%d-%d", user, n))
				l.note(err, time.Since(began))
			}
		})
	}
	return l
}

func (l *load) note(err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err != nil {
		l.failed = append(l.failed, failure{time.Now(), err})
		return
	}
	l.admitted++
}

// start makes a pod, looks at it and deletes it.
func (l *load) start(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	pod, err := createPod(ctx, l.pods, name, "net1")
	if err != nil {
		return err
	}
	err = l.pods.CoreV1().Pods(opted).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	if image(pod) == "" && !l.bare.Load() {
		err = errors.Join(err, errUninjected)
	}
	return err
}

var errUninjected = errors.New("the pod was admitted without the IP manager")

// createPod creates a pod that no scheduler takes.
func createPod(ctx context.Context, client kubernetes.Interface, name, networks string) (*corev1.Pod, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"k8s.v1.cni.cncf.io/networks": networks}},
		Spec: corev1.PodSpec{
			SchedulerName: "nobody", AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{Name: "app", Image: "shop/app:1"}},
		},
	}
	return client.CoreV1().Pods(opted).Create(ctx, pod, metav1.CreateOptions{})
}

// image returns that of the injected container.
func image(pod *corev1.Pod) string {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == "multus-ipmgr" {
			return c.Image
		}
	}
	return ""
}

// end stops the load and returns the failures.
func (l *load) end(t *testing.T) []failure {
	t.Helper()
	l.stop()
	l.done.Wait()
	t.Logf("%d pods admitted, %d failed, the slowest took %s", l.admitted, len(l.failed), l.slowest.Round(time.Millisecond))
	if l.admitted == 0 {
		t.Error("no pod was admitted: the load proves nothing")
	}
	return l.failed
}

// reach waits until so many pods were admitted.
func (l *load) reach(t *testing.T, pods int) {
	t.Helper()
	programs.Within(t, moments, "the load", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.admitted < pods {
			return fmt.Errorf("%d pods of %d are admitted", l.admitted, pods)
		}
		return nil
	})
}

// more waits until so many further pods were admitted.
func (l *load) more(t *testing.T, pods int) {
	t.Helper()
	l.mu.Lock()
	admitted := l.admitted
	l.mu.Unlock()
	l.reach(t, admitted+pods)
}

// none stops the load and wants no failure.
func (l *load) none(t *testing.T) {
	t.Helper()
	failed := l.end(t)
	for _, f := range failed[:min(5, len(failed))] {
		t.Errorf("%s: %v", f.at.Format(time.StampMilli), f.err)
	}
}
