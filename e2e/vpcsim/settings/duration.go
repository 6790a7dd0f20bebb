package settings

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Duration is a time.Duration that JSON writes as a Go duration string, such
// as "1.5s", or as a number of seconds.
type Duration time.Duration

// Value returns the duration.
func (d Duration) Value() time.Duration { return time.Duration(d) }

// MarshalJSON writes the duration as a Go duration string.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads a Go duration string or a number of seconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		parsed, err := time.ParseDuration(v)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as \"1.5s\"", v)
		}
		*d = Duration(parsed)
	case float64:
		ns := v * float64(time.Second)
		if math.Abs(ns) >= math.MaxInt64 {
			return fmt.Errorf("%v seconds are too long", v)
		}
		*d = Duration(ns)
	default:
		return fmt.Errorf("%s is neither a duration string nor a number of seconds", data)
	}
	return nil
}
