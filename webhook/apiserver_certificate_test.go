package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// selfManaged is what the chart installs where the webhook issues its
// certificates itself: its rights, and the Secret.
const selfManaged = "../e2e/chart/testdata/self-managed.golden.yaml"

// crowd is a control plane with two replicas that issue their certificate, and
// what stands for their Service.
type crowd struct {
	world
	replicas []*Server
	service  net.Listener
	carried  [2]atomic.Int64 // bytes to each replica
}

// certificates is the name of the replicas' Secret.
const certificates = "multus-ipmgr-webhook-certificates"

func TestCertificatesAreRenewedUnderLoad(t *testing.T) {
	c := newCrowd(t)
	authority := c.bundles(t)[0]
	stop := c.load(t)
	c.awaitCertificates(t, 4)
	c.emptiesSecret(t)
	c.awaitCertificates(t, 2)
	c.deletesSecret(t)
	c.awaitCertificates(t, 2)
	if calls, failures := stop(); len(failures) > 0 || calls < 100 {
		t.Errorf("%d of %d pods were refused, the first by %v", len(failures), calls, failures[:min(1, len(failures))])
	}
	for _, bundle := range c.bundles(t) {
		if bundle != authority {
			t.Error("the authority is another one")
		}
	}
	for i, s := range c.replicas {
		if _, metrics := get(t, s, "/metrics"); !strings.Contains(metrics, `reason="injected"} `) || strings.Contains(metrics, `reason="injected"} 0`) {
			t.Errorf("replica %d had no part in it:\n%s", i, metrics)
		}
	}
	t.Run("authorities that someone removed are back", c.restoresBundles)
}

// emptiesSecret removes all entries of the Secret, as someone may do who wants
// another certificate.
func (c *crowd) emptiesSecret(t *testing.T) {
	t.Helper()
	secrets := c.client.CoreV1().Secrets("multus-ipmgr-system")
	c.eventually(t, "an empty Secret", func() error {
		secret, err := secrets.Get(t.Context(), certificates, metav1.GetOptions{})
		if err != nil {
			return err
		}
		secret.Data = nil
		_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
		return err // a conflict, if a renewal came between
	})
}

func (c *crowd) deletesSecret(t *testing.T) {
	t.Helper()
	secrets := c.client.CoreV1().Secrets("multus-ipmgr-system")
	if err := secrets.Delete(t.Context(), certificates, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // in which replicas look for it
	if _, err := secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: certificates}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// bundles are the caBundles of all webhooks.
func (c *crowd) bundles(t *testing.T) (bundles []string) {
	t.Helper()
	mutating, err := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "multus-ipmgr", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range mutating.Webhooks {
		bundles = append(bundles, string(hook.ClientConfig.CABundle))
	}
	validating, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "multus-ipmgr", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range validating.Webhooks {
		bundles = append(bundles, string(hook.ClientConfig.CABundle))
	}
	return bundles
}

func newCrowd(t *testing.T) *crowd {
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
	c := &crowd{world: world{plane: plane}}
	admin := plane.Config()
	admin.QPS, admin.WarningHandler = -1, rest.NoWarnings{} // of the network that does not exist
	c.client = kubernetes.NewForConfigOrDie(admin)
	if err := plane.InstallNADs(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.namespace(t, "multus-ipmgr-system", nil)
	c.namespace(t, "apps", map[string]string{inject.InjectLabel: inject.Enabled})
	c.listen(t)
	c.install(t)
	for i := range c.carried {
		c.replicas = append(c.replicas, c.replica(t, i))
	}
	go c.serve()
	for i, s := range c.replicas {
		c.eventually(t, fmt.Sprintf("replica %d ready", i), func() error {
			if code, body := get(t, s, "/readyz"); code != http.StatusOK {
				return errors.New(body)
			}
			return nil
		})
	}
	c.eventually(t, "called", func() error { return c.pod(t.Context()) })
	return c
}

func (c *crowd) listen(t *testing.T) {
	t.Helper()
	var err error
	if c.service, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.service.Close() })
}

// serve hands each connection to the replica that has had less to do: the API
// server needs few, at times none but for new authorities, and drops some unused.
func (c *crowd) serve() {
	for {
		client, err := c.service.Accept()
		if err != nil {
			return
		}
		go c.forward(client)
	}
}

func (c *crowd) forward(client net.Conn) {
	defer client.Close()
	i := 0
	if c.carried[1].Load() < c.carried[0].Load() {
		i = 1
	}
	server, err := net.Dial("tcp", c.replicas[i].Address())
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(io.MultiWriter(server, tally{&c.carried[i]}), client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// tally counts what is written to it.
type tally struct{ *atomic.Int64 }

// Write implements io.Writer.
func (n tally) Write(p []byte) (int, error) {
	n.Add(int64(len(p)))
	return len(p), nil
}

// install applies what the chart renders of the Secret and of the rights, and
// the configurations with the stand-in's address.
func (c *crowd) install(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(selfManaged)
	if err != nil {
		t.Fatal(err)
	}
	applied := 0
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatal(err)
		}
		if err := c.apply(t.Context(), kind.Kind, []byte(document)); errors.Is(err, errors.ErrUnsupported) {
			continue
		} else if err != nil {
			t.Fatalf("%s: %v", kind.Kind, err)
		}
		applied++
	}
	if applied < 5 {
		t.Fatalf("%s has %d objects of the kinds that are needed", selfManaged, applied)
	}
	_, port, err := net.SplitHostPort(c.service.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	url := "https://localhost:" + port
	mutating, err := config.MutatingWebhook(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.configure(t, mutating)
	validating, err := config.ValidatingWebhook(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), validating, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c *crowd) apply(ctx context.Context, kind string, document []byte) error {
	rbac, options := c.client.RbacV1(), metav1.CreateOptions{}
	switch kind {
	case "Secret":
		return create(ctx, document, c.client.CoreV1().Secrets("multus-ipmgr-system").Create, options)
	case "Role":
		return create(ctx, document, rbac.Roles("multus-ipmgr-system").Create, options)
	case "RoleBinding":
		return create(ctx, document, rbac.RoleBindings("multus-ipmgr-system").Create, options)
	case "ClusterRole":
		return create[rbacv1.ClusterRole](ctx, document, rbac.ClusterRoles().Create, options)
	case "ClusterRoleBinding":
		return create[rbacv1.ClusterRoleBinding](ctx, document, rbac.ClusterRoleBindings().Create, options)
	}
	return errors.ErrUnsupported
}

func create[T any](ctx context.Context, document []byte, do func(context.Context, *T, metav1.CreateOptions) (*T, error), options metav1.CreateOptions) error {
	var object T
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		return err
	}
	_, err := do(ctx, &object, options)
	return err
}

// replica runs the webhook as its service account. A certificate is renewed some
// three seconds after it was issued.
func (c *crowd) replica(t *testing.T, number int) *Server {
	t.Helper()
	options, err := ParseOptions([]string{
		"--address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--drain=0s", "--image=i", "--cert-secret=" + certificates,
		"--cert-names=localhost", "--cert-duration=60s", "--cert-renew-before=57s",
	}, "v0", "multus-ipmgr-system", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	options.Certificate.Controller = fmt.Sprintf("%s-%d", t.Name(), number)
	account, err := c.plane.ConfigFor(serviceAccount, "system:serviceaccounts", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), options, account, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + s.OpsAddress() + path)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

// pod has the API server admit a pod, and store none.
func (c *crowd) pod(ctx context.Context) error {
	p, err := c.client.CoreV1().Pods("apps").Create(ctx, pod("load", "net-a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil && len(p.Spec.InitContainers) == 0 {
		err = errors.New("not injected")
	}
	return err
}

// load creates pods until the function that it returns is called, which tells
// how many and what failed.
func (c *crowd) load(t *testing.T) (stop func() (int, []error)) {
	t.Helper()
	var calls atomic.Int64
	var mu sync.Mutex
	var failures []error
	var group sync.WaitGroup
	done := make(chan struct{})
	ctx := context.WithoutCancel(t.Context())
	for range 6 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(10 * time.Millisecond):
				}
				calls.Add(1)
				if err := c.pod(ctx); err != nil {
					mu.Lock()
					failures = append(failures, err)
					mu.Unlock()
				}
			}
		})
	}
	group.Go(func() { c.reconnect(done) })
	end := sync.OnceFunc(func() { close(done); group.Wait() })
	t.Cleanup(end)
	return func() (int, []error) { end(); return int(calls.Load()), failures }
}

// reconnect has the API server make new connections all the time: one that lasts
// notices no renewal. Each replica in turn gives its own up for a moment, as while
// it drains.
func (c *crowd) reconnect(done <-chan struct{}) {
	for i := 0; ; i++ {
		replica := c.replicas[i%len(c.replicas)]
		select {
		case <-done:
			return
		case <-time.After(200 * time.Millisecond):
			replica.stopping.Store(true)
		}
		time.Sleep(50 * time.Millisecond) // in which some calls are answered
		replica.stopping.Store(false)
	}
}

// awaitCertificates waits until every replica has shown that many more.
func (c *crowd) awaitCertificates(t *testing.T, more int) {
	t.Helper()
	shown := map[string]bool{}
	count := make([]int, len(c.replicas))
	c.eventually(t, fmt.Sprintf("%d certificates further", more), func() error {
		for i, s := range c.replicas {
			connection, err := tls.Dial("tcp", s.Address(), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				return err
			}
			key := fmt.Sprintf("%d %x", i, connection.ConnectionState().PeerCertificates[0].Signature)
			connection.Close()
			if !shown[key] {
				shown[key] = true
				count[i]++
			}
		}
		if min(count[0], count[1]) <= more {
			return fmt.Errorf("certificates seen: %v", count)
		}
		return nil
	})
}

func (c *crowd) restoresBundles(t *testing.T) {
	configurations := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	c.eventually(t, "without authorities", func() error {
		configuration, err := configurations.Get(t.Context(), "multus-ipmgr", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for i := range configuration.Webhooks {
			configuration.Webhooks[i].ClientConfig.CABundle = nil
		}
		_, err = configurations.Update(t.Context(), configuration, metav1.UpdateOptions{})
		return err
	})
	c.eventually(t, "trusted again", func() error { return c.pod(t.Context()) })
	for _, bundle := range c.bundles(t) {
		if bundle == "" {
			t.Error("a webhook still lacks its authority")
		}
	}
}
