package blackbox_test

import (
	"slices"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

// short is a timeout that a failing try outlasts.
const short = "IPMGR_TIMEOUT=1s"

// noKey leaves ipmgr without credentials of its own.
var noKey = []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}

func fails(action, code string, status, count int) vpcsim.Fault {
	return vpcsim.Fault{Action: action, Code: code, Status: status, Count: count}
}

func TestInitGetsOverTrouble(t *testing.T) {
	tests := []initCase{
		{name: "throttled for a while", faults: []vpcsim.Fault{fails(assign4, "RequestLimitExceeded", 503, 2)}, logs: []string{"assignment failed, will be retried"}},
		{name: "EC2 out of reach for a while", settings: `{"ec2": "refused"}`, meanwhile: func(s *scene, p *process) {
			p.awaitLog("assignment failed, will be retried", 1)
			s.set(`{"ec2": "up"}`)
		}},
		{name: "credentials that expired are fetched again", faults: []vpcsim.Fault{fails(assign4, "ExpiredToken", 400, 1)}, env: noKey},
		{name: "IMDS forgets an answer", faults: []vpcsim.Fault{{Action: chaos.IMDS, Lose: true, Count: 3}}},
		{name: "a slow EC2", settings: `{"latency": "300ms"}`},
		{name: "a slow IMDS", settings: `{"imdsLatency": "50ms"}`},
		{
			name: "throttled without IMDS, at every step", cloud: hopLimit(1),
			faults: []vpcsim.Fault{fails(describe, "RequestLimitExceeded", 503, 1), fails(assign4, "RequestLimitExceeded", 503, 1), {Action: describe, Delay: 1}, fails(describe, "RequestLimitExceeded", 503, 1)},
		},
	}
	for i := range tests {
		tests[i].holds = holdings{w1eth1: "10.10.1.81"}
	}
	runInit(t, tests)
}

func TestInitGivesUpAfterItsTimeout(t *testing.T) {
	tests := []initCase{
		{name: "throttled all the time", faults: []vpcsim.Fault{fails(assign4, "RequestLimitExceeded", 503, chaos.Forever)}, message: []string{"10.10.1.81", w1eth1, "RequestLimitExceeded"}},
		{name: "expired credentials: ExpiredToken", faults: []vpcsim.Fault{fails(assign4, "ExpiredToken", 400, chaos.Forever)}, message: []string{"10.10.1.81", w1eth1, "ExpiredToken", "new credentials"}},
		{name: "nothing listens where EC2 should be", env: []string{"AWS_ENDPOINT_URL_EC2=" + nowhere}, calls: []string{}, message: []string{"10.10.1.81", w1eth1, "Unreachable", "connection refused", "endpoint"}},
		{name: "EC2 cuts connections", settings: `{"ec2": "refused"}`, calls: []string{}, message: []string{"10.10.1.81", w1eth1, "Unreachable"}},
		{name: "EC2 does not answer", settings: `{"ec2": "down"}`, calls: []string{}, message: []string{"10.10.1.81", w1eth1}},
		{name: "something answers that is not EC2", settings: `{"ec2": "failing"}`, calls: []string{}, message: []string{"10.10.1.81", w1eth1}},
		{name: "a name of EC2 that does not resolve", env: []string{"AWS_ENDPOINT_URL_EC2=http://ec2.invalid"}, calls: []string{}, message: []string{"10.10.1.81", w1eth1, "DNS"}},
		{name: "no credentials, and no role of the worker in reach", env: noKey, cloud: hopLimit(1), calls: []string{}, message: []string{"Credentials", "service account"}},
		{name: "neither EC2 nor IMDS answers", settings: `{"ec2": "refused", "imds": "refused"}`, calls: []string{}, message: []string{"Unreachable"}},
		{name: "a pod without addresses", bare: true, calls: []string{}, message: []string{"NoAddress", "network-status"}},
		{name: "an interface without address", nets: []netlab.Net{like(w1eth1, "net1")}, env: []string{"IPMGR_INTERFACES=net1"}, calls: []string{}, message: []string{"NoAddress", "net1"}},
		{name: "a pod that has link-local addresses only", nets: []netlab.Net{like(w1eth1, "net1", "169.254.7.7/16")}, calls: []string{}, message: []string{"NoAddress"}},
	}
	for i := range tests {
		tests[i].code = 1
		tests[i].env = append(slices.Clone(tests[i].env), short)
	}
	runInit(t, tests)
}

func TestInitAssignsWhatItHasBeforeItGivesUp(t *testing.T) {
	runInit(t, []initCase{{
		name: "a required interface is absent", env: []string{"IPMGR_INTERFACES=net1,net2", short},
		code: 1, holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4}, message: []string{"NoAddress", "net2"},
	}, {
		name: "one family is throttled", nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "2600:1f13:0:1::81/64")}, env: []string{short},
		faults: []vpcsim.Fault{fails(assign6, "RequestLimitExceeded", 503, chaos.Forever)},
		code:   1, holds: holdings{w1eth1: "10.10.1.81"}, message: []string{"2600:1f13:0:1::81", "RequestLimitExceeded"},
	}})
}

func TestInitGivesUpAtOnce(t *testing.T) {
	tests := []initCase{
		{name: "not authorised", settings: `{"deny": ["AssignPrivateIpAddresses"]}`, message: []string{"10.10.1.81", w1eth1, "UnauthorizedOperation", "ec2:AssignPrivateIpAddresses"}},
		{name: "not authorised to look, without IMDS", cloud: hopLimit(1), settings: `{"deny": ["DescribeNetworkInterfaces"]}`, message: []string{"UnauthorizedOperation", "ec2:DescribeNetworkInterfaces"}},
		{name: "a wrong secret", env: []string{"AWS_SECRET_ACCESS_KEY=wrong"}, message: []string{"10.10.1.81", w1eth1, "credentials"}},
		{name: "an unknown key", env: []string{"AWS_ACCESS_KEY_ID=AKIDNOBODY"}, message: []string{"10.10.1.81", w1eth1, "credentials"}},
		{name: "no credentials: the worker's role is switched off", env: append(slices.Clone(noKey), "AWS_EC2_METADATA_DISABLED=true"), message: []string{"Credentials", "service account"}},
		{name: "a file of AWS settings that is missing", env: []string{"AWS_CONFIG_FILE=/nowhere/config"}, message: []string{"InvalidSettings", "AWS_CONFIG_FILE", "/nowhere/config"}},
		{name: "a file of AWS settings without an end", env: []string{"AWS_SHARED_CREDENTIALS_FILE=/dev/zero"}, message: []string{"InvalidSettings", "/dev/zero"}},
		{name: "an AWS profile that is missing", env: []string{"AWS_PROFILE=production"}, message: []string{"InvalidSettings", "production"}},
		{name: "an endpoint of EC2 that is not a URL", env: []string{"AWS_ENDPOINT_URL_EC2=ec2.example.com"}, message: []string{"InvalidSettings", "EC2", "ec2.example.com"}},
		{name: "an endpoint of instance metadata that is not a URL", env: []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://["}, message: []string{"InvalidSettings", "instance metadata"}},
		{name: "a key without its secret", env: []string{"AWS_SECRET_ACCESS_KEY="}, message: []string{"NoCredentials", "AWS_SECRET_ACCESS_KEY"}},
		{name: "no Region", env: []string{"AWS_REGION="}, cloud: hopLimit(1), message: []string{"NoRegion", "AWS_REGION"}},
	}
	for i := range tests {
		tests[i].code = 3
	}
	runInit(t, tests)
}

func TestInitKeepsWhatAnotherMayNotSee(t *testing.T) {
	runInit(t, []initCase{{
		name: "without the right to look, an address that is free is assigned", settings: `{"deny": ["DescribeNetworkInterfaces"]}`,
		holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4},
	}, {
		name: "without the right to look, an address that another ENI holds is refused", settings: `{"deny": ["DescribeNetworkInterfaces"]}`, cloud: holding(w2eth1, "10.10.1.81"),
		nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.82/24")},
		code: 3, holds: holdings{w1eth1: "10.10.1.82", w2eth1: "10.10.1.81"}, message: []string{"10.10.1.81", w1eth1, "InvalidParameterValue"},
	}})
}

func TestInitDoesNotReportWhatAnENITookWithIt(t *testing.T) {
	wait := func(d time.Duration) vpcsim.Fault {
		return vpcsim.Fault{Action: assign4, Delay: settings.Duration(d)}
	}
	called := func(s *scene) {
		s.eventually("the assignment to arrive", func() (bool, any) { return len(s.calls()) > 0, "no call" })
	}
	runInit(t, []initCase{
		{
			name:   "deleted while the assignment was under way",
			faults: []vpcsim.Fault{wait(500 * time.Millisecond)},
			meanwhile: func(s *scene, _ *process) {
				called(s)
				s.destroy(w1eth1)
			},
			code: 3, message: []string{"10.10.1.81", "NoENI"},
		}, {
			name:   "detached while the assignment was under way",
			faults: []vpcsim.Fault{wait(500 * time.Millisecond)},
			meanwhile: func(s *scene, _ *process) {
				called(s)
				s.detach(w1eth1)
			},
			code: 3, holds: holdings{w1eth1: "10.10.1.81"}, message: []string{"10.10.1.81", "NoENI"},
		}, {
			name: "detached while the assignment was under way, and another one of that subnet is there, which the interface is not on", cloud: oneSubnet,
			faults: []vpcsim.Fault{wait(500 * time.Millisecond)},
			meanwhile: func(s *scene, _ *process) {
				called(s)
				s.detach(w1eth1)
			},
			code: 3, holds: holdings{w1eth1: "10.10.1.81"}, message: []string{"10.10.1.81", "NoENI", w1eth1, macs[w1eth1]},
		}, {
			name: "detached before, without IMDS", cloud: hopLimit(1), env: []string{"IPMGR_TIMEOUT=4s"},
			faults: []vpcsim.Fault{{Action: describe, Delay: settings.Duration(time.Second)}},
			meanwhile: func(s *scene, _ *process) {
				called(s)
				s.detach(w1eth1) // first: the call that was seen may not wait yet
				s.heal()
			},
			code: 1, message: []string{"NoENI"},
		},
	})
}

func TestInitEndsOnSIGTERM(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.set(`{"ec2": "down"}`)
	p := s.start(s.pod("pod-1", like(w1eth1, "net1", "10.10.1.81/24")), "init")
	p.awaitLog("address appeared", 1)
	if code := p.terminate(); code != 1 {
		t.Errorf("exit code %d, want 1: the addresses are not assigned", code)
	}
	if h := s.holdings(); len(h) != 0 {
		t.Errorf("addresses %v, want none", h)
	}
}
