package eni

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// callTimeout bounds one EC2 call, credentials and connection included.
const callTimeout = 10 * time.Second

// api is the EC2 API as far as this package uses it. It retries nothing: the
// loop in ipmgr does.
type api struct{ client *vpc.Client }

// invoke makes one EC2 call about an ENI. Its error is a *fault.Error.
func invoke[In, Out any](ctx context.Context, a api, action, eni string, in *In, method func(*ec2.Client, context.Context, *In, ...func(*ec2.Options)) (*Out, error)) (*Out, error) {
	out, err := vpc.Call(ctx, a.client, action, in, method)
	if f, ok := errors.AsType[*fault.Error](err); ok && eni != "" {
		named := *f
		named.ENI = eni
		return nil, &named
	}
	return out, err
}
