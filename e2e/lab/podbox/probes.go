package main

import (
	"net/http"
	"net/netip"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/podbox/probe"
)

// probes are those that run, by whom they ask.
type probes struct {
	mu      sync.Mutex
	running map[netip.Addr]*probe.Probe
}

// start begins a probe, in place of a former one of the same address.
func (p *probes) start(w http.ResponseWriter, r *http.Request) {
	from, to, err := conversation(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	begun, err := probe.Start(from, netip.AddrPortFrom(to, probe.Port))
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	p.mu.Lock()
	former := p.running[to]
	p.running[to] = begun
	p.mu.Unlock()
	if former != nil {
		former.Stop()
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *probes) report(w http.ResponseWriter, r *http.Request) {
	if one := p.find(w, r, false); one != nil {
		answer(w, one.Report())
	}
}

func (p *probes) stop(w http.ResponseWriter, r *http.Request) {
	if one := p.find(w, r, true); one != nil {
		answer(w, one.Stop())
	}
}

// find answers the request itself if there is no such probe.
func (p *probes) find(w http.ResponseWriter, r *http.Request, forget bool) *probe.Probe {
	_, to, err := conversation(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.running[to]
	if one == nil {
		http.Error(w, "nothing asks "+to.String(), http.StatusNotFound)
	} else if forget {
		delete(p.running, to)
	}
	return one
}
