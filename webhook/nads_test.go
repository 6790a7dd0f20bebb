package webhook

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

// reserved is a reservation of a subnet in us-west-2a.
func reserved(t testing.TB, cidr string) nad.Reservation {
	t.Helper()
	r, err := nad.ParseReservation(cidr, "explicit", "subnet-a", "10.10.1.0/24", "us-west-2a")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// nadReview is a review of a NAD, whose metadata are given as JSON.
func nadReview(namespace, metadata, config string) string {
	return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","kind":{"group":"k8s.cni.cncf.io","version":"v1","kind":"NetworkAttachmentDefinition"},"namespace":%q,"operation":"CREATE","object":{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":%s,"spec":{"config":%q}}}}`, namespace, metadata, config)
}

// postNAD sends one review of a NAD.
func (s *testServer) postNAD(t testing.TB, body string) (int, string) {
	t.Helper()
	response, err := s.client(t, 0).Post("https://"+s.Address()+review.NADPath, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

// ranged is an ipvlan configuration with a whereabouts range.
func ranged(text string) string {
	return `{"type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"` + text + `"}}`
}

const named = `{"name":"net-a"}`

func TestReviewsOfNADsAreAnswered(t *testing.T) {
	other := nad.Read(nad.Definition{Namespace: "apps", Name: "other", Config: ranged("10.10.1.100-10.10.1.110/24")})
	s := serve(t, &memory{
		namespaces: map[string]inject.Namespace{
			"warned":  {Name: "warned", Labels: map[string]string{inject.ValidateLabel: "warn"}},
			"off":     {Name: "off", Labels: map[string]string{inject.ValidateLabel: "off"}},
			"neither": {Name: "neither", Labels: map[string]string{inject.ValidateLabel: "maybe"}},
		},
		nads:              []nad.Network{other},
		reservations:      []nad.Reservation{reserved(t, "10.10.1.64/26")},
		freshReservations: []nad.Reservation{reserved(t, "10.10.1.192/28")},
	})
	const outside = "spec.config.ipam.range: no explicit subnet CIDR reservation covers 10.10.1.130-10.10.1.131"
	for _, c := range []struct {
		name, body string
		allowed    bool
		message    []string // parts of the refusal
		causes     []string // fields
		warnings   []string // the beginning of each
		rules      string
	}{
		{name: "reserved", body: nadReview("apps", named, ranged("10.10.1.70-10.10.1.79/24")), allowed: true},
		{
			name: "keys that are nearly ours", body: nadReview("apps", `{"name":"net-a","labels":{"multus-ipmgr.io/manged":"true"},"annotations":{"multus-ipmgr.io/managed":"true"}}`, ranged("10.10.1.70-10.10.1.79/24")), allowed: true,
			warnings: []string{"metadata.labels[multus-ipmgr.io/manged]: label multus-ipmgr.io/manged has no meaning; multus-ipmgr.io/managed is probably meant", "metadata.annotations[multus-ipmgr.io/managed]: annotation multus-ipmgr.io/managed has no meaning; it is read as a label"}, rules: "key-unknown,key-unknown",
		},
		{name: "reserved a moment ago", body: nadReview("apps", named, ranged("10.10.1.193-10.10.1.199/24")), allowed: true},
		{
			name: "not reserved", body: nadReview("apps", named, ranged("10.10.1.130-10.10.1.131/24")),
			message: []string{"the addresses of NetworkAttachmentDefinition apps/net-a cannot work", outside, "aws ec2 create-subnet-cidr-reservation --subnet-id subnet-a --cidr 10.10.1.130/31 --reservation-type explicit", "multus-ipmgr.io/validate=warn"},
			causes:  []string{"spec.config.ipam.range"}, rules: "not-reserved",
		},
		{
			name: "several mistakes at once", body: nadReview("apps", `{"generateName":"net-"}`, `{"type":"macvlan","master":"eth1","ipam":{"type":"whereabouts","ipRanges":[{"range":"10.10.1.1-10.10.1.3/24"},{"range":"x"}]}}`),
			message: []string{"NetworkAttachmentDefinition apps/net-*", "ipRanges[0].range: 10.10.1.1-10.10.1.3 is reserved by AWS", "ipRanges[1].range: whereabouts refuses"},
			causes:  []string{"spec.config.ipam.ipRanges[1].range", "spec.config.ipam.ipRanges[0].range"}, warnings: []string{"spec.config.type: macvlan"}, rules: "ipam-malformed,macvlan,aws-reserved",
		},
		{name: "a warning", body: nadReview("apps", named, ranged("10.10.1.64/26")), allowed: true, warnings: []string{"spec.config.ipam.range: the addresses get prefix length /26", "spec.config.ipam.range: 10.10.1.100-10.10.1.110 is handed out by apps/other too"}, rules: "prefix-length,range-overlap"},
		{name: "not reserved in a namespace that warns", body: nadReview("warned", named, ranged("10.10.1.130-10.10.1.131/24")), allowed: true, warnings: []string{outside}, rules: "not-reserved"},
		{name: "not reserved in a namespace without validation", body: nadReview("off", named, ranged("10.10.1.130-10.10.1.131/24")), allowed: true},
		{name: "not reserved in a namespace whose label has no meaning", body: nadReview("neither", named, ranged("10.10.1.130-10.10.1.131/24")), message: []string{outside}, causes: []string{"spec.config.ipam.range"}, rules: "not-reserved"},
		{name: "labelled as not managed", body: nadReview("apps", `{"name":"net-a","labels":{"multus-ipmgr.io/managed":"false"}}`, "{"), allowed: true},
		{name: "being deleted", body: nadReview("apps", `{"name":"net-a","deletionTimestamp":"2026-01-01T00:00:00Z"}`, "{"), allowed: true},
		{name: "of another plugin", body: nadReview("apps", named, `{"type":"bridge"}`), allowed: true},
		{name: "itself is no other", body: nadReview("apps", `{"name":"other"}`, ranged("10.10.1.100-10.10.1.110/24")), allowed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := s.postNAD(t, c.body)
			if code != http.StatusOK {
				t.Fatalf("%d %s", code, body)
			}
			got := decodeAnswer(t, body)
			if got.Allowed != c.allowed || got.UID != "1" || len(got.Patch) > 0 {
				t.Errorf("answer %s", body)
			}
			var causes []string
			if !got.Allowed {
				if got.Result.Code != http.StatusUnprocessableEntity || got.Result.Reason != metav1.StatusReasonInvalid {
					t.Errorf("status %+v", got.Result)
				}
				for _, part := range c.message {
					if !strings.Contains(got.Result.Message, part) {
						t.Errorf("message %q lacks %q", got.Result.Message, part)
					}
				}
				for _, c := range got.Result.Details.Causes {
					causes = append(causes, c.Field)
				}
			}
			if diff := cmp.Diff(c.causes, causes); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
			startEqually(t, c.warnings, got.Warnings)
			if got.AuditAnnotations["rules"] != c.rules {
				t.Errorf("rules %q, want %q", got.AuditAnnotations["rules"], c.rules)
			}
		})
	}
	_, metrics := s.get(t, "/metrics")
	for _, want := range []string{
		`multus_ipmgr_nad_admissions_total{decision="admitted"} 5`, `multus_ipmgr_nad_admissions_total{decision="warned"} 3`,
		`multus_ipmgr_nad_admissions_total{decision="denied"} 3`, `multus_ipmgr_nad_admissions_total{decision="skipped"} 2`,
		`multus_ipmgr_nad_findings_total{rule="not-reserved",severity="error"} 3`, `multus_ipmgr_nad_findings_total{rule="gateway",severity="warning"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// startEqually fails unless each text begins as is wanted.
func startEqually(t *testing.T, want, got []string) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d texts, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%q does not begin with %q", got[i], want[i])
		}
	}
}

func TestTheInstallationChoosesHowToValidate(t *testing.T) {
	for mode, allowed := range map[string]bool{"enforce": false, "warn": true, "off": true} {
		t.Run(mode, func(t *testing.T) {
			s := serve(t, &memory{reservations: []nad.Reservation{reserved(t, "10.10.1.64/26")}}, "--validate="+mode)
			_, body := s.postNAD(t, nadReview("apps", named, ranged("10.10.1.130-10.10.1.131/24")))
			if got := decodeAnswer(t, body); got.Allowed != allowed || (len(got.Warnings) > 0) != (mode == "warn") {
				t.Errorf("answer %s", body)
			}
		})
	}
}

func TestWithoutReservationsNADsAreAdmittedWithAWarning(t *testing.T) {
	s := serve(t, &memory{})
	_, body := s.postNAD(t, nadReview("apps", named, ranged("10.10.1.130-10.10.1.131/24")))
	got := decodeAnswer(t, body)
	if !got.Allowed {
		t.Errorf("answer %s", body)
	}
	startEqually(t, []string{"spec.config: no subnet CIDR reservation is known"}, got.Warnings)
}

func TestNADsThatCannotBeCheckedAreAdmittedWithAWarning(t *testing.T) {
	s := serve(t, &memory{reservations: []nad.Reservation{reserved(t, "10.10.1.64/26")}})
	_, body := s.postNAD(t, nadReview("unreadable", named, ranged("10.10.1.130-10.10.1.131/24")))
	got := decodeAnswer(t, body)
	if !got.Allowed || got.UID != "1" || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "connection refused") {
		t.Errorf("answer %s", body)
	}
	startEqually(t, []string{"the addresses were not checked: "}, got.Warnings)
	if _, metrics := s.get(t, "/metrics"); !strings.Contains(metrics, `multus_ipmgr_nad_admissions_total{decision="failed"} 1`) {
		t.Error("metrics do not count the failure")
	}
}

func TestReviewsThatAreNoneOfNADsAreErrors(t *testing.T) {
	s := serve(t, &memory{})
	const want = "/validate-nads reviews NetworkAttachmentDefinitions, and this is a Other.k8s.cni.cncf.io; fix the rules of the ValidatingWebhookConfiguration"
	_, body := s.postNAD(t, strings.Replace(nadReview("apps", named, "{}"), `"kind":"NetworkAttachmentDefinition"},`, `"kind":"Other"},`, 1))
	if got := decodeAnswer(t, body); got.Allowed || got.Result.Code != http.StatusBadRequest || got.Result.Message != want {
		t.Errorf("answer %s", body)
	}
	if code, body := s.postNAD(t, strings.Replace(nadReview("apps", named, "{}"), `"config":"{}"`, `"config":{}`, 1)); code != http.StatusBadRequest || !strings.Contains(body, "/request/object/spec/config") {
		t.Errorf("%d %s", code, body)
	}
}

func TestPodsAskForAddressesThatAreReserved(t *testing.T) {
	s := serve(t, &memory{
		reservations:      []nad.Reservation{reserved(t, "10.10.1.64/26")},
		freshReservations: []nad.Reservation{reserved(t, "10.10.1.192/28")},
	})
	for address, allowed := range map[string]bool{"10.10.1.80/24": true, "10.10.1.130/24": false, "10.10.1.193/24": true} {
		t.Run(address, func(t *testing.T) {
			_, body := s.post(t, reviewOf("apps", podOf(`[{"name":"net-a","ips":["`+address+`"]}]`)))
			got := decodeAnswer(t, body)
			if got.Allowed != allowed || !allowed && !strings.Contains(got.Result.Message, "no explicit subnet CIDR reservation covers 10.10.1.130") {
				t.Errorf("answer %s", body)
			}
		})
	}
}

func TestFlagsOfValidationAreRead(t *testing.T) {
	options, err := ParseOptions([]string{"--image=ipmgr", "--validate=off", "--zone-affinity=false", "--foreign-addresses=warn"}, "v0", "", io.Discard)
	if err != nil || options.Policy.Validation != inject.Off || !options.Policy.FreeZones || !options.Policy.AllowForeign {
		t.Errorf("policy %+v, error %v", options.Policy, err)
	}
	if _, err = ParseOptions([]string{"--image=ipmgr", "--validate=strictly"}, "v0", "", io.Discard); err == nil || !strings.Contains(err.Error(), `--validate="strictly": want one of ["enforce" "warn" "off"]`) {
		t.Errorf("error %v", err)
	}
}
