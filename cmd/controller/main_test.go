package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestExitCodes(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "kubeconfig")
	for _, c := range []struct {
		name      string
		arguments []string
		want      int
	}{
		{"help is not a mistake", []string{"--help"}, 0},
		{"nothing is selected", nil, 2},
		{"a flag that does not exist", []string{"--region=us-west-2"}, 2},
		{"a kubeconfig that does not exist", []string{"--subnets=subnet-a", "--namespace=own", "--kubeconfig=" + absent}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := os.Args
			defer func() { os.Args = before }()
			os.Args = append([]string{"controller"}, c.arguments...)
			if got := run(); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}
