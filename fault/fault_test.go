package fault_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

func TestAFailureIsOneSentence(t *testing.T) {
	addr := netip.MustParseAddr("10.10.1.81")
	for _, tt := range []struct {
		name string
		err  fault.Error
		want string
	}{
		{name: "of an address, of which AWS says something", want: "address 10.10.1.81 on ENI eni-1: InvalidParameterValue: AssignPrivateIpAddresses: out of range (request r-1); choose another",
			err: fault.Error{Addr: addr, ENI: "eni-1", Code: "InvalidParameterValue", Action: "AssignPrivateIpAddresses", Text: "out of range", Request: "r-1", Advice: "choose another", Err: errors.New("as the SDK wraps it")}},
		{name: "of an ENI", want: "ENI eni-1: NoENI: it is gone", err: fault.Error{ENI: "eni-1", Code: fault.CodeNoENI, Err: errors.New("it is gone")}},
		{name: "of nothing in particular", want: "NoRegion; set AWS_REGION", err: fault.Error{Code: fault.CodeNoRegion, Advice: "set AWS_REGION"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMeaningsOfCodes(t *testing.T) {
	for _, tt := range []struct {
		meaning          fault.Meaning
		permanent, parts bool
		codes            []string
	}{
		{meaning: fault.Transient, codes: []string{"InternalError", "Unavailable", fault.CodeUnreachable, fault.CodeUnknown, fault.CodeEndless}},
		{meaning: fault.Throttled, codes: []string{"RequestLimitExceeded", "Throttling", "ThrottlingException", "SlowDown"}},
		{meaning: fault.Expired, codes: []string{"ExpiredToken", "RequestExpired"}},
		{meaning: fault.Missing, codes: []string{"InvalidNetworkInterfaceID.NotFound", "InvalidSubnetID.NotFound", "InvalidSubnetCidrReservationID.NotFound"}},
		{meaning: fault.Refused, permanent: true, parts: true, codes: []string{"InvalidParameterValue", "InvalidIPAddress.InUse", "Anything.InUse"}},
		{meaning: fault.Full, permanent: true, parts: true, codes: []string{"PrivateIpAddressLimitExceeded", "NetworkInterfaceLimitExceeded"}},
		{meaning: fault.Denied, permanent: true, codes: []string{"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}},
		{meaning: fault.Unsigned, permanent: true, codes: []string{"AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "OptInRequired", fault.CodeNoCredentials}},
		{meaning: fault.Invalid, permanent: true, codes: []string{"InvalidAction", "OperationNotPermitted", fault.CodeCertificate, fault.CodeNoRegion}},
		{meaning: fault.Unknown, parts: true, codes: []string{"SomethingNew"}},
	} {
		for _, code := range tt.codes {
			got := fault.MeaningOfCode(code)
			if got != tt.meaning || got.Permanent() != tt.permanent || got.AboutParts() != tt.parts {
				t.Errorf("%s means %d (permanent %t, about parts %t), want %d (%t, %t)", code, got, got.Permanent(), got.AboutParts(), tt.meaning, tt.permanent, tt.parts)
			}
		}
	}
}

func TestTheMeaningOfAnErrorIsThatOfItsFirstFault(t *testing.T) {
	passing, lasting := &fault.Error{Code: "Unavailable"}, &fault.Error{Code: "AccessDenied", Meaning: fault.Denied}
	for _, tt := range []struct {
		name string
		err  error
		want fault.Meaning
	}{
		{name: "no error", want: fault.Done},
		{name: "a fault without a meaning may pass", err: passing, want: fault.Transient},
		{name: "a wrapped one", err: fmt.Errorf("looking: %w", lasting), want: fault.Denied},
		{name: "a list, where those that last come first", err: fault.NewList([]error{passing, lasting}), want: fault.Denied},
		{name: "any other error", err: errors.New("oops"), want: fault.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := fault.MeaningOf(tt.err); got != tt.want {
				t.Errorf("it means %d, want %d", got, tt.want)
			}
		})
	}
}
