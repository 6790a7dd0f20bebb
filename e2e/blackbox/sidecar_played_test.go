package blackbox_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// playedENI is worker 2's Multus ENI as an application in a pod of worker 1
// shows it at IMDS's address.
func playedENI(mac string) http.Handler {
	const macs = "/latest/meta-data/network/interfaces/macs/"
	values := map[string]string{
		"/latest/api/token":                    "token",
		macs:                                   mac + "/\n",
		macs + mac + "/interface-id":           w2eth1,
		macs + mac + "/device-number":          "1",
		macs + mac + "/local-ipv4s":            "10.10.1.12",
		macs + mac + "/subnet-ipv4-cidr-block": "10.10.1.0/24",
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		if value, ok := values[r.URL.Path]; ok {
			_, _ = io.WriteString(w, value)
			return
		}
		http.NotFound(w, r)
	})
}

// play makes an application of the pod answer at IMDS's address.
func (s *scene) play(pod *netlab.Pod, h http.Handler) {
	s.Helper()
	s.do(pod.AddAddr("lo", netip.PrefixFrom(netip.MustParseAddr(metadata), 32)))
	var l net.Listener
	s.do(pod.Do(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(metadata, "80"))
		return err
	}))
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}}
	server.Start()
	s.Cleanup(server.Close)
}

// An application with NET_ADMIN plays IMDS to the sidecar of its pod: it has a
// link whose MAC is that of "an ENI", worker 2's. The address belongs on an ENI
// of worker 1, as for any link with a MAC of its own.
//
// The test is not parallel: IMDS's own address is one for all tests.
func TestSidecarDoesNotBelieveAnApplicationThatPlaysIMDS(t *testing.T) {
	const mac, idle = "02:00:00:00:66:66", 6 * time.Second
	s := newScene(t)
	h, err := s.sim.IMDS(worker1, vpcsim.PodHops)
	s.do(err)
	s.serve(net.JoinHostPort(metadata, "80"), h, nil)
	pod := s.pod("pod-1", like(w1eth1, "net1", "10.10.1.81/24"))
	p := s.start(pod, "sidecar", "AWS_EC2_METADATA_SERVICE_ENDPOINT=", "IPMGR_POOLS=10.10.1.64/26", "IPMGR_INTERFACES=net1", "IPMGR_RESYNC=1h")
	p.awaitReady()
	if strings.Contains(p.log.text(), "instance metadata does not answer") {
		t.Fatal("IMDS was not reached at the start, so this test shows nothing")
	}
	time.Sleep(idle) // until the connection to the worker's own IMDS is closed
	s.play(pod, playedENI(mac))
	s.do(pod.AddLink(netlab.Net{Name: "net2", MAC: mac, Addrs: []netip.Prefix{netip.MustParsePrefix("10.10.1.90/24")}}))
	s.awaitHoldings("the address is on the worker's own ENI", holdings{w1eth1: "10.10.1.81 10.10.1.90"})
}
