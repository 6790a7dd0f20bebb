package vpcsim_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// query sends a signed Query request and returns the answer's status, headers
// and body, the request id replaced.
func (r *rig) query(form string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.srv.EC2URL+"/", strings.NewReader(form))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sign(r.t, req, form)
	return r.send(req)
}

func sign(t *testing.T, req *http.Request, body string) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: vpcsim.AccessKeyID, SecretAccessKey: vpcsim.SecretAccessKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), key, req, hex.EncodeToString(sum[:]), "ec2", "us-west-2", time.Now()); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) send(req *http.Request) (*http.Response, string) {
	r.t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	id := resp.Header.Get("X-Amzn-Requestid")
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		r.t.Errorf("request id %q is not a UUID", id)
	}
	return resp, strings.ReplaceAll(string(body), id, "ID")
}

func TestAnswersAreTheXMLOfEC2(t *testing.T) {
	const head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	for _, tc := range []struct {
		name, form string
		status     int
		want       string
	}{
		{"a success has the namespace, requestId and the assigned addresses",
			"Action=AssignPrivateIpAddresses&Version=2016-11-15&NetworkInterfaceId=eni-w1-eth1&PrivateIpAddress.1=10.10.1.80", 200,
			head + `<AssignPrivateIpAddressesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>ID</requestId>
    <networkInterfaceId>eni-w1-eth1</networkInterfaceId>
    <assignedPrivateIpAddressesSet>
        <item>
            <privateIpAddress>10.10.1.80</privateIpAddress>
        </item>
    </assignedPrivateIpAddressesSet>
    <assignedIpv4PrefixSet></assignedIpv4PrefixSet>
    <return>true</return>
</AssignPrivateIpAddressesResponse>`},
		{"unassigning returns true",
			"Action=UnassignPrivateIpAddresses&Version=2016-11-15&NetworkInterfaceId=eni-w1-eth1&PrivateIpAddress.1=10.10.1.80", 200,
			head + `<UnassignPrivateIpAddressesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>ID</requestId>
    <return>true</return>
</UnassignPrivateIpAddressesResponse>`},
		{"IPv6 addresses are items without inner element",
			"Action=AssignIpv6Addresses&Version=2016-11-15&NetworkInterfaceId=eni-w1-eth1&Ipv6Addresses.1=2600:1f13:0:1::80", 200,
			head + `<AssignIpv6AddressesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>ID</requestId>
    <networkInterfaceId>eni-w1-eth1</networkInterfaceId>
    <assignedIpv6Addresses>
        <item>2600:1f13:0:1::80</item>
    </assignedIpv6Addresses>
    <assignedIpv6PrefixSet></assignedIpv6PrefixSet>
</AssignIpv6AddressesResponse>`},
		{"an error has no namespace and writes RequestID",
			"Action=AssignPrivateIpAddresses&Version=2016-11-15&NetworkInterfaceId=eni-w1-eth1&PrivateIpAddress.1=10.10.1.12&AllowReassignment=true", 400,
			head + `<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>secondary-addresses</Message></Error></Errors><RequestID>ID</RequestID></Response>`},
		{"an unknown action",
			"Action=MoveAddress&Version=2016-11-15", 400,
			head + `<Response><Errors><Error><Code>InvalidAction</Code><Message>The action MoveAddress is not valid for this web service.</Message></Error></Errors><RequestID>ID</RequestID></Response>`},
		{"no action",
			"Version=2016-11-15", 400,
			head + `<Response><Errors><Error><Code>MissingAction</Code><Message>The request is missing an action or a required parameter.</Message></Error></Errors><RequestID>ID</RequestID></Response>`},
		{"another version of the API",
			"Action=DescribeSubnets&Version=2010-01-01", 400,
			head + `<Response><Errors><Error><Code>NoSuchVersion</Code><Message>The requested version (2010-01-01) of service AmazonEC2 does not exist</Message></Error></Errors><RequestID>ID</RequestID></Response>`},
		{"DryRun where EC2 has none is unknown",
			"Action=AssignPrivateIpAddresses&Version=2016-11-15&NetworkInterfaceId=eni-w1-eth1&PrivateIpAddress.1=10.10.1.80&DryRun=true", 400,
			head + `<Response><Errors><Error><Code>UnknownParameter</Code><Message>The parameter DryRun is not recognized</Message></Error></Errors><RequestID>ID</RequestID></Response>`},
		{"a parameter that is not simulated is refused, not ignored",
			"Action=CreateNetworkInterface&Version=2016-11-15&SubnetId=subnet-multus-a&Operator.Principal=x", 400,
			head + `<Response><Errors><Error><Code>UnknownParameter</Code><Message>The parameter Operator.Principal is not recognized</Message></Error></Errors><RequestID>ID</RequestID></Response>`},
		{"an ENI is shown in the order of elements that EC2 uses",
			"Action=DescribeNetworkInterfaces&Version=2016-11-15&NetworkInterfaceId.1=eni-spare", 200,
			head + `<DescribeNetworkInterfacesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>ID</requestId>
    <networkInterfaceSet>
        <item>
            <networkInterfaceId>eni-spare</networkInterfaceId>
            <subnetId>subnet-multus-a</subnetId>
            <vpcId>vpc-1</vpcId>
            <availabilityZone>us-west-2a</availabilityZone>
            <description></description>
            <ownerId>123456789012</ownerId>
            <requesterId>AIDACKCEVSQ6C2EXAMPLE</requesterId>
            <requesterManaged>false</requesterManaged>
            <status>available</status>
            <macAddress>02:00:00:00:00:99</macAddress>
            <privateIpAddress>10.10.1.13</privateIpAddress>
            <privateDnsName>ip-10-10-1-13.us-west-2.compute.internal</privateDnsName>
            <publicDnsName></publicDnsName>
            <sourceDestCheck>true</sourceDestCheck>
            <groupSet>
                <item>
                    <groupId>sg-default</groupId>
                    <groupName>default</groupName>
                </item>
            </groupSet>
            <tagSet></tagSet>
            <privateIpAddressesSet>
                <item>
                    <privateIpAddress>10.10.1.13</privateIpAddress>
                    <privateDnsName>ip-10-10-1-13.us-west-2.compute.internal</privateDnsName>
                    <primary>true</primary>
                </item>
            </privateIpAddressesSet>
            <ipv6AddressesSet></ipv6AddressesSet>
            <interfaceType>interface</interfaceType>
            <operator>
                <managed>false</managed>
            </operator>
            <availabilityZoneId>usw2-az1</availabilityZoneId>
        </item>
    </networkInterfaceSet>
</DescribeNetworkInterfacesResponse>`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startWith(t, load(t, twoWorkersText(t)+`
enis: [{id: eni-spare, subnet: subnet-multus-a, primary: 10.10.1.13, mac: "02:00:00:00:00:99"}]
`), withDefaults())
			if strings.HasPrefix(tc.form, "Action=Unassign") {
				if err := assign(one, "10.10.1.80")(t.Context(), r.ec2); err != nil {
					t.Fatal(err)
				}
			}
			resp, body := r.query(tc.form)
			if resp.StatusCode != tc.status || resp.Header.Get("Content-Type") != "text/xml;charset=UTF-8" {
				t.Errorf("status %d, content type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
			}
			if diff := cmp.Diff(tc.want, body); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestBadRequestsAreRefusedClearly(t *testing.T) {
	r := start(t)
	for _, tc := range []struct {
		name   string
		method string
		query  string
		body   string
		status int
		code   string
	}{
		{"a query with GET is as good as a form with POST", "GET", "Action=DescribeSubnets&Version=2016-11-15", "", 200, ""},
		{"another method", "PUT", "", "Action=DescribeSubnets", 400, "InvalidRequest"},
		{"a form that is none", "POST", "", "Action=%zz", 400, "MalformedQueryString"},
		{"a parameter that is given twice", "POST", "", "Action=DescribeSubnets&SubnetId.1=a&SubnetId.1=b", 400, "InvalidParameterCombination"},
		{"a body beyond all bounds", "POST", "", "Action=" + strings.Repeat("x", 2<<20), 400, "InvalidRequest"},
		{"a list that begins at 0", "POST", "", "Action=DescribeSubnets&SubnetId.0=a", 400, "UnknownParameter"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := &url.URL{Scheme: "http", Host: strings.TrimPrefix(r.srv.EC2URL, "http://"), Path: "/", RawQuery: tc.query}
			req, err := http.NewRequestWithContext(t.Context(), tc.method, u.String(), strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			sign(t, req, tc.body)
			resp, body := r.send(req)
			if resp.StatusCode != tc.status || tc.code != "" && !strings.Contains(body, "<Code>"+tc.code+"</Code>") {
				t.Errorf("got %d %s, want %d %s", resp.StatusCode, body, tc.status, tc.code)
			}
		})
	}
}

func TestUnsignedAndExpiredRequestsAreRefused(t *testing.T) {
	r := start(t)
	for _, tc := range []struct {
		name              string
		id, secret, token string
		status            int
		code              string
	}{
		{"a wrong secret", vpcsim.AccessKeyID, "wrong", "", 401, "AuthFailure"},
		{"an unknown key", "AKIDOTHER", vpcsim.SecretAccessKey, "", 401, "AuthFailure"},
		{"a token that belongs to no key", vpcsim.AccessKeyID, vpcsim.SecretAccessKey, "token", 401, "AuthFailure"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := assign(one, "10.10.1.80")(t.Context(), client(t, r.srv.EC2URL, tc.id, tc.secret, tc.token))
			if got := refusalOf(err); got.Status != tc.status || got.Code != tc.code {
				t.Errorf("got %+v, want %d %s", got, tc.status, tc.code)
			}
		})
	}
	w := raw(r.sim.EC2(), http.MethodPost, "/", nil, []byte("Action=DescribeSubnets"))
	if w.Code != 403 || !strings.Contains(w.Body.String(), "<Code>MissingAuthenticationToken</Code>") {
		t.Errorf("unsigned: got %d %s", w.Code, w.Body)
	}
	for _, e := range r.sim.ENIs() {
		if len(e.Secondaries) > 0 {
			t.Errorf("%s holds %v after refused calls", e.ID, e.Secondaries)
		}
	}
	var results []string
	for _, c := range r.sim.Calls(false) {
		results = append(results, c.Result)
	}
	if diff := cmp.Diff([]string{"AuthFailure", "AuthFailure", "AuthFailure", "MissingAuthenticationToken"}, results); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
}
