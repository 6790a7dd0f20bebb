// Package authorities names the certificate authorities that the image of ipmgr
// trusts, and chooses them from a bundle of all.
package authorities

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// Authority is a root, known by its key: a root may have several certificates,
// and anyone can make one of its name.
type Authority struct {
	Name string // common name
	Key  string // SHA-256 of the SubjectPublicKeyInfo
}

// AWS returns those that vouch for AWS's endpoints. The first five are all that
// Amazon Trust Services tells clients to trust, with these hashes
// (https://www.amazontrust.com/repository/); the European Sovereign Cloud's own
// roots are signed by them. DigiCert vouched for AWS before, and for endpoints
// in China longer than elsewhere. Its first root is not among them: Mozilla's
// trust in it ended in April 2026.
func AWS() []Authority {
	return []Authority{
		{"Amazon Root CA 1", "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2"},
		{"Amazon Root CA 2", "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461"},
		{"Amazon Root CA 3", "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9"},
		{"Amazon Root CA 4", "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5"},
		{"Starfield Services Root Certificate Authority - G2", "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92"},
		{"DigiCert Global Root G2", "8bb593a93be1d0e8a822bb887c547890c3e706aad2dab76254f97fb36b82fc26"},
		{"DigiCert Global Root G3", "b94c198300cec5c057ad0727b70bbe91816992256439a7b32f4598119dda9c97"},
	}
}

// Of returns the authority that a certificate is of.
func Of(certificate *x509.Certificate) Authority {
	key := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return Authority{Name: certificate.Subject.CommonName, Key: hex.EncodeToString(key[:])}
}

// Read returns the certificates of a bundle in PEM. It accepts nothing else than
// certificates that crypto/x509 can parse.
func Read(bundle []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("block %d of the bundle, a %s: %w", len(all)+1, block.Type, err)
		}
		all = append(all, certificate)
	}
	return all, nil
}

// Choose returns one certificate of each wanted authority from a bundle in PEM,
// in the order wanted, and fails if one is missing. It passes over blocks that
// are not certificates, as crypto/x509 does.
func Choose(bundle []byte, wanted []Authority) ([]byte, error) {
	found := map[Authority][]byte{}
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			found[Of(certificate)] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
		}
	}
	var chosen []byte
	var missing []error
	for _, authority := range wanted {
		chosen = append(chosen, found[authority]...)
		if found[authority] == nil {
			missing = append(missing, authority.missing())
		}
	}
	return chosen, errors.Join(missing...)
}

// Judge returns what is wrong with a bundle that must hold all wanted
// authorities and, unless others are allowed, nothing else.
func Judge(bundle []byte, wanted []Authority, others bool) error {
	certificates, err := Read(bundle)
	if err != nil {
		return err
	}
	left := slices.Clone(wanted)
	var wrong []error
	for _, certificate := range certificates {
		authority := Of(certificate)
		if i := slices.Index(left, authority); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else if !others {
			wrong = append(wrong, fmt.Errorf("the bundle holds %s with the key %s, which is not wanted", authority.Name, authority.Key))
		}
	}
	for _, authority := range left {
		wrong = append(wrong, authority.missing())
	}
	return errors.Join(wrong...)
}

func (a Authority) missing() error {
	return fmt.Errorf("the bundle holds no %s with the key %s", a.Name, a.Key)
}
