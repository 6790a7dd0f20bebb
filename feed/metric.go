package feed

import "github.com/prometheus/client_golang/prometheus"

func age() *prometheus.Desc {
	return prometheus.NewDesc("multus_ipmgr_cache_age_seconds",
		"Time since the API server last said something of a resource that is cached: a list, a change or a bookmark.", []string{"resource"}, nil)
}

// Describe implements prometheus.Collector.
func (s Set) Describe(out chan<- *prometheus.Desc) { out <- age() }

// Collect implements prometheus.Collector.
func (s Set) Collect(out chan<- prometheus.Metric) {
	for _, f := range s {
		if since, known := f.Age(); known {
			out <- prometheus.MustNewConstMetric(age(), prometheus.GaugeValue, since.Seconds(), f.Name.Resource)
		}
	}
}
