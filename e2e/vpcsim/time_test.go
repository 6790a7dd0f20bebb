package vpcsim_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// direct is a transport that calls a handler without sockets, so that time can
// be virtual.
type direct struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	in.Header, in.Host, in.ContentLength = r.Header, r.URL.Host, r.ContentLength
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, errors.New("connection reset")
		}
	}()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, in)
	return w.Result(), nil
}

// virtual is a rig without sockets, for use in a synctest bubble.
type virtual struct {
	*vpcsim.Sim
	ec2 *ec2.Client
	t   *testing.T
}

// inVirtualTime runs a test in a bubble of testing/synctest; its t is the one
// in v.
func inVirtualTime(t *testing.T, test func(virtual)) {
	t.Helper()
	top := twoWorkers(t)
	synctest.Test(t, func(t *testing.T) {
		sim, err := vpcsim.New(top, withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		test(virtual{sim, ec2.New(ec2.Options{
			Region: "us-west-2", BaseEndpoint: aws.String("http://ec2"), Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
			HTTPClient:  &http.Client{Transport: direct{sim.EC2()}},
		}), t})
	})
}

func (v virtual) must(c call) {
	v.t.Helper()
	if err := c(v.t.Context(), v.ec2); err != nil {
		v.t.Fatal(err)
	}
}

func (v virtual) set(patch string) {
	v.t.Helper()
	if err := v.Set(patch); err != nil {
		v.t.Fatal(err)
	}
}

// metadata reads one key of an instance's metadata, "404" when it is absent.
func (v virtual) metadata(instance, path string) string {
	v.t.Helper()
	h, err := v.IMDS(instance, vpcsim.PodHops)
	if err != nil {
		v.t.Fatal(err)
	}
	token := raw(h, http.MethodPut, "/latest/api/token", map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "60"}, nil).Body.String()
	w := raw(h, http.MethodGet, "/latest/meta-data/"+path, map[string]string{"X-aws-ec2-metadata-token": token}, nil)
	if w.Code != http.StatusOK {
		return http.StatusText(w.Code)
	}
	return w.Body.String()
}

func (v virtual) owner(addr string) string {
	eni, _ := v.RoutedTo(netip.MustParseAddr(addr))
	return eni
}

const addresses1 = "network/interfaces/macs/02:00:00:00:01:01/local-ipv4s"

func TestIMDSAndDataPathFollowLater(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		v.must(assign(two, "10.10.1.80"))
		v.set(`{"imdsLag":"1s","dataPathLag":"3s"}`)
		v.must(take(one, "10.10.1.80"))
		time.Sleep(500 * time.Millisecond)
		v.must(assign(one, "10.10.1.81"))
		type view struct{ IMDS, Route80, Route81 string }
		for _, step := range []struct {
			name string
			wait time.Duration
			want view
		}{
			{"half a second after the move", 0, view{"10.10.1.11", two, ""}},
			{"IMDS shows each address a second after its own change", 500 * time.Millisecond, view{"10.10.1.11\n10.10.1.80", two, ""}},
			{"so the next comes half a second later", 500 * time.Millisecond, view{"10.10.1.11\n10.10.1.80\n10.10.1.81", two, ""}},
			{"the data path moves the address after three seconds", 1500 * time.Millisecond, view{"10.10.1.11\n10.10.1.80\n10.10.1.81", one, ""}},
			{"and the other half a second later", 500 * time.Millisecond, view{"10.10.1.11\n10.10.1.80\n10.10.1.81", one, one}},
		} {
			time.Sleep(step.wait)
			got := view{v.metadata("i-worker1", addresses1), v.owner("10.10.1.80"), v.owner("10.10.1.81")}
			if diff := cmp.Diff(step.want, got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", step.name, diff)
			}
		}
		v.must(unassign(one, "10.10.1.80"))
		if got := v.owner("10.10.1.80"); got != one {
			t.Errorf("packets still arrive right after unassigning, got %q", got)
		}
		time.Sleep(3 * time.Second)
		if got := v.owner("10.10.1.80"); got != "" {
			t.Errorf("packets still go to %s", got)
		}
	})
}

func TestAChangedLagIsFairToOlderChanges(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		v.must(assign(one, "10.10.1.80"))
		v.set(`{"imdsLag":"1h"}`)
		if got := v.metadata("i-worker1", addresses1); got != "10.10.1.11\n10.10.1.80" {
			t.Errorf("a raised lag hides what was shown: %q", got)
		}
		v.must(assign(one, "10.10.1.81"))
		time.Sleep(time.Minute)
		if got := v.metadata("i-worker1", addresses1); got != "10.10.1.11\n10.10.1.80" {
			t.Errorf("a new address is shown before the lag is over: %q", got)
		}
		v.set(`{"imdsLag":"30s"}`)
		if got := v.metadata("i-worker1", addresses1); got != "10.10.1.11\n10.10.1.80\n10.10.1.81" {
			t.Errorf("a lowered lag does not release what waited: %q", got)
		}
	})
}

func TestDescribeMayLagToo(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		v.set(`{"describeLag":"2s"}`)
		v.must(assign(one, "10.10.1.80"))
		for _, want := range []int{1, 2} {
			out, err := v.ec2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{one}})
			if err != nil || len(out.NetworkInterfaces[0].PrivateIpAddresses) != want {
				t.Errorf("want %d addresses, got %v, %v", want, out, err)
			}
			time.Sleep(2 * time.Second)
		}
	})
}

func TestPrefixesAreRouted(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		v.must(assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: aws.String(two), Ipv4Prefixes: []string{"10.10.1.128/28"}}))
		v.must(assign6(one, "2600:1f13:0:1::80"))
		for addr, want := range map[string]string{
			"10.10.1.130": two, "10.10.1.144": "", "10.10.1.11": one, "2600:1f13:0:1::80": one, "2600:1f13:0:1::81": "",
		} {
			if got := v.owner(addr); got != want {
				t.Errorf("%s goes to %q, want %q", addr, got, want)
			}
		}
	})
}

func TestTheBucketsOfAWSInVirtualTime(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		v.set(`{"throttle":true}`)
		began, throttled := time.Now(), 0
		for done := 0; done < 200; {
			if err := assign(one, "10.10.1.80")(t.Context(), v.ec2); err != nil {
				throttled++
				time.Sleep(100 * time.Millisecond)
				continue
			}
			done++
		}
		if took := time.Since(began); took != 20*time.Second { // 100 at once, then 5 a second
			t.Errorf("200 calls took %v, want 20s", took)
		}
		if throttled == 0 {
			t.Error("no call was throttled")
		}
		if _, err := v.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{}); err != nil {
			t.Errorf("another action has a bucket of its own: %v", err)
		}
	})
}

func TestLatencyAndDelayTakeTheirTime(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		v.set(`{"latency":"100ms","imdsLatency":0.25}`)
		if err := v.Inject(vpcsim.Fault{Action: "AssignPrivateIpAddresses", Delay: 2e9}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			name string
			do   func()
			want time.Duration
		}{
			{"a delayed call", func() { v.must(assign(one, "10.10.1.80")) }, 2100 * time.Millisecond},
			{"the next one", func() { v.must(assign(one, "10.10.1.80")) }, 100 * time.Millisecond},
			{"a token and a key of the metadata", func() { v.metadata("i-worker1", "mac") }, 500 * time.Millisecond},
		} {
			began := time.Now()
			step.do()
			if got := time.Since(began); got != step.want {
				t.Errorf("%s took %v, want %v", step.name, got, step.want)
			}
		}
	})
}

func TestSkewedClocksAndOldCredentialsAreRefused(t *testing.T) {
	top := twoWorkers(t)
	synctest.Test(t, func(t *testing.T) {
		var skew time.Duration
		o := withDefaults()
		o.Now = func() time.Time { return time.Now().Add(skew) }
		sim, err := vpcsim.New(top, o)
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		send := func(id, secret, token string) string {
			c := ec2.New(ec2.Options{
				Region: "us-west-2", BaseEndpoint: aws.String("http://ec2"), Retryer: aws.NopRetryer{},
				Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
				HTTPClient:  &http.Client{Transport: direct{sim.EC2()}},
			})
			return describe(refusalOf(assign(one, "10.10.1.80")(t.Context(), c)))
		}
		for _, step := range []struct {
			skew time.Duration
			want string
		}{
			{5 * time.Minute, ""}, {-5 * time.Minute, ""},
			{5*time.Minute + time.Second, "401 AuthFailure AWS was not able to validate the provided access credentials"},
			{-5*time.Minute - time.Second, "401 AuthFailure AWS was not able to validate the provided access credentials"},
		} {
			skew = step.skew
			if got := send(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""); got != step.want {
				t.Errorf("skew %v: got %q, want %q", step.skew, got, step.want)
			}
		}
		skew = 0
		role := virtual{Sim: sim, t: t}.role("i-worker1")
		if got := send(role.AccessKeyID, role.SecretAccessKey, role.Token); got != "" {
			t.Errorf("credentials from IMDS: got %q", got)
		}
		if got := send(role.AccessKeyID, role.SecretAccessKey, ""); !strings.HasPrefix(got, "401 AuthFailure") {
			t.Errorf("without their token: got %q", got)
		}
		time.Sleep(6*time.Hour + time.Second)
		if got := send(role.AccessKeyID, role.SecretAccessKey, role.Token); got != "400 ExpiredToken The security token included in the request is expired" {
			t.Errorf("after their end: got %q", got)
		}
		if next := (virtual{Sim: sim, t: t}).role("i-worker1"); next.AccessKeyID == role.AccessKeyID {
			t.Error("IMDS still hands out expired credentials")
		}
	})
}

// TestAClockThatIsOff sets AWS's clock and lets AWS's client, with its own
// retries, find out from the answer's Date.
func TestAClockThatIsOff(t *testing.T) {
	for _, offset := range []time.Duration{20 * time.Minute, -20 * time.Minute, 6 * time.Minute, -48 * time.Hour} {
		t.Run(offset.String(), func(t *testing.T) {
			r := start(t)
			set(fmt.Sprintf(`{"clockOffset":%q}`, offset))(r)
			want := "401 AuthFailure AWS was not able to validate the provided access credentials"
			if got := describe(refusalOf(assign(one, "10.10.1.80")(t.Context(), r.ec2))); got != want {
				t.Errorf("one attempt: got %q, want %q", got, want)
			}
			patient := ec2.New(r.ec2.Options(), func(o *ec2.Options) { o.Retryer = retry.NewStandard() })
			if err := assign(one, "10.10.1.80")(t.Context(), patient); err != nil {
				t.Errorf("a client that learns the offset: %v", err)
			}
			role := virtual{Sim: r.sim, t: t}.role("i-worker1")
			if left := role.Expiration.Sub(time.Now().Add(offset)); left < 5*time.Hour || left > 7*time.Hour {
				t.Errorf("credentials from IMDS end %v from now by AWS's clock, want about 6h", left)
			}
		})
	}
}

func TestClosingEndsWhatHangs(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		if err := v.Inject(vpcsim.Fault{Action: "*", Delay: 3600e9}); err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 3)
		go func() { results <- assign(one, "10.10.1.80")(t.Context(), v.ec2) }()
		synctest.Wait()
		v.set(`{"ec2":"down","imds":"down"}`)
		go func() { results <- assign(one, "10.10.1.81")(t.Context(), v.ec2) }()
		h, err := v.IMDS("i-worker1", vpcsim.PodHops)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://imds/latest/", http.NoBody)
			resp, err := direct{h}.RoundTrip(req)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				err = resp.Body.Close()
			}
			results <- err
		}()
		synctest.Wait()
		v.Close()
		for range 3 {
			if err := <-results; err == nil {
				t.Error("a request that hung was answered")
			}
		}
		for _, e := range v.ENIs() {
			if len(e.Secondaries) > 0 {
				t.Errorf("%s holds %v", e.ID, e.Secondaries)
			}
		}
	})
}
