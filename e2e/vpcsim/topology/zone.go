package topology

import "strings"

// ZoneID returns the id that an availability zone has in all accounts, such as
// usw2-az1 for us-west-2a. In AWS the numbers differ between accounts; here a
// is 1.
func ZoneID(region, zone string) string {
	letter := strings.TrimPrefix(zone, region)
	if len(letter) != 1 || letter[0] < 'a' || letter[0] > 'z' {
		return zone
	}
	return short(region) + "-az" + string('1'+rune(letter[0]-'a'))
}

// short abbreviates a Region's name: us-west-2 is usw2, ap-southeast-1 apse1.
func short(region string) string {
	r := strings.NewReplacer("north", "n", "south", "s", "east", "e", "west", "w", "central", "c", "-", "")
	return r.Replace(region)
}

// PrivateDNSName returns the name that a VPC's DNS gives an address.
func PrivateDNSName(region, addr string) string {
	return "ip-" + strings.ReplaceAll(addr, ".", "-") + "." + PrivateDomain(region)
}

// PrivateDomain returns the domain of private names.
func PrivateDomain(region string) string {
	if region == "us-east-1" {
		return "ec2.internal"
	}
	return region + ".compute.internal"
}

// PublicDNSName returns the name of a public address.
func PublicDNSName(region, addr string) string {
	domain := region + ".compute.amazonaws.com"
	if region == "us-east-1" {
		domain = "compute-1.amazonaws.com"
	}
	return "ec2-" + strings.ReplaceAll(addr, ".", "-") + "." + domain
}
