package imds

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/credentials"
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
	if head == "" {
		return "1.0\nlatest", true
	}
	if !isVersion(head) {
		return "", false
	}
	tree := s.tree(in)
	if value, ok := tree[rest]; ok {
		return value(), true
	}
	return tree.list(rest)
}

// isVersion reports whether a path begins with an API version. All versions,
// which are dates, have the same content here.
func isVersion(head string) bool {
	_, err := time.Parse(time.DateOnly, head)
	return head == "latest" || head == "1.0" || err == nil
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
	l, enis := leaves{}, s.World.Attached(in.ID, world.IMDS)
	const md = "meta-data/"
	l.set(md+"instance-id", in.ID)
	l.set(md+"instance-type", in.Type)
	l.set(md+"ami-id", "ami-0123456789abcdef0")
	l.set(md+"placement/availability-zone", in.Zone)
	l.set(md+"placement/availability-zone-id", topology.ZoneID(s.World.Region, in.Zone))
	l.set(md+"placement/region", s.World.Region)
	l.set(md+"services/domain", "amazonaws.com")
	l.set(md+"services/partition", "aws")
	address := ""
	if len(enis) > 0 && enis[0].Attachment.DeviceIndex == 0 {
		address = enis[0].Primary.String()
		name := topology.PrivateDNSName(s.World.Region, address)
		l.set(md+"mac", enis[0].MAC)
		l.set(md+"local-ipv4", address)
		l.set(md+"local-hostname", name)
		l.set(md+"hostname", name)
		l.set(md+"security-groups", strings.Join(enis[0].Groups, "\n"))
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
	l.set(dir+"security-groups", strings.Join(e.Groups, "\n"))
	l.set(dir+"local-ipv4s", lines(e.IPv4()))
	l.set(dir+"ipv6s", lines(e.IPv6))
	l.set(dir+"ipv4-prefix", lines(e.IPv4Prefixes))
	l.set(dir+"ipv6-prefix", lines(e.IPv6Prefixes))
	l.set(dir+"subnet-id", e.Subnet)
	l.set(dir+"subnet-ipv4-cidr-block", subnet.CIDR.String())
	l.set(dir+"vpc-id", s.World.VPC.ID)
	l.set(dir+"vpc-ipv4-cidr-block", s.World.VPC.CIDR.String())
	l.set(dir+"vpc-ipv4-cidr-blocks", s.World.VPC.CIDR.String())
	if e.Primary.IsValid() {
		l.set(dir+"local-hostname", topology.PrivateDNSName(s.World.Region, e.Primary.String()))
	}
	if subnet.IPv6CIDR.IsValid() {
		l.set(dir+"subnet-ipv6-cidr-blocks", subnet.IPv6CIDR.String())
	}
	if s.World.VPC.IPv6CIDR.IsValid() {
		l.set(dir+"vpc-ipv6-cidr-blocks", s.World.VPC.IPv6CIDR.String())
	}
	if limits, ok := topology.Limits(in.Type); ok && len(limits.NetworkCards) > 1 {
		l.set(dir+"network-card", strconv.Itoa(e.Attachment.NetworkCard)) // absent on types with one card
	}
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
