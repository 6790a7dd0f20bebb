package wire_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
)

// TestMain names a proxy, which Go reads once.
func TestMain(m *testing.M) {
	os.Setenv("HTTP_PROXY", "http://192.0.2.9:3128") //nolint:errcheck // constants
	os.Setenv("NO_PROXY", "amazonaws.com")           //nolint:errcheck // constants
	goleak.VerifyTestMain(m)
}

// client is what EC2 is asked by. It trusts the certificate of server and no other.
func client(dial wire.DialFunc, server *httptest.Server) *http.Client {
	pool := x509.NewCertPool()
	if server != nil {
		pool.AddCert(server.Certificate())
	}
	return wire.Kept(wire.Client(dial).WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig.RootCAs = pool }))
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

func get(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	defer c.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
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
	if got, err := get(t, client(dial, server), server.URL); got != "hello" || err != nil {
		t.Errorf("answer %q and error %v, want hello", got, err)
	}
	if got, err := get(t, client(dial, nil), server.URL); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("answer %q and error %v, want the certificate refused", got, err)
	}
	// The certificate names 127.0.0.1, not ::1 or another address.
	elsewhere := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, server.Listener.Addr().String())
	}
	if got, err := get(t, client(elsewhere, server), "https://127.0.0.9"); err == nil || !strings.Contains(err.Error(), "not 127.0.0.9") {
		t.Errorf("answer %q and error %v, want the certificate refused for the address", got, err)
	}
}

func TestRedirectionsAreNotFollowed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	t.Cleanup(server.Close)
	dial := (&net.Dialer{}).DialContext
	for _, c := range []*http.Client{wire.Local(dial), client(dial, nil)} {
		if _, err := get(t, c, server.URL); err != nil {
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
	if _, err := get(t, client(n.dial, nil), "http://ec2.us-west-2.amazonaws.com"); !errors.Is(err, errRefused) {
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

func TestProxiesAreForAWSAndNeverForServicesOfTheWorker(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"http://203.0.113.1/":              "192.0.2.9:3128",
		"http://169.254.169.254/latest":    "169.254.169.254:80",
		"http://169.254.170.23/v1":         "169.254.170.23:80",
		"http://[fd00:ec2::23]/v1":         "[fd00:ec2::23]:80",
		"http://[::ffff:169.254.170.2]/v1": "[::ffff:169.254.170.2]:80",
	} {
		for _, kept := range []bool{true, false} {
			var dialled []string
			dial := func(_ context.Context, _, addr string) (net.Conn, error) {
				dialled = append(dialled, addr)
				return nil, errRefused
			}
			var err error
			if kept {
				_, err = get(t, client(dial, nil), url)
			} else {
				err = ask(t, wire.Client(dial), url)
			}
			if !errors.Is(err, errRefused) || !slices.Equal(dialled, []string{want}) {
				t.Errorf("%s: dialled %v and error %v, want %s", url, dialled, err, want)
			}
		}
	}
}

// ask does what the SDK does with the client for its chain of credentials.
func ask(t *testing.T, c *awshttp.BuildableClient, url string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err == nil {
		response.Body.Close()
	}
	return err
}

func TestTheClientsSpeakHTTP1AndKeepConnectionsForEC2Only(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	connections := 0
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		connections++
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	kept := client(dial, server)
	defer kept.CloseIdleConnections()
	for range 2 {
		response, err := kept.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != "HTTP/1.1" {
			t.Errorf("it speaks %s", body)
		}
	}
	if connections != 1 {
		t.Errorf("%d connections for two calls of EC2, want 1", connections)
	}
	trusting := wire.Client(dial).WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig.RootCAs = x509.NewCertPool()
		tr.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	})
	for range 2 {
		if err := ask(t, trusting, server.URL); err != nil {
			t.Fatal(err)
		}
	}
	if connections != 3 {
		t.Errorf("%d more connections for two calls of STS, want 2", connections-1)
	}
}
