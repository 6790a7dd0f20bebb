package mgmt

import (
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

var testNames = map[string]netip.Addr{"ec2.us-west-2.amazonaws.com": netip.MustParseAddr("10.10.12.10")}

func question(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	n, err := dnsmessage.NewName(name)
	if err != nil {
		t.Fatal(err)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: kind, Class: dnsmessage.ClassINET}},
	}
	text, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestNames(t *testing.T) {
	for what, c := range map[string]struct {
		name string
		kind dnsmessage.Type
		code dnsmessage.RCode
		want string
	}{
		"a known name":                     {"ec2.us-west-2.amazonaws.com.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "10.10.12.10"},
		"in capitals":                      {"EC2.us-west-2.amazonaws.com.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, "10.10.12.10"},
		"a known name has no IPv6 address": {"ec2.us-west-2.amazonaws.com.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, ""},
		"an unknown name":                  {"example.com.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
	} {
		t.Run(what, func(t *testing.T) {
			text, ok := resolve(question(t, c.name, c.kind), testNames)
			if !ok {
				t.Fatal("no answer")
			}
			var m dnsmessage.Message
			if err := m.Unpack(text); err != nil {
				t.Fatal(err)
			}
			if m.ID != 7 || !m.Response || m.RCode != c.code {
				t.Errorf("answer %+v, want code %s", m.Header, c.code)
			}
			got := ""
			if len(m.Answers) == 1 {
				got = netip.AddrFrom4(m.Answers[0].Body.(*dnsmessage.AResource).A).String() //nolint:errcheck // a panic fails the test
			}
			if got != c.want {
				t.Errorf("address %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzAnyQuestionIsAnsweredOrIgnored(f *testing.F) {
	f.Add(question(f, "example.com.", dnsmessage.TypeA))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		answer, ok := resolve(text, testNames)
		if !ok {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			t.Errorf("the answer cannot be read: %v", err)
		}
	})
}
