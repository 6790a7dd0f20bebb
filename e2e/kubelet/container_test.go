package kubelet_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/kubelet"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// The test program stands in for an image; its first argument is what it does.
// Not by environment: that is the pod's.
var images = map[string]func() int{
	"print-environment": func() int {
		fmt.Println(strings.Join(os.Environ(), "\n"))
		return 0
	},
	"print-argument": func() int {
		fmt.Println(os.Args[2])
		return 0
	},
	"fail": func() int {
		fmt.Fprintln(os.Stderr, "no such address")
		return 3
	},
	"serve": func() int {
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGTERM)
		fmt.Println("serving")
		<-got
		return 0
	},
	"hang": func() int {
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Hour)
		return 0
	},
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && images[os.Args[1]] != nil {
		os.Exit(images[os.Args[1]]())
	}
	os.Exit(netlab.Run(func() int {
		code := m.Run()
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		return code
	}))
}

// program returns the pod's only program and its name in the image.
func program(t *testing.T) (path, name string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path, "/bin" + path[strings.LastIndex(path, "/"):]
}

func admitted(args ...string) *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "upf-1", Namespace: "core", Labels: map[string]string{"app": "upf"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{
				Name: "manager", Args: args, RestartPolicy: &always, TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			}},
			Containers: []corev1.Container{{Name: "app"}},
		},
		Status: corev1.PodStatus{HostIP: "10.10.12.11"},
	}
}

// start starts the container "manager" of pod in a namespace of its own.
func start(t *testing.T, pod *corev1.Pod) (*kubelet.Container, error) {
	t.Helper()
	lab, err := netlab.New(netlab.Options{})
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	net, err := lab.Pod(netlab.PodSpec{Name: pod.Name, Eth0: netip.MustParsePrefix("10.10.12.21/24")})
	if err != nil {
		t.Fatal(err)
	}
	path, _ := program(t)
	return kubelet.StartContainer(t.Context(), kubelet.ContainerOptions{Pod: pod, Container: "manager", Program: path, Sandbox: net})
}

func mustStart(t *testing.T, pod *corev1.Pod) *kubelet.Container {
	t.Helper()
	c, err := start(t, pod)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustWait(t *testing.T, c *kubelet.Container) kubelet.Exit {
	t.Helper()
	exit, err := c.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

func TestContainerSeesTheEnvironmentOfItsSpecAndNoOther(t *testing.T) {
	pod := admitted("print-environment")
	pod.Spec.InitContainers[0].Env = []corev1.EnvVar{
		{Name: "HOST", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIP"}}},
		{Name: "URL", Value: "http://$(HOST)"},
	}
	c := mustStart(t, pod)
	if diff := cmp.Diff(kubelet.Exit{}, mustWait(t, c)); diff != "" {
		t.Errorf("exit (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("HOST=10.10.12.11\nURL=http://10.10.12.11\n", c.Log()); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestArgumentsAreExpanded(t *testing.T) {
	pod := admitted("print-argument", "--pod=$(NAME)")
	pod.Spec.InitContainers[0].Env = []corev1.EnvVar{
		{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
	}
	c := mustStart(t, pod)
	mustWait(t, c)
	if diff := cmp.Diff("--pod=upf-1\n", c.Log()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestFailureLeavesExitCodeAndMessage(t *testing.T) {
	got := mustWait(t, mustStart(t, admitted("fail")))
	if diff := cmp.Diff(kubelet.Exit{Code: 3, Message: "no such address"}, got); diff != "" {
		t.Errorf("exit (-want +got):\n%s", diff)
	}
}

func TestStopAsksBeforeItKills(t *testing.T) {
	for name, test := range map[string]struct {
		role, says string
		want       kubelet.Exit
	}{
		"a program that listens ends by itself": {"serve", "serving", kubelet.Exit{}},
		"a deaf one is killed":                  {"hang", "deaf", kubelet.Exit{Code: 137, Message: "deaf"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustStart(t, admitted(test.role))
			for !strings.Contains(c.Log(), test.says) {
				time.Sleep(time.Millisecond)
			}
			grace := 100 * time.Millisecond
			if test.want.Code == 0 {
				grace = time.Minute
			}
			got := c.Stop(grace)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("exit (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWaitGivesUpWithItsContext(t *testing.T) {
	c := mustStart(t, admitted("serve"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v, want canceled", err)
	}
	c.Stop(time.Minute)
}

func TestStartupProbe(t *testing.T) {
	_, image := program(t)
	for name, test := range map[string]struct {
		role     string
		command  []string
		failures int32
		want     string
	}{
		"succeeds with its command":          {"serve", []string{image, "print-argument", "x"}, 1, ""},
		"fails with what its command said":   {"serve", []string{image, "fail"}, 1, "failed 1 times: " + image + " fail: exit status 3: no such address"},
		"has no program but the image's":     {"serve", []string{"/bin/sh"}, 1, "no other program"},
		"ends when the container has ended":  {"print-environment", []string{image, "fail"}, 9, "the container ended"},
		"is refused where the spec has none": {"serve", nil, 1, "no startup probe"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := admitted(test.role)
			if test.command != nil {
				pod.Spec.InitContainers[0].StartupProbe = &corev1.Probe{
					ProbeHandler:     corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: test.command}},
					FailureThreshold: test.failures,
					TimeoutSeconds:   60,
				}
			}
			c := mustStart(t, pod)
			if test.role != "serve" {
				mustWait(t, c)
			}
			err := c.Started(t.Context())
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("Started: %v, want %q", err, test.want)
			}
			c.Stop(time.Minute)
		})
	}
}

func TestProbeEndsWithItsTimeout(t *testing.T) {
	_, image := program(t)
	c := mustStart(t, admitted("serve"))
	exec := corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{image, "hang"}}}
	err := c.Probe(t.Context(), &corev1.Probe{ProbeHandler: exec, TimeoutSeconds: 1})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Probe: %v, want a deadline", err)
	}
	c.Stop(time.Minute)
}

func TestReadinessIsThatOfTheProbe(t *testing.T) {
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() || r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	path, _ := program(t)
	pod := admitted("serve")
	pod.Spec.InitContainers[0].Ports = []corev1.ContainerPort{{Name: "ops", ContainerPort: int32(at.Port())}}
	pod.Spec.InitContainers[0].ReadinessProbe = &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromString("ops")}},
		FailureThreshold: 1, TimeoutSeconds: 60,
	}
	c, err := kubelet.StartContainer(t.Context(), kubelet.ContainerOptions{
		Pod: pod, Container: "manager", Program: path, Sandbox: kubelet.Host{}, Address: at.Addr(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var reports []bool
	c.FollowReadiness(t.Context(), func(ready bool) {
		reports = append(reports, ready)
		broken.Store(len(reports) >= 2)
		if len(reports) == 3 {
			c.Stop(0)
		}
	})
	if diff := cmp.Diff([]bool{true, true, false}, reports); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func TestAContainerWithoutReadinessProbeIsReadyWhileItRuns(t *testing.T) {
	c := mustStart(t, admitted("serve"))
	var reports []bool
	c.FollowReadiness(t.Context(), func(ready bool) {
		reports = append(reports, ready)
		if len(reports) == 2 {
			c.Stop(time.Minute)
		}
	})
	if diff := cmp.Diff([]bool{true, true}, reports); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func TestMessageIsOfThePolicy(t *testing.T) {
	pod := admitted("fail")
	pod.Spec.InitContainers[0].TerminationMessagePolicy = corev1.TerminationMessageReadFile
	if diff := cmp.Diff(kubelet.Exit{Code: 3}, mustWait(t, mustStart(t, pod))); diff != "" {
		t.Errorf("exit (-want +got):\n%s", diff)
	}
}

func TestStartRefusesWhatItCannotPlay(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"a container that is not there": {func(p *corev1.Pod) { p.Spec.InitContainers[0].Name = "other" }, "no such container"},
		"a program of another image":    {func(p *corev1.Pod) { p.Spec.InitContainers[0].Command = []string{"/bin/sh"} }, "/bin/sh"},
		"a secret in the environment": {func(p *corev1.Pod) {
			p.Spec.InitContainers[0].Env = []corev1.EnvVar{{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}}}
		}, "variable KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := admitted("serve")
			test.change(pod)
			_, err := start(t, pod)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "core/upf-1") {
				t.Errorf("Start: %v, want %q and the pod's name", err, test.want)
			}
		})
	}
}
