package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/podbox/probe"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/ready"
)

const (
	// pingTimeout is how long an echo may take. It takes 0.5 ms, and more than a
	// second where a starved worker looks for a neighbour.
	pingTimeout = 3 * time.Second
	// firstTimeout is the same for the first echo of a pod: what comes later may
	// not have been routed when the application started.
	firstTimeout = time.Second
)

func serve(ctx context.Context, address string, s start) error {
	echo, err := probe.Listen(ctx, s.Pod, probe.Port)
	if err != nil {
		return err
	}
	p := probes{running: map[netip.Addr]*probe.Probe{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /start", func(w http.ResponseWriter, _ *http.Request) { answer(w, s) })
	mux.HandleFunc("GET /addresses", addresses)
	mux.HandleFunc("PUT /addresses", changeAddress)
	mux.HandleFunc("DELETE /addresses", changeAddress)
	mux.HandleFunc("GET /ping", pingFor)
	mux.HandleFunc("GET /metadata", metadataFor)
	mux.HandleFunc("GET /ready", readyFor)
	mux.HandleFunc("POST /probe", p.start)
	mux.HandleFunc("GET /probe", p.report)
	mux.HandleFunc("DELETE /probe", p.stop)
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return errors.Join(server.ListenAndServe(), echo.Close())
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(what) // the caller may be gone
}

// readyFor asks the pod's sidecar what its startup probe asks, as the
// application may: their socket is the network namespace's.
func readyFor(w http.ResponseWriter, r *http.Request) {
	if err := ready.Ask(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// conversation reads between whom a request is about. No from leaves the choice
// to the kernel.
func conversation(r *http.Request) (from, to netip.Addr, err error) {
	if to, err = netip.ParseAddr(r.FormValue("to")); err != nil {
		return from, to, err
	}
	if text := r.FormValue("from"); text != "" {
		from, err = netip.ParseAddr(text)
	}
	if err == nil && from.IsValid() && from.Is4() != to.Is4() {
		err = errors.New("from " + strconv.Quote(from.String()) + " is of another family than " + to.String())
	}
	return from, to, err
}

func pingFor(w http.ResponseWriter, r *http.Request) {
	from, to, err := conversation(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := ping(from, to, pingTimeout); err != nil {
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
