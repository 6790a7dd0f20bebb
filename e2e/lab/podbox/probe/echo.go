package probe

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// numberSize is the length of a question: its number. The answer repeats it and
// appends the pod's name.
const numberSize = 8

// Echo answers questions.
type Echo struct {
	conns   []net.PacketConn
	running sync.WaitGroup
}

// Listen answers on all addresses, those of the moment and later ones.
func Listen(ctx context.Context, pod string, port int) (*Echo, error) {
	e := &Echo{}
	four, err := new(net.ListenConfig).ListenPacket(ctx, "udp4", ":"+strconv.Itoa(port))
	if err != nil {
		return nil, err
	}
	e.conns = append(e.conns, four)
	six, err := new(net.ListenConfig).ListenPacket(ctx, "udp6", ":"+strconv.Itoa(port))
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.conns = append(e.conns, six)
	conn4, conn6 := ipv4.NewPacketConn(four), ipv6.NewPacketConn(six)
	if err := errors.Join(
		conn4.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true),
		conn6.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true),
	); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.running.Go(func() { answer4(conn4, pod) })
	e.running.Go(func() { answer6(conn6, pod) })
	return e, nil
}

// answer4 answers from the very address that was asked, by the interface that
// the question came in: the kernel's choice may be another of the pod's.
func answer4(conn *ipv4.PacketConn, pod string) {
	buffer := make([]byte, 1500)
	for {
		n, about, from, err := conn.ReadFrom(buffer)
		if isClosed(err) {
			return
		}
		if err != nil || n != numberSize || about == nil {
			continue
		}
		_, _ = conn.WriteTo(append(buffer[:n:n], pod...), &ipv4.ControlMessage{Src: about.Dst, IfIndex: about.IfIndex}, from)
	}
}

func answer6(conn *ipv6.PacketConn, pod string) {
	buffer := make([]byte, 1500)
	for {
		n, about, from, err := conn.ReadFrom(buffer)
		if isClosed(err) {
			return
		}
		if err != nil || n != numberSize || about == nil {
			continue
		}
		_, _ = conn.WriteTo(append(buffer[:n:n], pod...), &ipv6.ControlMessage{Src: about.Dst, IfIndex: about.IfIndex}, from)
	}
}

// Close ends the answers.
func (e *Echo) Close() error {
	var errs []error
	for _, c := range e.conns {
		errs = append(errs, c.Close())
	}
	e.running.Wait()
	return errors.Join(errs...)
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
