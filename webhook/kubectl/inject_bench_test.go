package kubectl_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl"
)

// podList is one document with n pods on one network.
func podList(n int) string {
	var text strings.Builder
	text.WriteString("# all pods of the site\napiVersion: v1\nkind: List\nitems:\n")
	for i := range n {
		fmt.Fprintf(&text, `- apiVersion: v1
  kind: Pod
  metadata:
    name: pod-%d # one of many
    namespace: telco
    annotations:
      k8s.v1.cni.cncf.io/networks: net-a
  spec:
    containers:
    - name: app
      image: registry.example/app:1
`, i)
	}
	return text.String()
}

// BenchmarkInject shows that the work for a pod does not grow with the number
// of pods: ns/pod stays what it is.
func BenchmarkInject(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("a_list_of_%d_pods", n), func(b *testing.B) {
			text := podList(n)
			for b.Loop() {
				streams := kubectl.Streams{In: strings.NewReader(text), Out: io.Discard, Err: io.Discard}
				if code := kubectl.Run(b.Context(), []string{"inject", "-f", "-"}, "v1", streams); code != 0 {
					b.Fatalf("exit %d", code)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/pod")
		})
	}
}
