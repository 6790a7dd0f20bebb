package controller

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/time/rate"

	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// How EC2 is asked. Its token buckets hold 100 reads refilled at 20 a second,
// and 5 changes of reservations refilled at 1 a second, for the whole account
// ("Request throttling for the Amazon EC2 API"); the controller leaves most of
// them to others.
const (
	attempts   = 4
	readRate   = 5
	readBurst  = 20
	writeRate  = 0.5
	writeBurst = 2
	// maxAnswer is the longest page: 1,000 ENIs with 50 addresses each have
	// some 20 MB.
	maxAnswer = 32 << 20
)

// newCloud returns the client for EC2 as the environment sets it.
func newCloud(ctx context.Context, options Options, counters *metrics, log *slog.Logger) (*vpc.Client, error) {
	config, err := vpc.Environment(ctx)
	if err != nil {
		return nil, err
	}
	return vpc.New(vpc.Options{
		Config: func(context.Context) (aws.Config, error) { return config, nil },
		Name:   "multus-ipmgr-controller", Version: options.Version,
		Attempts: attempts, MaxBackoff: 8 * time.Second, MaxAnswer: maxAnswer,
		Reads: rate.NewLimiter(readRate, readBurst), Writes: rate.NewLimiter(writeRate, writeBurst),
		Observe: counters.observe, Logger: log,
	}), nil
}
