// Package webhook is the admission webhook: it adds the IP manager to pods
// with Multus networks, and checks NetworkAttachmentDefinitions.
//
// One request takes this way: HTTP (http.go), decode once (review.go), decide
// (pods.go, which asks package inject; nads.go, which asks package nad), answer. What a decision needs to know
// of the cluster is mirrored in memory (mirror.go, cluster.go). The certificate
// is package certificate's.
//
// It uses client-go's informers without controller-runtime's manager: the
// manager links every Kubernetes API and decodes each request twice, which
// costs more memory and processor time than all the rest of the webhook.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/multus-ipmgr/multus-ipmgr/feed"
	"github.com/multus-ipmgr/multus-ipmgr/process"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/certificate"
)

// stopTimeout is how long requests may take to end: as long as the API server
// waits for them.
const stopTimeout = 10 * time.Second

// source is a Cluster that has to be kept up to date.
type source interface {
	Cluster
	// run does so until ctx ends.
	run(ctx context.Context)
	// ready says why it cannot be relied upon yet.
	ready() error
	// ages says how long ago the API server last said something, by resource.
	ages() map[string]time.Duration
}

// identity is the certificate that the server shows.
type identity interface {
	// Run keeps it good until ctx ends.
	Run(ctx context.Context)
	// Get is for tls.Config's GetCertificate.
	Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready says why connections cannot be served now.
	Ready() error
}

// Server is the webhook. Its listeners are open from New on.
type Server struct {
	options   Options
	log       *slog.Logger
	cluster   source
	cert      identity
	metrics   *metrics
	entrance  entrance // of reviews
	admission net.Listener
	ops       net.Listener
	stopping  atomic.Bool
}

// New builds a server that asks the API server at config. It fails when an
// address cannot be listened on.
func New(ctx context.Context, options Options, config *rest.Config, log *slog.Logger) (*Server, error) {
	up, err := newUpstream(config)
	if err != nil {
		return nil, fmt.Errorf("building the Kubernetes client: %w", err)
	}
	cluster, err := newMirrored(up, log)
	if err != nil {
		return nil, fmt.Errorf("building the caches: %w", err)
	}
	server, err := newServer(ctx, options, cluster, log)
	if err == nil && options.Certificate.Secret != "" {
		server.cert = certificate.NewManaged(options.Certificate, up.caches, time.Now, log, server.metrics.serves)
	}
	return server, err
}

// newServer builds a server that asks cluster and has its certificate in a
// directory.
func newServer(ctx context.Context, options Options, cluster source, log *slog.Logger) (*Server, error) {
	var listen net.ListenConfig
	admission, err := listen.Listen(ctx, "tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("--address: %w", err)
	}
	ops, err := listen.Listen(ctx, "tcp", options.OpsAddress)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--ops-address: %w", err), admission.Close())
	}
	metrics, entrance := newMetrics(), newEntrance()
	metrics.watchDoor(entrance.gate)
	metrics.registry.MustRegister(feed.Collector(cluster.ages))
	return &Server{
		options: options, log: log, cluster: cluster, metrics: metrics, entrance: entrance,
		cert:      certificate.NewDirectory(options.CertDir, log, metrics.serves),
		admission: admission, ops: ops,
	}, nil
}

// Address is where reviews are answered, over TLS.
func (s *Server) Address() string { return s.admission.Addr().String() }

// OpsAddress is where /metrics, /healthz and /readyz are, over plain HTTP.
func (s *Server) OpsAddress() string { return s.ops.Addr().String() }

// Run serves until ctx ends, and then until the requests that are under way
// have been answered.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	defer s.await(&group)
	defer stop()
	group.Go(func() { s.cluster.run(background) })
	group.Go(func() { s.cert.Run(background) })

	failed := make(chan error, 2)
	admission, reviews := s.admissionServer(s.admission)
	ops, scrapes := s.opsServer(s.ops)
	group.Go(func() { failed <- admission.ServeTLS(reviews, "", "") })
	group.Go(func() { failed <- ops.Serve(scrapes) })
	s.log.Info("serving", keyVersion, s.options.Policy.Version, keyAddress, s.Address(), keyOps, s.OpsAddress())

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.drain()
	}
	timeout, cancel := context.WithTimeout(background, stopTimeout)
	defer cancel()
	return errors.Join(err, admission.Shutdown(timeout), ops.Shutdown(timeout))
}

// await waits for what runs in the background, and no longer than for requests:
// nothing of it is worth keeping the process.
func (s *Server) await(group *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.log.Warn("stopped before the caches did")
	}
}

// admissionServer returns the server of reviews and its way to a listener.
func (s *Server) admissionServer(listener net.Listener) (*http.Server, net.Listener) {
	server := process.NewServer(s.leaving(newReviews(s.entrance, s.cluster, s.options.Policy, s.metrics, s.log)), s.log)
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: s.cert.Get}
	return server, s.entrance.gate.Guard(server, listener)
}

// opsServer returns the server of metrics and probes and its way to a listener.
func (s *Server) opsServer(listener net.Listener) (*http.Server, net.Listener) {
	server := process.NewServer(process.NewOps(s.metrics.registry, s.ready), s.log)
	return server, process.NewGate(process.MaxOpsConnections).Guard(server, listener)
}

// ready says why pods must not be sent here. A decision without the caches
// would let pods pass that need the container.
func (s *Server) ready() error {
	if s.stopping.Load() {
		return errors.New("stopping")
	}
	return errors.Join(s.cert.Ready(), s.cluster.ready())
}

var _ Cluster = (*mirrored)(nil)
