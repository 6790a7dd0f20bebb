package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	jsonv2 "github.com/go-json-experiment/json" // encoding/json/v2 from Go 1.27 on
	"github.com/go-json-experiment/json/jsontext"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// reviewVersion is the version of AdmissionReview that is spoken.
const reviewVersion = "admission.k8s.io/v1"

// review is an AdmissionReview, as far as it is read, of an object of type T.
// One pass over the request's bytes decodes both.
type review[T any] struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	Request    *request[T] `json:"request"`
}

// request is the AdmissionRequest within a review.
type request[T any] struct {
	UID       string    `json:"uid"`
	Kind      groupKind `json:"kind"`
	Namespace string    `json:"namespace"`
	Operation string    `json:"operation"`
	DryRun    bool      `json:"dryRun"`
	Object    T         `json:"object"`
	OldObject oldObject `json:"oldObject"`
}

// oldObject is what is read of an object before it is updated.
type oldObject struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// groupKind is the kind of the object under review.
type groupKind struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
}

// String is the kind as users write it: "Pod", "Deployment.apps".
func (k groupKind) String() string {
	if k.Group == "" {
		return k.Kind
	}
	return k.Kind + "." + k.Group
}

// response is the AdmissionResponse.
type response struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	Status           *status           `json:"status,omitempty"`
	Patch            []byte            `json:"patch,omitempty"`
	PatchType        string            `json:"patchType,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
}

// status is the metav1.Status that explains a refusal.
type status struct {
	Status  string   `json:"status"`
	Message string   `json:"message"`
	Reason  string   `json:"reason"`
	Code    int      `json:"code"`
	Details *details `json:"details,omitempty"`
}

// details is the metav1.StatusDetails of a refusal of certain fields.
type details struct {
	Name   string  `json:"name,omitempty"`
	Group  string  `json:"group,omitempty"`
	Kind   string  `json:"kind,omitempty"`
	Causes []cause `json:"causes,omitempty"`
}

// cause is the metav1.StatusCause of one field.
type cause struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Field   string `json:"field"`
}

// maxValues is how many JSON values of a review are read; those that nobody
// looks at do not count. Pods and networks have some hundred. Without a limit,
// a list of millions of empty objects would take twenty times its length.
const maxValues = 4000

// decodeReview reads a review and returns its request, which has a UID. The
// error says what is wrong with the bytes.
func decodeReview[T any](body []byte) (*request[T], error) {
	if len(body) == 0 {
		return nil, errors.New("the body is empty; want an AdmissionReview of " + reviewVersion)
	}
	var r review[T]
	// Version 2 of encoding/json reads in one pass, not two, and takes field
	// names by their case, as the API server does. Decoding is most of the work.
	if err := jsonv2.Unmarshal(body, &r, decoding(body)); err != nil {
		return nil, fmt.Errorf("the body is no AdmissionReview: %w", err)
	}
	switch {
	case r.Kind != "AdmissionReview" || r.APIVersion != reviewVersion:
		return nil, fmt.Errorf("the body is %q of %q; want AdmissionReview of %s", r.Kind, r.APIVersion, reviewVersion)
	case r.Request == nil || r.Request.UID == "":
		return nil, errors.New("the AdmissionReview has no request with a uid")
	}
	return r.Request, nil
}

// decoding are the options to decode a body. Looking for a name that an object
// has twice would remember all names, and the API server sends none.
func decoding(body []byte) jsonv2.Options {
	options := jsontext.AllowDuplicateNames(true)
	// Each value follows one of these, so most bodies need not be counted.
	if bytes.Count(body, []byte(","))+bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) < maxValues {
		return options
	}
	values := 0
	count := jsonv2.UnmarshalFromFunc(func(*jsontext.Decoder, any) error {
		values++
		if values > maxValues {
			return fmt.Errorf("it has more than %d values", maxValues)
		}
		return errors.ErrUnsupported // decode it as ever
	})
	return jsonv2.JoinOptions(options, jsonv2.WithUnmarshalers(count))
}

// encodeReview writes the answer. Nothing of the request but its UID is in it.
func encodeReview(r response) ([]byte, error) {
	return json.Marshal(struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Response   response `json:"response"`
	}{reviewVersion, "AdmissionReview", r})
}

// answer is a decision in the API's terms.
func answer(uid string, d inject.Decision) (response, error) {
	r := response{UID: uid, Allowed: true, Warnings: d.Warnings, AuditAnnotations: map[string]string{"reason": string(d.Reason)}}
	switch d.Reason.Outcome() {
	case inject.Denied:
		r.Allowed = false
		r.Status = &status{Status: "Failure", Message: d.Message(), Reason: "Invalid", Code: http.StatusUnprocessableEntity}
	case inject.Patched:
		patch, err := json.Marshal(d.Patch)
		if err != nil {
			return response{}, fmt.Errorf("encoding the patch: %w", err)
		}
		r.Patch, r.PatchType = patch, "JSONPatch"
	}
	return r, nil
}

// refuse is the answer when no decision was possible.
func refuse(uid string, code int, reason string, err error) response {
	return response{UID: uid, Status: &status{Status: "Failure", Message: err.Error(), Reason: reason, Code: code}}
}
