package review

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	jsonv2 "github.com/go-json-experiment/json" // encoding/json/v2 from Go 1.27 on
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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
	UID       types.UID `json:"uid"`
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
		return nil, fmt.Errorf("the body is not an AdmissionReview: %w", err)
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
func encodeReview(r *admissionv1.AdmissionResponse) ([]byte, error) {
	return json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: reviewVersion, Kind: "AdmissionReview"}, Response: r,
	})
}

// allow is the answer that changes nothing.
func allow(uid types.UID, warnings ...string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{UID: uid, Allowed: true, Warnings: warnings}
}

// deny is the answer to what the user has to change.
func deny(uid types.UID, message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{UID: uid, Result: &metav1.Status{
		Status: metav1.StatusFailure, Message: message, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity,
	}}
}

// refuse is the answer when no decision was possible.
func refuse(uid types.UID, code int32, reason metav1.StatusReason, err error) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{UID: uid, Result: &metav1.Status{Status: metav1.StatusFailure, Message: err.Error(), Reason: reason, Code: code}}
}

// answer is a decision in the API's terms.
func answer(uid types.UID, d inject.Decision) (*admissionv1.AdmissionResponse, error) {
	r := allow(uid)
	switch d.Reason.Outcome() {
	case inject.Denied:
		r = deny(uid, d.Message())
	case inject.Patched:
		patch, err := json.Marshal(d.Patch)
		if err != nil {
			return nil, fmt.Errorf("encoding the patch: %w", err)
		}
		r.Patch, r.PatchType = patch, new(admissionv1.PatchTypeJSONPatch)
	}
	r.Warnings, r.AuditAnnotations = d.Warnings, map[string]string{"reason": string(d.Reason)}
	return r, nil
}
