package imds

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// tokens issues session tokens that prove themselves: expiry, a random part,
// and a MAC over both and the instance. A token is valid on its instance only.
type tokens struct {
	key  []byte
	rand *rand.Rand
}

const (
	tokenHead = 16 // bytes of expiry and random part
	tokenSize = 40 // bytes, so that the text is 56 characters as AWS's is
)

func newTokens(r *rand.Rand) tokens {
	var key []byte
	for range 4 {
		key = binary.BigEndian.AppendUint64(key, r.Uint64())
	}
	return tokens{key: key, rand: r}
}

func (t tokens) issue(instance string, expires time.Time) string {
	head := binary.BigEndian.AppendUint64(nil, uint64(expires.UnixNano()))
	head = binary.BigEndian.AppendUint64(head, t.rand.Uint64())
	return base64.URLEncoding.EncodeToString(append(head, t.mac(head, instance)...))
}

func (t tokens) valid(token, instance string, now time.Time) bool {
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil || len(raw) != tokenSize || !hmac.Equal(raw[tokenHead:], t.mac(raw[:tokenHead], instance)) {
		return false
	}
	return now.UnixNano() < int64(binary.BigEndian.Uint64(raw))
}

func (t tokens) mac(head []byte, instance string) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write(head)
	h.Write([]byte(instance))
	return h.Sum(nil)[:tokenSize-tokenHead]
}
