package roots

// DER tags that lead to a certificate's subject (RFC 5280, section 4.1).
const (
	tagInteger  = 0x02
	tagSequence = 0x30
	tagVersion  = 0xa0 // [0] EXPLICIT
)

// subject returns the raw subject of a certificate in DER without parsing the
// rest, or nil when der is not a certificate.
func subject(der []byte) []byte {
	_, certificate, _, ok := element(der, tagSequence)
	if !ok {
		return nil
	}
	_, rest, _, ok := element(certificate, tagSequence) // tbsCertificate
	if !ok {
		return nil
	}
	if _, _, after, ok := element(rest, tagVersion); ok { // absent in version 1
		rest = after
	}
	for _, tag := range []byte{tagInteger, tagSequence, tagSequence, tagSequence} { // serialNumber, signature, issuer, validity
		if _, _, rest, ok = element(rest, tag); !ok {
			return nil
		}
	}
	whole, _, _, ok := element(rest, tagSequence)
	if !ok {
		return nil
	}
	return whole
}

// element splits the first element off der, if it has the tag and a definite
// length below 16 MiB: the whole element, its content, and what follows.
func element(der []byte, tag byte) (whole, content, rest []byte, ok bool) {
	if len(der) < 2 || der[0] != tag {
		return nil, nil, der, false
	}
	header, length := 2, int(der[1])
	if length >= 0x80 { // long form: the low bits count the length's own bytes
		count := length & 0x7f
		if count == 0 || count > 3 || len(der) < 2+count {
			return nil, nil, der, false
		}
		header, length = 2+count, 0
		for _, b := range der[2 : 2+count] {
			length = length<<8 | int(b)
		}
	}
	if len(der)-header < length {
		return nil, nil, der, false
	}
	return der[:header+length], der[header : header+length], der[header+length:], true
}
