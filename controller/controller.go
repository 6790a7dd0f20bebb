// Package controller is the part that needs the whole cluster and EC2: one of
// its replicas, elected by a Lease, mirrors the subnet CIDR reservations of
// EC2 into ReservedCIDR objects and makes those that objects ask for.
//
// What it does is in package reservation, and package finding tells whom it
// concerns; here they get their settings, their clients and their metrics. It owns the AWS credentials that neither admission
// nor the API server have: what they know of EC2 are the objects it leaves.
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/go-logr/logr"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/finding"
	"github.com/multus-ipmgr/multus-ipmgr/controller/reservation"
	"github.com/multus-ipmgr/multus-ipmgr/feed"
	"github.com/multus-ipmgr/multus-ipmgr/process"
)

// LeaseName is the name of the Lease that elects a replica.
const LeaseName = "multus-ipmgr-controller"

// Requests to the API server: the first pass over a subnet with hundreds of
// reservations writes each of them twice.
const (
	queriesPerSecond = 100
	queriesBurst     = 200
)

// Controller is one replica.
type Controller struct {
	manager ctrl.Manager
	ops     net.Listener
}

// Run connects to the cluster and to EC2 and works until ctx ends. It fails
// when the lease is lost: another replica has it then.
func Run(ctx context.Context, options Options, log *slog.Logger) error {
	config, err := process.Begin(ctx, options.Kubeconfig, log)
	if err != nil {
		return err
	}
	c, err := New(ctx, options, config, log)
	if err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelInfo, "running", slog.String("version", options.Version), slog.String("opsAddress", c.OpsAddress()))
	return c.Start(ctx)
}

// New builds a replica that asks the API server at config, and EC2 as the
// environment says. Its listener is open from then on.
func New(ctx context.Context, options Options, config *rest.Config, log *slog.Logger) (*Controller, error) {
	counters := newMetrics()
	cloud, err := newCloud(ctx, options, counters, log)
	if err != nil {
		return nil, err
	}
	feeds := newFeeds(log)
	counters.registry.MustRegister(feeds)
	manager, err := newManager(options, config, feeds, log)
	if err != nil {
		return nil, err
	}
	reconciler := reservation.New(reservation.Options{
		Client: manager.GetClient(), Cloud: cloud, Selection: options.Selection, Interval: options.SyncInterval, Settle: options.Settle,
		Limiter: workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, options.SyncInterval),
		Log:     log, Now: time.Now,
	})
	counters.registry.MustRegister(reconciler.Collector())
	if err := errors.Join(reservation.Index(ctx, manager.GetFieldIndexer()), reconciler.Setup(manager), watchNADs(manager, counters, reconciler.Mirrored(), log)); err != nil {
		return nil, err
	}
	ready, err := readiness(ctx, manager)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.OpsAddress)
	if err != nil {
		return nil, fmt.Errorf("--ops-address: %w", err)
	}
	c := &Controller{manager: manager, ops: listener}
	return c, manager.Add(process.Ops(listener, counters.registry, ready, log))
}

func newManager(options Options, config *rest.Config, feeds feed.Set, log *slog.Logger) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), nadv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = queriesPerSecond, queriesBurst
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:         scheme,
		Logger:         logr.FromSlogHandler(log.Handler()),
		Cache:          cached(feeds),
		LeaderElection: true, LeaderElectionID: LeaseName, LeaderElectionNamespace: options.Namespace,
		LeaderElectionReleaseOnCancel: true,                                    // the next one need not wait for its end
		Metrics:                       metricsserver.Options{BindAddress: "0"}, // ops serves them
	})
	if err != nil {
		return nil, fmt.Errorf("preparing to work with the API server: %w", err)
	}
	return manager, nil
}

// watchNADs checks NADs when reservations change, where there are NADs.
func watchNADs(manager ctrl.Manager, counters *metrics, mirrored <-chan struct{}, log *slog.Logger) error {
	kind := nadv1.SchemeGroupVersion.WithKind("NetworkAttachmentDefinition")
	_, err := manager.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		log.Warn("networks are not checked", "error", "the API server does not know NetworkAttachmentDefinitions: restart the controller once Multus is installed")
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for NetworkAttachmentDefinitions: %w", err)
	}
	watcher := finding.New(finding.Options{
		Client: manager.GetClient(), Live: manager.GetAPIReader(), Events: manager.GetEventRecorder(LeaseName), Log: log, Mirrored: mirrored,
	})
	counters.registry.MustRegister(watcher)
	return watcher.Setup(manager)
}

// readiness returns what tells whether the cache is complete. It fails where
// the resource is not installed.
func readiness(ctx context.Context, manager ctrl.Manager) (func() error, error) {
	informer, err := manager.GetCache().GetInformer(ctx, &v1alpha1.ReservedCIDR{}, cache.BlockUntilSynced(false))
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("the API server does not know ReservedCIDRs: install config/crd first: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading ReservedCIDRs: %w", err)
	}
	return func() error {
		if informer.HasSynced() {
			return nil
		}
		return errors.New("ReservedCIDRs are not read yet")
	}, nil
}

// OpsAddress is where /metrics, /healthz and /readyz are, over plain HTTP.
func (c *Controller) OpsAddress() string { return c.ops.Addr().String() }

// Start works until ctx ends, and then gives the lease back.
func (c *Controller) Start(ctx context.Context) error { return c.manager.Start(ctx) }
