package ec2api

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// instanceFields are the filters of DescribeInstances; those of ENIs appear as
// network-interface.NAME.
func (a *API) instanceFields() fields[worker] {
	out := fields[worker]{
		"owner-id":                  func(worker) []string { return one(a.World.Account) },
		"reservation-id":            func(w worker) []string { return one(launchID(w)) },
		"iam-instance-profile.name": func(w worker) []string { return one(w.Role) },
	}
	for name, value := range instanceTexts() {
		out[name] = func(w worker) []string { return one(value(a.instanceShape(w))) }
	}
	for name, value := range instanceTruths() {
		out[name] = func(w worker) []string { return one(strconv.FormatBool(value(a.instanceShape(w)))) }
	}
	for name, value := range map[string]func(group) string{
		"instance.group-id":   func(g group) string { return g.ID },
		"instance.group-name": func(g group) string { return g.Name },
	} {
		out[name] = func(w worker) []string {
			var all []string
			for _, g := range a.instanceShape(w).Groups.Items {
				all = append(all, value(g))
			}
			return all
		}
	}
	enis := a.eniFields()
	maps.Copy(enis, a.nestedFields())
	for name, values := range enis {
		out["network-interface."+name] = func(w worker) []string {
			var all []string
			for _, e := range w.enis {
				all = append(all, values(e)...)
			}
			return all
		}
	}
	for name := range strings.FieldsSeq(neverPassed) {
		out[name] = none[worker]
	}
	return out
}

// nestedFields are the filters of an instance's ENIs that
// DescribeNetworkInterfaces does not have.
func (a *API) nestedFields() fields[*world.ENI] {
	out := fields[*world.ENI]{
		"public-dns-name":                       a.public(func(p association) string { return p.DNSName }),
		"addresses.association.public-dns-name": a.public(func(p association) string { return p.DNSName }),
		"addresses.association.ip-owner-id":     a.public(func(p association) string { return p.Owner }),
		"ipv4-prefixes.ipv4-prefix":             func(e *world.ENI) []string { return texts(e.IPv4Prefixes).Items },
		"ipv6-prefixes.ipv6-prefix":             func(e *world.ENI) []string { return texts(e.IPv6Prefixes).Items },
		"ipv6-native":                           func(e *world.ENI) []string { return one(strconv.FormatBool(!e.Primary.IsValid())) },
		"tag-key":                               func(e *world.ENI) []string { return slices.Collect(maps.Keys(e.Tags)) },
		"tag-value":                             func(e *world.ENI) []string { return slices.Collect(maps.Values(e.Tags)) },
		"ipv6-addresses.is-primary-ipv6": func(e *world.ENI) (all []string) {
			for i := range e.IPv6 {
				all = append(all, strconv.FormatBool(i == 0 && e.PrimaryIPv6))
			}
			return all
		},
	}
	for name := range strings.FieldsSeq(`addresses.association.allocation-id addresses.association.association-id
		addresses.association.carrier-ip addresses.association.customer-owned-ip association.carrier-ip
		association.customer-owned-ip outpost-arn`) {
		out[name] = none[*world.ENI]
	}
	return out
}

// instanceTexts are the filters that compare one text.
func instanceTexts() map[string]func(instanceShape) string {
	return map[string]func(instanceShape) string{
		"architecture":                func(i instanceShape) string { return i.Architecture },
		"availability-zone":           func(i instanceShape) string { return i.Placement.Zone },
		"availability-zone-id":        func(i instanceShape) string { return i.Placement.ZoneID },
		"current-instance-boot-mode":  func(i instanceShape) string { return i.BootMode },
		"dns-name":                    func(i instanceShape) string { return i.DNSName },
		"hypervisor":                  func(i instanceShape) string { return i.Hypervisor },
		"iam-instance-profile.arn":    func(i instanceShape) string { return i.Profile.ARN },
		"iam-instance-profile.id":     func(i instanceShape) string { return i.Profile.ID },
		"image-id":                    func(i instanceShape) string { return i.Image },
		"instance-id":                 func(i instanceShape) string { return i.ID },
		"instance-state-code":         func(i instanceShape) string { return strconv.Itoa(i.State.Code) },
		"instance-state-name":         func(i instanceShape) string { return i.State.Name },
		"instance-type":               func(i instanceShape) string { return i.Type },
		"ip-address":                  func(i instanceShape) string { return i.PublicAddress },
		"ipv6-address":                func(i instanceShape) string { return i.IPv6Address },
		"launch-index":                func(i instanceShape) string { return strconv.Itoa(i.LaunchIndex) },
		"launch-time":                 func(i instanceShape) string { return i.Launched },
		"monitoring-state":            func(i instanceShape) string { return i.Monitoring },
		"platform-details":            func(i instanceShape) string { return i.Platform },
		"private-dns-name":            func(i instanceShape) string { return i.PrivateDNSName },
		"private-ip-address":          func(i instanceShape) string { return i.PrivateAddress },
		"root-device-name":            func(i instanceShape) string { return i.RootDevice },
		"root-device-type":            func(i instanceShape) string { return i.RootDeviceType },
		"subnet-id":                   func(i instanceShape) string { return i.Subnet },
		"tenancy":                     func(i instanceShape) string { return i.Placement.Tenancy },
		"usage-operation":             func(i instanceShape) string { return i.Usage },
		"usage-operation-update-time": func(i instanceShape) string { return i.UsageSince },
		"virtualization-type":         func(i instanceShape) string { return i.Virtualization },
		"vpc-id":                      func(i instanceShape) string { return i.VPC },

		"maintenance-options.auto-recovery": func(i instanceShape) string { return i.AutoRecovery },
		"capacity-reservation-specification.capacity-reservation-preference": func(i instanceShape) string {
			return i.CapacityPreference
		},
		"metadata-options.http-endpoint":               func(i instanceShape) string { return i.Metadata.Endpoint },
		"metadata-options.http-protocol-ipv4":          func(instanceShape) string { return "enabled" },
		"metadata-options.http-protocol-ipv6":          func(i instanceShape) string { return i.Metadata.IPv6 },
		"metadata-options.http-put-response-hop-limit": func(i instanceShape) string { return strconv.Itoa(i.Metadata.HopLimit) },
		"metadata-options.http-tokens":                 func(i instanceShape) string { return i.Metadata.Tokens },
		"metadata-options.instance-metadata-tags":      func(i instanceShape) string { return i.Metadata.Tags },
		"metadata-options.state":                       func(i instanceShape) string { return i.Metadata.State },
		"private-dns-name-options.hostname-type":       func(i instanceShape) string { return i.DNSNames.Type },
	}
}

// instanceTruths are the filters that compare true or false.
func instanceTruths() map[string]func(instanceShape) bool {
	return map[string]func(instanceShape) bool{
		"ebs-optimized":                  func(i instanceShape) bool { return i.EBSOptimized },
		"ena-support":                    func(i instanceShape) bool { return i.ENA },
		"enclave-options.enabled":        func(i instanceShape) bool { return i.Enclave },
		"hibernation-options.configured": func(i instanceShape) bool { return i.Hibernation },
		"operator.managed":               func(i instanceShape) bool { return i.Operator.Managed },
		"source-dest-check":              func(i instanceShape) bool { return i.SourceDestCheck },
		"private-dns-name-options.enable-resource-name-dns-a-record":    func(i instanceShape) bool { return i.DNSNames.IPv4 },
		"private-dns-name-options.enable-resource-name-dns-aaaa-record": func(i instanceShape) bool { return i.DNSNames.IPv6 },
	}
}

// neverPassed are the filters for what no instance of this simulator has, such
// as volumes, dedicated hosts and spot requests.
const neverPassed = `affinity block-device-mapping.attach-time block-device-mapping.delete-on-termination
	block-device-mapping.device-name block-device-mapping.status block-device-mapping.volume-id boot-mode
	capacity-reservation-id capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id
	capacity-reservation-specification.capacity-reservation-target.capacity-reservation-resource-group-arn
	client-token host-id instance-lifecycle kernel-id key-name network-performance-options.bandwidth-weighting
	operator.principal outpost-arn placement-group-name placement-partition-number platform product-code
	product-code.type ramdisk-id reason requester-id spot-instance-request-id state-reason-code state-reason-message`
