package roots

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
)

// systemBundle is the machine's own bundle, or nil when it has none.
func systemBundle() []byte {
	for _, file := range bundleFiles() {
		if bundle, err := os.ReadFile(file); err == nil {
			return bundle
		}
	}
	return nil
}

func TestSubjectIsWhatCryptoX509Parses(t *testing.T) {
	t.Parallel()
	rest := append(encode(newCA(t, "Root")), systemBundle()...)
	for count := 0; ; count++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if count == 0 {
				t.Error("no certificate was compared")
			}
			return
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		if got := subject(block.Bytes); !bytes.Equal(got, parsed.RawSubject) {
			t.Errorf("subject of %q is %x, want %x", parsed.Subject, got, parsed.RawSubject)
		}
	}
}

func FuzzSubject(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{tagSequence, 0x80})
	f.Add([]byte{tagSequence, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{tagSequence, 0x82, 0xff})
	if block, _ := pem.Decode(systemBundle()); block != nil {
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		got := subject(der)
		if parsed, err := x509.ParseCertificate(der); err == nil && !bytes.Equal(got, parsed.RawSubject) {
			t.Errorf("subject %x, want crypto/x509's %x", got, parsed.RawSubject)
		}
		if got != nil && !bytes.Contains(der, got) {
			t.Errorf("subject %x is no part of the input", got)
		}
	})
}

func BenchmarkPickFromTheSystemBundle(b *testing.B) {
	bundle := systemBundle()
	block, _ := pem.Decode(bundle)
	if block == nil {
		b.Skip("this machine has no bundle of root certificates")
	}
	names := map[string]bool{string(subject(block.Bytes)): true}
	b.ReportAllocs()
	for b.Loop() {
		if len(pick(bundle, names)) == 0 {
			b.Fatal("nothing was picked")
		}
	}
}

func BenchmarkParseTheSystemBundle(b *testing.B) {
	bundle := systemBundle()
	b.ReportAllocs()
	for b.Loop() {
		x509.NewCertPool().AppendCertsFromPEM(bundle)
	}
}
