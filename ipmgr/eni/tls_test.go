package eni_test

import (
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// TestEC2OverTLS uses sockets: what is proved in memory elsewhere works over
// TLS, with the authorities that the environment names and with no others.
// SSL_CERT_FILE and SSL_CERT_DIR count once for a process: e2e/blackbox has them.
func TestEC2OverTLS(t *testing.T) {
	topology, err := vpcsim.Load(strings.NewReader(strings.Replace(vpc, "%d", "2", 1)))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	server := httptest.NewUnstartedServer(sim.EC2())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // failed handshakes are on purpose
	server.StartTLS()
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(t.TempDir(), "odd.pem")
	if err := os.WriteFile(odd, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	untrusted := outcome{fault.CodeCertificate, true}
	tests := map[string]struct {
		env  map[string]string
		want outcome
	}{
		"AWS_CA_BUNDLE":                       {map[string]string{"AWS_CA_BUNDLE": bundle}, outcome{}},
		"only the system's roots":             {nil, untrusted},
		"AWS_CA_BUNDLE without the file":      {map[string]string{"AWS_CA_BUNDLE": bundle + ".old"}, untrusted},
		"AWS_CA_BUNDLE with another file":     {map[string]string{"AWS_CA_BUNDLE": odd}, untrusted},
		"a name that the certificate has not": {map[string]string{"AWS_CA_BUNDLE": bundle, "AWS_ENDPOINT_URL_EC2": strings.Replace(server.URL, "127.0.0.1", "localhost", 1)}, untrusted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{
				"AWS_REGION": "us-west-2", "AWS_ACCESS_KEY_ID": vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY": vpcsim.SecretAccessKey,
				"AWS_ENDPOINT_URL_EC2": server.URL,
			}
			maps.Copy(env, test.env)
			for name, value := range env {
				t.Setenv(name, value)
			}
			cloud, err := eni.New(t.Context(), eni.Options{Discovery: spec.DiscoverEC2})
			if err == nil {
				defer cloud.Close()
				_, err = cloud.Attached(t.Context(), onLink(macEth1, "10.10.1.70"))
			}
			if diff := gocmp.Diff(test.want, outcomeOf(t, err)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}
