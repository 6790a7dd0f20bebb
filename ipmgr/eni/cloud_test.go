package eni_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

func TestNewRefusesAnUnknownDiscovery(t *testing.T) {
	t.Parallel()
	if _, err := eni.New(t.Context(), eni.Options{Discovery: "dns"}); err == nil || !strings.Contains(err.Error(), "want auto, imds or ec2") {
		t.Errorf("error %v, want one that lists what is accepted", err)
	}
}

func TestNewMakesNoConnection(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		if len(r.net.dialled) != 0 {
			r.t.Errorf("dialled %v", r.net.dialled)
		}
	})
	if _, err := eni.New(t.Context(), eni.Options{}); err != nil {
		t.Errorf("the zero Options: %v", err)
	}
}

func TestRegion(t *testing.T) {
	tests := map[string]struct {
		change func(*setup)
		want   outcome
		reads  int // of IMDS
	}{
		"AWS_REGION": {nil, outcome{}, 0},
		"AWS_DEFAULT_REGION when AWS_REGION is not set": {func(s *setup) { delete(s.env, "AWS_REGION"); s.env["AWS_DEFAULT_REGION"] = "us-west-2" }, outcome{}, 0},
		"AWS_REGION before AWS_DEFAULT_REGION":          {func(s *setup) { s.env["AWS_DEFAULT_REGION"] = "eu-west-1" }, outcome{}, 0},
		"IMDS when nothing else names it":               {func(s *setup) { delete(s.env, "AWS_REGION") }, outcome{}, 1},
		"nothing":                                       {func(s *setup) { delete(s.env, "AWS_REGION"); hopLimit1(s) }, outcome{fault.CodeNoRegion, true}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inVPC(t, func(s *setup) { byEC2(s); inEnvironment(s); apply(test.change, s) }, func(r *rig) {
				_, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70"))
				if got := outcomeOf(r.t, err); got != test.want { // the simulator's Region is us-west-2
					r.t.Errorf("outcome %v, want %v", got, test.want)
				}
				if _, reads := r.imdsReads(); reads != test.reads {
					r.t.Errorf("%d reads of IMDS, want %d", reads, test.reads)
				}
			})
		})
	}
}

func TestARegionThatIMDSFailsToNameIsTriedAgain(t *testing.T) {
	t.Parallel()
	inVPC(t, func(s *setup) { byEC2(s); delete(s.env, "AWS_REGION") }, func(r *rig) {
		r.inject(vpcsim.Fault{Action: "IMDS", Status: 500})
		_, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70"))
		if err == nil {
			r.t.Fatal("no error")
		}
		time.Sleep(2 * time.Hour)
		r.attached(onLink(macEth1, "10.10.1.70"), withoutSubnets(eth1()))
	})
}

// header records the requests that reach a handler.
type header struct {
	http.Handler

	mu   sync.Mutex
	seen []http.Header
}

func (h *header) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.seen = append(h.seen, r.Header.Clone())
	h.mu.Unlock()
	h.Handler.ServeHTTP(w, r)
}

func TestUserAgent(t *testing.T) {
	t.Parallel()
	inVPC(t, func(s *setup) { s.opts.Version = "v1.2.3"; byEC2(s) }, func(r *rig) {
		spy := &header{Handler: r.sim.EC2()}
		r.net.serve(r.t, ec2Host, spy)
		r.attached(onLink(macEth1, "10.10.1.70"), withoutSubnets(eth1()))
		if len(spy.seen) != 1 || !strings.Contains(spy.seen[0].Get("User-Agent"), "multus-ipmgr/v1.2.3") {
			r.t.Errorf("requests %v, want one with our user agent", spy.seen)
		}
	})
}

func TestObserveIsToldOfEveryCall(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.assign(false, []string{"10.10.1.101"}, nil)
		r.set(`{"ec2":"refused"}`)
		r.assign(false, []string{"10.10.1.102"}, map[string]outcome{"10.10.1.102": {Code: fault.CodeUnreachable}})
		r.set(`{"ec2":"up"}`)
		r.inject(vpcsim.Fault{Action: "AssignPrivateIpAddresses", Code: "RequestLimitExceeded", Status: 503, Count: 1})
		r.assign(false, []string{"10.10.1.103"}, map[string]outcome{"10.10.1.103": {Code: "RequestLimitExceeded"}})
		want := []string{
			assignNo, describeOK, assignOK, "AssignPrivateIpAddresses " + fault.CodeUnreachable,
			"AssignPrivateIpAddresses RequestLimitExceeded throttled",
		}
		if diff := gocmp.Diff(want, r.observed); diff != "" {
			r.t.Errorf("observed calls (-want +got):\n%s", diff)
		}
	})
}

func TestEC2IsDown(t *testing.T) {
	t.Parallel()
	for health, code := range map[string]string{"down": fault.CodeUnreachable, "refused": fault.CodeUnreachable, "failing": fault.CodeUnknown, "off": fault.CodeUnknown} {
		t.Run(health, func(t *testing.T) {
			t.Parallel()
			inVPC(t, byEC2, func(r *rig) {
				r.set(`{"ec2":"` + health + `"}`)
				start := time.Now()
				_, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70"))
				if diff := gocmp.Diff(outcome{Code: code}, outcomeOf(r.t, err)); diff != "" {
					r.t.Errorf("outcome (-want +got):\n%s", diff)
				}
				if took := time.Since(start); took > 10*time.Second {
					r.t.Errorf("the call took %v, want at most 10s", took)
				}
				r.set(`{"ec2":"up"}`)
				r.attached(onLink(macEth1, "10.10.1.70"), withoutSubnets(eth1()))
			})
		})
	}
}

func withoutKeys(s *setup) {
	delete(s.env, "AWS_ACCESS_KEY_ID")
	delete(s.env, "AWS_SECRET_ACCESS_KEY")
}

func TestCredentialsOfTheInstanceRole(t *testing.T) {
	t.Parallel()
	inVPC(t, withoutKeys, func(r *rig) {
		r.set(`{"credentialsLifetime":"1h"}`)
		r.assign(true, []string{"10.10.1.70"}, nil)
		time.Sleep(3 * time.Hour)
		r.assign(true, []string{"10.10.1.71"}, nil)
		r.wantCalls(assignOK, assignOK)
	})
}

func TestExpiredCredentialsAreReplaced(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"ExpiredToken", "ExpiredTokenException", "RequestExpired"} {
		inVPC(t, withoutKeys, func(r *rig) {
			r.assign(true, []string{"10.10.1.70"}, nil)
			r.imdsReads()
			r.inject(vpcsim.Fault{Action: "AssignPrivateIpAddresses", Code: code, Status: 400})
			r.assign(true, []string{"10.10.1.71"}, map[string]outcome{"10.10.1.71": {Code: code}})
			r.assign(true, []string{"10.10.1.71"}, nil)
			if _, reads := r.imdsReads(); reads != 2 {
				r.t.Errorf("%d reads of IMDS after %s, want the role and its credentials", reads, code)
			}
		})
	}
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*setup)
		want   outcome
		speaks string
	}{
		"IMDS is out of reach": {func(s *setup) { withoutKeys(s); hopLimit1(s) }, outcome{fault.CodeCredentials, false}, "instance role"},
		"unknown key":          {func(s *setup) { s.env["AWS_ACCESS_KEY_ID"] = "AKIDUNKNOWN" }, outcome{"AuthFailure", true}, "service account"},
		"wrong secret":         {func(s *setup) { s.env["AWS_SECRET_ACCESS_KEY"] = "wrong" }, outcome{"AuthFailure", true}, "service account"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, test.change, func(r *rig) {
				start := time.Now()
				failed := r.assign(true, []string{"10.10.1.70"}, map[string]outcome{"10.10.1.70": test.want})
				if took := time.Since(start); took > 500*time.Millisecond {
					r.t.Errorf("finding out took %v, want at most 500ms", took)
				}
				if err := failed[addrs("10.10.1.70")[0]]; err == nil || !strings.Contains(err.Error(), test.speaks) {
					r.t.Errorf("fault %v does not speak of %q", err, test.speaks)
				}
			})
		})
	}
}

// tokenService is the security token service and EKS's Pod Identity agent.
type tokenService struct {
	mu       sync.Mutex
	requests []string
	status   int
	code     string
}

func (s *tokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // an empty body is noticed
	s.mu.Lock()
	s.requests = append(s.requests, r.Header.Get("Authorization")+string(body))
	status, code := s.status, s.code
	s.mu.Unlock()
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	switch {
	case status != 0 && r.Method == http.MethodPost:
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`, code)
	case status != 0:
		w.WriteHeader(status)
		fmt.Fprint(w, code)
	case r.Method == http.MethodPost:
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken></SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, vpcsim.AccessKeyID, vpcsim.SecretAccessKey, expires)
	default:
		fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Expiration":%q}`, vpcsim.AccessKeyID, vpcsim.SecretAccessKey, expires)
	}
}

const (
	stsHost   = "203.0.113.2:80"
	agentHost = "169.254.170.23:80"
)

func tokenFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("service-account-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func webIdentity(file string) func(*setup) {
	return func(s *setup) {
		withoutKeys(s)
		inEnvironment(s)
		s.env["AWS_WEB_IDENTITY_TOKEN_FILE"] = file
		s.env["AWS_ROLE_ARN"] = "arn:aws:iam::123456789012:role/ipmgr"
		s.env["AWS_ENDPOINT_URL_STS"] = "http://203.0.113.2"
	}
}

func podIdentity(file string) func(*setup) {
	return func(s *setup) {
		withoutKeys(s)
		inEnvironment(s)
		s.env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = file
		s.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23/v1/credentials"
	}
}

func TestCredentialsOfTheServiceAccount(t *testing.T) {
	file := tokenFile(t)
	for name, change := range map[string]func(*setup){"IRSA": webIdentity(file), "Pod Identity": podIdentity(file)} {
		t.Run(name, func(t *testing.T) {
			inVPC(t, change, func(r *rig) {
				service := &tokenService{}
				r.net.serve(r.t, stsHost, service)
				r.net.serve(r.t, agentHost, service)
				for _, addr := range []string{"10.10.1.70", "10.10.1.71"} {
					r.assign(true, []string{addr}, nil)
				}
				if len(service.requests) != 1 || !strings.Contains(service.requests[0], "service-account-token") {
					r.t.Errorf("requests %v, want one with the token", service.requests)
				}
				time.Sleep(time.Hour) // the credentials end
				r.assign(true, []string{"10.10.1.72"}, nil)
				if len(service.requests) != 2 {
					r.t.Errorf("requests %v, want a second one", service.requests)
				}
			})
		})
	}
}

func TestServiceAccountsThatGetNoCredentials(t *testing.T) {
	file := tokenFile(t)
	tests := map[string]struct {
		change func(*setup)
		status int
		code   string
		want   outcome
	}{
		"IRSA: the trust policy does not fit":        {webIdentity(file), 403, "AccessDenied", outcome{"AccessDenied", true}},
		"IRSA: the token is of another issuer":       {webIdentity(file), 400, "InvalidIdentityToken", outcome{"InvalidIdentityToken", true}},
		"IRSA: the token has ended":                  {webIdentity(file), 400, "ExpiredTokenException", outcome{"ExpiredTokenException", false}},
		"IRSA: the issuer does not answer STS":       {webIdentity(file), 400, "IDPCommunicationError", outcome{"IDPCommunicationError", false}},
		"IRSA: STS is throttled":                     {webIdentity(file), 400, "Throttling", outcome{"Throttling", false}},
		"IRSA: no token is mounted":                  {webIdentity("/nonexistent/token"), 0, "", outcome{fault.CodeCredentials, false}},
		"Pod Identity: no association":               {podIdentity(file), 404, "no association", outcome{fault.CodeCredentials, false}},
		"Pod Identity: no token is mounted":          {podIdentity("/nonexistent/token"), 0, "", outcome{fault.CodeCredentials, false}},
		"Pod Identity: the agent fails":              {podIdentity(file), 500, "oops", outcome{fault.CodeCredentials, false}},
		"Pod Identity: the answer cannot be read":    {podIdentity(file), 200, "{", outcome{fault.CodeCredentials, false}},
		"Pod Identity: the answer holds no key pair": {podIdentity(file), 200, `{"Code":"Failed"}`, outcome{fault.CodeCredentials, false}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inVPC(t, test.change, func(r *rig) {
				service := &tokenService{status: test.status, code: test.code}
				r.net.serve(r.t, stsHost, service)
				r.net.serve(r.t, agentHost, service)
				failed := r.assign(true, []string{"10.10.1.70"}, map[string]outcome{"10.10.1.70": test.want})
				if err := failed[addrs("10.10.1.70")[0]]; err != nil && test.want.Permanent && strings.Contains(err.Error(), "allow ec2:") {
					r.t.Errorf("fault %q blames the EC2 policy", err)
				}
			})
		})
	}
}

// stub answers DescribeNetworkInterfaces with two instances whose ENIs have the
// same MAC, as in two VPCs: the simulator has one VPC.
func stub(w http.ResponseWriter, r *http.Request) {
	item := func(id, instance, addr string) string {
		return `<item><networkInterfaceId>` + id + `</networkInterfaceId><macAddress>` + macEth1 + `</macAddress><attachment><instanceId>` + instance +
			`</instanceId><deviceIndex>1</deviceIndex><status>attached</status></attachment><privateIpAddressesSet><item><privateIpAddress>` + addr +
			`</privateIpAddress><primary>true</primary></item></privateIpAddressesSet></item>`
	}
	items := item("eni-here", "i-here", "10.10.1.11") + item("eni-there", "i-there", "10.10.1.11")
	body, _ := io.ReadAll(r.Body) // an empty body is noticed
	switch {
	case strings.Contains(string(body), "10.10.12.11"): // HostIP, which two VPCs have too
		items = item("eni-0", "i-here", "10.10.12.11") + item("eni-9", "i-elsewhere", "10.10.12.11")
	case strings.Contains(string(body), "10.10.12.12"):
		items = item("eni-0", "i-here", "10.10.12.12") + item("eni-9", "i-there", "10.10.12.12")
	}
	fmt.Fprint(w, `<DescribeNetworkInterfacesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><networkInterfaceSet>`, items, `</networkInterfaceSet></DescribeNetworkInterfacesResponse>`)
}

func TestTheHostAddressTellsVPCsApart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		host netip.Addr
		want outcome
	}{
		"one instance has both":                    {netip.MustParseAddr("10.10.12.11"), outcome{}},
		"both instances have both":                 {netip.MustParseAddr("10.10.12.12"), outcome{fault.CodeAmbiguous, true}},
		"the host address is not known":            {netip.Addr{}, outcome{fault.CodeAmbiguous, true}},
		"neither instance has the host's address?": {netip.MustParseAddr("10.10.12.11").Next().Next(), outcome{fault.CodeAmbiguous, true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, func(s *setup) { byEC2(s); s.opts.HostIP = test.host }, func(r *rig) {
				r.net.serve(r.t, ec2Host, http.HandlerFunc(stub))
				got, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70"))
				if diff := gocmp.Diff(test.want, outcomeOf(r.t, err)); diff != "" {
					r.t.Errorf("outcome (-want +got):\n%s", diff)
				}
				if err == nil && (len(got) != 1 || got[0].ID != "eni-here") {
					r.t.Errorf("ENIs %v, want eni-here", got)
				}
			})
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	for _, discovery := range []spec.Discovery{spec.DiscoverAuto, spec.DiscoverEC2} {
		inVPC(t, func(s *setup) { withHost(s); s.opts.Discovery = discovery }, func(r *rig) {
			var users sync.WaitGroup
			for i := range 8 {
				users.Go(func() {
					addr := fmt.Sprintf("10.10.1.%d", 70+i)
					if _, err := r.cloud.Attached(r.t.Context(), onLink(slices.Repeat([]string{macEth1, macPod}, 4)[i], addr)); err != nil {
						r.t.Error(err)
					}
					r.assign(true, []string{addr}, nil)
					if _, err := r.cloud.Owner(r.t.Context(), addrs(addr)[0]); err != nil {
						r.t.Error(err)
					}
				})
			}
			users.Wait()
			synctest.Wait()
		})
	}
}
