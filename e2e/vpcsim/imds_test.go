package vpcsim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// role is what IMDS says about an instance's credentials.
type role struct {
	Code, AccessKeyID, SecretAccessKey, Token string
	Expiration                                time.Time
}

func (v virtual) role(instance string) role {
	v.t.Helper()
	name := v.metadata(instance, "iam/security-credentials/")
	var r role
	if err := json.Unmarshal([]byte(v.metadata(instance, "iam/security-credentials/"+name)), &r); err != nil {
		v.t.Fatal(err)
	}
	return r
}

// metadataClient is AWS's client for one instance.
func metadataClient(t *testing.T, url string) *imds.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return imds.New(imds.Options{
		Endpoint: url, Retryer: aws.NopRetryer{}, EnableFallback: aws.FalseTernary,
		HTTPClient: &http.Client{Transport: transport},
	})
}

func TestMetadataThroughAWSsClient(t *testing.T) {
	r := start(t)
	for _, c := range []call{assign(one, "10.10.1.80"), assign6(one, "2600:1f13:0:1::80"),
		assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: aws.String(one), Ipv4Prefixes: []string{"10.10.1.128/28"}})} {
		if err := c(t.Context(), r.ec2); err != nil {
			t.Fatal(err)
		}
	}
	c := metadataClient(t, r.srv.IMDSURL["i-worker1"])
	const macs = "network/interfaces/macs/"
	const eth1 = macs + "02:00:00:00:01:01/"
	for path, want := range map[string]string{
		"instance-id": "i-worker1", "instance-type": "m5.xlarge", "mac": "02:00:00:00:01:00",
		"local-ipv4": "10.10.12.11", "local-hostname": "ip-10-10-12-11.us-west-2.compute.internal",
		"hostname":                    "ip-10-10-12-11.us-west-2.compute.internal",
		"placement/availability-zone": "us-west-2a", "placement/region": "us-west-2", "services/domain": "amazonaws.com",
		"placement/":                     "availability-zone\navailability-zone-id\nregion",
		macs:                             "02:00:00:00:01:00/\n02:00:00:00:01:01/",
		"network":                        "interfaces/",
		eth1 + "interface-id":            one,
		eth1 + "device-number":           "1",
		eth1 + "mac":                     "02:00:00:00:01:01",
		eth1 + "owner-id":                "123456789012",
		eth1 + "local-ipv4s":             "10.10.1.11\n10.10.1.80",
		eth1 + "ipv6s":                   "2600:1f13:0:1::80",
		eth1 + "ipv4-prefix":             "10.10.1.128/28",
		eth1 + "subnet-id":               "subnet-multus-a",
		eth1 + "subnet-ipv4-cidr-block":  "10.10.1.0/24",
		eth1 + "subnet-ipv6-cidr-blocks": "2600:1f13:0:1:0:0:0:0/64",
		eth1 + "vpc-id":                  "vpc-1",
		eth1 + "vpc-ipv4-cidr-blocks":    "10.10.0.0/16",
		eth1 + "security-group-ids":      "sg-default",
		eth1 + "security-groups":         "default",
		eth1: "device-number\ninterface-id\nipv4-prefix\nipv6s\nlocal-hostname\nlocal-ipv4s\nmac\nowner-id\nsecurity-group-ids\n" +
			"security-groups\nsubnet-id\nsubnet-ipv4-cidr-block\nsubnet-ipv6-cidr-blocks\nvpc-id\nvpc-ipv4-cidr-block\nvpc-ipv4-cidr-blocks",
	} {
		out, err := c.GetMetadata(t.Context(), &imds.GetMetadataInput{Path: path})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := io.ReadAll(out.Content)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", path, err, diff)
		}
	}
	for _, path := range []string{eth1 + "ipv6-prefix", eth1 + "public-ipv4s", eth1 + "network-card", macs + "02:00:00:00:02:01/interface-id", "spot/instance-action"} {
		_, err := c.GetMetadata(t.Context(), &imds.GetMetadataInput{Path: path})
		if err == nil || !strings.Contains(err.Error(), "StatusCode: 404") {
			t.Errorf("%s: got %v, want 404", path, err)
		}
	}
	doc, err := c.GetInstanceIdentityDocument(t.Context(), nil)
	if err != nil || doc.InstanceID != "i-worker1" || doc.Region != "us-west-2" || doc.PrivateIP != "10.10.12.11" {
		t.Errorf("identity document %+v, %v", doc, err)
	}
	region, err := c.GetRegion(t.Context(), nil)
	if err != nil || region.Region != "us-west-2" {
		t.Errorf("region %+v, %v", region, err)
	}
	info, err := c.GetIAMInfo(t.Context(), nil)
	if err != nil || info.InstanceProfileArn != "arn:aws:iam::123456789012:instance-profile/worker" {
		t.Errorf("IAM info %+v, %v", info, err)
	}
}

func TestCredentialsFromMetadataSignRequests(t *testing.T) {
	r := start(t)
	provider := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = metadataClient(t, r.srv.IMDSURL["i-worker1"]) })
	creds, err := provider.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, r.srv.EC2URL, creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken)
	if err := assign(one, "10.10.1.80")(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestTokenRules(t *testing.T) {
	sim, err := vpcsim.New(load(t, twoWorkersText(t)+`
- id: i-lax
  type: m5.large
  httpTokens: optional
  enis: [{id: eni-lax, subnet: subnet-mgmt-a, primary: 10.10.12.13}]
`), withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	handler := func(instance string) http.Handler {
		h, err := sim.IMDS(instance, vpcsim.PodHops)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	const ttl, token = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"
	issue := func(instance, seconds string) string {
		return raw(handler(instance), http.MethodPut, "/latest/api/token", map[string]string{ttl: seconds}, nil).Body.String()
	}
	good := issue("i-worker1", "21600")
	for _, tc := range []struct {
		name, instance, method, path string
		header                       map[string]string
		want                         int
	}{
		{"a token for the longest time", "i-worker1", "PUT", "/latest/api/token", map[string]string{ttl: "21600"}, 200},
		{"a token for the shortest time", "i-worker1", "PUT", "/latest/api/token", map[string]string{ttl: "1"}, 200},
		{"a token for no time", "i-worker1", "PUT", "/latest/api/token", map[string]string{ttl: "0"}, 400},
		{"a token for too long", "i-worker1", "PUT", "/latest/api/token", map[string]string{ttl: "21601"}, 400},
		{"a token for a time that is none", "i-worker1", "PUT", "/latest/api/token", map[string]string{ttl: "6h"}, 400},
		{"a token without a time", "i-worker1", "PUT", "/latest/api/token", nil, 400},
		{"a token through a proxy", "i-worker1", "PUT", "/latest/api/token", map[string]string{ttl: "60", "X-Forwarded-For": "10.0.0.1"}, 403},
		{"a token of another version", "i-worker1", "PUT", "/2021-01-03/api/token", map[string]string{ttl: "60"}, 401},
		{"and with one", "i-worker1", "PUT", "/2021-01-03/api/token", map[string]string{ttl: "60", token: good}, 403},
		{"getting a token", "i-worker1", "GET", "/latest/api/token", map[string]string{token: good}, 405},
		{"putting anything else", "i-worker1", "PUT", "/latest/meta-data/", map[string]string{ttl: "60"}, 405},
		{"posting", "i-worker1", "POST", "/latest/meta-data/", map[string]string{token: good}, 405},
		{"asking for options", "i-worker1", "OPTIONS", "/latest/meta-data/", nil, 200},
		{"reading with a token", "i-worker1", "GET", "/latest/meta-data/mac", map[string]string{token: good}, 200},
		{"reading the head with a token", "i-worker1", "HEAD", "/latest/meta-data/mac", map[string]string{token: good}, 200},
		{"reading with a dated version", "i-worker1", "GET", "/2021-01-03/meta-data/mac", map[string]string{token: good}, 200},
		{"reading with a version that is none", "i-worker1", "GET", "/2021/meta-data/mac", map[string]string{token: good}, 404},
		{"reading with a date that is not a version's", "i-worker1", "GET", "/2021-01-04/meta-data/mac", map[string]string{token: good}, 404},
		{"network interfaces before there were any", "i-worker1", "GET", "/2009-04-04/meta-data/network/", map[string]string{token: good}, 404},
		{"and in the first version that has them", "i-worker1", "GET", "/2011-01-01/meta-data/network/", map[string]string{token: good}, 200},
		{"reading the list of versions", "i-worker1", "GET", "/", map[string]string{token: good}, 200},
		{"reading without a token", "i-worker1", "GET", "/latest/meta-data/mac", nil, 401},
		{"reading with a token that is none", "i-worker1", "GET", "/latest/meta-data/mac", map[string]string{token: "AQAEA"}, 401},
		{"reading with a token of another instance", "i-worker2", "GET", "/latest/meta-data/mac", map[string]string{token: good}, 401},
		{"reading without a token where that is allowed", "i-lax", "GET", "/latest/meta-data/mac", nil, 200},
		{"but not with a wrong one", "i-lax", "GET", "/latest/meta-data/mac", map[string]string{token: good}, 401},
		{"a key that does not exist", "i-worker1", "GET", "/latest/meta-data/nothing", map[string]string{token: good}, 404},
		{"user data that were not given", "i-worker1", "GET", "/latest/user-data", map[string]string{token: good}, 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := raw(handler(tc.instance), tc.method, tc.path, tc.header, nil)
			if w.Code != tc.want || w.Header().Get("Server") != "EC2ws" {
				t.Errorf("got %d from %q, want %d", w.Code, w.Header().Get("Server"), tc.want)
			}
			if tc.method == "PUT" && tc.want == 200 && w.Header().Get(ttl) != tc.header[ttl] {
				t.Errorf("the time came back as %q", w.Header().Get(ttl))
			}
			if html := strings.Contains(w.Header().Get("Content-Type"), "html"); html != (tc.want >= 400 && tc.want != 401) || tc.want == 401 && w.Body.Len() > 0 {
				t.Errorf("content type %q, %d bytes", w.Header().Get("Content-Type"), w.Body.Len())
			}
		})
	}
	if _, err := sim.IMDS("i-gone", vpcsim.PodHops); err == nil {
		t.Error("metadata of an instance that does not exist")
	}
}

func TestListingsOfMetadata(t *testing.T) {
	sim, err := vpcsim.New(twoWorkers(t), withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	h, err := sim.IMDS("i-worker1", vpcsim.PodHops)
	if err != nil {
		t.Fatal(err)
	}
	token := raw(h, http.MethodPut, "/latest/api/token", map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "60"}, nil).Body.String()
	list := func(path string) []string {
		w := raw(h, http.MethodGet, path, map[string]string{"X-aws-ec2-metadata-token": token}, nil)
		return strings.Split(w.Body.String(), "\n")
	}
	if got := list("/"); len(got) < 30 || got[0] != "1.0" || got[len(got)-1] != "latest" {
		t.Errorf("versions: %q", got)
	}
	if diff := cmp.Diff([]string{"dynamic", "meta-data", "user-data"}, list("/latest/")); diff != "" {
		t.Errorf("/latest/ (-want +got)\n%s", diff)
	}
	if old := list("/2009-04-04/meta-data/"); slices.Contains(old, "network/") || !slices.Contains(old, "local-ipv4") {
		t.Errorf("2009-04-04: %q", old)
	}
	if now := list("/latest/meta-data/"); !slices.Contains(now, "network/") {
		t.Errorf("latest: %q", now)
	}
}

func TestTokensEnd(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		h, err := v.IMDS("i-worker1", vpcsim.PodHops)
		if err != nil {
			t.Fatal(err)
		}
		token := raw(h, http.MethodPut, "/latest/api/token", map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "60"}, nil).Body.String()
		for _, want := range []int{200, 401} {
			if w := raw(h, http.MethodGet, "/latest/meta-data/mac", map[string]string{"X-aws-ec2-metadata-token": token}, nil); w.Code != want {
				t.Errorf("got %d, want %d", w.Code, want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestHopLimit1HidesTheTokenFromPods(t *testing.T) {
	r := startWith(t, load(t, strings.Replace(twoWorkersText(t), "hopLimit: 2", "hopLimit: 1", 1)), withDefaults())
	ask := func(instance string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := metadataClient(t, r.srv.IMDSURL[instance]).GetMetadata(ctx, &imds.GetMetadataInput{Path: "mac"})
		return err
	}
	if err := ask("i-worker1"); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("hop limit 1: got %v, want a request that hangs", err)
	}
	if err := ask("i-worker2"); err != nil {
		t.Errorf("hop limit 2: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.srv.IMDSURL["i-worker1"]+"/latest/meta-data/mac", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := do(t, req); status != http.StatusUnauthorized {
		t.Errorf("requests other than for a token arrive: got %d, want 401", status)
	}
	h, err := r.sim.IMDS("i-worker1", vpcsim.HostHops)
	if err != nil {
		t.Fatal(err)
	}
	if w := raw(h, http.MethodPut, "/latest/api/token", map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "60"}, nil); w.Code != 200 {
		t.Errorf("the worker itself: got %d, want 200", w.Code)
	}
	_, err = r.ec2.ModifyInstanceMetadataOptions(t.Context(), &ec2.ModifyInstanceMetadataOptionsInput{
		InstanceId: aws.String("i-worker1"), HttpPutResponseHopLimit: aws.Int32(2),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ask("i-worker1"); err != nil {
		t.Errorf("after the hop limit was raised: %v", err)
	}
}

func TestMetadataFails(t *testing.T) {
	for _, tc := range []struct {
		name, set string
		fault     *vpcsim.Fault
		want      func(error) bool
	}{
		{"down: nothing answers", `{"imds":"down"}`, nil, func(err error) bool { return strings.Contains(err.Error(), "deadline exceeded") }},
		{"refused: connections are cut", `{"imds":"refused"}`, nil, func(err error) bool { return strings.Contains(err.Error(), "connection reset") }},
		{"failing: 503", `{"imds":"failing"}`, nil, func(err error) bool { return strings.Contains(err.Error(), "StatusCode: 503") }},
		{"off: 403", `{"imds":"off"}`, nil, func(err error) bool { return strings.Contains(err.Error(), "StatusCode: 403") }},
		{"a fault for one request", ``, &vpcsim.Fault{Action: "IMDS", Status: 500}, func(err error) bool { return strings.Contains(err.Error(), "StatusCode: 500") }},
		{"an answer that is lost", ``, &vpcsim.Fault{Action: "IMDS", Lose: true}, func(err error) bool { return strings.Contains(err.Error(), "connection reset") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := start(t)
			if tc.set != "" {
				set(tc.set)(r)
			}
			if tc.fault != nil {
				if err := r.sim.Inject(*tc.fault); err != nil {
					t.Fatal(err)
				}
			}
			ask := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				_, err := metadataClient(t, r.srv.IMDSURL["i-worker1"]).GetMetadata(ctx, &imds.GetMetadataInput{Path: "mac"})
				return err
			}
			if err := ask(); err == nil || !tc.want(err) {
				t.Errorf("got %v", err)
			}
			set(`{"imds":"up"}`)(r)
			if err := ask(); err != nil {
				t.Errorf("when it is up again: %v", err)
			}
		})
	}
}

func TestMetadataCanBeDisabled(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		_, err := v.ec2.ModifyInstanceMetadataOptions(t.Context(), &ec2.ModifyInstanceMetadataOptionsInput{
			InstanceId: aws.String("i-worker1"), HttpEndpoint: "disabled", HttpTokens: "optional",
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.metadata("i-worker1", "mac"); got != "Forbidden" {
			t.Errorf("got %s", got)
		}
		if got := v.metadata("i-worker2", "mac"); got != "02:00:00:00:02:00" {
			t.Errorf("another instance: got %s", got)
		}
		v.set(`{"imdsTrailingNewline":true}`)
		if got := v.metadata("i-worker2", "mac"); got != "02:00:00:00:02:00\n" {
			t.Errorf("with a newline: got %q", got)
		}
		_, err = v.ec2.ModifyInstanceMetadataOptions(t.Context(), &ec2.ModifyInstanceMetadataOptionsInput{
			InstanceId: aws.String("i-worker1"), HttpPutResponseHopLimit: aws.Int32(65),
		})
		if got := code(err); got != "InvalidParameterValue" {
			t.Errorf("a hop limit of 65: got %s", got)
		}
	})
}
