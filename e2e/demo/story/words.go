package story

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Round writes a duration with two digits or three.
func Round(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// Readable shortens a log of JSON lines: level, message, and then the keys that
// are not known from the context. Other lines stay as they are.
func Readable(log string, known ...string) string {
	var out strings.Builder
	for line := range strings.Lines(log) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil {
			out.WriteString(line)
			continue
		}
		fmt.Fprintf(&out, "%v %v", fields["level"], fields["msg"])
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			if key != "time" && key != "level" && key != "msg" && !slices.Contains(known, key) {
				fmt.Fprintf(&out, "  %s=%v", key, fields[key])
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}
