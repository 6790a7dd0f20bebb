package eni

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// failed is the failure of a call as that of one address on eni, or of none,
// with what the user can do. It is nil when err is.
func failed(err error, addr netip.Addr, eni string) error {
	if err == nil {
		return nil
	}
	return failureOf(err, addr, eni)
}

// failureOf is failed for an error that is one.
func failureOf(err error, addr netip.Addr, eni string) *fault.Error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return &fault.Error{Addr: addr, ENI: eni, Code: fault.CodeUnknown, Err: err}
	}
	told := *f
	told.Advice = cmp.Or(told.Advice, advice(f))
	if !told.Addr.IsValid() {
		told.Addr, told.ENI = addr, cmp.Or(eni, told.ENI)
	}
	return &told
}

// advice says what the user can do about a failed call, as an imperative clause.
func advice(f *fault.Error) string {
	switch f.Meaning {
	case fault.Throttled:
		return "wait: EC2 limits the rate of calls for the whole account and Region"
	case fault.Expired:
		return "wait for new credentials, and check the worker's clock if this lasts"
	case fault.Missing:
		return "attach the ENI to the worker again, or move the pod"
	case fault.Refused:
		return "check that no AWS-reserved address (the first four and the last of the subnet), no other subnet's and none inside a prefix delegated to another ENI is used"
	case fault.Full:
		return "run fewer pods on this worker, remove stale secondary addresses from the ENI, or choose an instance type with more addresses per interface"
	case fault.Denied:
		return fmt.Sprintf("allow ec2:%s%s in the IAM policy of the pod's role", f.Action, on(f.ENI))
	case fault.Unsigned:
		return adviceUnsigned(f)
	}
	switch f.Code {
	case fault.CodeUnreachable, fault.CodeUnknown, fault.CodeEndless:
		return "check the pod's route to the EC2 endpoint (NAT gateway or VPC endpoint), its DNS, proxies and network policies"
	case fault.CodeCertificate:
		return "set AWS_CA_BUNDLE or SSL_CERT_FILE to the certificate authority of the EC2 endpoint or proxy"
	case fault.CodeCredentials:
		return adviceUnsigned(f)
	}
	return ""
}

func on(eni string) string {
	if eni == "" {
		return ""
	}
	return " on network-interface/" + eni
}

// adviceUnsigned is about credentials that AWS does not take, or that cannot be
// had.
func adviceUnsigned(f *fault.Error) string {
	const nothing = "give the pod's service account a role (EKS Pod Identity or IRSA), or let pods reach the worker's instance role (IMDS hop limit 2)"
	switch {
	case f.Code == fault.CodeNoCredentials, vpc.OfInstanceRole(f): // the last resort: nothing else was set up
		return nothing
	case f.Code == "OptInRequired", f.Code == "Blocked", f.Code == "PendingVerification":
		return "check that the AWS account may use EC2 in this Region"
	}
	return "check the credentials that the pod gets (service account, role and its trust policy) and the worker's clock"
}

// ended is the failure of a look that the caller ended.
func ended(ctx context.Context, err error) error {
	f := &fault.Error{Code: fault.CodeUnreachable, Text: "instance metadata: no answer in time", Err: err}
	if errors.Is(ctx.Err(), context.Canceled) {
		f.Code, f.Text = fault.CodeCanceled, "ipmgr is ending"
	}
	return f
}

// imdsFailure is why IMDS, which is the only source of ENIs, did not serve.
func imdsFailure(err error) error {
	f := &fault.Error{Code: fault.CodeIMDS, Err: err}
	if errors.Is(err, errUnavailable) {
		f.Advice = "raise the hop limit of the worker's instance metadata options to 2, or set IPMGR_DISCOVERY=auto or ec2"
	}
	return f
}
