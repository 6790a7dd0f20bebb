package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/podbox/probe"
)

func TestAnswers(t *testing.T) {
	p := probes{running: map[netip.Addr]*probe.Probe{}}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		target  string
		code    int
		want    string
	}{
		"the addresses of an interface":     {addresses, "/?interface=lo", http.StatusOK, "127.0.0.1/8\n"},
		"an interface that is missing":      {addresses, "/?interface=net9", http.StatusNotFound, "no such network interface"},
		"a change of no address":            {changeAddress, "/?interface=lo&address=upf", http.StatusBadRequest, "upf"},
		"a change of no interface":          {changeAddress, "/?interface=net9&address=10.10.1.85/32", http.StatusNotFound, "not found"},
		"a ping to no address":              {pingFor, "/?to=upf", http.StatusBadRequest, "upf"},
		"a ping from no address":            {pingFor, "/?to=127.0.0.1&from=upf", http.StatusBadRequest, "upf"},
		"a ping between families":           {pingFor, "/?to=::1&from=127.0.0.1", http.StatusBadRequest, "another family"},
		"a probe from an address of others": {p.start, "/?to=127.0.0.1&from=192.0.2.1", http.StatusConflict, "cannot assign"},
		"a pod without a sidecar":           {readyFor, "/", http.StatusServiceUnavailable, "no ipmgr sidecar answers"},
		"a probe that does not run":         {p.stop, "/?to=127.0.0.1", http.StatusNotFound, "nothing asks 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.handler(w, httptest.NewRequest(http.MethodGet, c.target, http.NoBody))
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %q, want %d with %q", w.Code, w.Body.String(), c.code, c.want)
			}
		})
	}
}

func TestAProbeRunsUntilItIsEndedAndIsReplacedByAnother(t *testing.T) {
	p := probes{running: map[netip.Addr]*probe.Probe{}}
	do := func(handler http.HandlerFunc) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler(w, httptest.NewRequest(http.MethodGet, "/?to=127.0.0.1", http.NoBody))
		return w
	}
	for range 2 {
		if w := do(p.start); w.Code != http.StatusNoContent {
			t.Fatalf("start: %d %s", w.Code, w.Body)
		}
	}
	if w := do(p.report); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"to":"127.0.0.1"`) {
		t.Errorf("report: %d %s", w.Code, w.Body)
	}
	if w := do(p.stop); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"to":"127.0.0.1"`) {
		t.Errorf("stop: %d %s", w.Code, w.Body)
	}
	if w := do(p.report); w.Code != http.StatusNotFound {
		t.Errorf("report of an ended probe: %d %s", w.Code, w.Body)
	}
}
