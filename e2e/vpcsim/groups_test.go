package vpcsim_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/control"
)

// TestTheControlAPIMovesGroupsAndInstances tells the life of a group over
// sockets.
func TestTheControlAPIMovesGroupsAndInstances(t *testing.T) {
	text := strings.ReplaceAll(workers, "settings: {pendingTime: 12s, stoppingTime: 20s}\n", "") + "  hooks:\n" + launchHook
	posted := make(chan string, 10)
	failures := 1
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if failures > 0 { // as EventBridge, the simulator tries again
			failures--
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		select {
		case posted <- string(body):
		default: // the test looks at the first one
		}
	}))
	defer function.Close()
	sim, err := vpcsim.New(load(t, text), withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sim.Listen(t.Context(), vpcsim.Addresses{AutoScaling: "127.0.0.1:0", Control: "127.0.0.1:0", Events: function.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	}()
	if want := "autoscaling=" + srv.AutoScalingURL; !slices.Contains(strings.Fields(srv.Ready(nil)), want) {
		t.Errorf("the ready line %q lacks %s", srv.Ready(nil), want)
	}
	r := &rig{t: t, sim: sim, srv: srv}
	if status, body := r.post("/v1/groups/upf", `{"desired":1}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	groups := get[[]control.Group](r, "/v1/groups")
	if len(groups) != 1 || len(groups[0].Members) != 1 || groups[0].Members[0].State != "Pending:Wait" {
		t.Fatalf("groups %+v", groups)
	}
	id := groups[0].Members[0].Instance
	var event string
	select {
	case event = <-posted:
	case <-time.After(time.Minute):
		t.Fatal("no event was posted")
	}
	_, lines := r.control(http.MethodGet, "/v1/events", "")
	scanner := bufio.NewScanner(strings.NewReader(lines))
	if !scanner.Scan() || scanner.Text() != event || scanner.Scan() {
		t.Errorf("posted was %s, the list is\n%s", event, lines)
	}
	for _, step := range []struct {
		do     string
		status int
		want   string
	}{
		{"reboot", http.StatusOK, "running"},
		{"stop", http.StatusOK, "terminated"}, // a stopped one is unhealthy: the group ends it
		{"start", http.StatusBadRequest, "terminated"},
		{"terminate", http.StatusOK, "terminated"}, // it has ended already
	} {
		status, body := r.post("/v1/instances/"+id, `{"do":"`+step.do+`"}`)
		instances := get[[]control.Instance](r, "/v1/instances")
		i := slices.IndexFunc(instances, func(in control.Instance) bool { return in.ID == id })
		if status != step.status || i < 0 || instances[i].State != step.want {
			t.Errorf("%s: %d %s, want %d and state %s: %+v", step.do, status, body, step.status, step.want, instances)
		}
	}
	for path, body := range map[string]string{
		"/v1/groups/none": `{"desired":1}`, "/v1/groups/upf": `{}`, "/v1/instances/" + id: `{"do":"dance"}`, "/v1/instances/i-none": `{"do":"stop"}`,
	} {
		if status, _ := r.post(path, body); status != http.StatusBadRequest {
			t.Errorf("POST %s %s: %d, want 400", path, body, status)
		}
	}
	if status, _ := r.post("/v1/reset", ""); status != http.StatusOK {
		t.Errorf("reset: %d", status)
	}
	if _, lines := r.control(http.MethodGet, "/v1/events", ""); lines != "" {
		t.Errorf("after a reset there are events: %s", lines)
	}
}

func TestEventsAreLostDoubledAndOvertaken(t *testing.T) {
	hooks := ""
	for name := range strings.SplitSeq("abcdefghijklmnopqrstuvwxyz", "") {
		hooks += "  - {name: " + name + ", transition: launching}\n"
	}
	for _, tc := range []struct {
		name, set string
		least     int // of 26
		most      int
		sorted    bool
	}{
		{"all arrive once and in order", `{}`, 26, 26, true},
		{"all are lost", `{"eventLoss":1}`, 0, 0, true},
		{"some are lost", `{"eventLoss":0.5}`, 4, 22, true},
		{"all are doubled", `{"eventDuplicates":1}`, 52, 52, true},
		{"some are overtaken", `{"eventReorder":0.5}`, 26, 26, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inGroup(t, "  hooks:\n"+hooks, func(s *scaled) {
				if err := s.Set(tc.set); err != nil {
					s.t.Fatal(err)
				}
				s.resize(1)
				var names []string
				for range 60 { // those of one second arrive together
					var second []string
					for _, e := range s.heard(time.Second) {
						second = append(second, e.Detail.LifecycleHookName)
					}
					slices.Sort(second)
					names = append(names, second...)
				}
				if n := len(names); n < tc.least || n > tc.most || slices.IsSorted(names) != tc.sorted {
					s.t.Errorf("%d events, want %d to %d, sorted %v: %q", n, tc.least, tc.most, tc.sorted, names)
				}
				if got := len(s.Events()); got != 26 {
					s.t.Errorf("%d events in the list, want all", got)
				}
			})
		})
	}
}

func TestEventsAreLate(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook, func(s *scaled) {
		if err := s.Set(`{"eventLag":"90s","eventAction":false}`); err != nil {
			s.t.Fatal(err)
		}
		s.resize(1)
		if got := s.heard(101 * time.Second); len(got) > 0 {
			s.t.Errorf("%+v came early", got)
		}
		if e := s.one(time.Second); e.Detail.Action != "" {
			s.t.Errorf("the action is %q, want none", e.Detail.Action)
		}
	})
}

// TestDescribeCallsShowDifferentMoments looks at one launch with all three
// kinds of Describe calls until they agree.
func TestDescribeCallsShowDifferentMoments(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook, func(s *scaled) {
		if err := s.Set(`{"describeLag":"15s","describeJitter":true}`); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.resize(4)
		seen := map[string]bool{}
		for range 160 {
			time.Sleep(100 * time.Millisecond)
			for _, m := range s.group().Instances {
				if s.instance(*m.InstanceId) == nil {
					seen["the group has an instance that EC2 does not show"] = true
				}
			}
			for _, e := range s.ENIs() {
				in := s.instance(e.Instance)
				shown := s.shows(e.ID)
				if in != nil && len(in.NetworkInterfaces) > 0 && !shown {
					seen["an instance has an ENI that is not listed"] = true
				}
				if shown && (in == nil || len(in.NetworkInterfaces) == 0) {
					seen["an ENI is listed that its instance does not have"] = true
				}
			}
		}
		want := map[string]bool{
			"the group has an instance that EC2 does not show": true, "an instance has an ENI that is not listed": true,
			"an ENI is listed that its instance does not have": true,
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			s.t.Errorf("(-want +got)\n%s", diff)
		}
		for _, m := range s.group().Instances {
			if s.instance(*m.InstanceId) == nil {
				s.t.Errorf("after 16 s %s is not shown", *m.InstanceId)
			}
		}
	})
}

// shows reports whether DescribeNetworkInterfaces has an ENI.
func (s *scaled) shows(id string) bool {
	s.t.Helper()
	out, err := s.ec2.DescribeNetworkInterfaces(s.t.Context(), &ec2.DescribeNetworkInterfacesInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.Contains(eniIDs(out.NetworkInterfaces), id)
}
