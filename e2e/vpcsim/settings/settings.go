// Package settings holds what can be changed while the simulator runs: delays,
// switches, and one knob for each AWS behaviour that no public source settles.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Settings is one consistent set of settings. The zero value is not usable;
// start with [Defaults].
type Settings struct {
	// Throttle turns EC2's token buckets on.
	Throttle bool `json:"throttle"`
	// ThrottleNamesAction words the 503 as AWS does since 2025, with account
	// and action, instead of "Request limit exceeded." alone.
	ThrottleNamesAction bool `json:"throttleNamesAction"`

	// Latency is spent before each EC2 call takes effect.
	Latency Duration `json:"latency"`
	// IMDSLatency is spent before each answer of the metadata service.
	IMDSLatency Duration `json:"imdsLatency"`
	// IMDSLag is the time from a change in EC2 until IMDS shows it.
	IMDSLag Duration `json:"imdsLag"`
	// DataPathLag is the time from a change in EC2 until packets follow it.
	DataPathLag Duration `json:"dataPathLag"`
	// DescribeLag is the time from a change until the Describe calls show it.
	// AWS showed changes at once in every capture read.
	DescribeLag Duration `json:"describeLag"`
	// DescribeJitter draws that time between 0 and DescribeLag, for each change
	// and each of DescribeInstances, DescribeNetworkInterfaces and
	// DescribeAutoScalingGroups: what one shows another may not show yet.
	DescribeJitter bool `json:"describeJitter"`

	// PendingTime is the time from the launch or the start of an instance until
	// it runs, and StoppingTime that until it has stopped or terminated.
	PendingTime  Duration `json:"pendingTime"`
	StoppingTime Duration `json:"stoppingTime"`
	// AttachTime is the time until an ENI is attached or detached.
	AttachTime Duration `json:"attachTime"`
	// TerminatedTime is how long a terminated instance is still described.
	TerminatedTime Duration `json:"terminatedTime"`

	// ClockOffset is how far AWS's clock is ahead of the machine's, negative when
	// it is behind: EC2 judges signatures by AWS's clock, its answers carry it as
	// Date, and credentials from IMDS end by it.
	ClockOffset Duration `json:"clockOffset"`

	// EC2, AutoScaling and IMDS say how the services answer at all.
	EC2         Health `json:"ec2"`
	AutoScaling Health `json:"autoscaling"`
	IMDS        Health `json:"imds"`
	// IMDSTrailingNewline ends every metadata value with a newline.
	IMDSTrailingNewline bool `json:"imdsTrailingNewline"`

	// CredentialsLifetime is how long credentials from IMDS last.
	CredentialsLifetime Duration `json:"credentialsLifetime"`
	// ExpiredTokenCode is the code for expired temporary credentials.
	ExpiredTokenCode string `json:"expiredTokenCode"`

	// ProceedTime is how long the members of a group stay in states such as
	// Pending:Proceed, after the last hook was answered.
	ProceedTime Duration `json:"proceedTime"`
	// RelaunchTime is the time from a launch that failed or was abandoned until
	// the group tries again.
	RelaunchTime Duration `json:"relaunchTime"`

	// EventLag is the time from something that happens until its event is
	// delivered. EventLoss, EventDuplicates and EventReorder are the shares, of
	// 0 to 1, of events that are lost, delivered twice, and overtaken by others.
	EventLag        Duration `json:"eventLag"`
	EventLoss       float64  `json:"eventLoss"`
	EventDuplicates float64  `json:"eventDuplicates"`
	EventReorder    float64  `json:"eventReorder"`
	// EventAction puts Action into events of launches and terminations too; those
	// of root volumes have it always.
	EventAction bool `json:"eventAction"`

	// Deny lists actions that are not authorised: 403 UnauthorizedOperation.
	Deny []string `json:"deny"`
	// RequireTag, as KEY or KEY=VALUE, is an IAM condition on the ENI that
	// Assign and Unassign calls name.
	RequireTag string `json:"requireTag"`
	// RequireTagOnSource extends RequireTag to the ENI that loses an address.
	RequireTagOnSource bool `json:"requireTagOnSource"`

	// IPv6InUseCode and IPv6InUseMessage answer AssignIpv6Addresses for an
	// address of another ENI. {address} and {eni} are filled in.
	IPv6InUseCode    string `json:"ipv6InUseCode"`
	IPv6InUseMessage string `json:"ipv6InUseMessage"`
	// IPv6RepeatError refuses an address that the ENI itself holds already,
	// instead of success with an empty list.
	IPv6RepeatError bool `json:"ipv6RepeatError"`
	// IPv6LimitCode is the code for too many IPv6 addresses on one ENI.
	IPv6LimitCode string `json:"ipv6LimitCode"`
	// NoFreePrefixCode answers a prefix count that finds no free block:
	// InsufficientCidrBlocks or InvalidParameterValue were both seen.
	NoFreePrefixCode string `json:"noFreePrefixCode"`
	// CrossAccountMoveCode answers the takeover of a secondary address from an
	// ENI of another account.
	CrossAccountMoveCode string `json:"crossAccountMoveCode"`
	// ReservationErrorCode answers a reservation of bad type, outside the
	// subnet, or overlapping another.
	ReservationErrorCode string `json:"reservationErrorCode"`
	// PrefixReservationRefusesExplicit refuses single addresses that lie in a
	// reservation of type prefix.
	PrefixReservationRefusesExplicit bool `json:"prefixReservationRefusesExplicit"`
	// PrefixReservationCountsAsUsed subtracts whole prefix reservations from
	// availableIpAddressCount.
	PrefixReservationCountsAsUsed bool `json:"prefixReservationCountsAsUsed"`
	// AttachPendingCode answers the attachment of an ENI to an instance that does
	// not run yet: IncorrectState, IncorrectInstanceState and InvalidInstanceID
	// are what siblings of that call were seen to say.
	AttachPendingCode string `json:"attachPendingCode"`
	// ENIQuota is how many ENIs the account may have, 0 for any number, and
	// ENIQuotaCode the code of one too many.
	ENIQuota     int    `json:"eniQuota"`
	ENIQuotaCode string `json:"eniQuotaCode"`
	// RefusedCreateBindsToken binds the client token of a CreateNetworkInterface
	// that was refused for an address in use: the token does not fit another
	// address then.
	RefusedCreateBindsToken bool `json:"refusedCreateBindsToken"`
	// UnattachedLimit is the number of addresses an unattached ENI may hold;
	// 0 means as many as the largest instance type allows.
	UnattachedLimit int `json:"unattachedLimit"`
	// PrivateIPFilterMatchesSecondaries lets the filter private-ip-address of
	// DescribeNetworkInterfaces match secondary addresses, as documented; it
	// was found to match primaries only.
	PrivateIPFilterMatchesSecondaries bool `json:"privateIPFilterMatchesSecondaries"`
	// ShortPages returns pages shorter than MaxResults, as EC2 does.
	ShortPages bool `json:"shortPages"`
	// EmptyPages makes every second page of a list empty, the first and the last
	// too. EC2 gives such pages, with a NextToken, where a filter leaves out all
	// of a page.
	EmptyPages bool `json:"emptyPages"`
	// Order is the order of lists. EC2's is arbitrary and changes.
	Order Order `json:"order"`
	// UnpaginatedLimit refuses Describe calls that neither filter nor paginate
	// once there are more items than this, as EC2 does for big accounts.
	// 0 means never.
	UnpaginatedLimit int `json:"unpaginatedLimit"`
}

// Order is the order in which the Describe calls list things.
type Order string

// The orders.
const (
	// Creation lists what was created first first.
	Creation Order = "creation"
	// Random lists in another order with each call, the same on all pages.
	Random Order = "random"
)

// Health says how a service answers.
type Health string

// The states of a service.
const (
	// Up serves normally.
	Up Health = "up"
	// Down never answers: packets are lost, callers wait until they give up.
	Down Health = "down"
	// Refused cuts each connection without an answer.
	Refused Health = "refused"
	// Failing answers 503.
	Failing Health = "failing"
	// Off answers 403, as IMDS does when it is disabled for the instance.
	Off Health = "off"
)

// Defaults returns the settings that a simulator starts with.
func Defaults() Settings {
	return Settings{
		EC2:                           Up,
		AutoScaling:                   Up,
		TerminatedTime:                Duration(time.Hour),
		RelaunchTime:                  Duration(10 * time.Second),
		EventAction:                   true,
		Order:                         Creation,
		IMDS:                          Up,
		CredentialsLifetime:           Duration(6 * time.Hour),
		ExpiredTokenCode:              "ExpiredToken",
		Deny:                          []string{},
		IPv6InUseCode:                 "InvalidParameterValue",
		IPv6InUseMessage:              "[{address}] assigned, but move is not allowed.",
		IPv6LimitCode:                 "PrivateIpAddressLimitExceeded",
		NoFreePrefixCode:              "InsufficientCidrBlocks",
		CrossAccountMoveCode:          "InvalidIPAddress.InUse",
		ReservationErrorCode:          "InvalidParameterValue",
		PrefixReservationCountsAsUsed: true,
		AttachPendingCode:             "IncorrectState",
		ENIQuotaCode:                  "NetworkInterfaceLimitExceeded",
		ShortPages:                    true,
	}
}

// With returns s changed by a JSON object. Only the keys it names change; an
// unknown key or a bad value is an error and changes nothing.
func (s Settings) With(patch []byte) (Settings, error) {
	dec := json.NewDecoder(bytes.NewReader(patch))
	dec.DisallowUnknownFields()
	s.Deny = slices.Clone(s.Deny) // the decoder writes into the old array otherwise
	if err := dec.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, errors.New("settings: more than one JSON value")
	}
	return s, s.validate()
}

func (s Settings) validate() error {
	var errs []error
	for name, d := range s.durations() {
		if d < 0 {
			errs = append(errs, fmt.Errorf("settings: %s is negative", name))
		}
	}
	if s.CredentialsLifetime == 0 {
		errs = append(errs, errors.New("settings: credentialsLifetime is zero"))
	}
	health := []Health{Up, Down, Refused, Failing, Off}
	for name, h := range map[string]Health{"ec2": s.EC2, "autoscaling": s.AutoScaling, "imds": s.IMDS} {
		if !slices.Contains(health, h) {
			errs = append(errs, fmt.Errorf("settings: %s is %q, want one of %q", name, h, health))
		}
	}
	if s.Order != Creation && s.Order != Random {
		errs = append(errs, fmt.Errorf("settings: order is %q, want %q or %q", s.Order, Creation, Random))
	}
	for name, code := range s.codes() {
		if code == "" || strings.ContainsAny(code, " \t\r\n<>&") {
			errs = append(errs, fmt.Errorf("settings: %s is %q, want an error code", name, code))
		}
	}
	for name, share := range map[string]float64{"eventLoss": s.EventLoss, "eventDuplicates": s.EventDuplicates, "eventReorder": s.EventReorder} {
		if share < 0 || share > 1 {
			errs = append(errs, fmt.Errorf("settings: %s is %v, want a share of 0 to 1", name, share))
		}
	}
	if s.UnattachedLimit < 0 || s.UnpaginatedLimit < 0 || s.ENIQuota < 0 {
		errs = append(errs, errors.New("settings: unattachedLimit, unpaginatedLimit and eniQuota cannot be negative"))
	}
	return errors.Join(errs...)
}

func (s Settings) durations() map[string]Duration {
	return map[string]Duration{
		"latency": s.Latency, "imdsLatency": s.IMDSLatency, "imdsLag": s.IMDSLag, "dataPathLag": s.DataPathLag,
		"describeLag": s.DescribeLag, "credentialsLifetime": s.CredentialsLifetime, "pendingTime": s.PendingTime,
		"stoppingTime": s.StoppingTime, "terminatedTime": s.TerminatedTime, "proceedTime": s.ProceedTime,
		"relaunchTime": s.RelaunchTime, "eventLag": s.EventLag, "attachTime": s.AttachTime,
	}
}

func (s Settings) codes() map[string]string {
	return map[string]string{
		"expiredTokenCode": s.ExpiredTokenCode, "ipv6InUseCode": s.IPv6InUseCode, "ipv6LimitCode": s.IPv6LimitCode,
		"noFreePrefixCode": s.NoFreePrefixCode, "crossAccountMoveCode": s.CrossAccountMoveCode,
		"reservationErrorCode": s.ReservationErrorCode, "attachPendingCode": s.AttachPendingCode, "eniQuotaCode": s.ENIQuotaCode,
	}
}

// Store gives every part of the simulator the current settings.
type Store struct{ current atomic.Pointer[Settings] }

// NewStore returns a store that holds s.
func NewStore(s Settings) *Store {
	st := &Store{}
	st.current.Store(&s)
	return st
}

// Get returns the current settings.
func (st *Store) Get() Settings { return *st.current.Load() }

// Patch applies a JSON object as [Settings.With] does and returns the result.
func (st *Store) Patch(patch []byte) (Settings, error) {
	for {
		old := st.current.Load()
		next, err := old.With(patch)
		if err != nil {
			return Settings{}, err
		}
		if st.current.CompareAndSwap(old, &next) {
			return next, nil
		}
	}
}
