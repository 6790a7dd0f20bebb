package eni

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// tagAge is how long it is remembered whether an ENI has the tag.
const tagAge = 5 * time.Minute

// adviceDenied says which it is when IAM denies a change of an ENI: a right
// that is missing, or the tag that a policy as the one in config/iam demands of
// the ENI. IAM's own words are the same for both.
func (c *Cloud) adviceDenied(ctx context.Context, action, eni string) string {
	right := fmt.Sprintf("allow ec2:%s on network-interface/%s in the IAM policy of the pod's role", action, eni)
	switch c.lookForTag(ctx, eni) {
	case tagMissing:
		return fmt.Sprintf("tag ENI %s %s=true, which the policy in config/iam demands and the ENI lacks, or %s", eni, noManageTag, right)
	case tagThere:
		return right + ": the ENI has the tag " + noManageTag + "=true, so that is not what is missing"
	}
	return fmt.Sprintf("%s, and check that the ENI has the tag %s=true, which that policy may demand (it cannot be looked at)", right, noManageTag)
}

// adviceFor is the advice about a call that needs a look, or "".
func (c *Cloud) adviceFor(ctx context.Context, err error) string {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.ENI == "" || f.Meaning != fault.Denied {
		return ""
	}
	return c.adviceDenied(ctx, f.Action, f.ENI)
}

// lookForTag looks at the ENI once in a while.
func (c *Cloud) lookForTag(ctx context.Context, eni string) tagged {
	c.facts.mu.Lock()
	look, now := c.facts.tags[eni], c.opts.Now()
	c.facts.mu.Unlock()
	if now.Before(look.until) {
		return look.found
	}
	look = tagLook{until: now.Add(tagAge)}
	if nics, err := c.api.byID(ctx, eni); err == nil && len(nics) == 1 {
		look.found = tagMissing
		if nics[0].noManage {
			look.found = tagThere
		}
	}
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	c.facts.tags[eni] = look
	return look.found
}
