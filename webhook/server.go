// Package webhook is the admission webhook: it adds the IP manager to pods
// with Multus networks, and checks NetworkAttachmentDefinitions.
//
// Package review answers the requests. What a decision needs to know of the
// cluster is in controller-runtime's typed cache (cluster.go), reduced to what
// decisions read (objects.go). Its manager runs all that goes on. The certificate
// is package certificate's.
//
// The handlers are registered with controller-runtime's webhook server as they
// are, without its admission.Webhook, which decodes a review and then, again,
// the object in it, all fields of both.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/multus-ipmgr/multus-ipmgr/feed"
	"github.com/multus-ipmgr/multus-ipmgr/process"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/certificate"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

// source is a review.Cluster that is kept up to date while it runs.
type source interface {
	review.Cluster
	manager.Runnable
	// ready says why it cannot be relied upon yet.
	ready() error
	// ages shows how old what it knows may be.
	ages() feed.Set
	// misspelt is how many namespaces have misspelt keys of ours.
	misspelt() int
}

// serverCertificate is the certificate that the server shows, which is kept good
// while it runs.
type serverCertificate interface {
	manager.Runnable
	// Get is for tls.Config's GetCertificate.
	Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready says why connections cannot be served now.
	Ready() error
}

// Server is the webhook. Its listeners are open from New on.
type Server struct {
	options   Options
	log       *slog.Logger
	manager   manager.Manager
	cluster   source
	cert      serverCertificate
	metrics   *metrics
	reviews   *review.Reviews
	admission net.Listener
	ops       net.Listener
	stopping  atomic.Bool
}

// Run connects to the cluster that options name and serves until ctx ends.
func Run(ctx context.Context, options Options, log *slog.Logger) error {
	config, err := process.Begin(ctx, options.Kubeconfig, log)
	if err != nil {
		return err
	}
	server, err := New(ctx, options, config, log)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

// New builds a server that asks the API server at config. It fails when an
// address cannot be listened on.
func New(ctx context.Context, options Options, config *rest.Config, log *slog.Logger) (*Server, error) {
	feeds := newFeeds(log)
	m, err := newManager(config, feeds, process.StopTimeout, log)
	if err != nil {
		return nil, err
	}
	return newServer(ctx, options, m, newCached(m.GetCache(), m.GetAPIReader(), feeds, log), log)
}

// newManager returns a manager whose cache the feeds fill. What does not end when
// it is told to keeps the process for the time of grace.
func newManager(config *rest.Config, feeds *feeds, grace time.Duration, log *slog.Logger) (manager.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	// Reads that go past the caches are few, unless many pods name networks
	// that do not exist. The API server's own fairness limits them.
	config.QPS = -1
	m, err := manager.New(config, manager.Options{
		Scheme: scheme, MapperProvider: newMapper, Cache: feeds.options(), Logger: logr.FromSlogHandler(log.Handler()),
		Metrics: metricsserver.Options{BindAddress: "0"}, GracefulShutdownTimeout: &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing to work with the API server: %w", err)
	}
	return m, nil
}

// newServer builds a server that asks cluster.
func newServer(ctx context.Context, options Options, m manager.Manager, cluster source, log *slog.Logger) (*Server, error) {
	var listen net.ListenConfig
	admission, err := listen.Listen(ctx, "tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("--address: %w", err)
	}
	ops, err := listen.Listen(ctx, "tcp", options.OpsAddress)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--ops-address: %w", err), admission.Close())
	}
	s := &Server{
		options: options, log: log, manager: m, cluster: cluster, metrics: newMetrics(),
		reviews: review.New(cluster, options.Policy, log), admission: admission, ops: ops,
	}
	s.metrics.watchDoor(s.reviews.Gate())
	s.metrics.registry.MustRegister(s.reviews, cluster.ages())
	s.metrics.watchSpelling(cluster.misspelt)
	if s.cert, err = s.newCertificate(); err != nil {
		return nil, errors.Join(err, admission.Close(), ops.Close())
	}
	return s, s.assemble()
}

func (s *Server) newCertificate() (serverCertificate, error) {
	if s.options.Certificate.Secret == "" {
		return certificate.NewDirectory(s.options.CertDir, time.Now, s.log, s.metrics.serves), nil
	}
	return certificate.NewManaged(s.options.Certificate, s.manager, time.Now, s.log, s.metrics.serves)
}

// assemble has the manager run all parts.
func (s *Server) assemble() error {
	reviews := newBounded(s.admission, s.reviews.Gate(), &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: s.cert.Get}, s.leaving, s.log)
	for path, handler := range s.reviews.Handlers() {
		reviews.Register(path, handler)
	}
	ops := process.Ops(s.ops, s.metrics.registry, s.ready, s.log)
	return errors.Join(s.manager.Add(ops), s.manager.Add(reviews), s.manager.Add(s.cert), s.manager.Add(s.cluster))
}

// Address is where reviews are answered, over TLS.
func (s *Server) Address() string { return s.admission.Addr().String() }

// OpsAddress is where /metrics, /healthz and /readyz are, over plain HTTP.
func (s *Server) OpsAddress() string { return s.ops.Addr().String() }

// Run serves until ctx ends, and then until the requests that are under way
// have been answered.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		s.drain()
		stop()
	})()
	s.log.Info("serving", keyVersion, s.options.Policy.Version, keyAddress, s.Address(), keyOps, s.OpsAddress())
	return s.manager.Start(background)
}

// drain turns readiness off first and goes on serving for a while, because
// the API server learns later than the kubelet that this replica ends.
func (s *Server) drain() {
	s.stopping.Store(true)
	s.log.Info("stopping")
	time.Sleep(s.options.Drain)
}

// leaving has clients give up their connections one by one while this replica
// drains: with the answer to a request, when nothing is under way. One that
// stayed open until the end would be closed while the API server may be sending
// the next review on it, which it does not send again.
func (s *Server) leaving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// ready says why pods must not be sent here. A decision without the caches
// would let pods pass that need the container.
func (s *Server) ready() error {
	if s.stopping.Load() {
		return errors.New("stopping")
	}
	return errors.Join(s.cert.Ready(), s.cluster.ready())
}

var _ source = (*cached)(nil)
