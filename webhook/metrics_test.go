package webhook

import (
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/docs"
)

func TestMetricsAreAsDocumented(t *testing.T) {
	_, text := serve(t, &memory{}).get(t, "/metrics")
	diff, err := docs.MetricDifferences("../docs/metrics.md", "Webhook", text)
	if err != nil || diff != "" {
		t.Errorf("error %v, docs/metrics.md and the program (-page +program):\n%s", err, diff)
	}
}
