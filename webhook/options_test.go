package webhook

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/certificate"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

func TestOptionsAreReadFromFlags(t *testing.T) {
	got, err := ParseOptions([]string{
		"--address=:1", "--ops-address=:2", "--cert-dir=/c", "--kubeconfig=/k", "--drain=1s", "--log-level=debug",
		"--image=i", "--image-pull-policy=Always", "--image-pull-secrets=registry-a, registry-b,registry-a", "--max-limits=cpu=2",
		"--sidecar-style=container",
		"--env=IPMGR_TIMEOUT=90s", "--env=AWS_REGION=us-west-2", "--env=HTTPS_PROXY=http://proxy:3128/?a=b",
		"--requests=cpu=20m,memory=32Mi", "--limits=memory=128Mi",
		"--web-identity-role-arn=arn", "--web-identity-audience=aud",
		"--cert-secret=s", "--cert-names=a.example,b.example", "--cert-duration=24h", "--cert-renew-before=6h",
	}, "v1", "own", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	policy := inject.DefaultPolicy()
	policy.Image, policy.PullPolicy, policy.Version, policy.Style = "i", corev1.PullAlways, "v1", inject.Plain
	policy.PullSecrets = []string{"registry-a", "registry-b"}
	policy.MaxLimits = corev1.ResourceList{"cpu": resource.MustParse("2")}
	policy.Settings.Timeout = 90 * time.Second
	policy.Env = []corev1.EnvVar{{Name: "AWS_REGION", Value: "us-west-2"}, {Name: "HTTPS_PROXY", Value: "http://proxy:3128/?a=b"}}
	policy.Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("20m"), "memory": resource.MustParse("32Mi")},
		Limits:   corev1.ResourceList{"memory": resource.MustParse("128Mi")},
	}
	policy.WebIdentity.RoleARN, policy.WebIdentity.Audience = "arn", "aud"
	policy.Protected = []string{"kube-system", "own"}
	want := Options{
		Address: ":1", OpsAddress: ":2", CertDir: "/c", Kubeconfig: "/k", Drain: time.Second, LogLevel: slog.LevelDebug, Policy: policy,
		Certificate: certificate.Settings{
			Namespace: "own", Secret: "s", Configuration: "multus-ipmgr", Names: []string{"a.example", "b.example"},
			Duration: 24 * time.Hour, RenewBefore: 6 * time.Hour, Controller: "cert-rotator",
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestMistakesInFlagsAreReportedAtOnce(t *testing.T) {
	_, err := ParseOptions([]string{
		"--drain=-1s", "--log-level=loud", "--image-pull-policy=Sometimes", "--sidecar-style=ambient",
		"--env=NAME", "--env=IPMGR_INTERFACES=net1", "--env=IPMGR_HOST_IP=10.0.0.1", "--env=POD_NAME=x", "--env=IPMGR_TIMEOUT=soon", "--env=IPMGR_TIMEOUTS=1s", "--env=A=1", "--env=A=2",
		"--requests=cpu=1,disk=1", "--limits=cpu=many", "--max-limits=cpu=1,cpu=2", "--image-pull-secrets=a,B", "--cert-duration=0s", "extra",
	}, "v1", "", io.Discard)
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		`--drain="-1s": want a duration such as 5s`,
		`--log-level="loud": want debug, info, warn or error`,
		`--image-pull-policy="Sometimes": want one of ["Always" "IfNotPresent" "Never"]`,
		`--sidecar-style="ambient": want one of ["native" "container"]`,
		`--env="NAME": want NAME=VALUE`,
		`--env="IPMGR_INTERFACES=net1": is set for each pod`,
		`--env="IPMGR_HOST_IP=10.0.0.1": is set for each pod`,
		`--env="POD_NAME=x": is set for each pod`,
		`--env="A=2": is given twice`,
		`--requests="cpu=1,disk=1": want one of ["cpu" "memory"]`,
		`--limits="cpu=many": cpu="many": want a quantity above zero, such as 10m or 16Mi`,
		`--max-limits="cpu=1,cpu=2": cpu is given twice`,
		`--image-pull-secrets="a,B": "B" is not the name of an object; want names such as registry-a,registry-b`,
		`--cert-duration="0s": want a duration above zero, such as 720h`,
		`["extra"]: the webhook takes flags only`,
		`--image is required: the image of the injected container`,
		`IPMGR_TIMEOUT="soon": want a duration above zero, such as 90s or 2m`,
		`IPMGR_TIMEOUTS: no such setting`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

func TestRequestsAboveLimitsAreAMistake(t *testing.T) {
	_, err := ParseOptions([]string{"--image=i", "--requests=cpu=1,memory=16Mi"}, "v1", "", io.Discard)
	if want := "--requests: cpu=1 is more than --limits allows (200m)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestCertificatesOfItsOwnNeedRoomForTheirRenewal(t *testing.T) {
	for name, c := range map[string]struct {
		namespace string
		flags     []string
		want      string
	}{
		"no namespace":           {"", nil, "set POD_NAMESPACE"},
		"no time before the end": {"own", []string{"--cert-duration=720h"}, "want renew-before < duration"},
		"an empty name":          {"own", []string{"--cert-names="}, `"" is not a DNS name`},
		"an address":             {"own", []string{"--cert-names=a.example,127.0.0.1"}, `"127.0.0.1" is not a DNS name`},
	} {
		_, err := ParseOptions(append([]string{"--image=i", "--cert-secret=s"}, c.flags...), "v1", c.namespace, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), "--cert-secret: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := ParseOptions([]string{"--image=i", "--cert-secret=s"}, "v1", "own", io.Discard); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

func TestHelpIsNoMistake(t *testing.T) {
	var help strings.Builder
	if _, err := ParseOptions([]string{"--help"}, "v1", "", &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(help.String(), "-sidecar-style") {
		t.Errorf("help:\n%s", help.String())
	}
}
