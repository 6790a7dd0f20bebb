package vpcsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/eventbus"
)

// Addresses says where a simulator listens: HOST:PORT each, port 0 for a free
// one. A service with an empty address is not served.
type Addresses struct {
	EC2, AutoScaling, Control string
	IMDS                      []IMDSAddress
	// Events is the URL to which each event of Auto Scaling is posted, as JSON.
	Events string
	// Wire is the directory in which each ENI has a socket ENI-ID.sock of type
	// unixpacket, one Ethernet frame per message; it is made when missing.
	Wire string
}

// IMDSAddress is where the metadata service of one instance listens. The
// listener is what a pod with its own network namespace sees: one hop further
// than the worker itself.
type IMDSAddress struct{ Instance, Address string }

// Server is a simulator that listens.
type Server struct {
	// EC2URL, AutoScalingURL and ControlURL are http URLs, "" when not served.
	EC2URL, AutoScalingURL, ControlURL string
	// IMDSURL holds the URL of each instance's metadata service.
	IMDSURL map[string]string

	sim     *Sim
	wire    string
	cables  *cables
	posts   *http.Transport
	servers []*http.Server
	done    sync.WaitGroup
}

// Listen opens all listeners and serves until [Server.Close]. The error names
// the address that could not be opened, or the instance that does not exist;
// then nothing is left open.
func (s *Sim) Listen(ctx context.Context, a Addresses) (*Server, error) {
	srv := &Server{IMDSURL: map[string]string{}, sim: s}
	err := srv.open(ctx, a)
	if err != nil {
		return nil, errors.Join(err, srv.Close())
	}
	return srv, nil
}

func (srv *Server) open(ctx context.Context, a Addresses) (err error) {
	if srv.EC2URL, err = srv.serve(ctx, a.EC2, srv.sim.EC2()); err != nil {
		return fmt.Errorf("EC2: %w", err)
	}
	if srv.AutoScalingURL, err = srv.serve(ctx, a.AutoScaling, srv.sim.AutoScaling()); err != nil {
		return fmt.Errorf("the Auto Scaling API: %w", err)
	}
	if srv.ControlURL, err = srv.serve(ctx, a.Control, srv.sim.Control()); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	for _, m := range a.IMDS {
		h, err := srv.sim.IMDS(m.Instance, PodHops)
		if err != nil {
			return fmt.Errorf("IMDS: %w", err)
		}
		if _, twice := srv.IMDSURL[m.Instance]; twice {
			return fmt.Errorf("IMDS of %s: two addresses", m.Instance)
		}
		if srv.IMDSURL[m.Instance], err = srv.serve(ctx, m.Address, h); err != nil {
			return fmt.Errorf("IMDS of %s: %w", m.Instance, err)
		}
	}
	if a.Events != "" {
		srv.posts = &http.Transport{MaxConnsPerHost: maxPosts, IdleConnTimeout: time.Minute}
		srv.sim.Subscribe(eventbus.Post(a.Events, &http.Client{Transport: srv.posts}, srv.sim.sleep, srv.sim.closing))
	}
	if srv.wire = a.Wire; a.Wire == "" {
		return nil
	}
	if srv.cables, err = layCables(a.Wire, srv.sim.world, srv.sim.DataPlane()); err != nil {
		return fmt.Errorf("wire: %w", err)
	}
	return nil
}

// maxPosts is how many events are posted at once.
const maxPosts = 100

func (srv *Server) serve(ctx context.Context, address string, h http.Handler) (string, error) {
	if address == "" {
		return "", nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // cut connections are on purpose
	}
	srv.servers = append(srv.servers, server)
	srv.done.Go(func() { _ = server.Serve(l) }) // ends with ErrServerClosed
	return "http://" + l.Addr().String(), nil
}

// Close stops serving at once, closes the simulator and waits until all
// listeners are gone.
func (srv *Server) Close() error {
	srv.sim.Close()
	srv.sim.bus.Wait()
	if srv.posts != nil {
		srv.posts.CloseIdleConnections()
	}
	var errs []error
	for _, s := range srv.servers {
		errs = append(errs, s.Close())
	}
	srv.done.Wait()
	if srv.cables != nil {
		errs = append(errs, srv.cables.close())
	}
	return errors.Join(errs...)
}

// Ready is the line that the program prints once it serves; order lists the
// instances.
func (srv *Server) Ready(order []IMDSAddress) string {
	words := []string{"ready", "ec2=" + srv.EC2URL, "control=" + srv.ControlURL}
	if srv.AutoScalingURL != "" {
		words = append(words, "autoscaling="+srv.AutoScalingURL)
	}
	for _, m := range order {
		words = append(words, "imds."+m.Instance+"="+srv.IMDSURL[m.Instance])
	}
	if srv.wire != "" {
		words = append(words, "wire="+srv.wire)
	}
	return strings.Join(words, " ")
}
