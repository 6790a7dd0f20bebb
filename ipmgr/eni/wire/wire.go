// Package wire makes the HTTP clients for AWS's services. All their
// connections, and the name lookups before them, are opened by one function,
// so that they leave by the pod's primary interface whatever its default route.
package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	connectTimeout = 5 * time.Second // one TCP connection, one TLS handshake
	lookupTimeout  = 5 * time.Second
	idleTimeout    = 60 * time.Second // a warm connection saves a handshake when an address moves
	localIdle      = 5 * time.Second
	localConns     = 2 // IMDS limits the connections of an instance
	maxHeader      = 64 << 10
)

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Client returns the client for AWS's APIs: TLS 1.2 or later verified against
// authorities, proxies from the environment, HTTP/1.1 as the EC2 API speaks it.
// Nil authorities are the system's.
func Client(dial DialFunc, authorities *x509.CertPool) *http.Client {
	d := dialer{dial: dial, resolver: &net.Resolver{PreferGo: true, Dial: dial}}
	return &http.Client{
		CheckRedirect: noRedirect,
		Transport: bounded{&http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         d.dialHost,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities},
			TLSHandshakeTimeout: connectTimeout,
			IdleConnTimeout:     idleTimeout,
			MaxIdleConnsPerHost: 2,

			MaxResponseHeaderBytes: maxHeader,
		}},
	}
}

// maxBundle bounds a file of certificates. Mozilla's has 220 KB.
const maxBundle = 8 << 20

// Authorities reads a file of certificates in PEM, such as AWS_CA_BUNDLE names.
func Authorities(file string) (*x509.CertPool, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	bundle, err := io.ReadAll(io.LimitReader(opened, maxBundle))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

// Local returns the client for services on the worker itself, at link-local
// addresses: no proxy, and connections that are not kept for long.
func Local(dial DialFunc) *http.Client {
	d := dialer{dial: dial, resolver: &net.Resolver{PreferGo: true, Dial: dial}}
	return &http.Client{
		CheckRedirect: noRedirect,
		Transport: bounded{&http.Transport{
			DialContext:         d.dialHost,
			IdleConnTimeout:     localIdle,
			MaxConnsPerHost:     localConns,
			MaxIdleConnsPerHost: localConns,
			DisableCompression:  true,

			MaxResponseHeaderBytes: maxHeader,
		}},
	}
}

// noRedirect hands a redirection to the caller: a signed request or a token
// must not follow one to another host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// bounded limits the answers of a transport.
type bounded struct{ next *http.Transport }

// RoundTrip hands out bodies that fail where the limit is.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	limit := int64(vpc.MaxRefusal)
	if response.StatusCode == http.StatusOK {
		limit = vpc.MaxAnswer
	}
	response.Body = vpc.Limit(response.Body, limit)
	return response, nil
}

// CloseIdleConnections lets http.Client do what it says.
func (b bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }

type dialer struct {
	dial     DialFunc
	resolver *net.Resolver
}

// dialHost connects to the first address of a host that answers.
func (d dialer) dialHost(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, ip := range ips {
		conn, err := d.connect(ctx, network, net.JoinHostPort(ip, port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (d dialer) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return d.dial(ctx, network, addr)
}

// lookup resolves host as it stands before it tries the search domains: a
// pod's resolv.conf (ndots:5) would otherwise ask the cluster's DNS for
// ec2.REGION.amazonaws.com in each of four or more search domains first.
func (d dialer) lookup(ctx context.Context, host string) ([]string, error) {
	if net.ParseIP(host) != nil {
		return []string{host}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if strings.Contains(host, ".") && !strings.HasSuffix(host, ".") {
		ips, err := d.resolver.LookupHost(ctx, host+".")
		if failure, ok := errors.AsType[*net.DNSError](err); !ok || !failure.IsNotFound {
			return ips, err
		}
	}
	return d.resolver.LookupHost(ctx, host)
}
