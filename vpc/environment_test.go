package vpc_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// setenv makes env the only AWS settings.
func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	for name, value := range env {
		t.Setenv(name, value)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A fault of the settings is one sentence that names the setting, and nothing
// that they name can keep the program waiting.
func TestSettingsThatCannotBeUsed(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	const damaged = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"
	tests := []struct {
		name string
		env  map[string]string
		code string
		says string
	}{
		{"a configuration file that is missing", map[string]string{"AWS_CONFIG_FILE": "/nowhere/config"}, fault.CodeSettings, "AWS_CONFIG_FILE: stat /nowhere/config"},
		{"a configuration file that is a directory", map[string]string{"AWS_CONFIG_FILE": t.TempDir()}, fault.CodeSettings, "AWS_CONFIG_FILE"},
		{"a configuration file that nobody writes to", map[string]string{"AWS_CONFIG_FILE": pipe}, fault.CodeSettings, "not a regular file"},
		{"a configuration file without an end", map[string]string{"AWS_CONFIG_FILE": "/dev/zero"}, fault.CodeSettings, "not a regular file"},
		{"a file of credentials that is missing", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials"}, fault.CodeSettings, "AWS_SHARED_CREDENTIALS_FILE"},
		{"a profile that is missing", map[string]string{"AWS_PROFILE": "production"}, fault.CodeSettings, "production"},
		{"a profile with half a pair of keys", map[string]string{"AWS_PROFILE": "p", "AWS_CONFIG_FILE": write(t, "[profile p]\naws_access_key_id = a\n")}, fault.CodeSettings, "partial credentials"},
		{"a setting that is neither true nor false", map[string]string{"AWS_USE_FIPS_ENDPOINT": "perhaps"}, fault.CodeSettings, "AWS_USE_FIPS_ENDPOINT"},
		{"an endpoint of EC2 that is not a URL", map[string]string{"AWS_ENDPOINT_URL_EC2": "http://[::1"}, fault.CodeSettings, `EC2, "http://[::1"`},
		{"an endpoint of EC2 without a scheme", map[string]string{"AWS_ENDPOINT_URL_EC2": "vpce-1.example.com"}, fault.CodeSettings, "not a URL of http or https"},
		{"an endpoint of EC2 without a host", map[string]string{"AWS_ENDPOINT_URL_EC2": "https:///path"}, fault.CodeSettings, "not a URL"},
		{"an endpoint of another scheme", map[string]string{"AWS_ENDPOINT_URL_STS": "ftp://sts.example.com"}, fault.CodeSettings, "STS"},
		{"an endpoint of all services", map[string]string{"AWS_ENDPOINT_URL": ":::"}, fault.CodeSettings, ":::"},
		{"an endpoint of instance metadata", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "a b"}, fault.CodeSettings, "instance metadata"},
		{"an endpoint in a profile", map[string]string{"AWS_CONFIG_FILE": write(t, "[default]\nendpoint_url = nonsense\n")}, fault.CodeSettings, "nonsense"},
		{"a mode of instance metadata that there is not", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv5"}, fault.CodeSettings, "IPv5"},
		{"authorities that are missing", map[string]string{"AWS_CA_BUNDLE": "/nowhere/ca.pem"}, fault.CodeCertificate, "/nowhere/ca.pem"},
		{"authorities that are a directory", map[string]string{"AWS_CA_BUNDLE": t.TempDir()}, fault.CodeCertificate, "AWS_CA_BUNDLE"},
		{"authorities without an end", map[string]string{"AWS_CA_BUNDLE": "/dev/zero"}, fault.CodeCertificate, "/dev/zero"},
		{"authorities that are empty", map[string]string{"AWS_CA_BUNDLE": write(t, "")}, fault.CodeCertificate, "no certificate in PEM"},
		{"authorities that are something else", map[string]string{"AWS_CA_BUNDLE": write(t, "hello")}, fault.CodeCertificate, "no certificate in PEM"},
		{"authorities that are damaged", map[string]string{"AWS_CA_BUNDLE": write(t, damaged)}, fault.CodeCertificate, "no certificate in PEM"},
		{"a key without its secret", map[string]string{"AWS_ACCESS_KEY_ID": "a"}, fault.CodeNoCredentials, "AWS_SECRET_ACCESS_KEY is not"},
		{"a secret without its key", map[string]string{"AWS_SECRET_ACCESS_KEY": "s"}, fault.CodeNoCredentials, "AWS_ACCESS_KEY_ID is not"},
		{"a web identity without a role", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, fault.CodeNoCredentials, "AWS_ROLE_ARN is not"},
		{"credentials in clear from another host", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.0.0.1/"}, fault.CodeSettings, "loopback"},
		{"credentials in clear from IMDS's address", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::254]/"}, fault.CodeSettings, "loopback"},
		{"credentials in clear from a name", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, fault.CodeSettings, "loopback"},
		{"a host that looks like a user", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1@example.com/"}, fault.CodeSettings, "loopback"},
		{"credentials by another scheme", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "file:///etc/passwd"}, fault.CodeSettings, "AWS_CONTAINER_CREDENTIALS_FULL_URI"},
		{"credentials from what is not a URL", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1"}, fault.CodeSettings, "AWS_CONTAINER_CREDENTIALS_FULL_URI"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			setenv(t, test.env)
			_, err := vpc.Load(t.Context())
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != test.code || !f.Meaning.Permanent() {
				t.Fatalf("error %v, want a permanent %s", err, test.code)
			}
			if text := f.Error(); !strings.Contains(text, test.says) || strings.Contains(text, "\n") || len(text) > 600 {
				t.Errorf("it says %q, want one sentence with %q", text, test.says)
			}
		})
	}
}

func TestTheChainOfCredentials(t *testing.T) {
	all := map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "role",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/",
	}
	for _, step := range []struct {
		without []string
		want    aws.CredentialSource
	}{
		{nil, aws.CredentialSourceEnvVars},
		{[]string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, aws.CredentialSourceEnvVarsSTSWebIDToken},
		{[]string{"AWS_WEB_IDENTITY_TOKEN_FILE"}, aws.CredentialSourceHTTP},
		{[]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI"}, aws.CredentialSourceIMDS},
	} {
		for _, name := range step.without {
			all[name] = ""
		}
		setenv(t, all)
		config, err := vpc.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		provider, ok := config.Credentials.(aws.CredentialProviderSource)
		if !ok {
			t.Fatalf("credentials are a %T", config.Credentials)
		}
		if diff := cmp.Diff([]aws.CredentialSource{step.want}, provider.ProviderSources()); diff != "" {
			t.Errorf("without %v the source is (-want +got):\n%s", step.without, diff)
		}
	}
}

func TestWhereCredentialsMayComeFrom(t *testing.T) {
	for _, env := range []map[string]string{
		{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/role"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2/v2"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1338/"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1]/"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://example.com/"},
		{"AWS_CONFIG_FILE": os.DevNull},
	} {
		setenv(t, env)
		if _, err := vpc.Load(t.Context()); err != nil {
			t.Errorf("%v: %v", env, err)
		}
		for name := range env {
			t.Setenv(name, "")
		}
	}
}

func TestEndpoints(t *testing.T) {
	type endpoints struct {
		EC2, STS  string
		FIPS      aws.FIPSEndpointState
		DualStack aws.DualStackEndpointState
	}
	profile := write(t, "[default]\nregion = eu-west-1\nendpoint_url = https://profile\n")
	tests := []struct {
		name string
		env  map[string]string
		want endpoints
	}{
		{"nothing set", nil, endpoints{}},
		{"a service's own URL wins", map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_EC2": "http://ec2"}, endpoints{EC2: "http://ec2", STS: "http://all"}},
		{"the URL of all services", map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_STS": "http://sts"}, endpoints{EC2: "http://all", STS: "http://sts"}},
		{"URLs are ignored", map[string]string{"AWS_ENDPOINT_URL_EC2": "nonsense", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, endpoints{}},
		{"a profile's", map[string]string{"AWS_CONFIG_FILE": profile}, endpoints{EC2: "https://profile", STS: "https://profile"}},
		{"FIPS and dual stack", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "True"}, endpoints{FIPS: aws.FIPSEndpointStateEnabled, DualStack: aws.DualStackEndpointStateEnabled}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			setenv(t, test.env)
			config, err := vpc.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			options := ec2.NewFromConfig(config).Options()
			got := endpoints{
				EC2: aws.ToString(options.BaseEndpoint), STS: aws.ToString(sts.NewFromConfig(config).Options().BaseEndpoint),
				FIPS: options.EndpointOptions.UseFIPSEndpoint, DualStack: options.EndpointOptions.UseDualStackEndpoint,
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
		})
	}
}
