package spec

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// variable joins one environment variable to one field of Settings. parse gets
// a non-empty value; render returns "" for a field that the variable cannot or
// need not express.
type variable struct {
	name   string
	parse  func(s *Settings, value string) error
	render func(s Settings) string
}

// variables is the whole contract, in the order in which it is documented.
func variables() []variable {
	return []variable{
		{EnvInterfaces, parseNames(func(s *Settings) *[]string { return &s.Interfaces }), func(s Settings) string { return strings.Join(s.Interfaces, ",") }},
		{EnvExclude, parseNames(func(s *Settings) *[]string { return &s.Exclude }), func(s Settings) string { return strings.Join(s.Exclude, ",") }},
		{EnvExcludeAddrs, parseExcludeAddresses, func(s Settings) string { return renderPrefixes(s.ExcludeAddresses) }},
		{EnvPools, parsePrefixes(func(s *Settings) *[]netip.Prefix { return &s.Pools }), func(s Settings) string { return renderPrefixes(s.Pools) }},
		{EnvDiscovery, parseDiscovery, func(s Settings) string { return string(s.Discovery) }},
		{EnvTimeout, parseDuration(func(s *Settings) *time.Duration { return &s.Timeout }), func(s Settings) string { return s.Timeout.String() }},
		{EnvVerify, parseBool(func(s *Settings) *bool { return &s.Verify }), func(s Settings) string { return strconv.FormatBool(s.Verify) }},
		{EnvResync, parseDuration(func(s *Settings) *time.Duration { return &s.Resync }), func(s Settings) string { return s.Resync.String() }},
		{EnvRelease, parseBool(func(s *Settings) *bool { return &s.Release }), func(s Settings) string { return strconv.FormatBool(s.Release) }},
		{EnvDryRun, parseBool(func(s *Settings) *bool { return &s.DryRun }), func(s Settings) string { return strconv.FormatBool(s.DryRun) }},
		{EnvMetricsAddress, parseMetricsAddress, func(s Settings) string { return s.MetricsAddress }},
		{EnvLogLevel, parseLogLevel, func(s Settings) string { return strings.ToLower(s.LogLevel.String()) }},
		{EnvHostIP, parseHostIP, renderHostIP},
	}
}

// Parse reads the settings from an environment in the form of os.Environ. A
// variable that is absent or empty keeps its default. All mistakes are
// reported at once, each with the variable, its value and what is accepted.
func Parse(environ []string) (Settings, error) {
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, "IPMGR_") {
			values[name] = strings.TrimSpace(value)
		}
	}
	s := Default()
	var errs []error
	for _, v := range variables() {
		value := values[v.name]
		delete(values, v.name)
		if value == "" {
			continue
		}
		if err := v.parse(&s, value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", v.name, value, err))
		}
	}
	return s, errors.Join(append(errs, unknown(values)...)...)
}

// Environ renders s as NAME=value entries, without those that say nothing but
// the default.
func Environ(s Settings) []string {
	var entries []string
	standard := Default()
	for _, v := range variables() {
		if value := v.render(s); value != "" && value != v.render(standard) {
			entries = append(entries, v.name+"="+value)
		}
	}
	return entries
}

// unknown reports misspelt settings. Kubernetes itself adds variables of the
// forms IPMGR_SERVICE_HOST, IPMGR_PORT=tcp://10.96.0.7:80 and IPMGR_PORT_80_TCP
// for a Service called "ipmgr" or "ipmgr-x"; those are not settings.
func unknown(values map[string]string) []error {
	var errs []error
	for name, value := range values {
		serviceLink := strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT_") ||
			strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
		if !serviceLink {
			errs = append(errs, fmt.Errorf("%s: no such setting", name))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

func parseNames(field func(*Settings) *[]string) func(*Settings, string) error {
	return func(s *Settings, value string) error {
		var names []string
		for name := range strings.SplitSeq(value, ",") {
			name = strings.TrimSpace(name)
			if err := validInterface(name); err != nil {
				return err
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		*field(s) = names
		return nil
	}
}

// validInterface keeps to the kernel's rule for link names (dev_valid_name).
func validInterface(name string) error {
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r") {
		return fmt.Errorf("%q is not an interface name; want names of at most 15 characters, separated by commas", name)
	}
	return nil
}

func parsePrefixes(field func(*Settings) *[]netip.Prefix) func(*Settings, string) error {
	return func(s *Settings, value string) error {
		var prefixes []netip.Prefix
		for text := range strings.SplitSeq(value, ",") {
			prefix, err := parsePrefix(strings.TrimSpace(text))
			if err != nil {
				return err
			}
			prefixes = append(prefixes, prefix)
		}
		*field(s) = prefixes
		return nil
	}
}

func parsePrefix(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return prefix, fmt.Errorf("%q is not a CIDR; want CIDRs such as 10.10.1.64/26, separated by commas", text)
	case prefix != prefix.Masked():
		return prefix, fmt.Errorf("%s has host bits set; did you mean %s?", prefix, prefix.Masked())
	case prefix.Addr().Is4In6():
		return prefix, fmt.Errorf("%s contains no address of a pod: write it as an IPv4 CIDR, such as 10.10.1.64/26", prefix)
	}
	return prefix, nil
}

func parseExcludeAddresses(s *Settings, value string) error {
	if n := strings.Count(value, ",") + 1; n > MaxExcludeAddresses {
		return fmt.Errorf("%d CIDRs are too many; want at most %d", n, MaxExcludeAddresses)
	}
	return parsePrefixes(func(s *Settings) *[]netip.Prefix { return &s.ExcludeAddresses })(s, value)
}

func renderPrefixes(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, ",")
}

func parseDiscovery(s *Settings, value string) error {
	d := Discovery(value)
	if d != DiscoverAuto && d != DiscoverIMDS && d != DiscoverEC2 {
		return errors.New("want auto, imds or ec2")
	}
	s.Discovery = d
	return nil
}

func parseDuration(field func(*Settings) *time.Duration) func(*Settings, string) error {
	return func(s *Settings, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return errors.New("want a duration above zero, such as 90s or 2m")
		}
		*field(s) = d
		return nil
	}
}

func parseBool(field func(*Settings) *bool) func(*Settings, string) error {
	return func(s *Settings, value string) error {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("want true or false")
		}
		*field(s) = b
		return nil
	}
}

func parseMetricsAddress(s *Settings, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return errors.New("want host:port or :port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("want a port between 0 and 65535")
	}
	s.MetricsAddress = value
	return nil
}

func parseLogLevel(s *Settings, value string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[strings.ToLower(value)]
	if !ok {
		return errors.New("want debug, info, warn or error")
	}
	s.LogLevel = level
	return nil
}

func parseHostIP(s *Settings, value string) error {
	addr, err := netip.ParseAddr(value)
	if err != nil {
		return errors.New("want the worker's IP address")
	}
	s.HostIP = addr
	return nil
}

func renderHostIP(s Settings) string {
	if !s.HostIP.IsValid() {
		return ""
	}
	return s.HostIP.String()
}
