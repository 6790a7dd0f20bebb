package wire_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trusting returns authorities that trust the certificate of server and no other.
func trusting(t *testing.T, server *httptest.Server) *x509.CertPool {
	t.Helper()
	if server == nil {
		return x509.NewCertPool()
	}
	pool, err := wire.Authorities(write(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func write(t *testing.T, bundle []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(file, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAuthoritiesAreNotReadFromOtherFiles(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"a file that does not exist":    filepath.Join(t.TempDir(), "missing.pem"),
		"a directory":                   t.TempDir(),
		"an empty file":                 write(t, nil),
		"a file of something else":      write(t, []byte("hello")),
		"a certificate that is damaged": write(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("hello")})),
		"a file without an end":         "/dev/zero",
	} {
		if _, err := wire.Authorities(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v, want one that names %s", name, err, file)
		}
	}
}

// tlsServer answers with "hello"; its certificate is for 127.0.0.1 and example.com.
func tlsServer(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // failed handshakes are on purpose
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func get(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestClientSpeaksToServersThatTheAuthoritiesVouchFor(t *testing.T) {
	t.Parallel()
	server := tlsServer(t)
	dial := (&net.Dialer{}).DialContext
	if got, err := get(t, wire.Client(dial, trusting(t, server)), server.URL); got != "hello" || err != nil {
		t.Errorf("answer %q and error %v, want hello", got, err)
	}
	if got, err := get(t, wire.Client(dial, trusting(t, nil)), server.URL); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("answer %q and error %v, want the certificate refused", got, err)
	}
	// The certificate names 127.0.0.1, not ::1 or another address.
	elsewhere := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, server.Listener.Addr().String())
	}
	if got, err := get(t, wire.Client(elsewhere, trusting(t, server)), "https://127.0.0.9"); err == nil || !strings.Contains(err.Error(), "not 127.0.0.9") {
		t.Errorf("answer %q and error %v, want the certificate refused for the address", got, err)
	}
}

func TestRedirectionsAreNotFollowed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	t.Cleanup(server.Close)
	dial := (&net.Dialer{}).DialContext
	for _, client := range []*http.Client{wire.Local(dial), wire.Client(dial, trusting(t, nil))} {
		if _, err := get(t, client, server.URL); err != nil {
			t.Errorf("error %v, want the redirection itself", err)
		}
	}
}

// names is a DNS server that a resolver reaches through dial.
type names struct {
	addresses map[string][]string // absolute names

	mu      sync.Mutex
	asked   []string
	dialled []string
	done    sync.WaitGroup
}

var errRefused = errors.New("connection refused")

func (n *names) dial(_ context.Context, _, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if port != "53" {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.dialled = append(n.dialled, addr)
		return nil, errRefused
	}
	near, far := net.Pipe() // no packets, so the resolver speaks DNS over TCP
	n.done.Go(func() { n.serve(far) })
	return near, nil
}

func (n *names) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var length uint16
		if binary.Read(conn, binary.BigEndian, &length) != nil {
			return
		}
		packet := make([]byte, length)
		var query dnsmessage.Message
		if _, err := io.ReadFull(conn, packet); err != nil || query.Unpack(packet) != nil {
			return
		}
		answer, err := n.answer(query)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (n *names) answer(query dnsmessage.Message) ([]byte, error) {
	question := query.Questions[0]
	name := question.Name.String()
	n.mu.Lock()
	if !slices.Contains(n.asked, name) {
		n.asked = append(n.asked, name)
	}
	n.mu.Unlock()
	query.Response, query.RecursionAvailable = true, true
	query.Additionals = nil
	addresses, ok := n.addresses[name]
	if !ok {
		query.RCode = dnsmessage.RCodeNameError
	}
	for _, address := range addresses {
		if ip := net.ParseIP(address).To4(); ip != nil && question.Type == dnsmessage.TypeA {
			query.Answers = append(query.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: [4]byte(ip)},
			})
		}
	}
	return query.Pack()
}

func TestNamesAreResolvedThroughDial(t *testing.T) {
	t.Parallel()
	n := &names{addresses: map[string][]string{
		"ec2.us-west-2.amazonaws.com.": {"203.0.113.1", "203.0.113.2"},
	}}
	if _, err := get(t, wire.Client(n.dial, trusting(t, nil)), "http://ec2.us-west-2.amazonaws.com"); !errors.Is(err, errRefused) {
		t.Errorf("error %v, want that of the connection", err)
	}
	// Without search domains first, and each address in turn.
	if diff := cmp.Diff([]string{"ec2.us-west-2.amazonaws.com."}, n.asked); diff != "" {
		t.Errorf("names asked for (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"203.0.113.1:80", "203.0.113.2:80"}, n.dialled); diff != "" {
		t.Errorf("addresses dialled (-want +got):\n%s", diff)
	}
	n.done.Wait()
}

func TestANameThatDoesNotExist(t *testing.T) {
	t.Parallel()
	n := &names{}
	var failure *net.DNSError
	if _, err := get(t, wire.Local(n.dial), "http://no.such.host.example"); !errors.As(err, &failure) || !failure.IsNotFound {
		t.Errorf("error %v, want that the name does not exist", err)
	}
	n.done.Wait()
}

func TestEndpointOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		env  map[string]string
		want wire.Endpoint
	}{
		"nothing set":                     {nil, wire.Endpoint{}},
		"the service's own URL wins":      {map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_EC2": "http://ec2"}, wire.Endpoint{URL: aws.String("http://ec2")}},
		"the URL of all services":         {map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_STS": "http://sts"}, wire.Endpoint{URL: aws.String("http://all")}},
		"URLs are ignored":                {map[string]string{"AWS_ENDPOINT_URL_EC2": "http://ec2", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, wire.Endpoint{}},
		"FIPS and dual stack":             {map[string]string{"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "True"}, wire.Endpoint{FIPS: aws.FIPSEndpointStateEnabled, DualStack: aws.DualStackEndpointStateEnabled}},
		"FIPS and dual stack, turned off": {map[string]string{"AWS_USE_FIPS_ENDPOINT": "false", "AWS_USE_DUALSTACK_ENDPOINT": "no"}, wire.Endpoint{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := wire.EndpointOf("EC2", func(name string) string { return test.env[name] })
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("endpoint (-want +got):\n%s", diff)
			}
		})
	}
}
