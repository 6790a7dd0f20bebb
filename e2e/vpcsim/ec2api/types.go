package ec2api

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aws/amazon-vpc-resource-controller-k8s/pkg/aws/vpc"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
)

type typesReply struct {
	Head
	Types     set[typeShape] `xml:"instanceTypeSet"`
	NextToken string         `xml:"nextToken,omitempty"`
}

type typeShape struct {
	Name       string  `xml:"instanceType"`
	BareMetal  bool    `xml:"bareMetal"`
	Hypervisor string  `xml:"hypervisor,omitempty"`
	Network    network `xml:"networkInfo"`
}

type network struct {
	Performance string    `xml:"networkPerformance,omitempty"`
	MaxENIs     int       `xml:"maximumNetworkInterfaces"`
	MaxCards    int       `xml:"maximumNetworkCards"`
	DefaultCard int       `xml:"defaultNetworkCardIndex"`
	Cards       set[card] `xml:"networkCards"`
	IPv4        int       `xml:"ipv4AddressesPerInterface"`
	IPv6        int       `xml:"ipv6AddressesPerInterface"`
	HasIPv6     bool      `xml:"ipv6Supported"`
}

type card struct {
	Index       int64  `xml:"networkCardIndex"`
	Performance string `xml:"networkPerformance,omitempty"`
	MaxENIs     int64  `xml:"maximumNetworkInterfaces"`
}

func describeTypes(a *API, p query.Params) (reply, error) {
	filters, err := parseFilters(p, a.typeFields(), nil)
	if err != nil {
		return nil, err
	}
	names, err := a.typeNames(p.List("InstanceType"))
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !passes(name, filters) })
	names, next, err := page(a, p, names, func(name string) string { return name }, pageRule{min: 5, max: 100, whole: 100, ids: "InstanceType"})
	if err != nil {
		return nil, err
	}
	out := &typesReply{NextToken: next}
	for _, name := range names {
		l, _ := a.World.Limits(name)
		out.Types.Items = append(out.Types.Items, typeOf(name, l))
	}
	return out, nil
}

// typeNames returns the wanted types, or all when none is named.
func (a *API) typeNames(want []string) ([]string, error) {
	if len(want) == 0 {
		return a.World.InstanceTypes(), nil
	}
	var unknown []string
	for _, name := range want {
		if _, ok := a.World.Limits(name); !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, apierr.New("InvalidInstanceType", "The following supplied instance types do not exist: [%s]",
			strings.Join(unknown, ", "))
	}
	return slices.Clone(want), nil
}

func typeOf(name string, l *vpc.VPCLimits) typeShape {
	out := typeShape{Name: name, BareMetal: l.IsBareMetal, Network: network{
		MaxENIs: l.Interface, MaxCards: max(1, len(l.NetworkCards)), DefaultCard: l.DefaultNetworkCardIndex,
		IPv4: l.IPv4PerInterface, IPv6: l.IPv4PerInterface, HasIPv6: true,
	}}
	if l.Hypervisor != "unknown" {
		out.Hypervisor = l.Hypervisor
	}
	if len(l.NetworkCards) > 0 {
		out.Network.Performance = l.NetworkCards[0].NetworkPerformance
	}
	for _, c := range l.NetworkCards {
		out.Network.Cards.Items = append(out.Network.Cards.Items,
			card{Index: c.NetworkCardIndex, Performance: c.NetworkPerformance, MaxENIs: c.MaximumNetworkInterfaces})
	}
	return out
}

func (a *API) typeFields() fields[string] {
	number := func(value func(*vpc.VPCLimits) int) func(string) []string {
		return func(name string) []string {
			l, _ := a.World.Limits(name)
			return one(strconv.Itoa(value(l)))
		}
	}
	return fields[string]{
		"instance-type": one,
		"hypervisor": func(name string) []string {
			l, _ := a.World.Limits(name)
			return one(l.Hypervisor)
		},
		"bare-metal": func(name string) []string {
			l, _ := a.World.Limits(name)
			return one(strconv.FormatBool(l.IsBareMetal))
		},
		"network-info.maximum-network-interfaces": number(func(l *vpc.VPCLimits) int { return l.Interface }),
		"network-info.maximum-network-cards":      number(func(l *vpc.VPCLimits) int { return max(1, len(l.NetworkCards)) }),
		"network-info.network-performance": func(name string) []string {
			l, _ := a.World.Limits(name)
			return one(typeOf(name, l).Network.Performance)
		},
		"network-info.ipv4-addresses-per-interface": number(func(l *vpc.VPCLimits) int { return l.IPv4PerInterface }),
		"network-info.ipv6-addresses-per-interface": number(func(l *vpc.VPCLimits) int { return l.IPv4PerInterface }),
		"network-info.ipv6-supported":               func(string) []string { return one("true") },
	}
}
