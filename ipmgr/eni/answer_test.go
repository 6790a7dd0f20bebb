package eni_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// says answers everything with one status and body.
func says(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// endless answers with a body that does not end.
func endless(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		for line := strings.Repeat("a", 1<<16); ; {
			if _, err := io.WriteString(w, line); err != nil {
				return
			}
		}
	})
}

func assigned(rest string) string {
	return `<AssignPrivateIpAddressesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>` + rest + `</AssignPrivateIpAddressesResponse>`
}

const (
	ofENI  = `<networkInterfaceId>eni-w1-eth1</networkInterfaceId>`
	ofAddr = `<assignedPrivateIpAddressesSet><item><privateIpAddress>10.10.1.70</privateIpAddress></item></assignedPrivateIpAddressesSet>`
)

func TestSuccessIsOnlyEC2sOwnAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		want   outcome
	}{
		"EC2's own":                     {200, assigned(ofENI + ofAddr + `<return>true</return>`), outcome{}},
		"a page in HTML":                {200, "<html><body>Please log in</body></html>", outcome{Code: fault.CodeUnknown}},
		"a page that is not XML":        {200, "<!doctype html><br><p>hello", outcome{Code: fault.CodeUnknown}},
		"nothing":                       {200, "", outcome{Code: fault.CodeUnknown}},
		"return=false":                  {200, assigned(ofENI + ofAddr + `<return>false</return>`), outcome{Code: fault.CodeUnknown}},
		"no return":                     {200, assigned(ofENI + ofAddr), outcome{Code: fault.CodeUnknown}},
		"cut off":                       {200, strings.TrimSuffix(assigned(ofENI+ofAddr+`<return>true</return>`), "Response>"), outcome{Code: fault.CodeUnknown}},
		"of another ENI":                {200, assigned(`<networkInterfaceId>eni-other</networkInterfaceId>` + ofAddr + `<return>true</return>`), outcome{Code: fault.CodeUnknown}},
		"of another address":            {200, assigned(ofENI + strings.ReplaceAll(ofAddr, "1.70", "1.71") + `<return>true</return>`), outcome{Code: fault.CodeUnknown}},
		"without the address":           {200, assigned(ofENI + `<return>true</return>`), outcome{Code: fault.CodeUnknown}},
		"of another action":             {200, `<UnassignPrivateIpAddressesResponse><return>true</return></UnassignPrivateIpAddressesResponse>`, outcome{Code: fault.CodeUnknown}},
		"JSON":                          {200, `{"return": true}`, outcome{Code: fault.CodeUnknown}},
		"no content":                    {204, "", outcome{Code: fault.CodeUnknown}},
		"a redirection":                 {302, "", outcome{Code: fault.CodeUnknown}},
		"an error whose status is good": {200, `<Response><Errors><Error><Code>InternalError</Code><Message>oops</Message></Error></Errors></Response>`, outcome{Code: fault.CodeUnknown}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				r.net.serve(r.t, ec2Host, says(test.status, test.body))
				want := map[string]outcome{}
				if test.want != (outcome{}) {
					want["10.10.1.70"] = test.want
				}
				r.assign(true, []string{"10.10.1.70"}, want)
			})
		})
	}
}

func TestIPv6SuccessIsOnlyEC2sOwnAnswer(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a page in HTML":     "<html></html>",
		"nothing":            "",
		"of another ENI":     `<AssignIpv6AddressesResponse><networkInterfaceId>eni-other</networkInterfaceId></AssignIpv6AddressesResponse>`,
		"of another address": `<AssignIpv6AddressesResponse>` + ofENI + `<assignedIpv6Addresses><item>2600:1f13:0:1::71</item></assignedIpv6Addresses></AssignIpv6AddressesResponse>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				r.net.serve(r.t, ec2Host, says(200, body))
				r.assign(true, []string{"2600:1f13:0:1::70"}, map[string]outcome{"2600:1f13:0:1::70": {Code: fault.CodeUnknown}})
			})
		})
	}
}

func TestReleaseIsOnlyEC2sOwnAnswer(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "<html></html>", `<UnassignPrivateIpAddressesResponse><return>false</return></UnassignPrivateIpAddressesResponse>`} {
		inVPC(t, nil, func(r *rig) {
			r.net.serve(r.t, ec2Host, says(200, body))
			err := r.cloud.Unassign(r.t.Context(), plan.ENI{ID: "eni-w1-eth1"}, addrs("10.10.1.70"))
			if got := outcomeOf(r.t, err); got != (outcome{Code: fault.CodeUnknown}) {
				r.t.Errorf("answer %q: outcome %v", body, got)
			}
		})
	}
}

func TestALookThatAProxyAnswersShowsNothing(t *testing.T) {
	t.Parallel()
	inVPC(t, byEC2, func(r *rig) {
		r.net.serve(r.t, ec2Host, says(200, "<html></html>"))
		_, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70"))
		if got := outcomeOf(r.t, err); got != (outcome{Code: fault.CodeUnknown}) {
			r.t.Errorf("outcome %v", got)
		}
	})
}

func TestEndlessAnswersAreCutOff(t *testing.T) {
	file := tokenFile(t)
	tests := map[string]struct {
		change func(*setup)
		host   string
	}{
		"EC2":                      {nil, ec2Host},
		"the token service":        {webIdentity(file), stsHost},
		"the agent for identities": {podIdentity(file), agentHost},
		"IMDS":                     {func(s *setup) { withoutKeys(s) }, imdsHost},
	}
	for name, test := range tests {
		for _, status := range []int{200, 400, 503} {
			t.Run(fmt.Sprint(name, " with status ", status), func(t *testing.T) {
				inVPC(t, test.change, func(r *rig) {
					r.net.serve(r.t, test.host, endless(status))
					start := time.Now()
					failed := assignOf(r, step("10.10.1.70"))
					if len(failed) != 1 {
						r.t.Error("assigned")
					}
					if took := time.Since(start); took > 0 {
						r.t.Errorf("the deadline ended it after %v, not the limit", took)
					}
				})
			})
		}
	}
}

func TestTokensWithoutCredentialsAreNone(t *testing.T) {
	file := tokenFile(t)
	for _, body := range []string{
		"", "<html></html>", "<AssumeRoleWithWebIdentityResponse></AssumeRoleWithWebIdentityResponse>",
		"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
	} {
		inVPC(t, webIdentity(file), func(r *rig) {
			r.net.serve(r.t, stsHost, says(200, body))
			r.assign(true, []string{"10.10.1.70"}, map[string]outcome{"10.10.1.70": {Code: fault.CodeCredentials}})
		})
	}
}

func TestAWrongClock(t *testing.T) {
	t.Parallel()
	for _, offset := range []string{"-20m", "20m", "-6h"} {
		t.Run(offset, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				r.set(`{"clockOffset":"` + offset + `"}`)
				r.assign(true, []string{"10.10.1.70"}, nil)
				r.assign(true, []string{"10.10.1.71"}, nil)
				r.wantHoldings("eni-w1-eth1", "10.10.1.70", "10.10.1.71")
				r.wantCalls("AssignPrivateIpAddresses AuthFailure", assignOK, assignOK) // the offset is learnt once
			})
		})
	}
}

func TestAWrongClockIsNamedWhenItMayBeTheCause(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		offset string
		speaks string
		calls  []string
	}{
		"behind":       {"20m", "the worker's clock is 20 minutes behind", repeat("AssignPrivateIpAddresses AuthFailure", 2)},
		"ahead":        {"-7m", "the worker's clock is 7 minutes ahead", repeat("AssignPrivateIpAddresses AuthFailure", 2)},
		"nearly right": {"2m", "service account", []string{"AssignPrivateIpAddresses AuthFailure"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, func(s *setup) { s.env["AWS_SECRET_ACCESS_KEY"] = "wrong" }, func(r *rig) {
				r.set(`{"clockOffset":"` + test.offset + `"}`)
				failed := r.assign(true, []string{"10.10.1.70"}, map[string]outcome{"10.10.1.70": {"AuthFailure", true}})
				if err := failed[addrs("10.10.1.70")[0]]; err == nil || !strings.Contains(err.Error(), test.speaks) {
					r.t.Errorf("fault %v does not speak of %q", err, test.speaks)
				}
				r.wantCalls(test.calls...)
			})
		})
	}
}

func TestEndlessPagesEnd(t *testing.T) {
	t.Parallel()
	inVPC(t, byEC2, func(r *rig) {
		var calls atomic.Int64
		r.net.serve(r.t, ec2Host, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			_, _ = io.Copy(io.Discard, request.Body)
			fmt.Fprintf(w, `<DescribeNetworkInterfacesResponse><networkInterfaceSet/><nextToken>%d</nextToken></DescribeNetworkInterfacesResponse>`, calls.Add(1))
		}))
		_, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70"))
		if got := outcomeOf(r.t, err); got != (outcome{Code: fault.CodeEndless}) || calls.Load() > 100 {
			r.t.Errorf("outcome %v after %d calls", got, calls.Load())
		}
	})
}
