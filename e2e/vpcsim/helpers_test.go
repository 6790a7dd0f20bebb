package vpcsim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

func TestMain(m *testing.M) {
	// After a body that is too large, net/http waits half a second for the caller to hang up.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// rig is a simulator of testdata/two-workers.yaml behind real sockets, with
// AWS's own client in front.
type rig struct {
	t   *testing.T
	sim *vpcsim.Sim
	srv *vpcsim.Server
	ec2 *ec2.Client
}

// withDefaults are the options of a test that does not care.
func withDefaults() vpcsim.Options { return vpcsim.Options{Rand: rand.NewPCG(1, 2)} }

func twoWorkersText(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/two-workers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func twoWorkers(t *testing.T) vpcsim.Topology {
	t.Helper()
	return load(t, twoWorkersText(t))
}

func load(t *testing.T, text string) vpcsim.Topology {
	t.Helper()
	top, err := vpcsim.Load(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func start(t *testing.T) *rig {
	t.Helper()
	return startWith(t, twoWorkers(t), withDefaults())
}

func startWith(t *testing.T, top vpcsim.Topology, o vpcsim.Options) *rig {
	t.Helper()
	sim, err := vpcsim.New(top, o)
	if err != nil {
		t.Fatal(err)
	}
	addresses := vpcsim.Addresses{EC2: "127.0.0.1:0", Control: "127.0.0.1:0"}
	for _, in := range top.Instances {
		addresses.IMDS = append(addresses.IMDS, vpcsim.IMDSAddress{Instance: in.ID, Address: "127.0.0.1:0"})
	}
	srv, err := sim.Listen(t.Context(), addresses)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, sim: sim, srv: srv, ec2: client(t, srv.EC2URL, vpcsim.AccessKeyID, vpcsim.SecretAccessKey, "")}
}

// client is AWS's client without retries and with connections of its own.
func client(t *testing.T, url, id, secret, token string) *ec2.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return ec2.New(ec2.Options{
		Region: "us-west-2", BaseEndpoint: aws.String(url), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
		HTTPClient:  &http.Client{Transport: transport},
	})
}

// post sends JSON to the control API and returns status and body.
func (r *rig) post(path, body string) (int, string) {
	r.t.Helper()
	return r.control(http.MethodPost, path, body)
}

func (r *rig) control(method, path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.srv.ControlURL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return do(r.t, req)
}

// get decodes an answer of the control API.
func get[T any](r *rig, path string) T {
	r.t.Helper()
	status, body := r.control(http.MethodGet, path, "")
	if status != http.StatusOK {
		r.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	var v T
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		r.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
	return v
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// code returns the AWS error code in err, or "ok".
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &api):
		return api.ErrorCode()
	default:
		return err.Error()
	}
}

// raw records what a handler answers to a request without sockets.
func raw(h http.Handler, method, path string, header map[string]string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(context.Background(), method, path, bytes.NewReader(body))
	for k, v := range header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}
