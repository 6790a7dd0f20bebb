package webhook

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/multus-ipmgr/multus-ipmgr/process"
	"github.com/multus-ipmgr/multus-ipmgr/process/door"
)

// bounded is controller-runtime's webhook server, which counts and measures what
// its handlers do, behind a server of ours: its own bounds neither connections
// nor the time that a header or a body takes, and whatever reaches the port of a
// webhook can open any number of them.
//
// Readiness is Server.ready and not StartedChecker.
type bounded struct {
	webhook.Server
	serves *manager.Server
}

// newBounded serves what is registered later. around is asked first.
func newBounded(listener net.Listener, gate *door.Gate, config *tls.Config, around func(http.Handler) http.Handler, log *slog.Logger) *bounded {
	mux := http.NewServeMux()
	server := door.NewServer(around(mux), log)
	config.NextProtos = []string{"h2", "http/1.1"}
	server.TLSConfig = config
	return &bounded{
		Server: webhook.NewServer(webhook.Options{WebhookMux: mux}),
		serves: process.Runnable("webhook", server, tls.NewListener(gate.Guard(server, listener), config)),
	}
}

// Start serves until ctx ends, and then until the requests that are under way
// have been answered.
func (b *bounded) Start(ctx context.Context) error { return b.serves.Start(ctx) }
