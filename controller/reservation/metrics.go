package reservation

import "github.com/prometheus/client_golang/prometheus"

// Collector returns metrics of the subnets that this replica looks after.
func (r *Reconciler) Collector() prometheus.Collector { return collector{r.ledger} }

type collector struct{ ledger *ledger }

// The metrics. One that is not the leader shows none.
func (collector) descriptions() (age, ranges, addresses *prometheus.Desc) {
	return prometheus.NewDesc("multus_ipmgr_reservation_age_seconds",
			"Time since the CIDR reservations of the subnet were last read from EC2.", []string{"subnet"}, nil),
		prometheus.NewDesc("multus_ipmgr_reservations",
			"CIDR reservations of the subnet, by type.", []string{"subnet", "type"}, nil),
		prometheus.NewDesc("multus_ipmgr_reserved_addresses",
			"Addresses of the reserved range, by state (used, free).", []string{"subnet", "cidr", "type", "state"}, nil)
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	age, ranges, addresses := c.descriptions()
	out <- age
	out <- ranges
	out <- addresses
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	age, ranges, addresses := c.descriptions()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	for subnet, e := range c.ledger.entries {
		since := e.read
		if since.IsZero() {
			since = c.ledger.started
		}
		gauge(age, c.ledger.now().Sub(since).Seconds(), subnet)
		number := map[string]int{"explicit": 0, "prefix": 0}
		for _, r := range e.ranges {
			number[r.kind]++
			if r.count != nil {
				gauge(addresses, float64(r.count.Used), subnet, r.cidr, r.kind, "used")
				gauge(addresses, float64(r.count.Free), subnet, r.cidr, r.kind, "free")
			}
		}
		for kind, n := range number {
			gauge(ranges, float64(n), subnet, kind)
		}
	}
}
