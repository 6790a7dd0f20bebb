package kubelet_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/kubelet"
)

func fromField(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

func TestEnvironmentIsResolvedAsTheKubeletDoes(t *testing.T) {
	for name, test := range map[string]struct {
		env  []corev1.EnvVar
		want []string
	}{
		"no variables are an empty environment":        {nil, []string{}},
		"a value stands for itself":                    {[]corev1.EnvVar{{Name: "A", Value: "1,2"}}, []string{"A=1,2"}},
		"an earlier variable is expanded":              {[]corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "<$(A)>"}}, []string{"A=1", "B=<1>"}},
		"a later one is not":                           {[]corev1.EnvVar{{Name: "B", Value: "$(A)"}, {Name: "A", Value: "1"}}, []string{"B=$(A)", "A=1"}},
		"two dollars are one":                          {[]corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "$$(A)"}}, []string{"A=1", "B=$(A)"}},
		"a dollar before anything else stays":          {[]corev1.EnvVar{{Name: "A", Value: "$HOME 5$ $(open"}}, []string{"A=$HOME 5$ $(open"}},
		"the last of two values counts":                {[]corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}, []string{"A=2"}},
		"fields of the metadata are read":              {[]corev1.EnvVar{fromField("N", "metadata.name"), fromField("S", "metadata.namespace")}, []string{"N=upf-1", "S=core"}},
		"a label is read":                              {[]corev1.EnvVar{fromField("L", "metadata.labels['app']")}, []string{"L=upf"}},
		"a missing annotation is empty":                {[]corev1.EnvVar{fromField("L", "metadata.annotations['none']")}, []string{"L="}},
		"the worker's address is read":                 {[]corev1.EnvVar{fromField("H", "status.hostIP")}, []string{"H=10.10.12.11"}},
		"a field's value is not expanded once more":    {[]corev1.EnvVar{{Name: "A", Value: "1"}, fromField("N", "metadata.labels['odd']")}, []string{"A=1", "N=$(A)"}},
		"a variable can be made of a field's variable": {[]corev1.EnvVar{fromField("H", "status.hostIP"), {Name: "U", Value: "http://$(H):80"}}, []string{"H=10.10.12.11", "U=http://10.10.12.11:80"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := admitted()
			pod.Labels["odd"] = "$(A)"
			got, err := kubelet.Environ(pod, corev1.Container{Env: test.env})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnvironmentReportsAllItCannotResolve(t *testing.T) {
	pod := admitted()
	pod.Status.HostIP = ""
	_, err := kubelet.Environ(pod, corev1.Container{
		EnvFrom: []corev1.EnvFromSource{{}},
		Env: []corev1.EnvVar{
			fromField("A", "status.hostIP"),
			fromField("B", "spec.priority"),
			{Name: "C", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{}}},
		},
	})
	for _, want := range []string{"envFrom", "A: status.hostIP is not set", "B: field spec.priority", "C: only values"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}
