package autoscaling

import "github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"

// errInvalid is the code that Auto Scaling gives for almost everything.
func errInvalid(format string, args ...any) error {
	return apierr.New("ValidationError", format, args...)
}

// errNoGroup is worded as an emulator does; AWS's text is unknown.
func errNoGroup(name string) error {
	return errInvalid("AutoScalingGroup name not found - AutoScalingGroup %s not found", name)
}

// errNoAction answers for actions that are unknown, answered, or over. A wrong
// name of a hook gets it too, as far as is known.
func errNoAction(q Query) error {
	if q.Token != "" {
		return errInvalid("No active Lifecycle Action found with token %s", q.Token)
	}
	return errInvalid("No active Lifecycle Action found with instance ID %s", q.Instance)
}
