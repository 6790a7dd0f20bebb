package feed

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector shows the ages of caches, by resource.
type Collector func() map[string]time.Duration

func (Collector) description() *prometheus.Desc {
	return prometheus.NewDesc("multus_ipmgr_cache_age_seconds",
		"Time since the API server last said something of a resource that is cached: a list, a change or a bookmark.", []string{"resource"}, nil)
}

// Describe implements prometheus.Collector.
func (c Collector) Describe(out chan<- *prometheus.Desc) { out <- c.description() }

// Collect implements prometheus.Collector.
func (c Collector) Collect(out chan<- prometheus.Metric) {
	for resource, age := range c() {
		out <- prometheus.MustNewConstMetric(c.description(), prometheus.GaugeValue, age.Seconds(), resource)
	}
}
