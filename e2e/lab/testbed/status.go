package testbed

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"
)

// ProxyName is the file, in the lab's directory, of the proxy into the workers'
// network.
const ProxyName = "proxy.sock"

// Status is what runs.
type Status struct {
	// Kubeconfig is the administrator's, EC2 and Control are the URLs of the
	// simulator's EC2 and control APIs.
	Kubeconfig, EC2, Control string
	Workers                  []WorkerStatus
}

// WorkerStatus is one worker's.
type WorkerStatus struct{ Name, Address, Pods, State string }

// Status reports what runs.
func (l *Lab) Status(ctx context.Context) Status {
	s := Status{Kubeconfig: l.Kubeconfig(), EC2: l.vpc.EC2URL, Control: l.vpc.ControlURL}
	for _, w := range l.workers {
		s.Workers = append(s.Workers, WorkerStatus{
			Name: w.name, Address: w.address.Addr().String(), Pods: w.pods.String(), State: l.state(ctx, w.name),
		})
	}
	return s
}

// state describes a worker's state.
func (l *Lab) state(ctx context.Context, worker string) string {
	kernel, ok := l.kernels[worker]
	if !ok || kernel.Err() != nil {
		return "its kernel has ended"
	}
	kube, err := client.NewForConfig(l.Config())
	if err != nil {
		return err.Error()
	}
	n, err := kube.CoreV1().Nodes().Get(ctx, worker, metav1.GetOptions{})
	switch {
	case err != nil:
		return err.Error()
	case isReady(n):
		return "Ready"
	default:
		return "NotReady"
	}
}
