package vpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"golang.org/x/time/rate"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const worker = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.0.0.0/8}
subnets:
- {id: subnet-a, cidr: 10.1.0.0/24, ipv6Cidr: "2600:1f13:0:1::/64", zone: us-west-2a, tags: {multus: "yes"}}
- {id: subnet-b, cidr: 10.2.0.0/24, zone: us-west-2a, tags: {multus: "no"}}
- {id: subnet-c, cidr: 10.3.0.0/24, zone: us-west-2b, tags: {multus: "yes"}}
instances:
- id: i-1
  type: m5.xlarge
  zone: us-west-2a
  enis:
  - {id: eni-1, subnet: subnet-a, deviceIndex: 0, mac: "02:00:00:00:01:00", primary: 10.1.0.11, secondaries: [10.1.0.70], ipv6: ["2600:1f13:0:1::5"]}
  - {id: eni-2, subnet: subnet-b, deviceIndex: 1, mac: "02:00:00:00:01:01", primary: 10.2.0.11}
`

// rig is a simulated VPC and a client of it, without sockets.
type rig struct {
	sim    *vpcsim.Sim
	client *vpc.Client

	mu    sync.Mutex
	calls map[string]int // by action and code
	when  []time.Time
}

// RoundTrip lets AWS's client talk to the simulator's handler.
func (r *rig) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.when = append(r.when, time.Now())
	r.mu.Unlock()
	in := httptest.NewRequestWithContext(request.Context(), request.Method, request.URL.String(), request.Body)
	in.Header, in.Host, in.ContentLength = request.Header, request.URL.Host, request.ContentLength
	w := httptest.NewRecorder()
	r.sim.EC2().ServeHTTP(w, in)
	return w.Result(), nil
}

func (r *rig) observe(action, code string, throttled bool, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[fmt.Sprintf("%s %s %t", action, code, throttled)]++
}

// settings are config with a Region and the simulator's credentials.
func settings(config aws.Config) func(context.Context) (aws.Config, error) {
	config.Region = "us-west-2"
	config.Credentials = credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, "")
	return func(context.Context) (aws.Config, error) { return config, nil }
}

func newRig(t *testing.T, text string) *rig {
	t.Helper()
	topology, err := vpcsim.Load(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	r := &rig{sim: sim, calls: map[string]int{}}
	r.client = vpc.New(vpc.Options{
		Name: "test", Version: "v1", Observe: r.observe, Attempts: 4, MaxBackoff: 8 * time.Second,
		Reads: rate.NewLimiter(5, 20), Writes: rate.NewLimiter(0.5, 2),
		Config: settings(aws.Config{BaseEndpoint: aws.String("http://ec2.test"), HTTPClient: &http.Client{Transport: r}}),
	})
	return r
}

func inject(t *testing.T, r *rig, faults ...vpcsim.Fault) {
	t.Helper()
	if err := r.sim.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

// comparePrefixes compares addresses by value.
var comparePrefixes = cmpopts.EquateComparable(netip.Prefix{})

func TestSubnetsAreFoundByIDAndByTag(t *testing.T) {
	r := newRig(t, worker)
	for _, c := range []struct {
		name      string
		selection vpc.Selection
		want      []string
	}{
		{"by ids", vpc.Selection{IDs: []string{"subnet-a", "subnet-b"}}, []string{"subnet-a", "subnet-b"}},
		{"one of the ids does not exist", vpc.Selection{IDs: []string{"subnet-a", "subnet-x"}}, []string{"subnet-a"}},
		{"by tag", vpc.Selection{TagKey: "multus", TagValue: "yes"}, []string{"subnet-a", "subnet-c"}},
		{"by a tag that nobody has", vpc.Selection{TagKey: "multus", TagValue: "maybe"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			subnets, err := r.client.Subnets(t.Context(), c.selection)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, slices.Sorted(maps.Keys(subnets)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("subnets (-want +got):\n%s", diff)
			}
		})
	}
	subnets, err := r.client.Subnets(t.Context(), vpc.Selection{IDs: []string{"subnet-a"}})
	if err != nil {
		t.Fatal(err)
	}
	want := vpc.Subnet{ID: "subnet-a", VPC: "vpc-1", Zone: "us-west-2a", Tags: map[string]string{"multus": "yes"}, CIDRs: []netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("2600:1f13:0:1::/64")}}
	if diff := cmp.Diff(want, subnets["subnet-a"], comparePrefixes); diff != "" {
		t.Errorf("subnet (-want +got):\n%s", diff)
	}
}

func TestAroundFindsTheBlockOfARange(t *testing.T) {
	subnet := vpc.Subnet{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("2600:1f13:0:1::/64")}}
	for cidr, want := range map[string]string{
		"10.1.0.64/26":         "10.1.0.0/24",
		"10.1.0.0/24":          "10.1.0.0/24",
		"10.1.0.0/23":          "",
		"10.2.0.0/26":          "",
		"2600:1f13:0:1:1::/80": "2600:1f13:0:1::/64",
		"2600:1f13:0:2::/80":   "",
	} {
		block, found := subnet.Around(netip.MustParsePrefix(cidr))
		if found != (want != "") || found && block.String() != want {
			t.Errorf("around %s: %s, %t; want %q", cidr, block, found, want)
		}
	}
}

func TestAllPagesOfReservationsAreRead(t *testing.T) {
	var text strings.Builder
	text.WriteString(worker + "reservations:\n")
	for i := range 128 {
		fmt.Fprintf(&text, "- {subnet: subnet-a, cidr: 10.1.0.%d/31, type: explicit}\n", 2*i)
	}
	for i := range 472 {
		fmt.Fprintf(&text, "- {subnet: subnet-a, cidr: \"2600:1f13:0:1:%x::/80\", type: prefix}\n", i+1)
	}
	r := newRig(t, text.String())
	reservations, err := r.client.Reservations(t.Context(), "subnet-a")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	kinds := map[string]int{}
	for _, reservation := range reservations {
		ids[reservation.ID] = true
		kinds[reservation.Type]++
	}
	if diff := cmp.Diff(map[string]int{"explicit": 128, "prefix": 472}, kinds); diff != "" || len(ids) != 600 {
		t.Errorf("%d different reservations, by type (-want +got):\n%s", len(ids), diff)
	}
	if n := r.calls["GetSubnetCidrReservations ok false"]; n != 3 {
		t.Errorf("%d calls, want one for 255 each", n)
	}
}

func TestEmptyPagesAndAnyOrderChangeNothing(t *testing.T) {
	var text strings.Builder
	text.WriteString(worker + "reservations:\n")
	for i := range 300 {
		fmt.Fprintf(&text, "- {id: scr-%03d, subnet: subnet-a, cidr: \"2600:1f13:0:1:%x::/80\", type: prefix}\n", i, i+1)
	}
	r := newRig(t, text.String())
	look := func() (ids []string) {
		t.Helper()
		subnets, err1 := r.client.Subnets(t.Context(), vpc.Selection{TagKey: "multus", TagValue: "yes"})
		reservations, err2 := r.client.Reservations(t.Context(), "subnet-a")
		enis, err3 := r.client.ENIs(t.Context(), "subnet-a")
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		ids = slices.Collect(maps.Keys(subnets))
		for _, reservation := range reservations {
			ids = append(ids, reservation.ID)
		}
		for _, eni := range enis {
			ids = append(ids, eni.ID)
		}
		slices.Sort(ids)
		return ids
	}
	want := look()
	if err := r.sim.Set(`{"emptyPages":true,"order":"random"}`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, look()); diff != "" || len(want) != 303 {
		t.Errorf("%d items (-want +got):\n%s", len(want), diff)
	}
}

func TestAddressesAreAllThatENIsOfTheSubnetHold(t *testing.T) {
	r := newRig(t, worker)
	enis, err := r.client.ENIs(t.Context(), "subnet-a")
	if err != nil {
		t.Fatal(err)
	}
	if len(enis) != 1 {
		t.Fatalf("%d ENIs, want one", len(enis))
	}
	var texts []string
	for _, p := range enis[0].Addresses {
		texts = append(texts, p.String())
	}
	slices.Sort(texts)
	want := []string{"10.1.0.11/32", "10.1.0.70/32", "2600:1f13:0:1::5/128"}
	if diff := cmp.Diff(want, texts); diff != "" || enis[0].ID != "eni-1" || enis[0].Instance != "i-1" {
		t.Errorf("%s of %s holds (-want +got):\n%s", enis[0].ID, enis[0].Instance, diff)
	}
}

func TestAReservationIsMadeTaggedAndDeleted(t *testing.T) {
	r := newRig(t, worker)
	request := vpc.Request{SubnetID: "subnet-a", CIDR: netip.MustParsePrefix("10.1.0.64/26"), Description: "a pool", Tags: map[string]string{"b": "2", "a": "1"}}
	made, err := r.client.Reserve(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	want := []vpc.Reservation{{ID: made.ID, SubnetID: "subnet-a", CIDR: request.CIDR, Type: "explicit", Tags: request.Tags}}
	got, err := r.client.Reservations(t.Context(), "subnet-a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, comparePrefixes); diff != "" {
		t.Errorf("reservations (-want +got):\n%s", diff)
	}
	for range 2 { // that it is gone already is success
		if err := r.client.Release(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got, err = r.client.Reservations(t.Context(), "subnet-a"); err != nil || len(got) > 0 {
		t.Errorf("left: %v, %v", got, err)
	}
}

func TestFailures(t *testing.T) {
	refusing := func(code string, status, count int) vpcsim.Fault {
		return vpcsim.Fault{Action: "GetSubnetCidrReservations", Code: code, Status: status, Count: count}
	}
	for _, c := range []struct {
		name    string
		fault   vpcsim.Fault
		code    string // none if the call succeeds in the end
		meaning fault.Meaning
		calls   map[string]int
	}{
		{name: "throttling passes", fault: refusing("RequestLimitExceeded", 503, 3), calls: map[string]int{
			"GetSubnetCidrReservations RequestLimitExceeded true": 3, "GetSubnetCidrReservations ok false": 1}},
		{name: "throttling lasts", fault: refusing("RequestLimitExceeded", 503, 9), code: "RequestLimitExceeded", meaning: fault.Throttled, calls: map[string]int{
			"GetSubnetCidrReservations RequestLimitExceeded true": 4}},
		{name: "an internal error passes", fault: refusing("InternalError", 500, 1), calls: map[string]int{
			"GetSubnetCidrReservations InternalError false": 1, "GetSubnetCidrReservations ok false": 1}},
		{name: "the service is unavailable", fault: refusing("Unavailable", 503, 9), code: "Unavailable", meaning: fault.Transient, calls: map[string]int{
			"GetSubnetCidrReservations Unavailable false": 4}},
		{name: "credentials have expired and are renewed", fault: refusing("RequestExpired", 400, 1), calls: map[string]int{
			"GetSubnetCidrReservations RequestExpired false": 1, "GetSubnetCidrReservations ok false": 1}},
		{name: "IAM says no, and is not asked again", fault: refusing("UnauthorizedOperation", 403, 9), code: "UnauthorizedOperation", meaning: fault.Denied, calls: map[string]int{
			"GetSubnetCidrReservations UnauthorizedOperation false": 1}},
		{name: "by another word too", fault: refusing("AccessDenied", 403, 9), code: "AccessDenied", meaning: fault.Denied, calls: map[string]int{
			"GetSubnetCidrReservations AccessDenied false": 1}},
		{name: "a server that fails with a code that nobody knows may recover", fault: refusing("Surprise", 500, 9), code: "Surprise", meaning: fault.Transient, calls: map[string]int{
			"GetSubnetCidrReservations Surprise false": 4}},
		{name: "the subnet does not exist", fault: refusing("InvalidSubnetID.NotFound", 400, 1), code: "InvalidSubnetID.NotFound", meaning: fault.Missing, calls: map[string]int{
			"GetSubnetCidrReservations InvalidSubnetID.NotFound false": 1}},
		{name: "EC2 refuses for reasons of its own", fault: refusing("InvalidParameterValue", 400, 1), code: "InvalidParameterValue", meaning: fault.Refused, calls: map[string]int{
			"GetSubnetCidrReservations InvalidParameterValue false": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, worker)
				inject(t, r, c.fault)
				_, err := r.client.Reservations(t.Context(), "subnet-a")
				if fault.CodeOf(err) != c.code || err != nil && fault.MeaningOf(err) != c.meaning {
					t.Errorf("got %v with meaning %d, want code %q with meaning %d", err, fault.MeaningOf(err), c.code, c.meaning)
				}
				if diff := cmp.Diff(c.calls, r.calls); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWaitsBetweenAttemptsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, worker)
		inject(t, r, vpcsim.Fault{Action: "DescribeSubnets", Code: "RequestLimitExceeded", Status: 503, Count: 9})
		if _, err := r.client.Subnets(t.Context(), vpc.Selection{IDs: []string{"subnet-a"}}); err == nil {
			t.Fatal("no error")
		}
		if len(r.when) != 4 {
			t.Fatalf("%d attempts, want 4", len(r.when))
		}
		longest := 2 * time.Second // the SDK waits for a random part of it
		for i := range len(r.when) - 1 {
			if wait := r.when[i+1].Sub(r.when[i]); wait <= 0 || wait > longest {
				t.Errorf("wait %d is %s, want up to %s", i+1, wait, longest)
			}
			longest = min(2*longest, 8*time.Second)
		}
	})
}

func TestCallsKeepBelowTheAccountsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, worker)
		start := time.Now()
		for range 120 {
			if _, err := r.client.ENIs(t.Context(), "subnet-a"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 19*time.Second {
			t.Errorf("120 reads took %s, want 5 a second after the first 20", took)
		}
	})
}

func TestAnEndedContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, worker)
		inject(t, r, vpcsim.Fault{Action: "GetSubnetCidrReservations", Code: "RequestLimitExceeded", Status: 503, Count: 9})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Microsecond, cancel) // the call takes no time, and the wait is random
		_, err := r.client.Reservations(ctx, "subnet-a")
		if err == nil || len(r.when) != 1 {
			t.Errorf("got %v after %d calls, want an error after one", err, len(r.when))
		}
		if _, err = r.client.Reservations(ctx, "subnet-a"); fault.CodeOf(err) != fault.CodeCanceled {
			t.Errorf("got %v, want %s", err, fault.CodeCanceled)
		}
	})
}

func TestEC2ThatDoesNotAnswerIsTransient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := vpc.New(vpc.Options{Config: settings(aws.Config{HTTPClient: &http.Client{Transport: unreachable{}}})})
		_, err := client.ENIs(t.Context(), "subnet-a")
		if fault.MeaningOf(err) != fault.Transient || fault.CodeOf(err) != fault.CodeUnreachable || !errors.Is(err, errNoRoute) {
			t.Errorf("got %v, want it to be unreachable", err)
		}
		if text := vpc.Message(err); text != fault.CodeUnreachable {
			t.Errorf("message %q", text)
		}
	})
}

var errNoRoute = errors.New("no route to host")

type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoRoute }

func TestTheRegionIsRequired(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	_, err := vpc.Environment(t.Context())
	if err == nil || !strings.Contains(err.Error(), "set AWS_REGION") {
		t.Errorf("got %v, want what to do", err)
	}
}

func TestAWorkersClockThatIsOff(t *testing.T) {
	for _, c := range []struct {
		name   string
		offset string // of EC2's clock against the worker's
		fault  *vpcsim.Fault
		code   string
		says   string
		calls  map[string]int
	}{
		{name: "a minute does not matter", offset: "1m", calls: map[string]int{"DescribeSubnets ok false": 2}},
		{name: "twenty minutes behind cost one call, once", offset: "20m",
			calls: map[string]int{"DescribeSubnets AuthFailure false": 1, "DescribeSubnets ok false": 2}},
		{name: "an hour ahead too", offset: "-1h",
			calls: map[string]int{"DescribeSubnets AuthFailure false": 1, "DescribeSubnets ok false": 2}},
		{name: "if EC2 refuses all the same, the clock is named", offset: "20m", code: "AuthFailure",
			fault: &vpcsim.Fault{Action: "DescribeSubnets", Code: "AuthFailure", Status: 401, Count: vpcsim.Forever},
			says:  "the worker's clock is 20 minutes behind AWS's", calls: map[string]int{"DescribeSubnets AuthFailure false": 3}},
		{name: "in the other direction too", offset: "-45m", code: "AuthFailure",
			fault: &vpcsim.Fault{Action: "DescribeSubnets", Code: "AuthFailure", Status: 401, Count: vpcsim.Forever},
			says:  "the worker's clock is 45 minutes ahead of AWS's", calls: map[string]int{"DescribeSubnets AuthFailure false": 3}},
		{name: "with a right clock AuthFailure is about the credentials, and not tried again", offset: "0s", code: "AuthFailure",
			fault: &vpcsim.Fault{Action: "DescribeSubnets", Code: "AuthFailure", Status: 401, Count: vpcsim.Forever},
			calls: map[string]int{"DescribeSubnets AuthFailure false": 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, worker)
				if err := r.sim.Set(`{"clockOffset":"` + c.offset + `"}`); err != nil {
					t.Fatal(err)
				}
				if c.fault != nil {
					inject(t, r, *c.fault)
				}
				for range 2 {
					_, err := r.client.Subnets(t.Context(), vpc.Selection{IDs: []string{"subnet-a"}})
					if fault.CodeOf(err) != c.code || err != nil && fault.MeaningOf(err) != fault.Unsigned {
						t.Fatalf("got %v, want code %q", err, c.code)
					}
					if err == nil {
						continue
					}
					said := c.says != "" && strings.Contains(err.Error(), c.says) && strings.Contains(vpc.Message(err), c.says)
					if said != (c.says != "") || strings.Contains(err.Error(), "clock") != said {
						t.Errorf("got %v (%s), want it to say %q", err, vpc.Message(err), c.says)
					}
				}
				if diff := cmp.Diff(c.calls, r.calls); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestWhoGivesCredentialsIsNotTakenForEC2 plays sources of credentials that
// fail: EC2 did not refuse the call.
func TestWhoGivesCredentialsIsNotTakenForEC2(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     error
		code    string
		meaning fault.Meaning
	}{
		{name: "there is none", err: vpc.ErrNoCredentials, code: fault.CodeNoCredentials, meaning: fault.Unsigned},
		{name: "it does not answer", err: errNoRoute, code: fault.CodeCredentials, meaning: fault.Transient},
		{name: "it denies the role", err: &smithy.GenericAPIError{Code: "AccessDenied", Message: "not yours"}, code: "AccessDenied", meaning: fault.Unsigned},
		{name: "it is throttled", err: &smithy.GenericAPIError{Code: "Throttling", Message: "slow down"}, code: "Throttling", meaning: fault.Throttled},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := settings(aws.Config{HTTPClient: &http.Client{Transport: unreachable{}}})(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, c.err })
			client := vpc.New(vpc.Options{Config: func(context.Context) (aws.Config, error) { return config, nil }})
			_, err = client.ENIs(t.Context(), "subnet-a")
			if fault.CodeOf(err) != c.code || fault.MeaningOf(err) != c.meaning || !strings.Contains(err.Error(), "getting credentials") {
				t.Errorf("got %v with meaning %d, want code %q with meaning %d", err, fault.MeaningOf(err), c.code, c.meaning)
			}
		})
	}
}

func TestAnAnswerThatIsNotEC2sIsNoSuccess(t *testing.T) {
	for name, body := range map[string]string{
		"a page of a proxy":         "<html></html>",
		"nothing":                   "",
		"of another action":         "<DescribeVpcsResponse/>",
		"longer than agreed":        "<DescribeNetworkInterfacesResponse>" + strings.Repeat(" ", 2000) + "</DescribeNetworkInterfacesResponse>",
		"an answer that is cut off": "<DescribeNetworkInterfacesResponse>",
	} {
		t.Run(name, func(t *testing.T) {
			client := vpc.New(vpc.Options{MaxAnswer: 1000, Config: settings(aws.Config{HTTPClient: &http.Client{Transport: always(body)}})})
			if enis, err := client.ENIs(t.Context(), "subnet-a"); fault.CodeOf(err) != fault.CodeUnknown || fault.MeaningOf(err) != fault.Transient {
				t.Errorf("got %v, %v; want an answer that cannot be read", enis, err)
			}
		})
	}
}

// always answers with one body and status 200.
type always string

// RoundTrip implements http.RoundTripper.
func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}
