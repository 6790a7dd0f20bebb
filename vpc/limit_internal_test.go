package vpc

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestTheLimitIsWhereItSays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		size     int
		tooLong  bool
		readSize int
	}{
		{"shorter", 99, false, 7},
		{"just as long", 100, false, 7},
		{"just as long, in one read", 100, false, 1000},
		{"longer", 101, true, 7},
		{"longer, in one read", 101, true, 1000},
		{"empty", 0, false, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := Limit(io.NopCloser(strings.NewReader(strings.Repeat("a", test.size))), 100)
			read, buffer := 0, make([]byte, test.readSize)
			var err error
			for err == nil {
				var n int
				n, err = body.Read(buffer)
				read += n
			}
			var tooLong *TooLongError
			if errors.As(err, &tooLong) != test.tooLong || read != min(test.size, 100) {
				t.Errorf("read %d bytes of %d and error %v", read, test.size, err)
			}
		})
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`<AssignPrivateIpAddressesResponse><return>true</return></AssignPrivateIpAddressesResponse>`))
	f.Add([]byte(`<AssignPrivateIpAddressesResponse><set><return>true</return></set></AssignPrivateIpAddressesResponse>`))
	f.Add([]byte("<html>"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, body []byte) {
		err := check(body, "AssignPrivateIpAddresses")
		if err != nil && !errors.Is(err, ErrNotAWS) {
			t.Errorf("error %v", err)
		}
		if err == nil && !strings.Contains(string(body), "AssignPrivateIpAddressesResponse") {
			t.Errorf("%q passes", body)
		}
	})
}
