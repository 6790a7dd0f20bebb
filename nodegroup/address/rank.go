package address

import "strings"

// Claimant is an instance that still wants an ENI of a network.
type Claimant struct {
	Instance, Network string
}

func (c Claimant) compare(other Claimant) int {
	if by := strings.Compare(c.Instance, other.Instance); by != 0 {
		return by
	}
	return strings.Compare(c.Network, other.Network)
}

// Rank returns how many of the claimants of a subnet come before own, by
// instance and network: the number of its candidate. So workers that start
// together ask for different addresses, and for the first ones that are free,
// without speaking to each other. It is 0 for one that is not among them.
func Rank(own Claimant, claimants []Claimant) int {
	before, among := map[Claimant]bool{}, false
	for _, c := range claimants {
		switch by := c.compare(own); {
		case by == 0:
			among = true
		case by < 0:
			before[c] = true
		}
	}
	if !among {
		return 0
	}
	return len(before)
}
