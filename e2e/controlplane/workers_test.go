package controlplane_test

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
)

// proxy is an HTTP proxy that refuses; it records where it was asked to connect.
func proxy(t *testing.T) (path string, asked <-chan string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "proxy")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	hosts := make(chan string, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil && r.Method == http.MethodConnect {
				select {
				case hosts <- r.Host:
				default:
				}
			}
			conn.Close()
		}
	}()
	return path, hosts
}

func TestControlPlaneForWorkers(t *testing.T) {
	path, asked := proxy(t)
	cp := start(t, controlplane.Options{Workers: &controlplane.Workers{
		Addresses: []netip.Addr{netip.MustParseAddr("10.10.12.1")}, Proxy: path,
	}})
	want := []string{"etcd", "kube-apiserver", "kube-controller", "kube-scheduler"} // as the kernel cuts them
	if diff := cmp.Diff(want, children(t)); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if err := cp.CreateNamespace(t.Context(), "core", nil); err != nil {
		t.Fatal(err)
	}
	t.Run("a kubelet may make its node and no other", func(t *testing.T) { joins(t, cp) })
	t.Run("the scheduler finds the node", func(t *testing.T) { schedules(t, cp) })
	t.Run("a kubelet is reached through the proxy, by its address", func(t *testing.T) {
		// The proxy refuses; the host it is asked for is what counts.
		_, _ = clients(t, cp).CoreV1().Pods("core").GetLogs("upf", &corev1.PodLogOptions{}).DoRaw(t.Context())
		select {
		case host := <-asked:
			if host != "10.10.12.11:10250" {
				t.Errorf("asked for %s", host)
			}
		case <-time.After(time.Minute):
			t.Error("the proxy was not asked")
		}
	})
}

// kubelet is worker-1's client, made as a worker makes it: from a kubeconfig
// for another address, which is led back to loopback.
func kubelet(t *testing.T, cp *controlplane.ControlPlane) kubernetes.Interface {
	t.Helper()
	text, err := cp.WorkerKubeconfig(netip.MustParseAddrPort("10.10.12.1:6443"), "system:node:worker-1", "system:nodes")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://10.10.12.1:6443" {
		t.Errorf("server %s", config.Host)
	}
	config.TLSClientConfig.ServerName = "10.10.12.1" // what the certificate must hold
	config.Host = "https://" + cp.Address()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func joins(t *testing.T, cp *controlplane.ControlPlane) {
	t.Helper()
	nodes := kubelet(t, cp).CoreV1().Nodes()
	if _, err := nodes.Create(t.Context(), node("worker-2"), metav1.CreateOptions{}); err == nil {
		t.Error("worker-1 has made worker-2")
	}
	if _, err := nodes.Create(t.Context(), node("worker-1"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func node(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: "10.10.12.11"},
			},
			Allocatable:     corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 10250}},
			Conditions:      []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
		},
	}
}

func schedules(t *testing.T, cp *controlplane.ControlPlane) {
	t.Helper()
	pod := testPod()
	pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	pods := clients(t, cp).CoreV1().Pods("core")
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		now, err := pods.Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if now.Spec.NodeName != "" {
			return
		}
	}
	t.Errorf("the pod has no node; the scheduler's log is in %s", cp.Dir())
}
