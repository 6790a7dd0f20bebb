package blackbox_test

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// serve serves h on an address of the cloud until the test ends.
func (s *scene) serve(address string, h http.Handler, certificate *tls.Certificate) string {
	s.Helper()
	l, err := net.Listen("tcp", address)
	s.do(err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}}
	if certificate == nil {
		server.Start()
	} else {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		server.StartTLS()
	}
	s.Cleanup(server.Close)
	return server.URL
}

// outsideEC2 moves EC2 to where only the default route leads.
func outsideEC2(s *scene) []string {
	s.Helper()
	return []string{"AWS_ENDPOINT_URL_EC2=" + s.serve(net.JoinHostPort(outside, "0"), s.sim.EC2(), nil)}
}

func TestInitReachesTheCloudByThePrimaryInterface(t *testing.T) {
	tests := []initCase{
		{name: "EC2, where the default route leads there", envOf: outsideEC2},
		{name: "EC2, although the default route leads to net1", via: "net1", envOf: outsideEC2},
		{
			name: "IMDS at its own address, although the default route leads to net1", via: "net1",
			envOf: func(s *scene) []string {
				h, err := s.sim.IMDS(worker1, vpcsim.PodHops)
				s.do(err)
				s.serve(net.JoinHostPort(metadata, "80"), h, nil)
				return append(outsideEC2(s), "AWS_EC2_METADATA_SERVICE_ENDPOINT=", "IPMGR_DISCOVERY=imds")
			},
		},
		{
			name: "the name server, although the default route leads to net1", via: "net1",
			envOf: func(s *scene) []string {
				if !mounted() {
					s.Skip("this machine has no mount namespaces, and its own name server is out of reach")
				}
				s.serveNames()
				_, port, err := net.SplitHostPort(s.serve(net.JoinHostPort(outside, "0"), s.sim.EC2(), nil)[len("http://"):])
				s.do(err)
				return []string{"AWS_ENDPOINT_URL_EC2=http://" + net.JoinHostPort(ec2Name, port)}
			},
		},
	}
	for i := range tests {
		tests[i].holds = holdings{w1eth1: "10.10.1.81"}
	}
	runInit(t, tests)
}

const ec2Name = "ec2.us-west-2.vpc.test"

// serveNames is a name server that knows ec2Name alone.
func (s *scene) serveNames() {
	s.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(nameServer, "53"))
	s.do(err)
	s.Cleanup(func() { _ = conn.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			if answer, err := resolve(packet[:n]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
}

// resolve answers one question.
func resolve(packet []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return nil, err
	}
	m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeNameError, nil
	if q := m.Questions[0]; q.Name.String() == ec2Name+"." {
		m.RCode = dnsmessage.RCodeSuccess
		if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(outside).As4()},
			}}
		}
	}
	return m.Pack()
}

// authority is a certificate authority of a company, and what it signed.
type authority struct {
	file   string // its certificate, in PEM
	server tls.Certificate
}

// newAuthority signs a certificate for a host, valid until a time.
func (s *scene) newAuthority(host string, until time.Time) authority {
	s.Helper()
	root, err := testca.New("company root")
	s.do(err)
	proxy, err := root.Issue(testca.Request{Name: "proxy", Hosts: []string{host}, Until: until})
	s.do(err)
	file := filepath.Join(s.TempDir(), "ca.pem")
	s.do(os.WriteFile(file, root.PEM, 0o600))
	return authority{file: file, server: proxy.TLS}
}

// tlsEC2 serves EC2 by TLS and names the authority by a variable.
func tlsEC2(variable, host string, valid time.Duration) func(*scene) []string {
	return func(s *scene) []string {
		s.Helper()
		ca := s.newAuthority(host, time.Now().Add(valid))
		url := s.serve(netip.AddrPortFrom(s.lab.Gateway(), 0).String(), s.sim.EC2(), &ca.server)
		env := []string{"AWS_ENDPOINT_URL_EC2=" + url}
		switch variable {
		case "":
		case "SSL_CERT_DIR":
			env = append(env, variable+"="+filepath.Dir(ca.file))
		default:
			env = append(env, variable+"="+ca.file)
		}
		return env
	}
}

func TestInitTrustsTheAuthoritiesItIsGiven(t *testing.T) {
	const gateway = "10.200.0.1"
	held := holdings{w1eth1: "10.10.1.81"}
	refused := []string{"10.10.1.81", w1eth1, "Certificate", "AWS_CA_BUNDLE"}
	runInit(t, []initCase{
		{name: "by AWS_CA_BUNDLE", envOf: tlsEC2("AWS_CA_BUNDLE", gateway, time.Hour), holds: held},
		{name: "by SSL_CERT_FILE", envOf: tlsEC2("SSL_CERT_FILE", gateway, time.Hour), holds: held},
		{name: "by SSL_CERT_DIR", envOf: tlsEC2("SSL_CERT_DIR", gateway, time.Hour), holds: held},
		{name: "by AWS_CA_BUNDLE alone, if that is set", envOf: func(s *scene) []string {
			other := s.newAuthority(gateway, time.Now().Add(time.Hour))
			return append(tlsEC2("SSL_CERT_FILE", gateway, time.Hour)(s), "AWS_CA_BUNDLE="+other.file)
		}, code: 3, message: refused},
		{name: "by SSL_CERT_DIR besides those of a bundle, as in an image with one more", envOf: func(s *scene) []string {
			other := s.newAuthority(gateway, time.Now().Add(time.Hour))
			return append(tlsEC2("SSL_CERT_DIR", gateway, time.Hour)(s), "SSL_CERT_FILE="+other.file)
		}, holds: held},
		{name: "and no other", envOf: tlsEC2("", gateway, time.Hour), code: 3, message: refused},
		{name: "for its own host only", envOf: tlsEC2("AWS_CA_BUNDLE", "10.200.0.9", time.Hour), code: 3, message: refused},
		{name: "until it expires", envOf: tlsEC2("AWS_CA_BUNDLE", gateway, -time.Hour), code: 3, message: refused},
		{name: "unless the file is missing", env: []string{"AWS_CA_BUNDLE=/nowhere/ca.pem", short}, envOf: tlsEC2("", gateway, time.Hour), code: 3, message: []string{"/nowhere/ca.pem"}},
	})
}

func TestBadSettingsEndTheProgramAtOnce(t *testing.T) {
	bad := []string{"IPMGR_TIMEOUT=soon", "IPMGR_POOLS=10.10.1.65/26", "IPMGR_POOL=x"}
	runInit(t, []initCase{{
		name: "with all mistakes", env: bad, code: 2, calls: []string{},
		message: []string{`IPMGR_TIMEOUT="soon"`, "did you mean 10.10.1.64/26?", "IPMGR_POOL: no such setting"},
	}})
}
