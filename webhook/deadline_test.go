package webhook

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

// stalledCluster has the enabled namespace "telco" in its caches and nothing
// else, and can read nothing.
func stalledCluster(t *testing.T) *cached {
	t.Helper()
	enabled := fmt.Sprintf(`{"metadata":{"name":"telco","labels":{%q:%q}}}`, inject.InjectLabel, inject.Enabled)
	return fill(t, served{
		"/api/v1/namespaces": list("meta.k8s.io/v1", "PartialObjectMetadataList", enabled), nadsPath: list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinitionList"),
	}.stalling)
}

// inTime answers a review by what can be read of a stalled cluster, in a bubble
// whose clock measures it.
func inTime(t *testing.T, path, body string) (answer *admissionv1.AdmissionResponse) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := review.New(stalledCluster(t), benchPolicy(), discard())
		started := time.Now()
		text := ask(t.Context(), h, path, body).Body.String()
		if took := time.Since(started); took > review.DecisionTimeout {
			t.Errorf("answered after %s, want at most %s", took, review.DecisionTimeout)
		}
		answer = decodeAnswer(t, text)
	})
	return answer
}

func TestManyReadsOfOneDecisionShareItsTime(t *testing.T) {
	t.Run("a pod is admitted with a warning of each network that could not be read", func(t *testing.T) {
		r := inTime(t, review.PodPath, reviewOf("telco", podOf("n1,n2,n3,n4,n5")))
		if text := strings.Join(r.Warnings, "\n"); !r.Allowed || !strings.Contains(text, "n1") || !strings.Contains(text, "n5") {
			t.Errorf("answer %+v, want it allowed with warnings", r)
		}
	})
	t.Run("a pod of a namespace that cannot be read is refused", func(t *testing.T) {
		r := inTime(t, review.PodPath, reviewOf("new", "{}"))
		if r.Allowed || r.Result == nil || r.Result.Code != http.StatusInternalServerError {
			t.Errorf("answer %+v, want an internal error", r)
		}
	})
	t.Run("a NAD of a namespace that cannot be read is admitted with a warning", func(t *testing.T) {
		r := inTime(t, review.NADPath, nadReview("new", "{}", "{}"))
		if !r.Allowed || len(r.Warnings) != 1 {
			t.Errorf("answer %+v, want it allowed with a warning", r)
		}
	})
}

var timeoutSeconds = regexp.MustCompile(`timeoutSeconds: (\d+)`)

// A decision that takes longer than the API server waits is lost, with its
// reason: what the manifests ask for and what the chart accepts at least.
func TestTheAPIServerWaitsLongerThanADecisionMayTake(t *testing.T) {
	least := int(review.DecisionTimeout.Seconds()) + 1
	files, err := filepath.Glob("../config/*/[mv]*ating.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("the webhook configurations in config: %v, %v", files, err)
	}
	for _, file := range files {
		waits := timeoutSeconds.FindAllStringSubmatch(textOf(t, file), -1)
		if len(waits) == 0 {
			t.Errorf("%s does not say how long the API server waits", file)
		}
		for _, wait := range waits {
			if n, _ := strconv.Atoi(wait[1]); n < least {
				t.Errorf("%s: %s, want %d or more", file, wait[0], least)
			}
		}
	}
	bound := fmt.Sprintf("lt (int $v.webhook.timeoutSeconds) %d", least)
	if !strings.Contains(textOf(t, "../charts/multus-ipmgr/templates/validate.yaml"), bound) {
		t.Errorf("the chart takes other values of webhook.timeoutSeconds, want it to refuse those %q", bound)
	}
}

func textOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
