package cloud

import (
	"context"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// maxAnswer is the longest page: 1,000 ENIs with 50 addresses each have some
// 20 MB.
const maxAnswer = 32 << 20

// Connect returns EC2 and Auto Scaling as the environment sets them. It makes no
// connection. Each call is made once: what a lost answer means only another look
// tells, and not a repetition.
func Connect(ctx context.Context, cluster, nodeGroup, version string, log *slog.Logger) (*Cloud, *Scaling, error) {
	config, err := vpc.Environment(ctx)
	if err != nil {
		return nil, nil, err
	}
	client := vpc.New(vpc.Options{
		Config: func(context.Context) (aws.Config, error) { return config, nil },
		Name:   "multus-ipmgr-nodegroup", Version: version, Attempts: 1, MaxAnswer: maxAnswer,
		Count: nodegroup.Count, Logger: log,
	})
	return &Cloud{Client: client, Cluster: cluster, NodeGroup: nodeGroup}, NewScaling(client, cluster, nodeGroup), nil
}
