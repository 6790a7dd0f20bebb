package vpcsim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type object = map[string]any

func TestENIsAreListed(t *testing.T) {
	r := startWith(t, load(t, twoWorkersText(t)+`
enis: [{id: eni-spare, subnet: subnet-multus-a, primary: 10.10.1.13, mac: "02:00:00:00:00:99"}]
`), withDefaults())
	for _, c := range []call{assign(one, "10.10.1.80"), assign6(one, "2600:1f13:0:1::80")} {
		if err := c(t.Context(), r.ec2); err != nil {
			t.Fatal(err)
		}
	}
	list := get[[]object](r, "/v1/enis")
	want := []object{
		{
			"id": one, "instance": "i-worker1", "subnet": "subnet-multus-a", "mac": "02:00:00:00:01:01", "deviceIndex": 1.,
			"primary": "10.10.1.11", "secondaries": []any{"10.10.1.80"}, "ipv6": []any{"2600:1f13:0:1::80"},
			"tags": object{"node.k8s.amazonaws.com/no_manage": "true"},
		},
		{
			"id": "eni-spare", "instance": "", "subnet": "subnet-multus-a", "mac": "02:00:00:00:00:99", "deviceIndex": 0.,
			"primary": "10.10.1.13", "secondaries": []any{}, "ipv6": []any{}, "tags": object{},
		},
	}
	if len(list) != 5 {
		t.Fatalf("%d ENIs", len(list))
	}
	if diff := cmp.Diff(want, []object{list[1], list[4]}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCallsAreListed(t *testing.T) {
	r := start(t)
	before := time.Now()
	_ = assign(one, "10.10.1.80")(t.Context(), r.ec2)
	_ = take(one, "10.10.1.12")(t.Context(), r.ec2)
	_, _ = r.query("Action=Dance&Version=2016-11-15&Step.1=left")
	got := get[[]object](r, "/v1/calls")
	for _, c := range got {
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(c["at"]))
		if err != nil || at.Before(before) || at.After(time.Now()) {
			t.Errorf("at is %v, %v", c["at"], err)
		}
	}
	want := []object{
		{"action": "AssignPrivateIpAddresses", "result": "ok", "params": object{"NetworkInterfaceId": one, "PrivateIpAddress.1": "10.10.1.80"}},
		{"action": "AssignPrivateIpAddresses", "result": "InvalidParameterValue", "params": object{
			"NetworkInterfaceId": one, "PrivateIpAddress.1": "10.10.1.12", "AllowReassignment": "true"}},
		{"action": "Dance", "result": "InvalidAction", "params": object{"Step.1": "left"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreMapEntries(func(k string, _ any) bool { return k == "at" })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if status, body := r.post("/v1/reset", ""); status != http.StatusOK {
		t.Errorf("reset: %d %s", status, body)
	}
	if got := get[[]object](r, "/v1/calls"); len(got) != 0 {
		t.Errorf("after a reset: %v", got)
	}
	if got := get[[]object](r, "/v1/enis")[1]["secondaries"]; !cmp.Equal(got, []any{"10.10.1.80"}) {
		t.Errorf("a reset changed the world: %v", got)
	}
}

func TestSettingsAndFaultsAreRead(t *testing.T) {
	r := start(t)
	for _, tc := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"settings answer what holds then", "/v1/settings", `{"throttle":true,"imdsLag":"1.5s"}`, 200, `"imdsLag":"1.5s"`},
		{"seconds are as good", "/v1/settings", `{"dataPathLag":2}`, 200, `"dataPathLag":"2s"`},
		{"other settings stay", "/v1/settings", `{}`, 200, `"throttle":true`},
		{"an unknown setting", "/v1/settings", `{"imdslagg":1}`, 400, `unknown field`},
		{"settings that are no JSON", "/v1/settings", `throttle`, 400, `invalid character`},
		{"a fault with a count of 1 by default", "/v1/faults", `{"action":"CreateTags","code":"X"}`, 200, `{"action":"CreateTags","code":"X","count":1}`},
		{"several faults", "/v1/faults", `[{"action":"*","delay":"1s"},{"action":"IMDS","delay":0.5,"count":-1}]`, 200, `"delay":"500ms"`},
		{"an unknown key of a fault", "/v1/faults", `{"action":"*","cod":"X"}`, 400, `unknown field`},
		{"a fault of an unknown action", "/v1/faults", `{"action":"Dance","code":"X"}`, 400, `unknown action`},
		{"more than one value", "/v1/faults", `{"action":"*","code":"X"}{}`, 400, `more than one`},
		{"nothing", "/v1/faults", ``, 400, `EOF`},
		{"a path that does not exist", "/v1/fault", `{}`, 404, ``},
		{"a method that does not exist", "/v1/enis", `{}`, 405, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, body := r.post(tc.path, tc.body)
			if status != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("got %d %s, want %d with %s", status, body, tc.status, tc.want)
			}
		})
	}
	if got := len(get[[]object](r, "/v1/faults")); got != 3 {
		t.Errorf("%d faults are pending, want 3", got)
	}
	r.post("/v1/reset", "")
	if got := get[[]object](r, "/v1/faults"); len(got) != 0 {
		t.Errorf("after a reset %v are pending", got)
	}
	if got := get[object](r, "/v1/settings")["throttle"]; got != true {
		t.Errorf("a reset changed the settings: throttle is %v", got)
	}
}

func TestFaultsHitTheNextCalls(t *testing.T) {
	r := start(t)
	inject := func(body string) {
		t.Helper()
		if status, text := r.post("/v1/faults", body); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
	}
	inject(`{"action":"AssignPrivateIpAddresses","code":"RequestLimitExceeded","status":503,"count":2}`)
	for i, want := range []string{"503 RequestLimitExceeded Request limit exceeded.", "503 RequestLimitExceeded Request limit exceeded.", ""} {
		if got := describe(refusalOf(assign(one, "10.10.1.80")(t.Context(), r.ec2))); got != want {
			t.Errorf("call %d: got %q, want %q", i, got, want)
		}
	}
	inject(`{"action":"*","code":"UnauthorizedOperation"}`)
	if _, err := r.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{}); code(err) != "UnauthorizedOperation" || refusalOf(err).Status != 403 {
		t.Errorf("any action: got %v", err)
	}
}

func TestALostAnswerHasTakenEffect(t *testing.T) {
	r := start(t)
	if status, text := r.post("/v1/faults", `{"action":"AssignPrivateIpAddresses","lose":true}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	err := assign(one, "10.10.1.80")(t.Context(), r.ec2)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset connection", err)
	}
	if got := r.sim.ENIs()[1].Secondaries; len(got) != 1 {
		t.Errorf("the call did not take effect: %v", got)
	}
	if got := r.sim.Calls(false); len(got) != 1 || got[0].Result != "ok" {
		t.Errorf("calls %v", got)
	}
	if err := assign(one, "10.10.1.80")(t.Context(), r.ec2); err != nil {
		t.Errorf("repeating it: %v", err)
	}
}

func TestEC2Fails(t *testing.T) {
	for health, want := range map[string]string{"failing": "StatusCode: 503", "refused": "request send failed"} {
		r := start(t)
		set(`{"ec2":"` + health + `"}`)(r)
		if err := assign(one, "10.10.1.80")(t.Context(), r.ec2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", health, err)
		}
		set(`{"ec2":"up"}`)(r)
		if err := assign(one, "10.10.1.80")(t.Context(), r.ec2); err != nil {
			t.Errorf("up again: %v", err)
		}
	}
}

func TestRoutesSubnetsAndMetadataRequestsAreListed(t *testing.T) {
	r := start(t)
	if err := assign(one, "10.10.1.80")(t.Context(), r.ec2); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"10.10.12.11": "eni-w1-eth0", "10.10.12.12": "eni-w2-eth0", "10.10.1.11": one, "10.10.1.12": two, "10.10.1.80": one,
	}
	if diff := cmp.Diff(want, get[map[string]string](r, "/v1/routes")); diff != "" {
		t.Errorf("routes (-want +got)\n%s", diff)
	}
	subnets := []object{
		{"id": "subnet-mgmt-a", "cidr": "10.10.12.0/24", "zone": "us-west-2a", "available": 249.},
		{"id": "subnet-multus-a", "cidr": "10.10.1.0/24", "ipv6Cidr": "2600:1f13:0:1::/64", "zone": "us-west-2a", "available": 248.},
	}
	if diff := cmp.Diff(subnets, get[[]object](r, "/v1/subnets")); diff != "" {
		t.Errorf("subnets (-want +got)\n%s", diff)
	}
	if _, err := metadataClient(t, r.srv.IMDSURL["i-worker1"]).GetRegion(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	counts := map[string]map[string]int{"i-worker1": {"token": 1, "get": 1}}
	if diff := cmp.Diff(counts, get[map[string]map[string]int](r, "/v1/imds")); diff != "" {
		t.Errorf("metadata requests (-want +got)\n%s", diff)
	}
}

func TestPendingCallsAreListedOnRequest(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		v.set(`{"latency":"1h"}`)
		done := make(chan error)
		go func() { done <- assign(one, "10.10.1.80")(t.Context(), v.ec2) }()
		time.Sleep(time.Minute)
		list := func(path string) (calls []object) {
			body := raw(v.Control(), http.MethodGet, path, nil, nil).Body.Bytes()
			if err := json.Unmarshal(body, &calls); err != nil {
				t.Fatal(err)
			}
			return calls
		}
		if got := list("/v1/calls"); len(got) != 0 {
			t.Errorf("without results: %v", got)
		}
		if got := list("/v1/calls?pending=true"); len(got) != 1 || got[0]["result"] != "pending" {
			t.Errorf("with pending ones: %v", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSettingsOfATopologyHold(t *testing.T) {
	r := startWith(t, load(t, twoWorkersText(t)+"settings: {imdsLag: 1.5s, deny: [CreateTags]}\n"), withDefaults())
	s := r.sim.Settings()
	if time.Duration(s.IMDSLag) != 1500*time.Millisecond || len(s.Deny) != 1 {
		t.Errorf("settings %+v", s)
	}
	if err := r.sim.Set(`{"deny":[]}`); err != nil {
		t.Fatal(err)
	}
	if time.Duration(r.sim.Settings().IMDSLag) != 1500*time.Millisecond {
		t.Error("another setting changed")
	}
}
