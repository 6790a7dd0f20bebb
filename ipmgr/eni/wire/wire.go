// Package wire makes the HTTP clients for AWS's services. All their
// connections, and the name lookups before them, are opened by one function,
// so that they leave by the pod's primary interface whatever its default route.
package wire

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	connectTimeout = 5 * time.Second // one TCP connection, one TLS handshake
	lookupTimeout  = 5 * time.Second
	idleTimeout    = 60 * time.Second // a warm connection saves a handshake when an address moves
	localIdle      = 5 * time.Second
	localConns     = 2 // IMDS limits the connections of an instance
	maxHeader      = 64 << 10
	// patience bounds a call of a service that gives credentials. The SDK lets
	// go of the deadline of the call that they are for.
	patience = 5 * time.Second
)

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Client returns a client for AWS's APIs that the SDK can still give the
// authorities of its settings: TLS 1.2 or later, proxies from the environment,
// HTTP/1.1 as the EC2 API speaks it. The SDK uses it for services that give
// credentials, once an hour, so connections are not kept.
func Client(dial DialFunc) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTimeout(patience).WithTransportOptions(func(t *http.Transport) {
		t.Proxy = proxy
		t.DialContext = newDialer(dial).dialHost
		onlyHTTP1(t)
		t.TLSHandshakeTimeout = connectTimeout
		t.DisableKeepAlives = true
		t.MaxResponseHeaderBytes = maxHeader
	})
}

// onlyHTTP1 undoes what the SDK has set up for HTTP/2.
func onlyHTTP1(t *http.Transport) {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2, t.TLSNextProto, t.TLSClientConfig.NextProtos = false, nil, nil
}

// Kept returns the same client for calls that follow each other: it keeps
// connections, and hands a redirection to the caller.
func Kept(client *awshttp.BuildableClient) *http.Client {
	transport := client.GetTransport()
	transport.DisableKeepAlives = false
	transport.IdleConnTimeout = idleTimeout
	transport.MaxIdleConnsPerHost = 2
	return &http.Client{CheckRedirect: noRedirect, Transport: bounded{transport}}
}

// proxy is the environment's, but never for services of the worker.
func proxy(request *http.Request) (*url.URL, error) {
	if addr, err := netip.ParseAddr(request.URL.Hostname()); err == nil && IsService(addr) {
		return nil, nil //nolint:nilnil // as http.ProxyFromEnvironment says that there is none
	}
	return http.ProxyFromEnvironment(request)
}

// IsService reports whether addr is of AWS's services on the worker: they have
// link-local addresses and, with IPv6, those of fd00:ec2::/32.
func IsService(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return addr.IsLinkLocalUnicast() || netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2}), 32).Contains(addr)
}

// Local returns the client for services on the worker itself, at link-local
// addresses: no proxy, and connections that are not kept for long.
func Local(dial DialFunc) *http.Client {
	return &http.Client{
		CheckRedirect: noRedirect,
		Timeout:       patience,
		Transport: bounded{&http.Transport{
			DialContext:         newDialer(dial).dialHost,
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

func newDialer(dial DialFunc) dialer {
	return dialer{dial: dial, resolver: &net.Resolver{PreferGo: true, Dial: dial}}
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
