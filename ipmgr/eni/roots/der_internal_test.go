package roots

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

// reference is certificates by encoding/pem alone.
func reference(bundle []byte) [][]byte {
	var list [][]byte
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			return list
		}
		if block.Type == "CERTIFICATE" && len(block.Headers) == 0 && len(block.Bytes) > 0 {
			list = append(list, block.Bytes)
		}
	}
}

func collect(bundle []byte) [][]byte {
	var list [][]byte
	for der := range certificates(bundle) {
		list = append(list, bytes.Clone(der))
	}
	return list
}

func TestCertificatesAreThoseOfEncodingPEM(t *testing.T) {
	t.Parallel()
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bytes.Repeat([]byte("certificate"), 20)})
	text := string(one)
	tests := map[string]string{
		"nothing":                         "",
		"one":                             text,
		"two":                             text + text,
		"comments around":                 "# Amazon Root CA 1\n" + text + "\n# next\n" + text + "end",
		"carriage returns":                strings.ReplaceAll(text, "\n", "\r\n"),
		"spaces at the ends of lines":     strings.ReplaceAll(text, "\n", " \t\n"),
		"blank lines":                     strings.ReplaceAll(text, "\n", "\n\n"),
		"without an end":                  text[:100],
		"one without an end before one":   text[:100] + "\n" + text,
		"rubbish inside, then one":        text[:100] + "*" + text[100:] + text,
		"another kind":                    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + text,
		"a trusted certificate":           strings.ReplaceAll(text, "CERTIFICATE", "TRUSTED CERTIFICATE") + text,
		"headers":                         strings.Replace(text, "-----\n", "-----\nKey: value\n\n", 1) + text,
		"an end without a beginning":      "-----END CERTIFICATE-----\n" + text,
		"an empty one":                    "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" + text,
		"the last line is not terminated": strings.TrimSpace(text),
		"the machine's own bundle":        string(systemBundle()),
	}
	for name, bundle := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(reference([]byte(bundle)), collect([]byte(bundle)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("certificates (-encoding/pem +ours):\n%s", diff)
			}
		})
	}
}

func FuzzCertificates(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nM A A =\n-----END CERTIFICATE-----"))
	f.Add([]byte("-----END CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		ours := collect(bundle)
		for _, der := range reference(bundle) {
			if !slices.ContainsFunc(ours, func(o []byte) bool { return bytes.Equal(o, der) }) {
				t.Errorf("%x is missing", der)
			}
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
