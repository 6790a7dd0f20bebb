package imds

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/credentials"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// leaves is the content of the service: path below the API version -> value. A
// key that does not apply to the instance is absent, hence 404. Values are made
// when they are read, since reading credentials issues them.
type leaves map[string]func() string

// lookup returns the value or the listing at a path.
func (s *Service) lookup(in world.Instance, path string) (string, bool) {
	head, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	switch {
	case head == "":
		return strings.Join(versions(), "\n"), true
	case !slices.Contains(versions(), head):
		return "", false
	case rest == "": // unlike all other directories, without slashes
		return "dynamic\nmeta-data\nuser-data", true
	}
	tree := s.tree(in)
	if head != latest && (head == oldest || head < firstWithNetwork) {
		maps.DeleteFunc(tree, func(path string, _ func() string) bool { return strings.HasPrefix(path, "meta-data/network/") })
	}
	if value, ok := tree[rest]; ok {
		return value(), true
	}
	return tree.list(rest)
}

// Versions of the API that differ: those before firstWithNetwork have no
// network interfaces.
const (
	oldest           = "1.0"
	firstWithNetwork = "2011-01-01"
	latest           = "latest"
)

// versions lists the API versions, as the service does.
func versions() []string {
	return []string{
		oldest, "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
		"2009-04-04", firstWithNetwork, "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20",
		"2016-04-19", "2016-06-30", "2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01",
		"2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15", "2022-07-09", "2022-09-24", "2024-04-11", latest,
	}
}

// list returns the children of a directory, those with children of their own
// with a slash, and no newline at the end.
func (l leaves) list(dir string) (string, bool) {
	if dir != "" {
		dir += "/"
	}
	children := map[string]bool{}
	for path := range l {
		if rest, ok := strings.CutPrefix(path, dir); ok {
			name, _, more := strings.Cut(rest, "/")
			if more {
				name += "/"
			}
			children[name] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(children)), "\n"), len(children) > 0
}

// set adds a value unless it is empty.
func (l leaves) set(path, value string) {
	if value != "" {
		l[path] = func() string { return value }
	}
}

// tree builds everything that an instance can read, through the lag of IMDS.
func (s *Service) tree(in world.Instance) leaves {
	l, enis := leaves{}, slices.DeleteFunc(s.World.Attached(in.ID, lag.IMDS), func(e *world.ENI) bool {
		return e.Attachment.Status == world.AttachmentBegun
	})
	const md = "meta-data/"
	l.set(md+"instance-id", in.ID)
	l.set(md+"instance-type", in.Type)
	l.set(md+"autoscaling/target-lifecycle-state", s.Target(in.ID))
	l.set(md+"ami-id", "ami-0123456789abcdef0")
	l.set(md+"placement/availability-zone", in.Zone)
	l.set(md+"placement/availability-zone-id", topology.ZoneID(s.World.Region, in.Zone))
	l.set(md+"placement/region", s.World.Region)
	l.set(md+"services/domain", "amazonaws.com")
	l.set(md+"services/partition", "aws")
	address := ""
	if len(enis) > 0 && enis[0].Attachment.DeviceIndex == 0 {
		main := enis[0]
		name := s.hostname(in, main)
		l.set(md+"mac", main.MAC)
		if main.Primary.IsValid() {
			address = main.Primary.String()
			l.set(md+"local-ipv4", address)
		}
		l.set(md+"local-hostname", name)
		l.set(md+"hostname", name)
		l.set(md+"security-groups", s.groupNames(main))
		if len(main.IPv6) > 0 {
			l.set(md+"ipv6", main.IPv6[0].String())
		}
		if main.PublicIP.IsValid() {
			l.set(md+"public-ipv4", main.PublicIP.String())
			l.set(md+"public-hostname", topology.PublicDNSName(s.World.Region, main.PublicIP.String()))
		}
	}
	for _, e := range enis {
		s.addENI(l, in, e)
	}
	s.addRole(l, in)
	l.set("dynamic/instance-identity/document", s.identity(in, address))
	return l
}

// addENI adds what is below network/interfaces/macs for one ENI.
func (s *Service) addENI(l leaves, in world.Instance, e *world.ENI) {
	dir := "meta-data/network/interfaces/macs/" + e.MAC + "/"
	subnet, _ := s.World.Subnet(e.Subnet) // an ENI's subnet exists as long as the world
	l.set(dir+"device-number", strconv.Itoa(e.Attachment.DeviceIndex))
	l.set(dir+"interface-id", e.ID)
	l.set(dir+"mac", e.MAC)
	l.set(dir+"owner-id", e.Owner)
	l.set(dir+"security-group-ids", strings.Join(e.Groups, "\n"))
	l.set(dir+"security-groups", s.groupNames(e))
	l.set(dir+"local-ipv4s", lines(e.IPv4()))
	l.set(dir+"ipv6s", lines(e.IPv6))
	l.set(dir+"ipv4-prefix", lines(e.IPv4Prefixes))
	l.set(dir+"ipv6-prefix", lines(e.IPv6Prefixes))
	l.set(dir+"subnet-id", e.Subnet)
	l.set(dir+"local-hostname", s.hostname(in, e))
	s.addBlocks(l, dir, subnet)
	if e.PublicIP.IsValid() {
		l.set(dir+"public-ipv4s", e.PublicIP.String())
		l.set(dir+"public-hostname", topology.PublicDNSName(s.World.Region, e.PublicIP.String()))
		l.set(dir+"ipv4-associations/"+e.PublicIP.String(), e.Primary.String())
	}
	if limits, ok := s.World.Limits(in.Type); ok && len(limits.NetworkCards) > 1 {
		l.set(dir+"network-card", strconv.Itoa(e.Attachment.NetworkCard)) // absent on types with one card
	}
}

// addBlocks adds the CIDRs of an ENI's subnet and VPC. The real service writes
// those of IPv6 without shortening them.
func (s *Service) addBlocks(l leaves, dir string, subnet topology.Subnet) {
	v := s.World.VPCOf(subnet)
	if subnet.CIDR.IsValid() {
		l.set(dir+"subnet-ipv4-cidr-block", subnet.CIDR.String())
	}
	if subnet.IPv6CIDR.IsValid() {
		l.set(dir+"subnet-ipv6-cidr-blocks", uncompressed(subnet.IPv6CIDR))
	}
	l.set(dir+"vpc-id", v.ID)
	l.set(dir+"vpc-ipv4-cidr-block", v.CIDR.String())
	l.set(dir+"vpc-ipv4-cidr-blocks", lines(v.CIDRs(false)))
	var blocks []string
	for _, p := range v.CIDRs(true) {
		blocks = append(blocks, uncompressed(p))
	}
	l.set(dir+"vpc-ipv6-cidr-blocks", strings.Join(blocks, "\n"))
}

// uncompressed writes an IPv6 prefix with all eight groups, as in
// 2406:da18:86c:daf1:0:0:0:0/64.
func uncompressed(p netip.Prefix) string {
	b, groups := p.Addr().As16(), make([]string, 8)
	for i := range groups {
		groups[i] = strconv.FormatUint(uint64(b[2*i])<<8|uint64(b[2*i+1]), 16)
	}
	return strings.Join(groups, ":") + "/" + strconv.Itoa(p.Bits())
}

// hostname is named after the primary address, and after the instance where
// there is none.
func (s *Service) hostname(in world.Instance, e *world.ENI) string {
	if e.Primary.IsValid() {
		return topology.PrivateDNSName(s.World.Region, e.Primary.String())
	}
	return in.ID + "." + topology.PrivateDomain(s.World.Region)
}

func (s *Service) groupNames(e *world.ENI) string {
	var names []string
	for _, id := range e.Groups {
		names = append(names, s.World.GroupName(id))
	}
	return strings.Join(names, "\n")
}

// addRole adds the instance's role and its temporary credentials.
func (s *Service) addRole(l leaves, in world.Instance) {
	l["meta-data/iam/info"] = func() string {
		return document(map[string]string{
			"Code": "Success", "LastUpdated": s.key(in).Issued.Format(time.RFC3339),
			"InstanceProfileId":  "AIPAEXAMPLEEXAMPLE",
			"InstanceProfileArn": "arn:aws:iam::" + s.World.Account + ":instance-profile/" + in.Role,
		})
	}
	l["meta-data/iam/security-credentials/"+in.Role] = func() string {
		key := s.key(in)
		return document(map[string]string{
			"Code": "Success", "LastUpdated": key.Issued.Format(time.RFC3339), "Type": "AWS-HMAC",
			"AccessKeyId": key.ID, "SecretAccessKey": key.Secret, "Token": key.Token,
			"Expiration": key.Expires.Format(time.RFC3339),
		})
	}
}

func (s *Service) key(in world.Instance) credentials.Key {
	return s.Credentials.ForInstance(in.ID, s.clock(), time.Duration(s.Settings.Get().CredentialsLifetime))
}

func (s *Service) identity(in world.Instance, address string) string {
	return document(map[string]string{
		"accountId": s.World.Account, "architecture": "x86_64", "availabilityZone": in.Zone,
		"imageId": "ami-0123456789abcdef0", "instanceId": in.ID, "instanceType": in.Type,
		"pendingTime": in.Launched.UTC().Format(time.RFC3339), "privateIp": address, "region": s.World.Region,
		"version": "2017-09-30",
	})
}

func document(fields map[string]string) string {
	text, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		return "" // strings always encode
	}
	return string(text)
}

func lines[T interface{ String() string }](list []T) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = v.String()
	}
	return strings.Join(texts, "\n")
}
