package vpc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// maxFile bounds files that the AWS settings name. Mozilla's authorities have
// 220 KB.
const maxFile = 8 << 20

// Environment returns the SDK's configuration as the environment and its files
// set it. Something must name the Region.
func Environment(ctx context.Context) (aws.Config, error) {
	config, err := Load(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS settings of the environment: %w", err)
	}
	if config.Region == "" {
		return aws.Config{}, errors.New("no AWS Region: set AWS_REGION to the Region of the subnets")
	}
	return config, nil
}

// Load returns the SDK's configuration: options first, then the environment and
// the files that it names. It connects to nothing. Its error is a *fault.Error:
// the SDK passes over files that it cannot read and half of a pair of keys, and
// finds out that a URL is none when it calls.
func Load(ctx context.Context, options ...func(*awsconfig.LoadOptions) error) (aws.Config, error) {
	if err := checkEnvironment(); err != nil {
		return aws.Config{}, err
	}
	// What the mode auto looks for, by IMDS, matters to none of our clients.
	options = append(options, awsconfig.WithDefaultsMode(aws.DefaultsModeLegacy))
	config, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, misconfigured(err)
	}
	if err := checkEndpoints(ctx, config); err != nil {
		return aws.Config{}, err
	}
	return config, nil
}

// misconfigured is the fault of settings that the SDK does not take.
func misconfigured(err error) *fault.Error {
	if file := os.Getenv("AWS_CA_BUNDLE"); file != "" {
		if bundle, unread := os.ReadFile(file); unread != nil || !x509.NewCertPool().AppendCertsFromPEM(bundle) {
			return untrusting(fmt.Errorf("%s holds no certificate in PEM", file))
		}
	}
	return invalid(strings.ReplaceAll(err.Error(), "\n", "; "), err)
}

func invalid(text string, err error) *fault.Error {
	return &fault.Error{Code: fault.CodeSettings, Meaning: fault.Invalid, Text: text, Err: err, Advice: "correct the AWS settings of the environment"}
}

func untrusting(err error) *fault.Error {
	return &fault.Error{
		Code: fault.CodeCertificate, Meaning: fault.Invalid, Text: "AWS_CA_BUNDLE: " + err.Error(), Err: err,
		Advice: "let AWS_CA_BUNDLE name a file of certificates in PEM that the container can read",
	}
}

func incomplete(set, missing string) *fault.Error {
	return &fault.Error{Code: fault.CodeNoCredentials, Meaning: fault.Unsigned, Text: set + " is set and " + missing + " is not", Advice: "set both or neither"}
}

// checkEnvironment refuses what the SDK would pass over or wait for.
func checkEnvironment() error {
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		if err := checkFile(os.Getenv(name)); err != nil {
			return invalid(name+": "+err.Error(), err)
		}
	}
	if err := checkFile(os.Getenv("AWS_CA_BUNDLE")); err != nil {
		return untrusting(err)
	}
	id, secret := firstOf("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"), firstOf("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
	switch {
	case id != "" && secret == "":
		return incomplete("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
	case id == "" && secret != "":
		return incomplete("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")
	case id == "" && os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" && os.Getenv("AWS_ROLE_ARN") == "":
		return incomplete("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
	}
	return checkContainerEndpoint(os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
}

// checkFile reports why a file that a setting names cannot be read. Reading
// anything but a regular file may have no end.
func checkFile(name string) error {
	if name == "" || name == os.DevNull {
		return nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", name)
	case info.Size() > maxFile:
		return fmt.Errorf("%s is longer than %d bytes", name, maxFile)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	return file.Close()
}

func firstOf(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}
