package sigv4

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/credentials"
)

var signedAt = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

func known(id string) (credentials.Key, bool) {
	keys := map[string]credentials.Key{
		credentials.ExampleKeyID: {ID: credentials.ExampleKeyID, Secret: credentials.ExampleSecret},
		"ASIATEMP":               {ID: "ASIATEMP", Secret: "s", Token: "token", Expires: signedAt.Add(time.Minute)},
	}
	k, ok := keys[id]
	return k, ok
}

// TestSignatureTestSuite checks signatures that AWS published, for its example
// key, Region us-east-1 and the time of signedAt.
func TestSignatureTestSuite(t *testing.T) {
	for _, tc := range []struct {
		name, service, method, url, want string
		header                           map[string]string
	}{
		{"get-vanilla", "service", "GET", "https://example.amazonaws.com/",
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", nil},
		{"post-vanilla", "service", "POST", "https://example.amazonaws.com/",
			"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", nil},
		{"get-vanilla-query-order-key-case", "service", "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", nil},
		{"IAM ListUsers of the General Reference", "iam", "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
			"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
			map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), tc.method, tc.url, nil)
			h := Header{Date: "20150830", Region: "us-east-1", Service: tc.service, SignedHeaders: []string{"host", "x-amz-date"}}
			r.Header.Set("X-Amz-Date", signedAt.Format(timeFormat))
			for k, v := range tc.header {
				r.Header.Set(k, v)
				h.SignedHeaders = []string{strings.ToLower(k), "host", "x-amz-date"}
			}
			got, err := Sign(r, nil, h, credentials.ExampleSecret)
			if err != nil || got != tc.want {
				t.Errorf("got %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

const body = "Action=DescribeSubnets&Version=2016-11-15"

// signed returns a request that AWS's own signer has signed.
func signed(t *testing.T, key aws.Credentials, service, region string, at time.Time) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:8080/?a-b=2&a=1%202", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Note", "  two   spaces ")
	if err := v4.NewSigner().SignHTTP(t.Context(), key, r, digest([]byte(body)), service, region, at); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify(t *testing.T) {
	example := aws.Credentials{AccessKeyID: credentials.ExampleKeyID, SecretAccessKey: credentials.ExampleSecret}
	temporary := aws.Credentials{AccessKeyID: "ASIATEMP", SecretAccessKey: "s", SessionToken: "token"}
	const ec2, region = "ec2", "us-west-2"
	for _, tc := range []struct {
		name   string
		key    aws.Credentials
		change func(*http.Request)
		scope  [2]string
		late   time.Duration
		body   string
		want   string
		status int
	}{
		{name: "the example key is accepted", key: example},
		{name: "temporary credentials are accepted with their token", key: temporary},
		{name: "a clock that is five minutes slow is accepted", key: example, late: MaxSkew},
		{name: "a clock that is more than five minutes slow is not", key: example, late: MaxSkew + time.Second, want: "AuthFailure", status: 401},
		{name: "nor one that is as much fast", key: example, late: -MaxSkew - time.Second, want: "AuthFailure", status: 401},
		{name: "temporary credentials end", key: temporary, late: 61 * time.Second, want: "ExpiredToken", status: 400},
		{name: "an unknown key", key: aws.Credentials{AccessKeyID: "AKIDOTHER", SecretAccessKey: "x"}, want: "AuthFailure", status: 401},
		{name: "a wrong secret", key: aws.Credentials{AccessKeyID: credentials.ExampleKeyID, SecretAccessKey: "x"}, want: "AuthFailure", status: 401},
		{name: "a wrong session token", key: aws.Credentials{AccessKeyID: "ASIATEMP", SecretAccessKey: "s", SessionToken: "other"}, want: "AuthFailure", status: 401},
		{name: "a session token that is missing", key: aws.Credentials{AccessKeyID: "ASIATEMP", SecretAccessKey: "s"}, want: "AuthFailure", status: 401},
		{name: "a session token that is none of the key's", key: aws.Credentials{AccessKeyID: credentials.ExampleKeyID, SecretAccessKey: credentials.ExampleSecret, SessionToken: "token"}, want: "AuthFailure", status: 401},
		{name: "another Region", key: example, scope: [2]string{ec2, "eu-west-1"}, want: "AuthFailure", status: 401},
		{name: "another service", key: example, scope: [2]string{"iam", region}, want: "AuthFailure", status: 401},
		{name: "a body that was changed", key: example, body: "Action=DeleteNetworkInterface", want: "AuthFailure", status: 401},
		{name: "a signed header that was changed", key: example, change: func(r *http.Request) { r.Header.Set("X-Note", "other") }, want: "AuthFailure", status: 401},
		{name: "a signed header that was taken away", key: example, change: func(r *http.Request) { r.Header.Del("X-Note") }, want: "IncompleteSignature", status: 400},
		{name: "another host", key: example, change: func(r *http.Request) { r.Host = "127.0.0.1:1" }, want: "AuthFailure", status: 401},
		{name: "another query", key: example, change: func(r *http.Request) { r.URL.RawQuery = "a=2" }, want: "AuthFailure", status: 401},
		{name: "a malformed query", key: example, change: func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, want: "IncompleteSignature", status: 400},
		{name: "no signature at all", key: example, change: func(r *http.Request) { r.Header.Del("Authorization") }, want: "MissingAuthenticationToken", status: 403},
		{name: "no date", key: example, change: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, want: "IncompleteSignature", status: 400},
		{name: "a date on another day than the credential's", key: example, change: func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150831T000000Z") }, want: "IncompleteSignature", status: 400},
		{name: "another scheme", key: example, change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, want: "IncompleteSignature", status: 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.scope[0] == "" {
				tc.scope = [2]string{ec2, region}
			}
			if tc.body == "" {
				tc.body = body
			}
			r := signed(t, tc.key, tc.scope[0], tc.scope[1], signedAt)
			if tc.change != nil {
				tc.change(r)
			}
			v := Verifier{Region: region, Service: ec2, Lookup: known, ExpiredCode: func() string { return "ExpiredToken" }}
			err := v.Verify(r, []byte(tc.body), signedAt.Add(tc.late))
			got := &apierr.Error{}
			if err != nil && !errors.As(err, &got) {
				t.Fatalf("%v is not a refusal", err)
			}
			if got.Code != tc.want || got.Status != tc.status {
				t.Errorf("got %v, want %s with status %d", err, tc.want, tc.status)
			}
		})
	}
}

func TestParseHeaderRefusesWhatIsNotComplete(t *testing.T) {
	sig := strings.Repeat("0", 64)
	good := "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + sig
	h, err := ParseHeader(good)
	want := Header{KeyID: "A", Date: "20150830", Region: "r", Service: "s", SignedHeaders: []string{"host", "x-amz-date"}, Signature: sig}
	if diff := cmp.Diff(want, h); err != nil || diff != "" {
		t.Fatalf("%v (-want +got)\n%s", err, diff)
	}
	for _, tc := range []struct{ name, old, new, want string }{
		{"another algorithm", "SHA256 ", "SHA1 ", "does not start with"},
		{"a credential without Region", "A/20150830/r", "A/20150830", "is not KEY/DATE/REGION/SERVICE/aws4_request"},
		{"an empty key id", "A/", "/", "is not KEY/DATE/REGION/SERVICE/aws4_request"},
		{"a signature that is too short", sig, sig[1:], "not 64 hexadecimal digits"},
		{"a signature in capitals", sig, strings.Repeat("A", 64), "not 64 hexadecimal digits"},
		{"an unsigned host", "host;", "", "host is not among the SignedHeaders"},
		{"an unsigned date", ";x-amz-date", "", "x-amz-date is not among the SignedHeaders"},
		{"unsorted headers", "host;x-amz-date", "x-amz-date;host", "not sorted"},
		{"headers in capitals", "host;", "Host;host;", "not sorted lower-case"},
		{"a part without value", "Signature=", "Signature", "malformed or repeated part"},
		{"a part given twice", "SignedHeaders=", "Credential=", "malformed or repeated part"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseHeader(strings.Replace(good, tc.old, tc.new, 1))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// FuzzVerify looks for panics and for a signature that verifies by accident.
func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/r/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature="+
		strings.Repeat("0", 64), "20150830T123600Z", "a=1", []byte("Action=X"))
	f.Add("AWS4-HMAC-SHA256 ,=,", "", "", []byte(nil))
	v := Verifier{Region: "r", Service: "ec2", Lookup: known, ExpiredCode: func() string { return "ExpiredToken" }}
	f.Fuzz(func(t *testing.T, authorization, date, query string, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		var refusal *apierr.Error
		if err := v.Verify(r, body, signedAt); !errors.As(err, &refusal) {
			t.Errorf("got %v, want a refusal", err)
		}
	})
}
