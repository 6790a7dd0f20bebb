package control

import (
	"encoding/json"
	"testing"
)

// FuzzParseFaults looks for panics and for faults that change when they are
// written and read again.
func FuzzParseFaults(f *testing.F) {
	f.Add([]byte(`{"action":"*","code":"X","count":2,"delay":"1s"}`))
	f.Add([]byte(` [{"action":"IMDS","lose":true,"delay":0.5}, {}]`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		faults, err := ParseFaults(body)
		if err != nil {
			return
		}
		text, err := json.Marshal(faults)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseFaults(text)
		if err != nil || len(again) != len(faults) {
			t.Fatalf("%s: %v", text, err)
		}
		for i := range faults {
			if again[i] != faults[i] {
				t.Errorf("got %+v, want %+v", again[i], faults[i])
			}
		}
	})
}
