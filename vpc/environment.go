package vpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
)

// Environment returns the SDK's configuration as the environment and its files
// set it. Something must name the Region.
func Environment(ctx context.Context) (aws.Config, error) {
	config, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS settings of the environment: %w", err)
	}
	if config.Region == "" {
		return aws.Config{}, errors.New("no AWS Region: set AWS_REGION to the Region of the subnets")
	}
	return config, nil
}
