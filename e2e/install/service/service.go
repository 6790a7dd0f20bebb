// Package service plays kube-proxy on the API server's way to webhooks: an HTTP
// proxy that the API server asks to CONNECT to the address of a Service, and
// that leads to one of the Service's ready endpoints, by chance. It tries no
// other when that one refuses, and it learns of changes late, as kube-proxy
// does.
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// lag is between two looks at the cluster: kube-proxy's minSyncPeriod.
	lag = time.Second
	// dialTimeout bounds how long a connection may take to open.
	dialTimeout = 10 * time.Second
)

// Proxy is a proxy that serves. Until Follow it knows no Service.
type Proxy struct {
	socket string
	way    func(netip.AddrPort) netip.AddrPort
	tell   io.Writer
	server *http.Server
	table  atomic.Pointer[map[netip.AddrPort][]netip.AddrPort]
	stop   context.CancelFunc
	group  sync.WaitGroup
}

// Listen serves at a unix socket. The way leads from a pod's address to where
// its process listens; failed connections are reported in lines.
func Listen(ctx context.Context, socket string, way func(netip.AddrPort) netip.AddrPort, tell io.Writer) (*Proxy, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	p := &Proxy{socket: socket, way: way, tell: tell, stop: func() {}}
	p.server = &http.Server{Handler: http.HandlerFunc(p.connect), ReadHeaderTimeout: dialTimeout}
	p.group.Go(func() { _ = p.server.Serve(l) }) // ends by Close
	return p, nil
}

// Socket is where the proxy listens.
func (p *Proxy) Socket() string { return p.socket }

// Follow learns of Services and their endpoints until Close.
func (p *Proxy) Follow(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	factory := informers.NewSharedInformerFactory(client, 0)
	services, slices := factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	synced := []cache.InformerSynced{services.Informer().HasSynced, slices.Informer().HasSynced}
	factory.Start(ctx.Done())
	p.group.Go(func() {
		defer factory.Shutdown()
		cache.WaitForCacheSync(ctx.Done(), synced...)
		for tick := time.NewTicker(lag); ctx.Err() == nil; {
			s, err := services.Lister().List(labels.Everything())
			e, err2 := slices.Lister().List(labels.Everything())
			if err == nil && err2 == nil { // listers of caches never fail
				now := routes(s, e)
				p.table.Store(&now)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
			}
		}
	})
	return nil
}

// Endpoints returns those that connections to a port of a Service lead to now.
func (p *Proxy) Endpoints(service netip.AddrPort) []netip.AddrPort {
	if table := p.table.Load(); table != nil {
		return (*table)[service]
	}
	return nil
}

// Close ends the proxy and all connections through it.
func (p *Proxy) Close() error {
	p.stop()
	err := p.server.Close()
	p.group.Wait()
	return err
}

// connect serves one CONNECT.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) {
	backend, err := p.dial(r)
	if err != nil {
		fmt.Fprintf(p.tell, "service: %v\n", err) // the API server repeats the status only
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, rest, err := http.NewResponseController(w).Hijack()
	if err != nil || rest.Reader.Buffered() > 0 {
		_ = backend.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n") // join notices
	join(client, backend)
}

func (p *Proxy) dial(r *http.Request) (net.Conn, error) {
	if r.Method != http.MethodConnect {
		return nil, errors.New("want CONNECT")
	}
	to, err := netip.ParseAddrPort(r.Host)
	if err != nil {
		return nil, err
	}
	if table := p.table.Load(); table != nil {
		if endpoints, known := (*table)[to]; known && len(endpoints) == 0 {
			return nil, fmt.Errorf("%s: connection refused: no ready endpoint", to)
		} else if known {
			to = endpoints[rand.IntN(len(endpoints))]
		}
	}
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(r.Context(), "tcp", p.way(to).String())
}

// join copies both ways until both ends are through.
func join(a, b net.Conn) {
	defer a.Close()
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pass(a, b)
	}()
	pass(b, a)
	<-done
}

// pass copies until from ends, and says so to the other end. What breaks the
// connection breaks both halves.
func pass(from, to net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		return
	}
	_ = from.Close()
	_ = to.Close()
}
