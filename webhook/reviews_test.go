package webhook

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

func TestReviewsAreAnsweredWithoutAServer(t *testing.T) {
	policy := inject.DefaultPolicy()
	policy.Image = "registry.example/ipmgr:v0"
	reviews := NewReviews(&memory{}, policy, discard())
	for path, want := range map[string]string{
		PodPath:  `"patchType":"JSONPatch"`,
		LatePath: "the pod has no IP manager",            // it comes after an admission that added none
		NADPath:  "reviews NetworkAttachmentDefinitions", // the review is of a pod
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(captured(t)))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		reviews.ServeHTTP(answer, request)
		if body := answer.Body.String(); answer.Code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, answer.Code, body, want)
		}
	}
}
