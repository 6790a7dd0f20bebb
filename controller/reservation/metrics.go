package reservation

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector returns metrics of the subnets that this replica manages.
func (r *Reconciler) Collector() prometheus.Collector { return newCollector(r.ledger) }

// collector shows the ledger. The one of a replica that is not the leader is
// empty.
type collector struct {
	ledger                       *ledger
	age, ranges, addresses, enis *prometheus.Desc
}

func newCollector(l *ledger) collector {
	return collector{
		ledger: l,
		age: prometheus.NewDesc("multus_ipmgr_reservation_age_seconds",
			"Time since the CIDR reservations of the subnet were last read from EC2.", []string{"subnet"}, nil),
		ranges: prometheus.NewDesc("multus_ipmgr_reservations",
			"CIDR reservations of the subnet, by type.", []string{"subnet", "type"}, nil),
		addresses: prometheus.NewDesc("multus_ipmgr_reserved_addresses",
			"Addresses of the reserved range, by state (used, free).", []string{"subnet", "cidr", "type", "state"}, nil),
		enis: prometheus.NewDesc("multus_ipmgr_eni_addresses",
			"Addresses of the ENI, its primary one among them, by family (ipv4, ipv6).", []string{"subnet", "eni", "instance", "family"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.age, c.ranges, c.addresses, c.enis} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	now := c.ledger.now()
	for subnet, e := range c.ledger.entries {
		gauge(c.age, age(e, c.ledger.started, now).Seconds(), subnet)
		c.reserved(gauge, subnet, e.ranges)
		for _, eni := range e.enis {
			gauge(c.enis, float64(eni.ipv4), subnet, eni.id, eni.instance, "ipv4")
			gauge(c.enis, float64(eni.ipv6), subnet, eni.id, eni.instance, "ipv6")
		}
	}
}

// age is the time since a subnet was read, or since it should have been.
func age(e *entry, started, now time.Time) time.Duration {
	if e.read.IsZero() {
		return now.Sub(started)
	}
	return now.Sub(e.read)
}

// reserved shows the reservations of a subnet.
func (c collector) reserved(gauge func(*prometheus.Desc, float64, ...string), subnet string, ranges []extent) {
	number := map[string]int{"explicit": 0, "prefix": 0}
	for _, r := range ranges {
		number[r.kind]++
		if r.count != nil {
			gauge(c.addresses, float64(r.count.Used), subnet, r.cidr, r.kind, "used")
			gauge(c.addresses, float64(r.count.Free), subnet, r.cidr, r.kind, "free")
		}
	}
	for kind, n := range number {
		gauge(c.ranges, float64(n), subnet, kind)
	}
}
