package authorities_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/authorities"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

func newCA(t *testing.T, name string) (authorities.Authority, []byte) {
	t.Helper()
	ca, err := testca.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return authorities.Of(ca.Cert), ca.PEM
}

func TestChooseTakesTheWantedInTheirOrder(t *testing.T) {
	a, aPEM := newCA(t, "A")
	b, bPEM := newCA(t, "B")
	_, otherPEM := newCA(t, "Other")
	garbage := []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
	bundle := slices.Concat([]byte("# all\n"), bPEM, otherPEM, garbage, aPEM, bPEM)
	got, err := authorities.Choose(bundle, []authorities.Authority{a, b})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(aPEM)+string(bPEM), string(got)); diff != "" {
		t.Errorf("chosen (-want +got):\n%s", diff)
	}
	if err := authorities.Judge(got, []authorities.Authority{a, b}, false); err != nil {
		t.Error(err)
	}
}

func TestChooseNamesAllThatAreMissing(t *testing.T) {
	a, aPEM := newCA(t, "A")
	b, _ := newCA(t, "B")
	c, _ := newCA(t, "C")
	_, err := authorities.Choose(aPEM, []authorities.Authority{a, b, c})
	if err == nil || strings.Contains(err.Error(), "no A") || !strings.Contains(err.Error(), "no B with the key "+b.Key) || !strings.Contains(err.Error(), "no C") {
		t.Errorf("error %v, want one about B and C", err)
	}
}

func TestJudgeKnowsAuthoritiesByTheirKeys(t *testing.T) {
	a, aPEM := newCA(t, "A")
	impostor, impostorPEM := newCA(t, "A")
	_, otherPEM := newCA(t, "Other")
	wanted := []authorities.Authority{a}
	for _, test := range []struct {
		name   string
		bundle []byte
		others bool
		want   []string
	}{
		{"the wanted one", aPEM, false, nil},
		{"none", nil, false, []string{"no A with the key " + a.Key}},
		{"one of the same name", impostorPEM, false, []string{"holds A with the key " + impostor.Key, "no A with the key " + a.Key}},
		{"one of the same name where others are allowed", impostorPEM, true, []string{"no A with the key " + a.Key}},
		{"another one besides", slices.Concat(aPEM, otherPEM), false, []string{"holds Other"}},
		{"another one besides, which is allowed", slices.Concat(otherPEM, aPEM), true, nil},
		{"one twice", slices.Concat(aPEM, aPEM), false, []string{"holds A with the key " + a.Key}},
		{"something else than a certificate", []byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"), true, []string{"a PRIVATE KEY"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := authorities.Judge(test.bundle, wanted, test.others)
			if (err == nil) != (test.want == nil) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q", err, want)
				}
			}
		})
	}
}

// TestTheSystemsBundleHoldsThem holds the list against the bundle that the
// images are made of, where this machine has one like it.
func TestTheSystemsBundleHoldsThem(t *testing.T) {
	all, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		t.Skip("this machine has no bundle where Debian has it: ", err)
	}
	chosen, err := authorities.Choose(all, authorities.AWS())
	if err != nil {
		t.Fatal(err)
	}
	if err := authorities.Judge(chosen, authorities.AWS(), false); err != nil {
		t.Error(err)
	}
	if n := bytes.Count(chosen, []byte("BEGIN CERTIFICATE")); n != len(authorities.AWS()) || n >= 10 {
		t.Errorf("%d certificates are chosen, want %d, and fewer than ten", n, len(authorities.AWS()))
	}
}
