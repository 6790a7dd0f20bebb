package credentials

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestInstanceCredentialsLastAndRotate(t *testing.T) {
	s, now := NewStore(rand.New(rand.NewPCG(1, 1))), time.Unix(1000, 0)
	first := s.ForInstance("i-1", now, time.Hour)
	for _, tc := range []struct {
		name     string
		instance string
		after    time.Duration
		lifetime time.Duration
		same     bool
	}{
		{"asked again they are the same", "i-1", time.Minute, time.Hour, true},
		{"another instance has others", "i-2", time.Minute, time.Hour, false},
		{"a shorter lifetime replaces them", "i-1", time.Minute, time.Minute, false},
		{"near their end they are replaced", "i-1", 56 * time.Minute, time.Hour, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.instance["i-1"] = first.ID
			k := s.ForInstance(tc.instance, now.Add(tc.after), tc.lifetime)
			if (k == first) != tc.same {
				t.Errorf("same is %v, want %v", k == first, tc.same)
			}
			if got, ok := s.Lookup(k.ID); !ok || got != k {
				t.Errorf("Lookup does not find what was issued: %v", got)
			}
			if !k.Expires.After(now.Add(tc.after)) {
				t.Errorf("expired when issued: %v", k.Expires)
			}
		})
	}
	if _, ok := s.Lookup("AKIDUNKNOWN"); ok {
		t.Error("an unknown key is known")
	}
}
