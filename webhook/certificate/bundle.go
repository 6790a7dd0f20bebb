package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// authorities returns the certificates of a caBundle, in DER. What is no
// certificate is left out.
func authorities(bundle []byte) [][]byte {
	var list [][]byte
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			list = append(list, block.Bytes)
		}
	}
	return list
}

// trusts reports whether a caBundle holds an authority.
func trusts(bundle, authority []byte) bool {
	if bytes.Contains(bundle, certificatePEM(authority)) {
		return true // as we write it, which is nearly always
	}
	return slices.ContainsFunc(authorities(bundle), func(der []byte) bool { return bytes.Equal(der, authority) })
}

// announced returns the caBundle by which every generation is trusted, and
// whether that is another one than bundle. With others, authorities that are not
// ours stay until they end.
func announced(bundle []byte, all generations, others bool, now time.Time) ([]byte, bool) {
	var want [][]byte
	var ours []byte
	for _, g := range slices.Backward(all) {
		want = append(want, g.authority)
		ours = append(ours, certificatePEM(g.authority)...)
	}
	if bytes.Equal(bundle, ours) {
		return bundle, false
	}
	had := authorities(bundle)
	for _, der := range had {
		if others && !slices.ContainsFunc(want, func(d []byte) bool { return bytes.Equal(d, der) }) && unended(der, now) {
			want = append(want, der)
		}
	}
	missing := slices.ContainsFunc(want, func(der []byte) bool { return !trusts(bundle, der) })
	if !missing && len(had) == len(want) {
		return bundle, false
	}
	var text []byte
	for _, der := range want {
		text = append(text, certificatePEM(der)...)
	}
	return text, true
}

func unended(der []byte, now time.Time) bool {
	c, err := x509.ParseCertificate(der)
	return err == nil && !now.After(c.NotAfter)
}
