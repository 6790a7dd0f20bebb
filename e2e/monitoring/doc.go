// Package monitoring judges the chart's alerts and its dashboard by
// Prometheus's own parser and by promtool. It has tests only; make chart-test
// runs them. Which metrics there are it takes from docs/metrics.md, which the
// programs' tests keep true.
package monitoring
