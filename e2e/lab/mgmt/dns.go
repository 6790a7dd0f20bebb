package mgmt

import (
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// datagram is the longest question that is read.
const datagram = 1500

// ServeDNS answers questions for names until conn is closed. Names are in
// lower case, with no dot at the end; all others do not exist.
func ServeDNS(conn net.PacketConn, names map[string]netip.Addr) {
	buffer := make([]byte, datagram)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if answer, ok := resolve(buffer[:n], names); ok {
			_, _ = conn.WriteTo(answer, from) // the resolver asks again
		}
	}
}

// resolve answers one question, unless it cannot be understood.
func resolve(question []byte, names map[string]netip.Addr) ([]byte, bool) {
	var q dnsmessage.Message
	if err := q.Unpack(question); err != nil || q.Response || len(q.Questions) != 1 {
		return nil, false
	}
	a := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: q.ID, Response: true, Authoritative: true, RecursionDesired: q.RecursionDesired, RecursionAvailable: true,
		},
		Questions: q.Questions,
	}
	asked := q.Questions[0]
	addr, known := names[strings.ToLower(strings.TrimSuffix(asked.Name.String(), "."))]
	switch {
	case !known:
		a.RCode = dnsmessage.RCodeNameError
	case asked.Type == dnsmessage.TypeA:
		a.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: asked.Name, Type: asked.Type, Class: asked.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: addr.As4()},
		}}
	}
	answer, err := a.Pack()
	return answer, err == nil
}
