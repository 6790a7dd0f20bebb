package credential

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	all := map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "role",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/",
	}
	tests := []struct {
		without []string
		want    Source
	}{
		{nil, Static},
		{[]string{"AWS_ACCESS_KEY_ID"}, WebIdentity},
		{[]string{"AWS_WEB_IDENTITY_TOKEN_FILE"}, Container},
		{[]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI"}, InstanceRole},
	}
	for _, test := range tests {
		for _, name := range test.without {
			delete(all, name)
		}
		if _, got := Chain(Options{Getenv: func(name string) string { return all[name] }}); got != test.want {
			t.Errorf("with %v the source is %s, want %s", all, got, test.want)
		}
	}
}

func TestWhereCredentialsMayComeInClear(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"169.254.170.2": true, "169.254.170.23": true, "fd00:ec2::23": true, "127.0.0.1": true, "::1": true, "localhost": true,
		"169.254.170.3": false, "fd00:ec2::254": false, "10.0.0.1": false, "example.com": false, "": false,
	} {
		if got := mayBePlain(host); got != want {
			t.Errorf("%q may send credentials in clear: %t, want %t", host, got, want)
		}
	}
}

func TestContainerEndpoints(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		env  map[string]string
		want string // URL; empty when it is refused
	}{
		"ECS":                           {map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/role"}, "http://169.254.170.2/v2/role"},
		"EKS":                           {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1"}, "http://[fd00:ec2::23]/v1"},
		"TLS may go anywhere":           {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://example.com/"}, "https://example.com/"},
		"in clear to another host":      {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, ""},
		"another scheme":                {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "file:///etc/passwd"}, ""},
		"no URL":                        {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1"}, ""},
		"a path cannot change the host": {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1@example.com/"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := container(Options{Getenv: func(name string) string { return test.env[name] }}).(containerEndpoint)
			if ok != (test.want != "") || got.url != test.want {
				t.Errorf("endpoint %q, want %q", got.url, test.want)
			}
		})
	}
}

func TestInstanceRoleWithoutIMDS(t *testing.T) {
	t.Parallel()
	chain, _ := Chain(Options{Getenv: func(string) string { return "" }})
	_, err := chain.Retrieve(t.Context())
	var failure *Error
	if !errors.As(err, &failure) || failure.Source != InstanceRole || !errors.Is(err, ErrNone) {
		t.Errorf("error %v, want ErrNone of the instance role", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"Code":"Success","AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"2026-11-22T12:00:00Z"}`))
	f.Add([]byte(`{"AccessKeyId":"a","SecretAccessKey":"b"}`))
	f.Add([]byte(`{"code":"Failed"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decode(body, Container)
		if err == nil && !got.HasKeys() {
			t.Errorf("credentials without keys from %q", body)
		}
	})
}

func TestDecode(t *testing.T) {
	t.Parallel()
	got, err := decode([]byte(`{"Code":"Success","AccessKeyId":"a","SecretAccessKey":"b","Token":"c","Expiration":"2026-11-22T12:00:00Z"}`), InstanceRole)
	want := aws.Credentials{
		AccessKeyID: "a", SecretAccessKey: "b", SessionToken: "c", Source: string(InstanceRole),
		CanExpire: true, Expires: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("credentials (-want +got):\n%s\nerror %v", diff, err)
	}
}
