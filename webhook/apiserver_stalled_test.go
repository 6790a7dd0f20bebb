package webhook

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// stalling is a TCP proxy that can stop forwarding without closing anything, as
// a load balancer does that has lost its flows.
type stalling struct {
	listener net.Listener
	target   string
	forward  sync.RWMutex // held for writing while nothing is forwarded
	running  sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns []net.Conn
}

// newStalling returns a proxy to the API server at the URL.
func newStalling(t *testing.T, api string) *stalling {
	t.Helper()
	u, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &stalling{listener: listener, target: u.Host}
	p.running.Go(p.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.running.Wait()
	})
	return p
}

func (p *stalling) serve() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, near, far)
		p.mu.Unlock()
		p.running.Go(func() { p.copy(near, far) })
		p.running.Go(func() { p.copy(far, near) })
	}
}

// copy forwards until one side closes, and then closes the other.
func (p *stalling) copy(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.forward.RLock()
		_, err = to.Write(buffer[:n])
		p.forward.RUnlock()
		if err != nil {
			return
		}
	}
}

// TestAStalledWatchAgainstARealAPIServer has the way to the API server deliver
// nothing although all connections stay open: no error tells the webhook.
func TestAStalledWatchAgainstARealAPIServer(t *testing.T) {
	var proxy *stalling
	w := newWorld(t, func(account *rest.Config) {
		proxy = newStalling(t, account.Host)
		account.Host = "https://" + proxy.listener.Addr().String()
	})
	w.install(t)
	w.changeSomething(t)
	w.eventually(t, "changes are heard of", w.heardSince(t, time.Now()))

	proxy.forward.Lock()
	forward := sync.OnceFunc(proxy.forward.Unlock)
	defer forward()
	const grown = 3 * time.Second
	w.eventually(t, "the caches grow old although there are changes", func() error {
		w.changeSomething(t)
		for resource, age := range w.ages(t) {
			if age < grown {
				return fmt.Errorf("%s have the age %s", resource, age)
			}
		}
		return nil
	})
	if code, body := w.ops(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s; all replicas would leave at once", code, body)
	}
	if p, err := w.client.CoreV1().Pods("apps").Create(t.Context(), pod("meanwhile", "net-a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil || len(p.Spec.InitContainers) == 0 {
		t.Errorf("error %v; want the pod of a known network to be injected", err)
	}

	resumed := time.Now()
	forward()
	w.changeSomething(t)
	w.eventually(t, "changes are heard of again", w.heardSince(t, resumed))
	if code, body := w.ops(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
}

// changeSomething changes a namespace and a NAD, past the proxy.
func (w *world) changeSomething(t *testing.T) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"changed":%q}}}`, time.Now().Format(time.RFC3339Nano))
	_, errNamespace := w.client.CoreV1().Namespaces().Patch(t.Context(), "apps", types.MergePatchType, patch, metav1.PatchOptions{})
	_, errNAD := w.nads.Namespace("apps").Patch(t.Context(), "net-a", types.MergePatchType, patch, metav1.PatchOptions{})
	if err := errors.Join(errNamespace, errNAD); err != nil {
		t.Fatal(err)
	}
}

// heardSince reports whether each cache has heard something since then, of what
// is changed at each try.
func (w *world) heardSince(t *testing.T, then time.Time) func() error {
	t.Helper()
	return func() error {
		w.changeSomething(t)
		for resource, age := range w.ages(t) {
			if age > time.Since(then) {
				return fmt.Errorf("%s have the age %s", resource, age)
			}
		}
		return nil
	}
}

// ages reads the metric of the caches that something is changed in.
func (w *world) ages(t *testing.T) map[string]time.Duration {
	t.Helper()
	_, text := w.ops(t, "/metrics")
	ages := map[string]time.Duration{}
	for _, resource := range []string{"namespaces", "network-attachment-definitions"} {
		_, after, found := strings.Cut(text, `multus_ipmgr_cache_age_seconds{resource="`+resource+`"} `)
		value, _, _ := strings.Cut(after, "\n")
		seconds, err := strconv.ParseFloat(value, 64)
		if !found || err != nil {
			t.Fatalf("the metric of %s: found %t, %v", resource, found, err)
		}
		ages[resource] = time.Duration(seconds * float64(time.Second))
	}
	return ages
}
