// Package credentials knows the key pairs that the simulated account accepts:
// the one of AWS's documentation, and those that the metadata service issues.
package credentials

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"
)

// The key pair that AWS uses as its example throughout its documentation. It
// opens nothing outside this simulator.
const (
	ExampleKeyID  = "AKIDEXAMPLE"
	ExampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// Key is one set of credentials.
type Key struct {
	ID, Secret string
	// Token is the session token of temporary credentials, "" for permanent ones.
	Token string
	// Issued and Expires bound temporary credentials.
	Issued, Expires time.Time
}

// Store holds the keys of the account.
type Store struct {
	mu       sync.Mutex
	rand     *rand.Rand
	keys     map[string]Key
	instance map[string]string // instance -> id of the key issued last
}

// NewStore returns a store that knows the example key pair alone.
func NewStore(r *rand.Rand) *Store {
	return &Store{
		rand:     r,
		keys:     map[string]Key{ExampleKeyID: {ID: ExampleKeyID, Secret: ExampleSecret}},
		instance: map[string]string{},
	}
}

// Lookup returns the key with an access key id, expired or not.
func (s *Store) Lookup(id string) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[id]
	return k, ok
}

// ForInstance returns the temporary credentials of an instance's role. Like
// AWS it hands out the same set again until a part of its life is left: five
// minutes, or a quarter of a shorter life.
func (s *Store) ForInstance(instance string, now time.Time, lifetime time.Duration) Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.keys[s.instance[instance]]; ok {
		left := k.Expires.Sub(now)
		if left > min(5*time.Minute, lifetime/4) && left <= lifetime {
			return k
		}
	}
	k := Key{
		ID:     "ASIA" + base32.StdEncoding.EncodeToString(s.bytes(10)),
		Secret: base64.StdEncoding.EncodeToString(s.bytes(30)),
		Token:  base64.StdEncoding.EncodeToString(s.bytes(96)),
		Issued: now.UTC().Truncate(time.Second), Expires: now.Add(lifetime).UTC(),
	}
	s.keys[k.ID], s.instance[instance] = k, k.ID
	return k
}

func (s *Store) bytes(n int) []byte {
	out := make([]byte, 0, n+8)
	for len(out) < n {
		out = binary.BigEndian.AppendUint64(out, s.rand.Uint64())
	}
	return out[:n]
}
