package spec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of the settings. They are far above what an instance can have.
const (
	MaxNetworks       = 64  // networks of a node group
	MaxSubnets        = 32  // subnets of a network: one for each zone
	MaxSecurityGroups = 16  // EC2's own bound for an ENI
	MaxTags           = 40  // EC2 allows 50, of which eight are ours
	MaxDeviceIndex    = 127 // on one card
	MaxNetworkCard    = 63
	maxName           = 32
	maxTagKey         = 128
	maxTagValue       = 256
)

// WithDefaults returns the networks with every default filled in.
func WithDefaults(networks []Network) []Network {
	complete := slices.Clone(networks)
	for i := range complete {
		n := &complete[i]
		n.DeviceIndex = cmp.Or(n.DeviceIndex, i+1)
		n.HostName = cmp.Or(n.HostName, "eth"+strconv.Itoa(n.DeviceIndex))
		n.Addressing = cmp.Or(n.Addressing, FirstFree)
		n.IPv6 = cmp.Or(n.IPv6, IPv6Auto)
		demand := Required
		if !n.Workers.IsZero() {
			demand = Warn
		}
		n.Reservation = cmp.Or(n.Reservation, demand)
	}
	return complete
}

// Validate reports all mistakes in networks that WithDefaults completed. Each
// names the network and the field.
func Validate(networks []Network) error {
	switch {
	case len(networks) == 0:
		return errors.New("no network; want at least one")
	case len(networks) > MaxNetworks:
		return fmt.Errorf("%d networks; want at most %d", len(networks), MaxNetworks)
	}
	var errs []error
	for i := range networks {
		errs = append(errs, networks[i].mistakes(i)...)
	}
	return errors.Join(append(errs, duplicates(networks)...)...)
}

// mistakes lists those of one network, which is number i of the list.
func (n *Network) mistakes(i int) []error {
	var errs []error
	add := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", n.describe(i), field, err))
		}
	}
	add("name", matches(n.Name, label, maxName, "letters, digits, '-', '_' and '.'"))
	add("deviceIndex", between(n.DeviceIndex, 1, MaxDeviceIndex))
	add("networkCard", between(n.NetworkCard, 0, MaxNetworkCard))
	add("hostName", validLink(n.HostName))
	add("subnets", identifiers(n.Subnets, "subnet-", MaxSubnets))
	add("securityGroups", identifiers(n.SecurityGroups, "sg-", MaxSecurityGroups))
	add("addressing", oneOf(n.Addressing, FirstFree, Automatic))
	add("reservation", oneOf(n.Reservation, Required, Warn, Off))
	add("ipv6", oneOf(n.IPv6, IPv6Auto, IPv6Required, IPv6None))
	for _, err := range n.Workers.mistakes(n.Subnets) {
		add("workers", err)
	}
	if n.Addressing == Automatic && !n.Workers.IsZero() {
		add("workers", errors.New("is for first-free; with automatic EC2 chooses from the whole subnet"))
	}
	for _, err := range tagMistakes(n.Tags) {
		add("tags", err)
	}
	return errs
}

// describe names the network by its name, or by its place.
func (n *Network) describe(i int) string {
	if n.Name == "" || len(n.Name) > maxName {
		return fmt.Sprintf("network %d", i+1)
	}
	return fmt.Sprintf("network %q", n.Name)
}

// duplicates reports what two networks of one worker cannot share.
func duplicates(networks []Network) []error {
	var errs []error
	for field, of := range map[string]func(*Network) string{
		"name":     func(n *Network) string { return n.Name },
		"hostName": func(n *Network) string { return n.HostName },
		"deviceIndex": func(n *Network) string {
			return fmt.Sprintf("%d of card %d", n.DeviceIndex, n.NetworkCard)
		},
	} {
		seen := map[string]bool{}
		for i := range networks {
			value := of(&networks[i])
			if value != "" && seen[value] {
				errs = append(errs, fmt.Errorf("%s: %s: another network has %s too", networks[i].describe(i), field, value))
			}
			seen[value] = true
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

var (
	label      = regexp.MustCompile(`^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$`)
	identifier = regexp.MustCompile(`^[a-z]+-[0-9A-Za-z][-0-9A-Za-z]*$`)
)

func matches(text string, form *regexp.Regexp, longest int, want string) error {
	switch {
	case text == "":
		return errors.New("is missing")
	case len(text) > longest:
		return fmt.Errorf("has %d characters; want at most %d", len(text), longest)
	case !form.MatchString(text):
		return fmt.Errorf("%q; want %s, first and last a letter or a digit", text, want)
	}
	return nil
}

func between(n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("%d; want %d to %d", n, least, most)
	}
	return nil
}

func oneOf[T ~string](value T, allowed ...T) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%q; want one of %q", value, allowed)
}

// validLink keeps to the kernel's rule for link names (dev_valid_name), which
// is stricter than that for alternative names.
func validLink(name string) error {
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r") {
		return fmt.Errorf("%q is not a name for a link; want at most 15 characters", name)
	}
	return nil
}

// identifiers checks AWS's ids of one kind. Only their beginning is certain.
func identifiers(ids []string, prefix string, most int) error {
	if len(ids) == 0 || len(ids) > most {
		return fmt.Errorf("%d ids; want 1 to %d", len(ids), most)
	}
	for i, id := range ids {
		switch {
		case !strings.HasPrefix(id, prefix) || len(id) > 64 || !identifier.MatchString(id):
			return fmt.Errorf("%.80q is not an id that begins with %s", id, prefix)
		case slices.Contains(ids[:i], id):
			return fmt.Errorf("%s is there twice", id)
		}
	}
	return nil
}

// tagMistakes lists keys that are not the user's to set, and what EC2 refuses.
func tagMistakes(tags map[string]string) []error {
	var errs []error
	if len(tags) > MaxTags {
		return []error{fmt.Errorf("%d tags; want at most %d", len(tags), MaxTags)}
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		lower := strings.ToLower(key)
		switch {
		case key == "" || utf8.RuneCountInString(key) > maxTagKey:
			errs = append(errs, fmt.Errorf("%.80q; want keys of 1 to %d characters", key, maxTagKey))
		case utf8.RuneCountInString(tags[key]) > maxTagValue:
			errs = append(errs, fmt.Errorf("%q: want values of at most %d characters", key, maxTagValue))
		case strings.HasPrefix(lower, "aws:"), strings.HasPrefix(lower, "multus-ipmgr.io/"), strings.HasPrefix(lower, "node.k8s.amazonaws.com/"):
			errs = append(errs, fmt.Errorf("%q: keys of AWS, of the VPC CNI and of multus-ipmgr are not for you to set", key))
		}
	}
	return errs
}
