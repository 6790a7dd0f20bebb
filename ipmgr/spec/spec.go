// Package spec is the contract between the webhook, which renders the settings
// of the injected container as environment variables, and ipmgr, which parses
// them back. Parse(Environ(s)) equals s for every valid s.
package spec

import (
	"log/slog"
	"net/netip"
	"time"
)

// Mode says how long ipmgr runs.
type Mode string

// The two modes. They are the values of the multus-ipmgr.io/mode annotation and
// the first argument of ipmgr.
const (
	Init    Mode = "init"    // assign and verify the pod's addresses once, then exit
	Sidecar Mode = "sidecar" // the same, then follow the addresses until SIGTERM
)

// Modes lists the accepted modes, the default first.
func Modes() []Mode { return []Mode{Init, Sidecar} }

// Discovery says where ipmgr looks for the worker's ENIs.
type Discovery string

// The ways to find the worker's ENIs.
const (
	DiscoverAuto Discovery = "auto" // IMDS with a short deadline, then EC2
	DiscoverIMDS Discovery = "imds" // IMDS only
	DiscoverEC2  Discovery = "ec2"  // EC2 only
)

// Names of the environment variables.
const (
	EnvInterfaces     = "IPMGR_INTERFACES"
	EnvExclude        = "IPMGR_EXCLUDE_INTERFACES"
	EnvExcludeAddrs   = "IPMGR_EXCLUDE_ADDRESSES"
	EnvPools          = "IPMGR_POOLS"
	EnvDiscovery      = "IPMGR_DISCOVERY"
	EnvTimeout        = "IPMGR_TIMEOUT"
	EnvVerify         = "IPMGR_VERIFY"
	EnvResync         = "IPMGR_RESYNC"
	EnvRelease        = "IPMGR_RELEASE"
	EnvDryRun         = "IPMGR_DRY_RUN"
	EnvMetricsAddress = "IPMGR_METRICS_ADDRESS"
	EnvLogLevel       = "IPMGR_LOG_LEVEL"
	EnvHostIP         = "IPMGR_HOST_IP"
)

// MaxExcludeAddresses is how many CIDRs IPMGR_EXCLUDE_ADDRESSES may hold: every
// address of the pod is compared with each of them.
const MaxExcludeAddresses = 256

// Settings are what a user can choose about ipmgr.
type Settings struct {
	// Interfaces must carry an address before success is reported. Other
	// interfaces are managed too when they appear.
	Interfaces []string
	// Exclude names interfaces that are never touched.
	Exclude []string
	// ExcludeAddresses are CIDRs whose addresses are never touched, whatever
	// interface they are on. They do not count as an address that an interface
	// must carry.
	ExcludeAddresses []netip.Prefix
	// Pools are the CIDRs in which an address may be assigned and taken over.
	// Empty means the ENI's own subnet, and no taking over but from ENIs
	// tagged node.k8s.amazonaws.com/no_manage=true.
	Pools []netip.Prefix
	// Discovery is where the worker's ENIs are looked up.
	Discovery Discovery
	// Timeout is how long init mode retries transient failures.
	Timeout time.Duration
	// Verify makes success wait until the cloud shows the address on the ENI.
	Verify bool
	// Resync is the interval of sidecar mode's check against the cloud.
	Resync time.Duration
	// Release makes sidecar mode unassign addresses that left the pod, and all
	// of them on SIGTERM.
	Release bool
	// DryRun makes ipmgr say what it would do, and change nothing.
	DryRun bool
	// MetricsAddress is where Prometheus metrics are served; empty serves none.
	MetricsAddress string
	// LogLevel is the least severe level that is logged.
	LogLevel slog.Level
	// HostIP is the worker's own address. Without IMDS it finds the worker's
	// ENIs when no interface of the pod has an ENI's MAC.
	HostIP netip.Addr
}

// Default returns the settings of an empty environment.
func Default() Settings {
	return Settings{
		Exclude:   []string{"lo", "eth0"},
		Discovery: DiscoverAuto,
		Timeout:   120 * time.Second,
		Verify:    true,
		Resync:    30 * time.Second,
		LogLevel:  slog.LevelInfo,
	}
}
