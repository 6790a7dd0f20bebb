package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	kjson "sigs.k8s.io/json"
)

// Object is a Kubernetes object of a document, by itself or in a List.
type Object struct {
	// Pointer is where it is in the document, as a JSON pointer: "/items/0".
	Pointer    string
	APIVersion string
	Kind       string
	Namespace  string // empty when the object does not say it
	Name       string // with a star at its end when only its beginning is known
	Raw        json.RawMessage
}

// Objects returns the objects of a document; those of Lists one by one.
func (d Document) Objects() ([]Object, error) {
	if string(d.JSON) == "null" {
		return nil, nil
	}
	objects, err := objects("", d.JSON, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Source, err)
	}
	return objects, nil
}

// header is what all objects have.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name         string `json:"name"`
		GenerateName string `json:"generateName"`
		Namespace    string `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

func objects(pointer string, raw json.RawMessage, depth int) ([]Object, error) {
	var h header
	if len(raw) == 0 || raw[0] != '{' {
		return nil, errors.New("is not a Kubernetes object: want a map that begins with apiVersion and kind")
	}
	if err := Decode(raw, &h); err != nil {
		return nil, fmt.Errorf("is not a Kubernetes object: %w", err)
	}
	if h.Kind == "" || h.APIVersion == "" {
		return nil, errors.New("is not a Kubernetes object: apiVersion or kind is missing")
	}
	if !strings.HasSuffix(h.Kind, "List") {
		name := h.Metadata.Name
		if name == "" {
			name = h.Metadata.GenerateName + "*"
		}
		return []Object{{pointer, h.APIVersion, h.Kind, h.Metadata.Namespace, name, raw}}, nil
	}
	if depth == maxNesting {
		return nil, errors.New("is a List too deep in other Lists")
	}
	var all []Object
	for i, item := range h.Items {
		at := fmt.Sprintf("%s/items/%d", pointer, i)
		some, err := objects(at, item, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// Decode decodes JSON as the API server does: the case of keys matters.
func Decode(raw json.RawMessage, into any) error {
	return kjson.UnmarshalCaseSensitivePreserveInts(raw, into)
}

// Template is a pod, or what a workload makes pods of.
type Template struct {
	// Pointer is where it is in the document.
	Pointer string
	// Field is the same within the object, as fields are written, and ends in
	// a dot: "spec.template.". It is empty for a pod.
	Field string
	Raw   json.RawMessage
}

// Template returns the pod of an object. It reports false for objects that
// make no pods, and for kinds that it does not know.
func (o Object) Template() (Template, bool) {
	path, known := templatePath(o)
	if !known {
		return Template{}, false
	}
	t := Template{Pointer: o.Pointer, Raw: o.Raw}
	for _, key := range path {
		var fields map[string]json.RawMessage
		if Decode(t.Raw, &fields) != nil || len(fields[key]) == 0 {
			return Template{}, false
		}
		t.Pointer, t.Field, t.Raw = t.Pointer+"/"+key, t.Field+key+".", fields[key]
	}
	return t, true
}

// MakesPods reports whether Template knows where objects of this kind have
// their pod.
func (o Object) MakesPods() bool {
	_, known := templatePath(o)
	return known
}

func templatePath(o Object) ([]string, bool) {
	group, _, grouped := strings.Cut(o.APIVersion, "/")
	if !grouped {
		group = ""
	}
	switch group + "/" + o.Kind {
	case "/Pod":
		return nil, true
	case "/PodTemplate":
		return []string{"template"}, true
	case "/ReplicationController", "apps/Deployment", "apps/ReplicaSet", "apps/StatefulSet", "apps/DaemonSet", "batch/Job", "argoproj.io/Rollout":
		return []string{"spec", "template"}, true
	case "batch/CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}, true
	}
	return nil, false
}
