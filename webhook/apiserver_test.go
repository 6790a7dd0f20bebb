package webhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// serviceAccount is whom the webhook is to the API server: it may do what
// config/webhook/rbac.yaml grants, and nothing else.
const serviceAccount = "system:serviceaccount:multus-ipmgr-system:multus-ipmgr-webhook"

// world is a control plane with the webhook, installed by the manifests that
// users install.
type world struct {
	plane     *controlplane.ControlPlane
	client    kubernetes.Interface
	nads      dynamic.NamespaceableResourceInterface
	warnings  *warnings
	authority *authority
	server    *Server
	stop      func() // stops the webhook, and waits
}

// warnings collects what the API server warns of, as kubectl would print it.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}

func TestAgainstARealAPIServer(t *testing.T) {
	w := newWorld(t)
	t.Run("not ready before the caches can be read", w.notReadyWithoutNADs)
	w.install(t)
	t.Run("a pod is injected", w.injects)
	t.Run("the injected pod satisfies the restricted standard", w.satisfiesRestricted)
	t.Run("a sidecar is native", w.injectsSidecar)
	t.Run("a pod without networks never reaches the webhook", w.neverAsked(pod("plain", "")))
	t.Run("a pod on the host network never reaches the webhook", w.neverAsked(onHostNetwork(pod("host", "net-a"))))
	t.Run("a pod that opts out never reaches the webhook", w.neverAsked(labelled(pod("out", "net-a"), inject.Disabled)))
	t.Run("kube-system is never touched", w.leavesKubeSystem)
	t.Run("a pod opts in, in a namespace without label", w.injectsPodThatOptsIn)
	t.Run("an unknown mode is denied in words", w.deniesUnknownMode)
	t.Run("an unreadable annotation is denied in words", w.deniesAnnotation)
	t.Run("a missing network is warned of", w.warnsOfMissingNetwork)
	t.Run("a pod of 2 MB is injected", w.injectsBigPod)
	t.Run("a dry run injects and stores nothing", w.dryRun)
	t.Run("what was created a moment ago counts", w.seesNewObjects)
	t.Run("the container stays first behind another webhook", w.staysFirst)
	t.Run("while no replica answers, only managed pods wait", w.failsClosedForManagedPods)
}

// newWorld starts a webhook that reaches the API server by its service account's
// configuration. change, if given, changes that.
func newWorld(t *testing.T, change ...func(*rest.Config)) *world {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{plane: plane, warnings: &warnings{}, authority: newAuthority(t)}
	admin := plane.Config()
	admin.WarningHandler = w.warnings
	w.client = kubernetes.NewForConfigOrDie(admin)
	w.nads = dynamic.NewForConfigOrDie(admin).Resource(schema.GroupVersionResource{Group: "k8s.cni.cncf.io", Version: "v1", Resource: "network-attachment-definitions"})
	w.namespace(t, "multus-ipmgr-system", nil)
	w.grantRBAC(t)
	account, err := plane.ConfigFor(serviceAccount, "system:serviceaccounts", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(account)
	}
	w.run(t, account)
	return w
}

// grantRBAC applies config/webhook/rbac.yaml.
func (w *world) grantRBAC(t *testing.T) {
	t.Helper()
	var role rbacv1.ClusterRole
	var binding rbacv1.ClusterRoleBinding
	for document := range strings.SplitSeq(string(config.WebhookRBAC()), "\n---\n") {
		target := map[string]any{"kind: ClusterRole\n": &role, "kind: ClusterRoleBinding\n": &binding}
		for kind, object := range target {
			if strings.Contains(document, "\n"+kind) {
				if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if _, err := w.client.RbacV1().ClusterRoles().Create(t.Context(), &role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// run starts the webhook as its service account.
func (w *world) run(t *testing.T, account *rest.Config) {
	t.Helper()
	dir := t.TempDir()
	w.authority.issue(t, dir, 2)
	options, err := ParseOptions([]string{
		"--address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--cert-dir=" + dir, "--drain=0s",
		"--image=registry.example/ipmgr:v0", "--env=AWS_REGION=us-west-2", "--web-identity-role-arn=arn:aws:iam::111122223333:role/multus-ipmgr",
	}, "v0", "multus-ipmgr-system", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if w.server, err = New(t.Context(), options, account, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // ended by stop
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
}

// install makes the API server call the webhook, and waits until it does.
func (w *world) install(t *testing.T) {
	t.Helper()
	if err := w.plane.InstallNADs(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.eventually(t, "ready", func() error {
		if code, body := w.ops(t, "/readyz"); code != http.StatusOK {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	configuration, err := config.MutatingWebhook("https://"+w.server.Address(), w.authority.pem)
	if err != nil {
		t.Fatal(err)
	}
	w.configure(t, configuration)
	w.namespace(t, "apps", map[string]string{inject.InjectLabel: inject.Enabled})
	w.namespace(t, "plain", nil)
	w.nad(t, "apps", "net-a", `{"type": "ipvlan", "master": "eth1", "ipam": {"type": "whereabouts", "range": "10.10.1.64/26"}}`)
	w.nad(t, "plain", "net-a", `{"type": "ipvlan", "master": "eth1", "ipam": {"type": "whereabouts", "range": "10.10.1.64/26"}}`)
	w.eventually(t, "called", func() error {
		p, err := w.client.CoreV1().Pods("apps").Create(t.Context(), pod("probe", "net-a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && len(p.Spec.InitContainers) == 0 {
			err = fmt.Errorf("not injected")
		}
		return err
	})
	w.warnings.take()
}

func (w *world) configure(t *testing.T, c *admissionregistrationv1.MutatingWebhookConfiguration) {
	t.Helper()
	if _, err := w.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) notReadyWithoutNADs(t *testing.T) {
	w.eventually(t, "told why it is not ready", func() error {
		code, body := w.ops(t, "/readyz")
		if code != http.StatusServiceUnavailable || !strings.Contains(body, "network-attachment-definitions.k8s.cni.cncf.io are not read yet: ") {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	if code, body := w.ops(t, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d %s", code, body)
	}
}

func (w *world) injects(t *testing.T) {
	p := w.create(t, "apps", pod("init", "net-a"))
	if got := p.Annotations[inject.InjectedAnnotation]; got != "init v0" {
		t.Errorf("annotation %q", got)
	}
	c := p.Spec.InitContainers[0]
	if c.Name != inject.ContainerName || !slices.Equal(c.Args, []string{"init"}) || c.Image != "registry.example/ipmgr:v0" {
		t.Errorf("container %+v", c)
	}
	if got := value(c, "IPMGR_INTERFACES"); got != "net1" {
		t.Errorf("IPMGR_INTERFACES=%q", got)
	}
	// The API server mounts its token into containers, after webhooks too.
	if !tokenMounted(p.Spec.Containers[0]) || tokenMounted(c) {
		t.Errorf("volume mounts: the application's %+v, ours %+v; want the API server's token in the application only", p.Spec.Containers[0].VolumeMounts, c.VolumeMounts)
	}
	for _, other := range p.Spec.Containers {
		if slices.ContainsFunc(other.VolumeMounts, func(m corev1.VolumeMount) bool { return strings.Contains(m.Name, "aws") }) || value(other, "AWS_ROLE_ARN") != "" {
			t.Errorf("container %s got AWS credentials", other.Name)
		}
	}
	if warned := w.warnings.take(); len(warned) > 0 {
		t.Errorf("warnings %q", warned)
	}
}

// tokenMounted reports whether a container can read the pod's token for the
// API server.
func tokenMounted(c corev1.Container) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(m.Name, "kube-api-access-") })
}

func (w *world) satisfiesRestricted(t *testing.T) {
	w.namespace(t, "strict", map[string]string{inject.InjectLabel: inject.Enabled, "pod-security.kubernetes.io/enforce": "restricted"})
	w.nad(t, "strict", "net-a", `{"type": "ipvlan"}`)
	for _, mode := range []string{"init", "sidecar"} {
		p := pod(mode, `[{"name": "net-a", "ips": ["10.10.1.200/24"]}]`)
		p.Annotations[inject.ModeAnnotation] = mode
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), RunAsNonRoot: new(true),
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
		if got := w.create(t, "strict", p); len(got.Spec.InitContainers) != 1 {
			t.Errorf("%s: %d init containers", mode, len(got.Spec.InitContainers))
		}
	}
	w.warnings.take() // of static addresses, which are another test's
}

func (w *world) injectsSidecar(t *testing.T) {
	p := pod("sidecar", "net-a")
	p.Annotations[inject.ModeAnnotation] = "sidecar"
	p.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "prepare"}}
	p = w.create(t, "apps", p)
	c := p.Spec.InitContainers[0]
	if len(p.Spec.InitContainers) != 2 || c.Name != inject.ContainerName || c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways || c.StartupProbe == nil {
		t.Errorf("init containers %+v", p.Spec.InitContainers)
	}
}

// neverAsked shows that the webhook counts nothing when p is created.
func (w *world) neverAsked(p *corev1.Pod) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		before := w.admissions(t)
		if got := w.create(t, "apps", p); len(got.Spec.InitContainers) > 0 {
			t.Errorf("init containers %+v", got.Spec.InitContainers)
		}
		if after := w.admissions(t); after != before {
			t.Errorf("admissions before and after:\n%s\n%s", before, after)
		}
	}
}

func (w *world) leavesKubeSystem(t *testing.T) {
	ns := w.client.CoreV1().Namespaces()
	system, err := ns.Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	system.Labels[inject.InjectLabel] = inject.Enabled
	if _, err := ns.Update(t.Context(), system, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := w.client.CoreV1().ServiceAccounts("kube-system").Create(t.Context(), account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	before := w.admissions(t)
	if p := w.create(t, "kube-system", labelled(pod("system", "net-a"), inject.Enabled)); len(p.Spec.InitContainers) > 0 {
		t.Errorf("init containers %+v", p.Spec.InitContainers)
	}
	if after := w.admissions(t); after != before {
		t.Errorf("admissions before and after:\n%s\n%s", before, after)
	}
}

func (w *world) injectsPodThatOptsIn(t *testing.T) {
	if p := w.create(t, "plain", labelled(pod("in", "net-a"), inject.Enabled)); len(p.Spec.InitContainers) != 1 {
		t.Error("not injected")
	}
	if p := w.create(t, "plain", pod("not-in", "net-a")); len(p.Spec.InitContainers) != 0 {
		t.Error("a pod that did not opt in was injected")
	}
}

func (w *world) deniesUnknownMode(t *testing.T) {
	p := pod("mode", "net-a")
	p.Annotations[inject.ModeAnnotation] = "daemon"
	w.denied(t, p, `the pod says "daemon"; accepted are "init" and "sidecar"`)
}

func (w *world) deniesAnnotation(t *testing.T) {
	w.denied(t, pod("annotation", "net-a@eth0@eth1"), `annotation `+nad.NetworksAnnotation+` cannot be read: element 1 ("net-a@eth0@eth1"): has more than one "@"`)
}

func (w *world) denied(t *testing.T, p *corev1.Pod, want string) {
	t.Helper()
	_, err := w.client.CoreV1().Pods("apps").Create(t.Context(), p, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want Invalid with %q", err, want)
	}
}

func (w *world) warnsOfMissingNetwork(t *testing.T) {
	if p := w.create(t, "apps", pod("missing", "plain/net-z")); value(p.Spec.InitContainers[0], "IPMGR_INTERFACES") != "net1" {
		t.Error("the interface of the missing network is not waited for")
	}
	want := []string{"NetworkAttachmentDefinition plain/net-z does not exist; the pod will not start until it does"}
	if got := w.warnings.take(); !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}

// injectsBigPod goes near the API server's limit of 3 MiB; etcd, which takes
// half of that, is spared by a dry run.
func (w *world) injectsBigPod(t *testing.T) {
	p := pod("big", "net-a")
	for i := range 2 {
		p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprintf("BIG_%d", i), Value: strings.Repeat("x", 1<<20)})
	}
	created, err := w.client.CoreV1().Pods("apps").Create(t.Context(), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil || len(created.Spec.InitContainers) != 1 || len(created.Spec.Containers[0].Env[1].Value) != 1<<20 {
		t.Errorf("not injected, or cut: %v", err)
	}
}

func (w *world) dryRun(t *testing.T) {
	pods := w.client.CoreV1().Pods("apps")
	p, err := pods.Create(t.Context(), pod("dry", "net-a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil || len(p.Spec.InitContainers) != 1 {
		t.Errorf("pod %v, error %v", p, err)
	}
	if _, err := pods.Get(t.Context(), "dry", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get: %v, want not found", err)
	}
}

// seesNewObjects creates a namespace, its network and a pod as fast as it can.
func (w *world) seesNewObjects(t *testing.T) {
	for i := range 20 {
		name := fmt.Sprintf("new-%d", i)
		w.namespace(t, name, map[string]string{inject.InjectLabel: inject.Enabled})
		w.nad(t, name, "net-a", `{"type": "ipvlan", "master": "eth1", "ipam": {"type": "static", "addresses": [{"address": "10.10.1.90/24"}]}}`)
		if p := w.create(t, name, pod("first", "net-a")); len(p.Spec.InitContainers) != 1 {
			t.Errorf("%s: not injected", name)
		}
	}
	if warned := w.warnings.take(); len(warned) > 0 {
		t.Errorf("warnings %q", warned)
	}
}

// staysFirst installs a webhook that is called after ours and puts its own
// container first.
func (w *world) staysFirst(t *testing.T) {
	mesh := httptest.NewUnstartedServer(http.HandlerFunc(pushMesh))
	w.serveTLS(t, mesh)
	configuration, err := config.MutatingWebhook(mesh.URL, w.authority.pem)
	if err != nil {
		t.Fatal(err)
	}
	configuration.Name, configuration.Webhooks = "zz-mesh", configuration.Webhooks[:1]
	w.configure(t, configuration)
	var got []string
	w.eventually(t, "called", func() error {
		p, err := w.client.CoreV1().Pods("apps").Create(t.Context(), pod("mesh", "net-a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		got = nil
		for _, c := range p.Spec.InitContainers {
			got = append(got, c.Name)
		}
		if !slices.Contains(got, "mesh-init") {
			return fmt.Errorf("init containers %q", got)
		}
		return nil
	})
	if want := []string{inject.ContainerName, "mesh-init"}; !slices.Equal(got, want) {
		t.Errorf("init containers %q, want %q", got, want)
	}
	if err := w.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(t.Context(), "zz-mesh", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// serveTLS starts a server that the API server trusts.
func (w *world) serveTLS(t *testing.T, server *httptest.Server) {
	t.Helper()
	dir := t.TempDir()
	w.authority.issue(t, dir, 3)
	cert, err := tls.LoadX509KeyPair(dir+"/tls.crt", dir+"/tls.key")
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
}

// errOf is an error for want of one.
func errOf(err error) error {
	if err == nil {
		return errors.New("admitted")
	}
	return err
}

// pushMesh answers a review by an init container in the first place.
func pushMesh(rw http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	var p corev1.Pod
	if json.NewDecoder(r.Body).Decode(&review) != nil || json.Unmarshal(review.Request.Object.Raw, &p) != nil {
		http.Error(rw, "bad review", http.StatusBadRequest)
		return
	}
	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if !slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == "mesh-init" }) {
		answer.PatchType = new(admissionv1.PatchTypeJSONPatch)
		answer.Patch = []byte(`[{"op": "add", "path": "/spec/initContainers/0", "value": {"name": "mesh-init", "image": "mesh"}}]`)
	}
	review.Request, review.Response = nil, answer
	_ = json.NewEncoder(rw).Encode(review) // a test that goes away needs no answer
}

func (w *world) failsClosedForManagedPods(t *testing.T) {
	w.stop()
	_, err := w.client.CoreV1().Pods("apps").Create(t.Context(), pod("waits", "net-a"), metav1.CreateOptions{})
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "namespaces.multus-ipmgr.io") {
		t.Errorf("error %v, want that the webhook cannot be called", err)
	}
	w.create(t, "apps", pod("without-networks", ""))
	w.create(t, "apps", onHostNetwork(pod("on-host", "net-a")))
	w.create(t, "apps", labelled(pod("opted-out", "net-a"), inject.Disabled))
	w.create(t, "plain", pod("not-opted-in", "net-a"))
	w.create(t, "kube-system", pod("needed", "net-a"))
}

func pod(name, networks string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "upf", Image: "upf"}}},
	}
	if networks != "" {
		p.Annotations[nad.NetworksAnnotation] = networks
	}
	return p
}

func onHostNetwork(p *corev1.Pod) *corev1.Pod {
	p.Spec.HostNetwork = true
	return p
}

func labelled(p *corev1.Pod, value string) *corev1.Pod {
	p.Labels = map[string]string{inject.InjectLabel: value}
	return p
}

func value(c corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

func (w *world) create(t *testing.T, namespace string, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	created, err := w.client.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func (w *world) namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	if err := w.plane.CreateNamespace(t.Context(), name, labels); err != nil {
		t.Fatal(err)
	}
}

func (w *world) nad(t *testing.T, namespace, name, text string) {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"config": text},
	}}
	if _, err := w.nads.Namespace(namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// ops asks the port for metrics and probes.
func (w *world) ops(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.server.OpsAddress()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// admissions is what the webhook has counted.
func (w *world) admissions(t *testing.T) string {
	t.Helper()
	_, body := w.ops(t, "/metrics")
	var lines []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "multus_ipmgr_admissions_total") && !strings.HasSuffix(line, " 0\n") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func (w *world) eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("not %s: %v", what, last)
	}
}
