package blackbox_test

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// nowhere is the URL of a service that does not run.
const nowhere = "http://10.200.0.1:1"

func TestInitFindsENIsWithoutIMDS(t *testing.T) {
	byMAC := []string{assign4, describe, describe} // find, assign, verify
	runInit(t, []initCase{
		{
			name:  "out of the pods' reach, as hop limit 1 makes it: by MAC",
			cloud: hopLimit(1), holds: holdings{w1eth1: "10.10.1.81"}, calls: byMAC,
			logs: []string{"instance metadata does not answer, EC2 is asked instead"},
		}, {
			name:  "out of reach, two ENIs and both families: one call finds them and one verifies",
			cloud: hopLimit(1), nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "2600:1f13:0:1::81/64"), like(w1eth2, "net2", "10.10.2.81/24")},
			holds: holdings{w1eth1: "10.10.1.81 2600:1f13:0:1::81", w1eth2: "10.10.2.81"},
		}, {
			name:  "out of reach, and the pod's MAC is its own: by the worker's address",
			cloud: hopLimit(1), nets: []netlab.Net{own("net1", "10.10.1.81/24", "2600:1f13:0:1::81/64")}, env: []string{"IPMGR_HOST_IP=10.10.12.11"},
			holds: holdings{w1eth1: "10.10.1.81 2600:1f13:0:1::81"},
		}, {
			name:  "out of reach, the pod's MAC its own, and nobody says which worker it is",
			cloud: hopLimit(1), nets: []netlab.Net{own("net1", "10.10.1.81/24")}, env: []string{"IPMGR_TIMEOUT=1s"},
			code: 1, message: []string{"NoENI", "IPMGR_HOST_IP", "hop limit"},
		}, {
			name: "packets that are dropped", settings: `{"imds": "down"}`, holds: holdings{w1eth1: "10.10.1.81"}, calls: byMAC,
		}, {
			name: "nothing listens", env: []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + nowhere}, holds: holdings{w1eth1: "10.10.1.81"}, calls: byMAC,
		}, {
			name: "connections that are cut", settings: `{"imds": "refused"}`, holds: holdings{w1eth1: "10.10.1.81"}, calls: byMAC,
		}, {
			name: "an error of its own", settings: `{"imds": "failing"}`, holds: holdings{w1eth1: "10.10.1.81"}, calls: byMAC,
		}, {
			name: "switched off for the instance", settings: `{"imds": "off"}`, holds: holdings{w1eth1: "10.10.1.81"}, calls: byMAC,
		}, {
			name: "switched off by the SDK's setting", env: []string{"AWS_EC2_METADATA_DISABLED=true"}, holds: holdings{w1eth1: "10.10.1.81"}, calls: byMAC,
		},
	})
}

func TestInitLooksWhereItIsToldTo(t *testing.T) {
	runInit(t, []initCase{
		{
			name: "IMDS alone", env: []string{"IPMGR_DISCOVERY=imds"}, holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4},
		}, {
			name: "IMDS alone, which does not answer", env: []string{"IPMGR_DISCOVERY=imds", "IPMGR_TIMEOUT=1s"}, cloud: hopLimit(1),
			code: 1, calls: []string{}, message: []string{"IMDSUnavailable", "hop limit", "IPMGR_DISCOVERY"},
		}, {
			name: "IMDS alone, which comes up late", settings: `{"imds": "refused"}`, env: []string{"IPMGR_DISCOVERY=imds"},
			meanwhile: func(s *scene, p *process) {
				p.awaitLog("the worker's ENIs could not be read, will be retried", 1)
				s.set(`{"imds": "up"}`)
			},
			holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4},
		}, {
			name: "EC2 alone, although IMDS answers", env: []string{"IPMGR_DISCOVERY=ec2"},
			meanwhile: func(s *scene, p *process) {
				p.wait()
				if n := s.metadataRequests(); n != 0 {
					s.Errorf("%d requests to IMDS, want none", n)
				}
			},
			holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4, describe, describe},
		}, {
			name: "EC2 alone, by the subnet that contains the address", env: []string{"IPMGR_DISCOVERY=ec2", "IPMGR_HOST_IP=10.10.12.11"},
			nets: []netlab.Net{own("net1", "10.10.2.81/24")}, holds: holdings{w1eth2: "10.10.2.81"},
		},
	})
}

func TestInitTakesFromIMDSWhatTheEnvironmentLacks(t *testing.T) {
	runInit(t, []initCase{
		{name: "the credentials of the worker's role", env: noKey, holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4}},
		{name: "the Region", env: []string{"AWS_REGION="}, holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4}},
		{
			name: "values that end in a newline", env: noKey, settings: `{"imdsTrailingNewline": true}`,
			nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "2600:1f13:0:1::81/64")},
			holds: holdings{w1eth1: "10.10.1.81 2600:1f13:0:1::81"}, calls: []string{assign6, assign4},
		},
	})
}

// metadataRequests counts the requests to IMDS.
func (s *scene) metadataRequests() int {
	s.Helper()
	resp, err := http.Get(s.server.ControlURL + "/v1/imds")
	s.do(err)
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var counts map[string]struct{ Token, Get int }
	s.do(json.NewDecoder(resp.Body).Decode(&counts))
	total := 0
	for _, c := range counts {
		total += c.Token + c.Get
	}
	return total
}

func TestNowhereIsWhereNothingListens(t *testing.T) {
	newScene(t)
	if conn, err := net.Dial("tcp", "10.200.0.1:1"); err == nil {
		_ = conn.Close()
		t.Error("somebody listens there")
	}
}
