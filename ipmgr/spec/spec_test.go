package spec_test

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func TestParseOfAnEmptyEnvironmentIsTheDefault(t *testing.T) {
	got, err := spec.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := spec.Settings{
		Exclude: []string{"lo", "eth0"}, Discovery: spec.DiscoverAuto, Timeout: 2 * time.Minute,
		Verify: true, Resync: 30 * time.Second, LogLevel: slog.LevelInfo,
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if entries := spec.Environ(got); len(entries) != 0 {
		t.Errorf("the default renders as %q, want nothing", entries)
	}
}

func TestParseReadsEveryVariable(t *testing.T) {
	got, err := spec.Parse([]string{
		"PATH=/bin", "IPMGR_INTERFACES=net1, net2,net1", "IPMGR_EXCLUDE_INTERFACES=lo,eth0,net3",
		"IPMGR_EXCLUDE_ADDRESSES=192.168.0.0/16, fd00::/8",
		"IPMGR_POOLS=10.10.1.64/26,2600:1f13:0:1::/96", "IPMGR_DISCOVERY=ec2", "IPMGR_TIMEOUT=90s", "IPMGR_VERIFY=false",
		"IPMGR_RESYNC=10s", "IPMGR_RELEASE=true", "IPMGR_DRY_RUN=1", "IPMGR_METRICS_ADDRESS=:9100", "IPMGR_LOG_LEVEL=DEBUG",
		"IPMGR_HOST_IP=10.10.12.11",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := spec.Settings{
		Interfaces: []string{"net1", "net2"}, Exclude: []string{"lo", "eth0", "net3"},
		ExcludeAddresses: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd00::/8")},
		Pools:            []netip.Prefix{netip.MustParsePrefix("10.10.1.64/26"), netip.MustParsePrefix("2600:1f13:0:1::/96")},
		Discovery:        spec.DiscoverEC2, Timeout: 90 * time.Second, Resync: 10 * time.Second, Release: true, DryRun: true,
		MetricsAddress: ":9100", LogLevel: slog.LevelDebug, HostIP: netip.MustParseAddr("10.10.12.11"),
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, entry, want string }{
		{"a misspelt setting", "IPMGR_POOL=10.0.0.0/8", "no such setting"},
		{"an interface name with a slash", "IPMGR_INTERFACES=net1,a/b", "interface name"},
		{"an interface name of 16 characters", "IPMGR_INTERFACES=abcdefghijklmnop", "15 characters"},
		{"an empty name between commas", "IPMGR_EXCLUDE_INTERFACES=lo,,eth0", "interface name"},
		{"a pool that is an address", "IPMGR_POOLS=10.10.1.1", "not a CIDR"},
		{"a pool with host bits", "IPMGR_POOLS=10.10.1.65/26", "did you mean 10.10.1.64/26?"},
		{"a pool of IPv4 addresses written as IPv6", "IPMGR_POOLS=::ffff:10.10.1.64/122", "IPv4 CIDR"},
		{"an excluded address without length", "IPMGR_EXCLUDE_ADDRESSES=192.168.9.9", "not a CIDR"},
		{"an excluded range with host bits", "IPMGR_EXCLUDE_ADDRESSES=192.168.9.9/24", "did you mean 192.168.9.0/24?"},
		{"an excluded range of IPv4 addresses written as IPv6", "IPMGR_EXCLUDE_ADDRESSES=::ffff:0.0.0.0/96", "IPv4 CIDR"},
		{"more excluded ranges than the pod's addresses may be compared with", "IPMGR_EXCLUDE_ADDRESSES=" + strings.Repeat("10.0.0.0/8,", spec.MaxExcludeAddresses) + "10.0.0.0/8", "at most 256"},
		{"an unknown discovery", "IPMGR_DISCOVERY=dns", "auto, imds or ec2"},
		{"a timeout without unit", "IPMGR_TIMEOUT=120", "duration"},
		{"a timeout of zero", "IPMGR_TIMEOUT=0s", "above zero"},
		{"a negative resync", "IPMGR_RESYNC=-1s", "above zero"},
		{"a word for a boolean", "IPMGR_VERIFY=maybe", "true or false"},
		{"a metrics address without port", "IPMGR_METRICS_ADDRESS=localhost", "host:port"},
		{"a metrics port that is too large", "IPMGR_METRICS_ADDRESS=:70000", "port"},
		{"an unknown log level", "IPMGR_LOG_LEVEL=loud", "debug, info, warn or error"},
		{"a host address that is a name", "IPMGR_HOST_IP=worker1", "IP address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := spec.Parse([]string{tt.entry})
			if err == nil {
				t.Fatalf("%s was accepted", tt.entry)
			}
			name, _, _ := strings.Cut(tt.entry, "=")
			if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want one that names %s and says %q", err, name, tt.want)
			}
		})
	}
}

func TestParseReportsAllMistakesAtOnce(t *testing.T) {
	_, err := spec.Parse([]string{"IPMGR_TIMEOUT=x", "IPMGR_VERIFY=x", "IPMGR_TYPO=x"})
	for _, name := range []string{"IPMGR_TIMEOUT", "IPMGR_VERIFY", "IPMGR_TYPO"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
}

func TestParseIgnoresKubernetesServiceLinks(t *testing.T) {
	_, err := spec.Parse([]string{"IPMGR_SERVICE_HOST=10.96.0.7", "IPMGR_PORT=tcp://10.96.0.7:80", "IPMGR_PORT_80_TCP_ADDR=10.96.0.7", "IPMGR_X_SERVICE_PORT_HTTP=80"})
	if err != nil {
		t.Errorf("the links of a Service called ipmgr are refused: %v", err)
	}
}

func TestParseDoesNotTakeAMisspeltSettingForAServiceLink(t *testing.T) {
	if _, err := spec.Parse([]string{"IPMGR_METRICS_PORT=9100"}); err == nil {
		t.Error("IPMGR_METRICS_PORT is not a setting, but is accepted")
	}
}

// FuzzParse looks for settings that do not survive the way through the
// environment of the injected container.
func FuzzParse(f *testing.F) {
	f.Add("net1,net2", "lo,eth0", "192.168.0.0/16,fd00::/8", "10.10.1.64/26", "auto", "2m", "true", "30s", "false", ":9100", "info", "10.0.0.1")
	f.Add("", "", "0.0.0.0/0", "2600::/64,10.0.0.0/8", "imds", "1h2m3s", "0", "1ms", "T", "[::1]:1", "WARN", "::1")
	f.Fuzz(func(t *testing.T, interfaces, exclude, addresses, pools, discovery, timeout, verify, resync, release, metrics, level, host string) {
		s, err := spec.Parse([]string{
			"IPMGR_INTERFACES=" + interfaces, "IPMGR_EXCLUDE_INTERFACES=" + exclude, "IPMGR_EXCLUDE_ADDRESSES=" + addresses, "IPMGR_POOLS=" + pools, "IPMGR_DISCOVERY=" + discovery,
			"IPMGR_TIMEOUT=" + timeout, "IPMGR_VERIFY=" + verify, "IPMGR_RESYNC=" + resync, "IPMGR_RELEASE=" + release,
			"IPMGR_METRICS_ADDRESS=" + metrics, "IPMGR_LOG_LEVEL=" + level, "IPMGR_HOST_IP=" + host,
		})
		if err != nil {
			return
		}
		again, err := spec.Parse(spec.Environ(s))
		if err != nil {
			t.Fatalf("Parse(Environ(s)): %v for %q", err, spec.Environ(s))
		}
		if diff := cmp.Diff(s, again, compare); diff != "" {
			t.Errorf("Parse(Environ(s)) (-want +got):\n%s", diff)
		}
		if !slices.Equal(spec.Environ(s), spec.Environ(again)) {
			t.Errorf("Environ is not stable: %q, then %q", spec.Environ(s), spec.Environ(again))
		}
	})
}
