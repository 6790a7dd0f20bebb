package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// unmountBelow unmounts what is mounted below dir, the last mount first.
func unmountBelow(dir string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, line := range slices.Backward(strings.Split(string(table), "\n")) {
		fields := strings.Fields(line) // the fifth is where, proc(5)
		if len(fields) < 5 || !strings.HasPrefix(fields[4], dir+"/") {
			continue
		}
		if err := syscall.Unmount(fields[4], 0); err != nil {
			return fmt.Errorf("%s: %w", fields[4], err)
		}
	}
	return nil
}
